"""Whether a layer is worth a packing for one to eight columns, and for how many: timed with cold weights.

There a weight is used once or a few times, and a layer takes as long as its bytes take to arrive. In a model
the weights of other layers come between two calls of one, so calls take turns with copies of the weight, as
many as would make the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.memory import aligned
from aerogel.core.target import Target
from aerogel.formats.panel import WORD, Matrix, Packed
from aerogel.formats.rows import WORD as ROW_WORD
from aerogel.formats.rows import Form, PackedRows
from aerogel.kernels.few_tiled import MOST_COLUMNS, few_of, functions, program
from aerogel.kernels.layout import Layout
from aerogel.kernels.tile import Element
from aerogel.loop.nodes import Module
from aerogel.native import Compiled, compile
from aerogel.tune.copied import P, copied
from aerogel.tune.few import pack_matrix
from aerogel.tune.plan import FORMS, Candidate
from aerogel.tune.strangers import strangers
from aerogel.tune.worth import WORTH_A_TRIAL, WORTH_MORE_THAN_DENSE, WORTH_TWICE_DENSE, WORTH_TWO_PACKINGS

ROWS, BITMAP, NESTED = Candidate("rows", 0, dense=True), Candidate("bitmap", 0), Candidate("nested", 0)
SLICED = Candidate("sliced", 0)
# Smaller layers are about barriers, not about weights.
LEAST_WEIGHTS = 1 << 15
# Copies of a weight need not be larger than caches together, nor many.
COLD_BYTES, MOST_COPIES = 48 << 20, 32
ROUNDS = 5
# More columns are taken on where it is so much faster: less is noise.
CLEARLY = 1.1

Call = Callable[[], None]


@dataclass(frozen=True)
class Rival:
    """What runs at few columns otherwise. ``packed``: of candidate ``few``; ``ready(packed, columns)``: a
    call of it; ``between``: what runs before each timed one; ``many_bytes``: what the packing for many
    columns takes, ``own``: whether that is another one; ``dense_bytes``: of the weight as it is; ``copies``:
    layers like this one would make the model."""

    few: Candidate
    packed: Packed
    ready: Callable[[Packed, int], Call]
    between: Call
    many_bytes: int
    own: bool
    dense_bytes: int
    copies: int

    def seconds(self, columns: int) -> float:
        return _cold(self.packed, lambda packed: self.ready(packed, columns), self.copies, self.between)


@dataclass(frozen=True)
class FewChoice:
    """``few``: what to run up to ``columns`` columns, None: nothing else than the rival. ``seconds``: of
    every candidate at the least number of columns."""

    few: Candidate | None
    columns: int
    seconds: Mapping[Candidate, float]


def few_choice(weight: Matrix, rival: Rival, target: Target, least: int = 1) -> FewChoice:
    """The fastest form of rows, if at ``least`` columns it is so much faster than ``rival`` as its memory
    asks (see ``worth``), up to as many columns as it stays faster.

    A rival with a packing of its own for few columns gives way only to one that is faster up to MOST_COLUMNS:
    no layer has three packings."""
    if not _possible(weight):
        return FewChoice(None, 0, {})
    lanes = Layout.of(target).lanes
    seconds = {rival.few: rival.seconds(least)}
    best: tuple[Candidate, PackedRows] | None = None
    for candidate in _candidates(weight, target):
        packed = pack_matrix(weight, FORMS[candidate.kind], lanes)
        seconds[candidate] = _seconds(packed, target, least, rival.copies)
        if best is None or seconds[candidate] < seconds[best[0]] * _may_lose(best[0]):
            best = candidate, packed
    if best is None or seconds[rival.few] < _wanted(best[1], rival) * seconds[best[0]]:
        return FewChoice(None, 0, seconds)
    columns = least
    while columns < MOST_COLUMNS:
        if _seconds(best[1], target, 2 * columns, rival.copies) * CLEARLY >= rival.seconds(2 * columns):
            break
        columns *= 2
    if rival.own and columns < MOST_COLUMNS:
        return FewChoice(None, 0, seconds)
    return FewChoice(best[0], columns, seconds)


def _possible(weight: Matrix) -> bool:
    """Is it worth a trial, and can it be packed? (A file may hold the integer -128.)"""
    numbers = _numbers(weight)
    fits = numbers.dtype == np.float32 or numbers.min(initial=0) > -128
    return numbers.size >= LEAST_WEIGHTS and bool(fits)


def _candidates(weight: Matrix, target: Target) -> tuple[Candidate, ...]:
    numbers = _numbers(weight)
    if 1 - np.count_nonzero(numbers) / numbers.size < WORTH_A_TRIAL:
        return (ROWS,)
    # Without an instruction that looks bytes up, each is loaded by itself.
    return (ROWS, BITMAP, NESTED, SLICED) if target.looks_up else (ROWS, BITMAP, NESTED)


def _numbers(weight: Matrix) -> NDArray[Any]:
    """Of words, their integers: one that is 0 saves room here, whatever its word is."""
    if weight.dtype == np.float32:
        return weight
    return np.ascontiguousarray(weight).view(np.int8).reshape(weight.shape[0], -1)


def _may_lose(candidate: Candidate) -> float:
    """How much slower than it a form with less memory may be."""
    return WORTH_TWO_PACKINGS if candidate.dense else 1.0


def _wanted(packed: PackedRows, rival: Rival) -> float:
    """How many times as fast as the rival it must be."""
    both = rival.many_bytes + packed.nbytes
    if both <= rival.dense_bytes:
        return WORTH_TWO_PACKINGS
    return WORTH_MORE_THAN_DENSE if both < 1.9 * rival.dense_bytes else WORTH_TWICE_DENSE


# --- timing ---------------------------------------------------------------------------------


def _seconds(packed: PackedRows, target: Target, columns: int, copies: int) -> float:
    between = strangers(target, "i8" if packed.number == "int8" else "f32")
    return _cold(packed, lambda each: rows_call(each, target, columns), copies, between)


def _cold(packed: P, ready: Callable[[P], Call], copies: int, between: Call) -> float:
    """Seconds of a call, the best of ROUNDS; calls take turns with copies of the weight, and ``between``."""
    enough = -(-COLD_BYTES // max(1, packed.nbytes))
    count = max(1, min(copies, enough, MOST_COPIES))
    turns = cycle([ready(packed), *(ready(copied(packed)) for _ in range(count - 1))])
    best = float("inf")
    for _ in range(count):
        next(turns)()
    for _ in range(ROUNDS):
        call = next(turns)
        between()
        start = perf_counter()
        call()
        best = min(best, perf_counter() - start)
    return best


def rows_call(packed: PackedRows, target: Target, columns: int) -> Call:
    """A call of the kernel of ``packed`` on one thread, its arguments checked once: from one tiled activation
    to another, whose numbers do not matter."""
    layout, element = Layout.of(target), "i8" if packed.number == "int8" else "f32"
    features = packed.columns // (WORD if element == "i8" else 1)
    stride = layout.vectors(columns) * layout.lanes
    x = aligned(features * stride, np.int32 if element == "i8" else np.float32)
    room = aligned(4 * packed.words * ROW_WORD * columns, np.uint8)
    x_grid = aligned(stride), aligned(stride, np.int32)
    y, bias = aligned(packed.rows * stride), np.zeros(packed.rows, np.float32)
    sizes = (packed.rows, features, packed.words, columns, stride)
    module = rows_module(target, element, packed.form)
    bound = module.bind(*packed.streams, bias, x, room, *x_grid, y, *sizes)
    return lambda: bound.run(1)


@cache
def rows_module(target: Target, element: Element, form: Form) -> Compiled:
    """The kernels of one form, compiled for ``target``."""
    few = few_of(Layout.of(target), element, form)
    return compile(Module(f"{few.name}_tiled", (*functions(few), program(few))), target)
