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
from aerogel.kernels.layout import Layout
from aerogel.tune.choose import choose, chunk_of, kernel_module, pack_as
from aerogel.tune.plan import LayerPlan

BLOCK_ROWS = {"unstructured": 1, "block2x1": 2, "block4x1": 4}


def weight(outputs: int, inputs: int, sparsity: float, pattern: str) -> NDArray[np.float32]:
    """A random weight with exactly that share of zeros, scattered as ``pattern`` says; always the same."""
    height = BLOCK_ROWS.get(pattern) or refuse(
        InputError, f"pattern {pattern!r} is unknown: {', '.join(BLOCK_ROWS)}"
    )
    rng = np.random.default_rng([outputs, inputs])
    dense = rng.standard_normal((outputs, inputs), dtype=np.float32)
    units = outputs // height * inputs
    live = np.ones(units, bool)
    live[rng.permutation(units)[: round(units * sparsity)]] = False
    return np.where(live.reshape(-1, inputs).repeat(height, axis=0), dense, np.float32(0))


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
        bias = aligned(outputs)
        x = copy_aligned(self._layout.pack(activations(inputs, columns)))
        self._y = aligned(self._layout.size(outputs, columns))
        sizes = (packed.rows, packed.columns, packed.block, 0, packed.groups, chunk_of(packed))
        streams = (packed.values, packed.indices, packed.runs, packed.starts.ravel(), packed.work)
        self._bound = kernel_module(target, packed.kind).bind(
            *streams, bias, x, bias, self._y, *sizes, self._layout.vectors(columns)
        )

    def run(self) -> None:
        self._bound.run(1)

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
