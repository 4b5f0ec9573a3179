"""``aerogel carbon plan ...``: what work to come would take, and how it would take less."""

from __future__ import annotations

from aerogel.cli.group import Group

COMMAND = Group(
    about="What work to come would take, and how it would take less: before anything has run.",
    example="aerogel carbon plan training --mwh 100 --hardware h100-sxm --place FRA",
    commands={
        "training": "compute-optimal size and tokens for a budget, in FLOP, hours, MWh, t CO2e or money",
        "model": "of models measured on your task, the cheapest that meets the accuracy",
        "when": "the best hours and places, in a table of intensities, for a job with a deadline",
        "where": "countries and cloud regions by what a piece of work would emit there",
        "hardware": "which of named hardware would do a piece of work on the least energy",
        "batch": "energy per item against the time a request takes, measured for each batch size",
    },
)
