"""Contenders for a layer of a network: our native program of it, and torch's dense product."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import aerogel as ag
from aerogel.core.errors import MeasureError, require

_MOST_ERROR = 1e-4


class LayerSide:
    """Y = X W', X of (tokens, inputs); cases are files of ``folder`` with weight, tokens and what must come
    out. ``native``: compiled by aerogel, which chooses a kernel by the weight's zeros; else torch's."""

    def __init__(self, folder: Path, threads: int, *, native: bool) -> None:
        self._folder, self._threads, self._native = folder, threads, native
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.run: Callable[[], Any] = _nothing

    def prepare(self, case: dict[str, Any]) -> None:
        """MeasureError where the result is wrong."""
        with np.load(self._folder / case["file"], allow_pickle=False) as file:
            weight, tokens, exact = (file[name] for name in ("weight", "tokens", "exact"))
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False).eval()
        layer.weight.copy_(torch.from_numpy(weight))
        x = torch.from_numpy(tokens)
        call = ag.compile(layer, (x,), threads=self._threads) if self._native else layer
        self.run = lambda: call(x)
        off = np.abs(np.asarray(self.run()) - exact).max() / np.abs(exact).max()
        require(off < _MOST_ERROR, MeasureError, f"the result of {case['file']} is off by {off:.1e}")

    def facts(self) -> dict[str, Any]:
        version = ag.__version__ if self._native else torch.__version__
        return {"version": version, "threads": self._threads}


def _nothing() -> None:
    """Before a case is prepared there is nothing to do."""


def make(folder: str, threads: int, *, native: bool) -> LayerSide:
    return LayerSide(Path(folder), threads, native=native)
