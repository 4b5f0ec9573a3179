"""Contender: aerogel, dense or pruned."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import aerogel
from aerogel.bench.cases import TokenBatch, token_batch
from aerogel.bench.hugging_face import ModelFolder
from aerogel.bench.subject import EncoderSubject


class NativeRuntime:
    """A compiled program; ``sparsity`` None leaves the model dense, ``threads`` None takes all granted."""

    def __init__(
        self, folder: ModelFolder, sparsity: float | None, pattern: str, threads: int | None = None
    ) -> None:
        import torch

        module = folder.torch_module()
        if sparsity is not None:
            module = aerogel.prune(module, sparsity=sparsity, pattern=pattern).model
        example = token_batch({"lengths": [16, 9]}, folder.vocabulary)
        started = time.perf_counter()
        inputs = torch.from_numpy(example.ids), torch.from_numpy(example.mask)
        self._program = aerogel.compile(module, inputs, threads=threads)
        self._compile_s = time.perf_counter() - started

    def bind(self, batch: TokenBatch) -> Any:
        return batch.ids, batch.mask

    def forward(self, inputs: Any) -> Any:
        return self._program(*inputs)

    def to_numpy(self, hidden: Any) -> NDArray[np.float32]:
        return np.asarray(hidden)

    def facts(self) -> dict[str, Any]:
        return {
            "size_bytes": self._program.nbytes,
            "version": aerogel.__version__,
            "threads": self._program.threads,
            "target": self._program.plan.target.partition("/")[0],
            "compile_s": self._compile_s,
        }


def make(
    model: str,
    sparsity: float | None = None,
    pattern: str = "unstructured",
    pinned: dict[str, Any] | None = None,
    threads: int | None = None,
) -> EncoderSubject:
    """``model``: a Hugging Face directory, pruned by magnitude to ``sparsity``."""
    folder = ModelFolder.open(model)
    return EncoderSubject(folder, NativeRuntime(folder, sparsity, pattern, threads), pinned)
