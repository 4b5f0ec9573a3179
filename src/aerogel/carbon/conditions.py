"""Which factors hold for a run: of the grid where it ran, the building, the water; and where none may be
assumed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from aerogel.carbon.factor import Book, Factor
from aerogel.carbon.grid import for_year
from aerogel.carbon.places import WORLD, country_of
from aerogel.carbon.run import Run
from aerogel.core.errors import InputError

LIFETIME_DEFAULT = "lifetime/server"
EUROPEAN_UNION = frozenset(
    {
        "AUT", "BEL", "BGR", "CYP", "CZE", "DEU", "DNK", "ESP", "EST", "FIN", "FRA", "GRC", "HRV", "HUN",
        "IRL", "ITA", "LTU", "LUX", "LVA", "MLT", "NLD", "POL", "PRT", "ROU", "SVK", "SVN", "SWE",
    }
)  # fmt: skip
"""Its 27 members, by ISO 3166-1."""
_MOST_NAMED = 5


def require_places(runs: Iterable[Run], unknown: Literal["error", "world"]) -> None:
    """InputError where a run has no place, unless ``unknown`` is "world"; naming the runs."""
    nowhere = [run.label for run in runs if run.place is None]
    if not nowhere or unknown == "world":
        return
    named = ", ".join(map(repr, nowhere[:_MOST_NAMED]))
    more = f" and {len(nowhere) - _MOST_NAMED} more" if len(nowhere) > _MOST_NAMED else ""
    raise InputError(
        f"it is not known where {named}{more} ran, and grids differ a hundredfold: say where (--place), or "
        "take the world's average with its range (--unknown-place world)"
    )


def grid_factor(run: Run, book: Book) -> tuple[Factor, str]:
    """The grid's intensity where ``run`` ran, in its year or the nearest that is known; with a remark."""
    if run.place is None:
        world = for_year(book.find(f"grid/{WORLD}", year=run.year), run.year)
        return world, "place not known: the world's average, and the range of countries"
    factor = book.find(f"grid/{run.place}", year=run.year)
    return for_year(factor, run.year), _year_note(factor, run)


def market_factor(run: Run, book: Book) -> tuple[Factor | None, str]:
    """The intensity by contract or of the residual mix, with a remark; None where the book knows none."""
    found = None if run.place is None else book.get(f"market/{run.place}", year=run.year)
    if found is None or found.year in (None, run.year):
        return found, ""
    what = "your contract or factor" if found.own else "residual mix"
    return for_year(found, run.year), f"{what} of {found.year} for a run of {run.year}: is it valid there?"


def pue_factor(run: Run, book: Book, default: str | None) -> tuple[Factor, str]:
    """What the building adds; with a remark where it is assumed. A region of a cloud tells its provider."""
    facility = run.facility or _provider(run, book) or default
    if facility is not None:
        return book.find(f"pue/{facility}"), ""
    return book.find("pue/unknown"), "building not known: the mean of a survey, and the range of buildings"


def water_factor(run: Run, book: Book, default: str | None) -> Factor:
    """Litres per kWh of the computers that evaporate on site."""
    facility = run.facility or _provider(run, book) or default
    return (None if facility is None else book.get(f"water/{facility}")) or book.find("water/site")


def price_of_electricity(run: Run, book: Book) -> tuple[Factor | None, str]:
    """The user's price, else that of the European Union for a run in it, else None; with a remark."""
    own = book.get("price/kwh")
    if own is not None:
        return own, ""
    average = book.get("price/kwh/EU") if _in_union(run) else None
    note = "" if average is None else "price not given: the average of companies in the EU, and its range"
    return average, note


def _in_union(run: Run) -> bool:
    return run.place is not None and country_of(run.place) in EUROPEAN_UNION


def _provider(run: Run, book: Book) -> str | None:
    if run.place is None or "/" not in run.place:
        return None
    provider = run.place.partition("/")[0]
    return provider if f"pue/{provider}" in book else None


def _year_note(factor: Factor, run: Run) -> str:
    if factor.year is None or factor.year == run.year:
        return ""
    if factor.own:
        return f"your own grid intensity of {factor.year} for a run of {run.year}"
    return f"grid intensity of {factor.year} for a run of {run.year}, for want of a newer one; wider bounds"
