"""The method by which figures are worked out, by name and in words: what an auditor reads first."""

from __future__ import annotations

from dataclasses import dataclass

METHOD = "aerogel carbon 1.0"
"""Changes whenever a rule changes a figure."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``text``: how ``what`` is worked out."""

    what: str
    text: str


RULES: tuple[Rule, ...] = (
    Rule(
        "Bounds",
        "Every amount has two bounds. They are taken for limits: sums add them end to end, products take "
        "the extremes, as if all errors went the same way. For errors that runs share, as those of a "
        "factor, that is exact; where errors are independent it is too wide, never too narrow. A bound is "
        "as good as its factor: see its grade. What is not known has no figure; it is left out of sums, "
        "and the sum says so. Nothing is taken for zero because it is missing. Where all that has bounds "
        "alone comes to 1 % of a sum at most, the sum's figure counts it at its upper bound.",
    ),
    Rule(
        "Energy",
        "Joules of the computers as a meter gave them, or within the bounds of the power model that is "
        "named, over 3.6e6. What they cover (CPU, memory, the whole server) is said of each run, and is "
        "not scaled up. With cooling and the like: times the power usage effectiveness (PUE) of the "
        "building. A cloud region tells its provider; where the building is not known, the mean of a "
        "survey stands with the range of buildings.",
    ),
    Rule(
        "Location-based",
        "Energy with PUE times the intensity of the grid where the run was, of its year or the nearest "
        "before; the bounds widen for each year between. Countries' intensities are over the life cycle: "
        "they hold the provision of fuel and the building of plants, which the greenhouse gas protocol "
        "reports as scope 3, category 3; do not add that again. A place that is not known is an error, or by "
        "request the world's average with the range of countries.",
    ),
    Rule(
        "Market-based",
        "Energy with PUE times the intensity by contract, which the user gives, or that of the residual "
        "mix. For want of both it is the grid's, as the scope 2 guidance of the greenhouse gas protocol "
        "allows, and says so.",
    ),
    Rule(
        "Scopes",
        "Scope 2: electricity of own hardware. Scope 3.1: computing that was bought, its electricity and "
        "the making of its hardware. Scope 3.2: the making of own hardware, its share. They stand apart; "
        "what is called a total, or of all runs, is their sum and no scope. Scope 1 is no part of computing.",
    ),
    Rule(
        "Making of hardware",
        "M = TE x (TiR / EL) x (RR / ToR), as ISO/IEC 21031 has it: what making it emitted, times the "
        "time it was reserved over its lifetime (a year has 365 days), times the share of it that was "
        "reserved. The greenhouse gas protocol counts it in full in the year it is bought, which a list "
        "of runs cannot know.",
    ),
    Rule(
        "SCI",
        "(E x I + M) per R of ISO/IEC 21031:2024, with the location-based intensity: certificates and "
        "offsets do not count. SCI for AI: consumers' scores cover running a model, providers' making it;"
        " per floating point operation the score says whether operations are gross, counted as if nothing"
        " were zero, or effective, those that were done.",
    ),
    Rule(
        "Water",
        "Energy of the computers times the water that evaporates on site for each kWh. What power "
        "stations evaporate is not in it.",
    ),
    Rule(
        "Money",
        "What was paid, where a run says so; else energy with PUE times the price of a kWh, or of bought "
        "computing hours times the price of an instance-hour. Currencies are not added to each other.",
    ),
    Rule(
        "Projected savings",
        "They stand apart and are never taken from an inventory. A unit of work dense and sparse, by the "
        "identical method, times the volume of a year; net is less what pruning took. Where bounds hold "
        "zero it is not proven.",
    ),
)
