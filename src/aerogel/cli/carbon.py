"""``aerogel carbon ...``: energy, carbon, water and money of what a ledger recorded."""

from __future__ import annotations

from aerogel.cli.group import Group

COMMAND = Group(
    about="What runs used and emitted, as a company must report it; and what work to come would take.",
    example="aerogel carbon report --html report.html",
    commands={
        "import": "take instance-hours, kWh or tokens from a CSV file into the ledger",
        "report": "kWh, CO2e, water and money of what the ledger holds, each figure traceable",
        "ledger": "list what is on record; check its files, or save what is sound in them",
        "plan": "sizes, places, hours and hardware for work that is to come",
    },
)
