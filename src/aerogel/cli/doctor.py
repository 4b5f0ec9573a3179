"""``aerogel doctor``: what works on this machine, what does not, and what to do about it."""

from __future__ import annotations

import argparse

from aerogel.cli.checkup import Finding, examine
from aerogel.cli.command import FAILED, OK, Command, show

_SIGNS = {"ok": "ok  ", "note": "note", "absent": "-   ", "failed": "FAIL"}
_NAME = 18


def _options(parser: argparse.ArgumentParser) -> None:
    """Only the common ones."""


def _run(args: argparse.Namespace) -> int:
    findings = examine()
    failed = any(f.status == "failed" for f in findings)
    document = {"ok": not failed, "findings": [f.to_json() for f in findings]}
    show(args, document, "\n".join(_lines(f) for f in findings))
    return FAILED if failed else OK


def _lines(finding: Finding) -> str:
    line = f"{_SIGNS[finding.status]}  {finding.name:<{_NAME}} {finding.text}"
    return f"{line}\n{'':<{_NAME + 7}}-> {finding.advice}" if finding.advice else line


COMMAND = Command(
    about="Look at the CPU, threads, cache, optional libraries and energy meters, and say what to do.",
    example="aerogel doctor --json",
    options=_options,
    run=_run,
)
