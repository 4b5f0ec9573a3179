"""``aerogel measure ...``: the energy of any command, a gate on it, and a power model of this machine."""

from __future__ import annotations

from aerogel.cli.group import Group

COMMAND = Group(
    about="The energy of a command: measured where there is a meter, between bounds where there is none.",
    example="aerogel measure -- python train.py\n"
    "  aerogel measure --runs 5 --items 1000 --save energy.json -- python serve_1000.py\n"
    "  aerogel measure check --baseline energy.json -- python serve_1000.py",
    commands={
        "run": "run a command and say what it took; `aerogel measure -- COMMAND` is short for it",
        "check": "fail where an item takes more than it did when a baseline was recorded",
        "calibrate": "fit idle and active power to this machine, from a meter or from typed readings",
    },
    usual="run",
)
