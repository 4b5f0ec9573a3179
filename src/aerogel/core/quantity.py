"""Large numbers in words: three digits and a power of 1000."""

from __future__ import annotations

_PREFIXES = ("", "k", "M", "G", "T", "P")


def size(number: float, unit: str) -> str:
    """``2.36 MB``, ``151 Mflop``."""
    power = _power(number)
    return f"{_digits(number, power)} {_PREFIXES[power]}{unit}"


def both(gross: float, effective: float, unit: str) -> str:
    """``302 / 60.4 Mflop``; ``12.0 M / 27.7 kflop`` where one is far less; one number where both
    read the same."""
    if gross == effective:
        return size(gross, unit)
    power, own = _power(max(gross, effective)), _power(effective)
    if effective < 1000**power > 1:
        return (
            f"{_digits(gross, power)} {_PREFIXES[power]} / {_digits(effective, own)} {_PREFIXES[own]}{unit}"
        )
    one, other = _digits(gross, power), _digits(effective, power)
    return f"{one if one == other else f'{one} / {other}'} {_PREFIXES[power]}{unit}"


def _power(number: float) -> int:
    """Of 1000, so that three digits stay below it."""
    power = 0
    while round(number) >= 1000 and power < len(_PREFIXES) - 1:
        number, power = number / 1000, power + 1
    return power


def _digits(number: float, power: int) -> str:
    scaled = number / 1000**power
    if power == 0 and scaled == int(scaled):
        return f"{scaled:.0f}"
    return f"{scaled:.{0 if scaled >= 99.95 else 1 if scaled >= 9.995 else 2}f}"
