"""What a sweep varies: fields of a fabric, each with several values; every combination is a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from math import prod

from aerogel.chip.fabric.check import check
from aerogel.chip.fabric.fabric import Dram, Fabric
from aerogel.core.errors import ChipError, InputError, require
from aerogel.core.suggest import meant

Setting = int | float | str
MOST_POINTS = 10_000
_DRAM = "dram."


@dataclass(frozen=True, slots=True)
class Variation:
    """``field``: of ``Fabric``, or of its ``Dram`` as ``dram.bytes_per_second``."""

    field: str
    values: tuple[Setting, ...]

    @staticmethod
    def parse(text: str) -> Variation:
        """Of ``tracks=3,5``; InputError for what is none, and for a field that no fabric has."""
        field, equals, said = text.partition("=")
        field = field.strip()
        require(
            bool(equals) and all(word.strip() for word in said.split(",")),
            InputError,
            f"{text!r} varies nothing: write a field and its values, such as tracks=3,5",
        )
        known = _fields()
        if field not in known:
            raise InputError(f"a fabric has no {field!r} to vary: {meant(field, sorted(known))}")
        values = tuple(_value(word.strip(), field, known[field]) for word in said.split(","))
        require(
            len(set(values)) == len(values), InputError, f"{text!r} has a value twice: give each of them once"
        )
        return Variation(field, values)


@dataclass(frozen=True, slots=True)
class Point:
    """A fabric of a sweep. ``settings``: what was varied, in order; empty for the base itself. ``obstacle``:
    why there is no such fabric, or ''."""

    settings: tuple[tuple[str, Setting], ...]
    fabric: Fabric
    obstacle: str = ""

    @property
    def name(self) -> str:
        """``tracks=3 memory_words=1024``."""
        return " ".join(f"{field}={value}" for field, value in self.settings) or self.fabric.name


def points(base: Fabric, variations: Sequence[Variation]) -> tuple[Point, ...]:
    """Every combination, the last variation fastest. InputError for a field varied twice, or far too many."""
    names = [variation.field for variation in variations]
    twice = sorted({name for name in names if names.count(name) > 1})
    require(not twice, InputError, f"{', '.join(twice)} is varied twice: give all its values at once")
    count = prod(len(variation.values) for variation in variations)
    require(
        count <= MOST_POINTS,
        InputError,
        f"these variations make {count} fabrics: vary less, {MOST_POINTS} are the most",
    )
    each = [[(variation.field, value) for value in variation.values] for variation in variations]
    return tuple(_point(base, settings) for settings in product(*each))


def _point(base: Fabric, settings: tuple[tuple[str, Setting], ...]) -> Point:
    own = {field: value for field, value in settings if not field.startswith(_DRAM)}
    memory = {field.removeprefix(_DRAM): value for field, value in settings if field.startswith(_DRAM)}
    changed = replace(base, **own, dram=replace(base.dram, **memory))  # pyright: ignore[reportArgumentType]
    point = Point(settings, changed)
    try:
        check(changed, point.name)
    except ChipError as error:
        return replace(point, obstacle=str(error))
    return point


def _fields() -> dict[str, type]:
    """What can be varied, and the type of each."""
    base = Fabric(name="")
    found = {f.name: type(getattr(base, f.name)) for f in fields(Fabric) if f.name not in ("name", "dram")}
    return found | {f"{_DRAM}{f.name}": type(getattr(base.dram, f.name)) for f in fields(Dram)}


def _value(word: str, field: str, kind: type) -> Setting:
    if kind is str:
        return word
    try:
        number = float(word)
        require(kind is float or number == int(number), InputError, "")
    except (ValueError, OverflowError, InputError):
        wanted = "a whole number" if kind is int else "a number"
        raise InputError(f"{field}={word}: {field} is {wanted}") from None
    return int(number) if kind is int else number
