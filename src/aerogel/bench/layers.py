"""Contenders: one linear layer by itself, one thread, torch dense against our kernels.

Each side has its activations in the layout it likes best: torch row-major [columns, inputs], ours tiled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.target import current
from aerogel.formats.canonical import encode_rows8, integers_of
from aerogel.formats.panel import WORD, Matrix, words
from aerogel.kernels.layout import Layout
from aerogel.prune.pattern import pattern_named
from aerogel.tune.choose import choose, pack_as
from aerogel.tune.layer_call import LayerCall, Precision
from aerogel.tune.peaks import peaks
from aerogel.tune.roofline import roofline

Rows = tuple[NDArray[np.float32], NDArray[np.int32]]


def weight(outputs: int, inputs: int, sparsity: float, pattern: str) -> NDArray[np.float32]:
    """A random weight with exactly that share of zeros, scattered as ``pattern`` says; always the same."""
    found = pattern_named(pattern)
    rng = np.random.default_rng([outputs, inputs])
    dense = rng.standard_normal((outputs, inputs), dtype=np.float32)
    live = np.ones(math.prod(found.unit_shape(dense.shape)), bool)
    live[rng.permutation(live.size)[: round(live.size * sparsity)]] = False
    return np.where(found.spread(live, dense.shape), dense, np.float32(0))


def activations(inputs: int, columns: int) -> NDArray[np.float32]:
    """[inputs, columns], always the same."""
    return np.random.default_rng([inputs, columns]).standard_normal((inputs, columns), dtype=np.float32)


class TorchLayer:
    """``torch.nn.functional.linear`` with a dense weight, bias included, one thread."""

    def prepare(self, case: dict[str, Any]) -> None:
        import torch

        torch.set_num_threads(1)
        outputs, inputs, columns = case["outputs"], case["inputs"], case["columns"]
        self._weight = torch.from_numpy(weight(outputs, inputs, 0.0, "unstructured"))
        self._bias = torch.zeros(outputs)
        self._x = torch.from_numpy(np.ascontiguousarray(activations(inputs, columns).T))

    def run(self) -> Any:
        import torch

        with torch.inference_mode():
            return torch.nn.functional.linear(self._x, self._weight, self._bias)

    def result(self) -> NDArray[np.float32]:
        return self.run().numpy().T

    def facts(self) -> dict[str, Any]:
        import torch

        return {"version": torch.__version__, "threads": torch.get_num_threads()}


@dataclass
class AerogelLayer:
    """Our kernel at one sparsity, pattern and precision, chosen as ``compile`` chooses it, one thread. In
    8-bit integers, what is timed finds the activations' grids, too."""

    sparsity: float
    pattern: str
    precision: Precision

    def __post_init__(self) -> None:
        self._rooflines: dict[str, dict[str, float]] = {}

    def prepare(self, case: dict[str, Any]) -> None:
        outputs, inputs, columns = case["outputs"], case["inputs"], case["columns"]
        target = current()
        self._layout = Layout.of(target)
        self._shape = outputs, columns
        matrix, rows = self._matrix(weight(outputs, inputs, self.sparsity, self.pattern))
        choice = choose({"layer": matrix}, target).of("layer").choice(columns)
        packed = pack_as(matrix, choice, pairs=target.pairs)
        self._call = LayerCall(packed, target, columns, rows=rows, near=True)
        self._call.x[:] = self._layout.pack(activations(inputs, columns))
        read = self._call.x.nbytes // (1 if self.precision == "fp32" else WORD)
        moved = packed.nbytes + 4 * outputs + read + self._call.y.nbytes
        self._rooflines[f"{outputs}x{inputs} {columns} columns"] = roofline(
            packed, columns, self._layout.lanes, peaks(target, 1), moved
        )

    def _matrix(self, numbers: NDArray[np.float32]) -> tuple[Matrix, Rows | None]:
        """What is packed, and the scales and sums of rows of integers."""
        if self.precision == "fp32":
            return numbers, None
        integers, scales = integers_of(encode_rows8(numbers))
        return words(integers), (scales, integers.sum(axis=1, dtype=np.int32))

    def run(self) -> None:
        self._call()

    def result(self) -> NDArray[np.float32]:
        self.run()
        return self._layout.unpack(self._call.y, *self._shape)

    def facts(self) -> dict[str, Any]:
        """``rooflines_s``: by case, the terms of the nonzero roofline in seconds."""
        about = {"sparsity": self.sparsity, "pattern": self.pattern, "precision": self.precision}
        return {**about, "target": current().name, "rooflines_s": self._rooflines}


def torch_layer() -> TorchLayer:
    """Factory of the dense control."""
    return TorchLayer()


def aerogel_layer(sparsity: float, pattern: str, precision: Precision = "fp32") -> AerogelLayer:
    """Factory of our side."""
    return AerogelLayer(sparsity, pattern, precision)
