"""Contenders: one linear layer at one to eight columns, larger than any cache, streamed from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from time import perf_counter
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.core.target import current
from aerogel.formats.bitmap import pack, pack_integers, pack_nibbles
from aerogel.formats.nibbles import GROUP, LARGEST
from aerogel.formats.rows import Form, Number, PackedRows
from aerogel.kernels.few_params import Few
from aerogel.tune.few import FewColumns
from aerogel.tune.peaks import peaks

# Rows whose results are checked; as many are made at a time.
CHECKED = 64
# A matrix this small stays in an L2 cache: what is left is the time of its operations.
_CACHED_BYTES = 400_000
_CACHED_SECONDS = 0.05


LARGEST_INTEGER: dict[Number, int] = {"int8": 127, "int4": LARGEST}


def rows_of(rows: int, inputs: int, sparsity: float, number: Number) -> Iterator[tuple[int, NDArray[Any]]]:
    """(first row, some rows) of a random weight, always the same: int8 for integers, or float32.
    Each element is zero with probability ``sparsity``."""
    for first in range(0, rows, CHECKED):
        rng = np.random.default_rng([first, inputs])
        shape = (min(CHECKED, rows - first), inputs)
        if number in LARGEST_INTEGER:
            some: NDArray[Any] = rng.integers(1, LARGEST_INTEGER[number] + 1, shape, dtype=np.int8)
            some *= rng.integers(0, 2, shape, dtype=np.int8) * np.int8(2) - np.int8(1)
        else:
            some = rng.standard_normal(shape, dtype=np.float32)
        some[rng.random(shape, dtype=np.float32) < sparsity] = 0
        yield first, some


def activations(inputs: int, columns: int) -> NDArray[np.float32]:
    """[columns, inputs], always the same."""
    return np.random.default_rng([inputs]).standard_normal((columns, inputs), dtype=np.float32)


def packed_weight(rows: int, inputs: int, sparsity: float, number: Number, form: Form) -> PackedRows:
    """The random weight of ``rows_of``; integers with a scale of 1 for every row, or for every 32 columns."""
    matrix: NDArray[Any] = np.empty((rows, inputs), np.int8 if number in LARGEST_INTEGER else np.float32)
    for first, some in rows_of(rows, inputs, sparsity, number):
        matrix[first : first + len(some)] = some
    lanes = Few.of(current(), number, form).lanes
    if number == "int8":
        return pack_integers(matrix, np.ones(rows, np.float32), form, lanes)
    if number == "int4":
        return pack_nibbles(matrix, np.ones((rows, -(-inputs // GROUP)), np.float32), form, lanes)
    return pack(matrix, number, form, lanes)


class FewLayer:
    """Our kernel at one number, form and sparsity on ``threads`` threads."""

    def __init__(
        self, number: Number, form: Form, sparsity: float, rows: int, inputs: int, threads: int
    ) -> None:
        require(form in get_args(Form), InputError, f"form {form!r} is unknown: {', '.join(get_args(Form))}")
        self._kind = number, form, sparsity
        self._threads = threads
        self._layer = FewColumns(packed_weight(rows, inputs, sparsity, number, form))

    def prepare(self, case: dict[str, Any]) -> None:
        self._x = activations(self._layer.packed.columns, int(case["columns"]))
        self._layer.load(self._x)

    def run(self) -> None:
        self._layer.run(self._threads)

    def result(self) -> NDArray[np.float32]:
        """[columns, CHECKED]: the first rows."""
        return np.ascontiguousarray(self._layer(self._x, self._threads)[:, :CHECKED])

    def facts(self) -> dict[str, Any]:
        """Two floors of the time at one column: bytes over bandwidth, and the operations by themselves."""
        target, packed = current(), self._layer.packed
        bandwidth = peaks(target, self._threads).bytes
        return {
            "target": target.name,
            "threads": self._threads,
            "bytes": packed.nbytes,
            "weights": packed.rows * packed.columns,
            "bytes_per_second": bandwidth,
            "memory_floor_s": packed.nbytes / bandwidth,
            "operations_floor_s": self._per_weight * packed.rows * packed.columns / self._threads,
        }

    @cached_property
    def _per_weight(self) -> float:
        """Seconds of one thread for one weight at one column, the matrix in the L2 cache."""
        number, form, sparsity = self._kind
        inputs = self._layer.packed.columns
        rows = max(4, int(_CACHED_BYTES * self._layer.packed.rows / self._layer.packed.nbytes))
        small = FewColumns(packed_weight(rows, inputs, sparsity, number, form))
        small.load(activations(inputs, 1))
        return _best(small.run) / (rows * inputs)


def _best(call: Callable[[], None]) -> float:
    least, until = float("inf"), perf_counter() + _CACHED_SECONDS
    while perf_counter() < until:
        began = perf_counter()
        call()
        least = min(least, perf_counter() - began)
    return least


class TorchFew:
    """``torch.nn.functional.linear`` with the dense weight in float32 or bfloat16, ``threads`` threads."""

    def __init__(self, number: Number, rows: int, inputs: int, threads: int) -> None:
        import torch

        floats = number not in LARGEST_INTEGER
        require(floats, InputError, f"torch has no linear layer of {number} by itself: fp32 or bf16")
        torch.set_num_threads(threads)
        self._dtype = torch.float32 if number == "fp32" else torch.bfloat16
        self._weight = torch.empty(rows, inputs, dtype=self._dtype)
        for first, some in rows_of(rows, inputs, 0.0, number):
            self._weight[first : first + len(some)] = torch.from_numpy(some).to(self._dtype)
        self._bias = torch.zeros(rows, dtype=self._dtype)

    def prepare(self, case: dict[str, Any]) -> None:
        import torch

        x = activations(self._weight.shape[1], int(case["columns"]))
        self._x = torch.from_numpy(x).to(self._dtype)

    def run(self) -> Any:
        import torch

        with torch.inference_mode():
            return torch.nn.functional.linear(self._x, self._weight, self._bias)

    def result(self) -> NDArray[np.float32]:
        return np.ascontiguousarray(self.run().float().numpy()[:, :CHECKED])

    def facts(self) -> dict[str, Any]:
        import torch

        return {"version": torch.__version__, "threads": torch.get_num_threads()}


def few_layer(number: Number, form: Form, sparsity: float, rows: int, inputs: int, threads: int) -> FewLayer:
    """Factory of our side, sparse or dense."""
    return FewLayer(number, form, sparsity, rows, inputs, threads)


def torch_few(number: Number, rows: int, inputs: int, threads: int) -> TorchFew:
    """Factory of torch's dense layer."""
    return TorchFew(number, rows, inputs, threads)
