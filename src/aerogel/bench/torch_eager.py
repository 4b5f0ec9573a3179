"""Contender: PyTorch, as it comes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.cases import TokenBatch
from aerogel.bench.hugging_face import ModelFolder
from aerogel.bench.subject import EncoderSubject


class TorchRuntime:
    """Eager mode under ``inference_mode``; ``threads`` None leaves torch its own number."""

    def __init__(self, folder: ModelFolder, threads: int | None = None) -> None:
        self._folder = folder
        self._module = folder.torch_module()
        if threads is not None:
            import torch

            torch.set_num_threads(threads)

    def bind(self, batch: TokenBatch) -> Any:
        import torch

        return torch.from_numpy(batch.ids), torch.from_numpy(batch.mask)

    def forward(self, inputs: Any) -> Any:
        import torch

        with torch.inference_mode():
            return self._module(input_ids=inputs[0], attention_mask=inputs[1])[0]

    def to_numpy(self, hidden: Any) -> NDArray[np.float32]:
        return hidden.numpy()

    def facts(self) -> dict[str, Any]:
        import torch

        return {
            "size_bytes": self._folder.weight_bytes,
            "version": torch.__version__,
            "threads": torch.get_num_threads(),
        }


def make(model: str, pinned: dict[str, Any] | None = None, threads: int | None = None) -> EncoderSubject:
    """``model``: a Hugging Face directory. ``threads`` is set for the whole process."""
    folder = ModelFolder.open(model)
    return EncoderSubject(folder, TorchRuntime(folder, threads), pinned)
