"""Contenders: one linear layer by itself, one thread, torch dense against our kernels.

Each side has its activations in the layout it likes best: torch row-major [columns, inputs], ours tiled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, refuse
from aerogel.core.memory import aligned, copy_aligned
from aerogel.core.target import current
from aerogel.formats.canonical import encode_rows8, integers_of
from aerogel.formats.panel import words
from aerogel.kernels.layout import Layout
from aerogel.kernels.quantise import quantise
from aerogel.loop.nodes import Module
from aerogel.native import compile as compile_native
from aerogel.tune.choose import choose, kernel_arguments, kernel_module, pack_as
from aerogel.tune.plan import LayerPlan

BLOCKS = {
    "unstructured": (1, 1),
    "block2x1": (2, 1),
    "block4x1": (4, 1),
    "block1x4": (1, 4),
    "block4x4": (4, 4),
}
"""Outputs x inputs that share one fate."""


def weight(outputs: int, inputs: int, sparsity: float, pattern: str) -> NDArray[np.float32]:
    """A random weight with exactly that share of zeros, scattered as ``pattern`` says; always the same."""
    height, width = BLOCKS.get(pattern) or refuse(
        InputError, f"pattern {pattern!r} is unknown: {', '.join(BLOCKS)}"
    )
    rng = np.random.default_rng([outputs, inputs])
    dense = rng.standard_normal((outputs, inputs), dtype=np.float32)
    units = outputs // height * (inputs // width)
    live = np.ones(units, bool)
    live[rng.permutation(units)[: round(units * sparsity)]] = False
    blocks = live.reshape(-1, inputs // width)
    return np.where(blocks.repeat(height, axis=0).repeat(width, axis=1), dense, np.float32(0))


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
    """Our kernel at one sparsity and pattern, chosen as ``compile`` chooses it, one thread."""

    sparsity: float
    pattern: str

    def prepare(self, case: dict[str, Any]) -> None:
        outputs, inputs, columns = case["outputs"], case["inputs"], case["columns"]
        target = current()
        self._layout = Layout.of(target)
        self._shape = outputs, columns
        matrix = weight(outputs, inputs, self.sparsity, self.pattern)
        self._plan: LayerPlan = choose({"layer": matrix}, target).of("layer")
        choice = self._plan.choice(columns)
        packed = pack_as(matrix, choice)
        x = copy_aligned(self._layout.pack(activations(inputs, columns)))
        self._y = aligned(self._layout.size(outputs, columns))
        self._bound = kernel_module(target, packed.kind).bind(
            *kernel_arguments(packed, x, self._y, target, columns)
        )

    def run(self) -> None:
        self._bound.run(1)

    def result(self) -> NDArray[np.float32]:
        self.run()
        return self._layout.unpack(self._y, *self._shape)

    def facts(self) -> dict[str, Any]:
        return {"sparsity": self.sparsity, "pattern": self.pattern, "target": current().name}


@dataclass
class IntegerLayer:
    """Our kernel of 8-bit integers, one thread; what is timed finds the activations' grids, too."""

    sparsity: float
    pattern: str

    def prepare(self, case: dict[str, Any]) -> None:
        outputs, inputs, columns = case["outputs"], case["inputs"], case["columns"]
        target = current()
        layout = self._layout = Layout.of(target)
        self._shape = outputs, columns
        encoded = encode_rows8(weight(outputs, inputs, self.sparsity, self.pattern))
        integers, scales = integers_of(encoded)
        matrix = words(integers)
        packed = pack_as(matrix, choose({"layer": matrix}, target).of("layer").choice(columns))
        padded = layout.vectors(columns) * layout.lanes
        x = copy_aligned(layout.pack(activations(inputs, columns)))
        read = aligned(layout.size(matrix.shape[1], columns), np.int32)
        x_scales, x_zeros = aligned(padded), aligned(padded, np.int32)
        self._y = aligned(layout.size(outputs, columns))
        grids = (scales, integers.sum(axis=1, dtype=np.int32), x_scales, x_zeros)
        self._quantise = compile_native(Module("quantise", (quantise(layout),)), target).bind(
            x, read, x_scales, x_zeros, inputs, columns
        )
        self._multiply = kernel_module(target, packed.kind, "i8").bind(
            *kernel_arguments(packed, read, self._y, target, columns, grids)
        )

    def run(self) -> None:
        self._quantise.run(1)
        self._multiply.run(1)

    def result(self) -> NDArray[np.float32]:
        self.run()
        return self._layout.unpack(self._y, *self._shape)

    def facts(self) -> dict[str, Any]:
        return {"sparsity": self.sparsity, "pattern": self.pattern, "target": current().name}


def torch_layer() -> TorchLayer:
    """Factory of the dense control."""
    return TorchLayer()


def aerogel_layer(sparsity: float, pattern: str) -> AerogelLayer:
    """Factory of our side."""
    return AerogelLayer(sparsity, pattern)


def integer_layer(sparsity: float, pattern: str) -> IntegerLayer:
    """Factory of our 8-bit sides."""
    return IntegerLayer(sparsity, pattern)
