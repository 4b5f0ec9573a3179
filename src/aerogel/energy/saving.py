"""What a sparse program saves over a dense one, in a sentence that claims no more than was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aerogel.energy.reading import Reading

if TYPE_CHECKING:  # metering needs no NumPy, which measure/ brings in
    from aerogel.measure import Ratio


def saving(dense: Reading, sparse: Reading, speedup: Ratio | None = None) -> str:
    """Energy and time of ``sparse`` against ``dense``: readings of the same work (see ``Reading.per_run``).

    ``speedup`` is how many times faster sparse is, with its interval, from a comparison that alternated the
    two; without it the readings' own seconds are compared, which have no interval. Readings of different
    methods or sources are not compared. The interval of measured energy is that of the two readings.
    """
    time = _time(dense, sparse, speedup)
    amounts = f"dense {dense.amount}, sparse {sparse.amount}"
    if (dense.method, dense.source, dense.model) != (sparse.method, sparse.source, sparse.model):
        return f"energy not comparable: {amounts}, {_how(dense)} against {_how(sparse)}; {time}"
    if dense.method == "measured":
        return f"energy {_measured(dense, sparse)}: {amounts}, measured by {dense.source}; {time}"
    return f"energy not measured; {time}; under power model {dense.model}, {amounts}"


def _how(reading: Reading) -> str:
    return f"{reading.method} ({reading.source})"


def _measured(dense: Reading, sparse: Reading) -> str:
    """The change of measured energy, with what the bounds of both readings leave open."""
    if not dense.joules or not dense.low or sparse.joules is None:
        return "change unknown"
    low, high = (sparse.low or 0.0) / (dense.high or dense.joules), (sparse.high or sparse.joules) / dense.low
    return change_text(sparse.joules / dense.joules, low, high)


def _time(dense: Reading, sparse: Reading, speedup: Ratio | None) -> str:
    if speedup is not None:
        return speedup_text(speedup)
    if not dense.seconds:
        return "time unknown"
    return f"time {percent_text(sparse.seconds / dense.seconds)} (one reading each, no interval)"


def speedup_text(speedup: Ratio) -> str:
    """A speed-up as the change of time: "time -33 % [-35 %, -31 %]"."""
    return f"time {change_text(1 / speedup.value, 1 / speedup.high, 1 / speedup.low)}"


def change_text(ratio: float, low: float, high: float) -> str:
    """A ratio and its interval as changes; not proven where the interval holds 1."""
    text = f"{percent_text(ratio)} [{percent_text(low)}, {percent_text(high)}]"
    return text if high < 1 or low > 1 else f"{text} (not proven)"


def percent_text(ratio: float) -> str:
    """A ratio as a change: "-33 %", "+1.2 %"."""
    change = (ratio - 1) * 100
    return f"{change:+.1f} %" if abs(change) < 9.95 else f"{change:+.0f} %"
