"""A linear layer by itself at one to eight columns, NumPy in and out, and which form suits its weight:

packed = pack_rows(weight, "int8", "bitmap", current())
y = FewColumns(packed, bias)(x, threads=2)
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.core.memory import aligned
from aerogel.core.target import Target, current
from aerogel.formats.bitmap import pack, pack_integers, pack_nibbles
from aerogel.formats.canonical import encode_rows8, integers_of
from aerogel.formats.nibbles import encode4
from aerogel.formats.panel import Matrix
from aerogel.formats.rows import STORED, WORD, Form, Number, PackedRows, forms_of
from aerogel.kernels.few import kernels, step
from aerogel.kernels.few_params import Few
from aerogel.kernels.few_tiled import MOST_COLUMNS
from aerogel.kernels.few_x import prepare, program
from aerogel.loop.nodes import Module
from aerogel.native import Compiled, compile

ROUNDS = 5


@cache
def few_module(target: Target, number: Number, form: Form) -> Compiled:
    """The program of one packing, compiled for ``target``."""
    few = Few.of(target, number, form)
    return compile(few_functions(few), target)


def few_functions(few: Few) -> Module:
    """All that one layer needs."""
    functions = (prepare(few), *kernels(few), step(few), program(few))
    return Module(f"few_{few.number}_{few.form}", functions)


def pack_rows(weight: NDArray[np.float32], number: Number, form: Form, target: Target) -> PackedRows:
    """``weight`` [rows, columns] float32 in a form and number for ``target``; for int8 quantised as a file's
    rows of 8 bits are: a scale per row, max |row| / 127; for int4 as ``formats.nibbles.encode4`` does.
    InputError as for ``formats.bitmap.pack``."""
    require(number in STORED, InputError, f"number {number!r} is unknown: {', '.join(STORED)}")
    lanes = Few.of(target, number, form).lanes
    match number:
        case "int8":
            return pack_integers(*integers_of(encode_rows8(weight)), form, lanes)
        case "int4":
            return pack_nibbles(*encode4(weight), form, lanes)
        case "fp32" | "bf16":
            return pack(weight, number, form, lanes)


def pack_matrix(weight: Matrix, form: Form, lanes: int) -> PackedRows:
    """The weight of a layer in a program: float32, or words of 4 integers, whose scales and sums the program
    has elsewhere (here they are 1, and 0). InputError as for ``formats.bitmap.pack``."""
    if weight.dtype == np.float32:
        return pack(np.asarray(weight, np.float32), "fp32", form, lanes)
    rows = weight.shape[0]
    integers = np.ascontiguousarray(weight).view(np.int8).reshape(rows, -1)
    packed = pack_integers(integers, np.ones(rows, np.float32), form, lanes)
    return replace(packed, sums=np.zeros(rows, np.int32))


def time_forms(
    weight: NDArray[np.float32], number: Number, target: Target, *, columns: int = 1, threads: int = 1
) -> dict[Form, float]:
    """Seconds of every form of ``weight`` at that many columns, best of ROUNDS in turns, fastest first.

    Dense is one of them: a layer in the first form is never slower than our own dense one. Which one wins
    depends on the CPU: ``nested`` moves the fewest bytes below 23 % non-zeros, ``bitmap`` takes fewer
    operations, ``sliced`` by far the fewest below some 20 %, on a CPU that looks up bytes (AVX-512 VBMI).
    """
    x = np.random.default_rng(0).standard_normal((columns, weight.shape[1]), dtype=np.float32)
    forms = forms_of(number)
    layers: dict[Form, FewColumns] = {
        form: FewColumns(pack_rows(weight, number, form, target), target=target) for form in forms
    }
    best: dict[Form, float] = dict.fromkeys(forms, float("inf"))
    for layer in layers.values():
        layer.load(x)
    for _ in range(ROUNDS):
        for form, layer in layers.items():
            start = perf_counter()
            layer.run(threads)
            best[form] = min(best[form], perf_counter() - start)
    return {form: best[form] for form in sorted(forms, key=lambda form: best[form])}


class FewColumns:
    """y = W x + bias for up to MOST_COLUMNS columns.

    ``packed`` was made for the lanes of ``target`` (InputError otherwise). ``bias`` float32 [rows], zeros if
    left out. Not for two threads at a time: the room for x and y is its own.
    """

    def __init__(
        self, packed: PackedRows, bias: NDArray[np.float32] | None = None, target: Target | None = None
    ) -> None:
        chosen = target or current()
        few = Few.of(chosen, packed.number, packed.form)
        fits = packed.lanes == few.lanes
        require(fits, InputError, f"packed for {packed.lanes} lanes, but {chosen.name} has {few.lanes}")
        given = np.zeros(packed.rows, np.float32) if bias is None else bias
        fits = given.dtype == np.float32 and given.shape == (packed.rows,)
        require(fits, InputError, f"a bias is float32 [{packed.rows}], got {given.dtype} of {given.shape}")
        self.packed = packed
        padded = packed.words * WORD
        self._x = aligned(MOST_COLUMNS * packed.columns)
        self._y = aligned(MOST_COLUMNS * packed.rows)
        room = (
            aligned(MOST_COLUMNS * padded),
            aligned(MOST_COLUMNS * padded * few.x_bytes, np.uint8),
            aligned(MOST_COLUMNS),
            aligned(MOST_COLUMNS, np.int32),
        )
        sizes = (packed.columns, 1, packed.columns, packed.rows, packed.words, 1, 1, packed.rows)
        program_ = few_module(chosen, packed.number, packed.form)
        self._bound = program_.bind(
            *packed.streams, np.ascontiguousarray(given), self._y, self._x, *room, *sizes
        )

    def __call__(self, x: NDArray[np.float32], threads: int = 1) -> NDArray[np.float32]:
        """float32 [inputs] -> [outputs], or [columns, inputs] -> [columns, outputs]; InputError for another
        dtype or shape."""
        columns = self.load(x)
        self.run(threads)
        y = self._y[: columns * self.packed.rows].reshape(columns, -1).copy()
        return y[0] if x.ndim == 1 else y

    def load(self, x: NDArray[np.float32]) -> int:
        """Keeps ``x`` for ``run``; how many columns it has."""
        inputs = self.packed.columns
        shape_ok = x.ndim in (1, 2) and x.shape[-1] == inputs and (x.ndim == 1 or 1 <= len(x) <= MOST_COLUMNS)
        require(
            shape_ok and x.dtype == np.float32,
            InputError,
            f"x is float32 [{inputs}] or [1 to {MOST_COLUMNS}, {inputs}], got {x.dtype} of {x.shape}",
        )
        columns = 1 if x.ndim == 1 else len(x)
        self._x[: x.size] = x.reshape(-1)
        self._bound.set("columns", columns)
        return columns

    def run(self, threads: int = 1) -> None:
        """The product of what was loaded; nothing else, for timing."""
        self._bound.run(threads)


__all__ = [
    "MOST_COLUMNS",
    "FewColumns",
    "few_functions",
    "few_module",
    "pack_matrix",
    "pack_rows",
    "time_forms",
]
