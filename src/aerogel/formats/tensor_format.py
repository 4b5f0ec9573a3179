"""A tensor's format: a level kind for each mode, and in which order the modes are stored.

CSR, CSC, COO, DCSR, CSF, BSR and sparse vectors are names for such lists, not classes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count as counting

from aerogel.core.errors import FormatError, require
from aerogel.core.suggest import meant
from aerogel.formats.levels import LEVELS, Compressed, Dense, Level, Singleton

_TAGS: dict[tuple[tuple[Level, ...], tuple[int, ...], tuple[int, ...]], int] = {}
_NUMBERS = counting()
_DENSE, _COMPRESSED = LEVELS["dense"], LEVELS["compressed"]


@dataclass(frozen=True, slots=True, eq=False)
class Format:
    """``levels[k]`` stores mode ``order[k]``, each level below the one before.

    ``block``: of a blocked matrix (BSR), the rows and columns of a block: then ``levels`` has two more, dense
    ones, for the coordinates within a block, in the same order of modes.
    """

    levels: tuple[Level, ...]
    order: tuple[int, ...]
    block: tuple[int, ...] = ()
    # What calls ask for all the time: a number that equal formats share in this process, whether every
    # level is dense, and whether modes are stored in their own order.
    tag: int = field(init=False, repr=False)
    dense: bool = field(init=False, repr=False)
    straight: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._check()
        parts = (self.levels, self.order, self.block)
        object.__setattr__(self, "tag", _TAGS.setdefault(parts, next(_NUMBERS)))
        object.__setattr__(self, "dense", all(isinstance(level, Dense) for level in self.levels))
        object.__setattr__(self, "straight", self.order == tuple(range(len(self.order))))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Format) and self.tag == other.tag

    def __hash__(self) -> int:
        return self.tag

    def __reduce__(self) -> tuple[type[Format], tuple[tuple[Level, ...], tuple[int, ...], tuple[int, ...]]]:
        # Numbers are of one process.
        return Format, (self.levels, self.order, self.block)

    def turned(self, axes: tuple[int, ...]) -> Format:
        """The format of the transpose of which mode k is mode ``axes[k]`` of this one: nothing moves."""
        return _turned(self, axes)

    def _check(self) -> None:
        rank = len(self.order)
        require(
            sorted(self.order) == list(range(rank)),
            FormatError,
            f"mode order {self.order} must name each of 0 .. {rank - 1} once",
        )
        require(
            len(self.levels) == rank + len(self.block),
            FormatError,
            f"{len(self.levels)} levels for {rank} modes: give one level for each mode",
        )
        if self.block:
            require(
                len(self.block) == rank and min(self.block) > 0,
                FormatError,
                f"block {self.block}: give one size from 1 on for each of the {rank} modes",
            )
            require(
                all(isinstance(level, Dense) for level in self.levels[rank:]),
                FormatError,
                "the levels within a block are dense",
            )
        self._check_runs()

    def _check_runs(self) -> None:
        """A level that is not unique has its tail of singletons; a singleton hangs below such a level."""
        words = ",".join(level_name(level) for level in self.levels)
        for at, level in enumerate(self.levels):
            below = self.levels[at + 1] if at + 1 < len(self.levels) else None
            above = self.levels[at - 1] if at else None
            require(
                level.unique or isinstance(below, Singleton),
                FormatError,
                f"level {at} of {words} is not unique: a singleton must follow",
            )
            require(
                not isinstance(level, Singleton) or (above is not None and not above.unique),
                FormatError,
                f"level {at} of {words} is a singleton: the level above must be one that is not unique",
            )

    @property
    def rank(self) -> int:
        """The number of modes."""
        return len(self.order)

    @property
    def short(self) -> str:
        """The name it has, or its levels and mode order: ``csr``, ``dense,compressed@1,0``."""
        if self.block:
            words = f"bsr:{'x'.join(map(str, self.block))}"
            return words if self.straight else f"{words}@{','.join(map(str, self.order))}"
        for name in _ORDERED:
            if self.rank in _RANKS.get(name, (self.rank,)) and self == named(name, self.rank):
                return name
        words = ",".join(level_name(level) for level in self.levels)
        return words if self.straight else f"{words}@{','.join(map(str, self.order))}"

    def level_sizes(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The extent of each level of a tensor of ``shape``."""
        if not self.block:
            return tuple(shape[mode] for mode in self.order)
        outer = tuple(shape[mode] // self.block[mode] for mode in self.order)
        return outer + tuple(self.block[mode] for mode in self.order)

    def __str__(self) -> str:
        return self.short


@cache
def _turned(form: Format, axes: tuple[int, ...]) -> Format:
    where = {mode: new for new, mode in enumerate(axes)}
    block = tuple(form.block[mode] for mode in axes) if form.block else ()
    return Format(form.levels, tuple(where[mode] for mode in form.order), block)


def level_name(level: Level) -> str:
    """The name under which ``LEVELS`` has it."""
    return level.name if level.unique else f"{level.name}_nonunique"


# Ranks a name is meant for; a name that is not here fits any.
_RANKS = {"csr": (2,), "csc": (2,), "dcsr": (2,), "dcsc": (2,), "bsr": (2,), "sv": (1,)}
NAMES = ("dense", "csr", "csc", "dcsr", "dcsc", "sv", "coo", "csf", "bsr")
"""The formats that have a name. ``bsr`` takes its block: ``bsr:4x4``."""
_ORDERED = NAMES[:-1]
_ALIASES = {"sparse_vector": "sv", "array": "dense", "numpy": "dense"}
_BSR = re.compile(r"bsr:(\d{1,9})x(\d{1,9})(@1,0)?")


@cache
def named(name: str, rank: int) -> Format:
    """The format called ``name`` for a tensor of ``rank`` modes; FormatError where there is none."""
    name = _ALIASES.get(name, name)
    fits = _RANKS.get(name.partition(":")[0])
    require(
        fits is None or rank in fits,
        FormatError,
        f"format {name!r} is for {fits and fits[0]} modes, but the tensor has {rank}: use coo, csf or dense",
    )
    straight = tuple(range(rank))
    match name:
        case "dense":
            return Format((_DENSE,) * rank, straight)
        case "csr":
            return Format((_DENSE, _COMPRESSED), (0, 1))
        case "csc":
            return Format((_DENSE, _COMPRESSED), (1, 0))
        case "dcsr":
            return Format((_COMPRESSED,) * 2, (0, 1))
        case "dcsc":
            return Format((_COMPRESSED,) * 2, (1, 0))
        case "sv":
            return Format((_COMPRESSED,), (0,))
        case "csf":
            return Format((_COMPRESSED,) * rank, straight)
        case "coo":
            return _coo(rank)
        case _:
            return _spelt(name, rank)


def _coo(rank: int) -> Format:
    if rank < 2:
        return Format((_COMPRESSED,) * rank, tuple(range(rank)))
    middle = (Singleton(unique=False),) * (rank - 2)
    return Format((Compressed(unique=False), *middle, Singleton()), tuple(range(rank)))


def _spelt(text: str, rank: int) -> Format:
    """``bsr:RxC``, or level names separated by commas with an order of modes after ``@``."""
    found = _BSR.fullmatch(text)
    if found:
        block = (int(found[1]), int(found[2]))
        order = (1, 0) if found[3] else (0, 1)
        return Format((_DENSE, _COMPRESSED, _DENSE, _DENSE), order, block)
    words, _, behind = text.partition("@")
    names = [word.strip() for word in words.split(",")]
    for name in names:
        if name not in LEVELS:
            hint = meant(name, [*NAMES, *LEVELS], f"use one of {', '.join(NAMES)}")
            raise FormatError(
                f"format {text!r} is unknown: {hint} (or give level kinds: {', '.join(LEVELS)}; bsr needs "
                "its block, as in 'bsr:4x4')"
            )
    try:
        order = tuple(int(word) for word in behind.split(",")) if behind else tuple(range(len(names)))
    except ValueError as error:
        raise FormatError(f"format {text!r}: {behind!r} is no order of modes, such as 1,0") from error
    for count, what in ((len(names), "levels"), (len(order), "modes in its order")):
        require(
            count == rank,
            FormatError,
            f"format {text!r} has {count} {what}, but the tensor has {rank} modes",
        )
    return Format(tuple(LEVELS[name] for name in names), order)


def format_of(wanted: Format | str | Sequence[str], rank: int) -> Format:
    """A format given by name, by level names, or as it is; FormatError where it does not fit ``rank``."""
    match wanted:
        case Format():
            require(
                wanted.rank == rank,
                FormatError,
                f"format {wanted.short} has {wanted.rank} modes, but the tensor has {rank}",
            )
            return wanted
        case str():
            return named(wanted.strip().lower(), rank)
        case _:
            return named(",".join(wanted), rank)
