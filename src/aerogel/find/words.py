"""Figures in words, the same in every text of an inspection."""

from __future__ import annotations

from aerogel.tune.breakeven import Bounds, Breakeven


def percent(share: float, digits: int = 0) -> str:
    """``80 %``; a share that rounds to nothing but is not, as ``< 1 %``."""
    least = 10**-digits / 100
    if 0 < share < least / 2:
        return f"< {100 * least:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"


def interval(bounds: Bounds) -> str:
    """``2.41x [2.20, 2.61]``."""
    return f"{bounds.value:.2f}x [{bounds.low:.2f}, {bounds.high:.2f}]"


def milliseconds(seconds: float) -> str:
    """Three digits that count: ``0.123 ms``, ``3.02 ms``, ``17.3 ms``."""
    value = seconds * 1e3
    return f"{value:.{3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0}f} ms"


def breaks_even(found: Breakeven) -> str:
    """``from 38 % [33, 41]``; ``from 10 % or less``, where the least share timed is faster already;
    ``faster`` or not, where nothing but no zeros at all was timed."""
    if found.top == 0:
        return {"pays": "faster", "never": "slower", "not proven": "not proven"}[found.verdict]
    top = percent(found.top)
    match found.verdict:
        case "never":
            return f"never up to {top}"
        case "not proven":
            return f"not proven up to {top}"
        case "pays":
            assert found.at is not None and found.low is not None and found.high is not None
            if found.high == 0:
                return "at any share"
            if found.high == found.bottom:
                return f"from {percent(found.high)} or less"
            low = "0" if found.low == found.bottom else f"{100 * found.low:.0f}"
            at = f"{percent(found.at)} or less" if found.at == found.bottom > 0 else percent(found.at)
            return f"from {at} [{low}, {100 * found.high:.0f}]"


def count(number: int) -> str:
    """``10,616,832``."""
    return f"{number:,}"
