"""Contender: PyTorch, as it comes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.arrays import Arrays, ArraySubject, Signature
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


class TorchModule:
    """Any module in eager mode, called with the arguments that ``signature`` names."""

    def __init__(self, module: Any, signature: Signature, threads: int | None = None) -> None:
        import torch

        self._module, self._signature = module, signature
        # Arguments of `*args` have names that the module does not know.
        self._by_name = {i.name for i in signature.inputs} <= set(
            inspect.signature(module.forward).parameters
        )
        if threads is not None:
            torch.set_num_threads(threads)

    def bind(self, arrays: Arrays) -> Any:
        import torch

        given = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return ((), given) if self._by_name else (tuple(given.values()), {})

    def forward(self, inputs: Any) -> Any:
        import torch

        with torch.inference_mode():
            return self._module(*inputs[0], **inputs[1])

    def to_numpy(self, found: Any) -> NDArray[np.float32]:
        if isinstance(found, Mapping):
            found = found[self._signature.output if self._signature.output in found else next(iter(found))]
        return (found[0] if isinstance(found, tuple | list) else found).numpy()

    def facts(self) -> dict[str, Any]:
        import torch

        return {
            "size_bytes": sum(p.numel() * p.element_size() for p in self._module.parameters()),
            "version": torch.__version__,
            "threads": torch.get_num_threads(),
        }


def make_given(model: str, signature: Mapping[str, Any], threads: int | None = None) -> ArraySubject:
    """``model``: as for ``load_model``. ``threads`` is set for the whole process."""
    from aerogel.model.source import load_model

    told = Signature.of_json(signature)
    return ArraySubject(told, TorchModule(load_model(model).module, told, threads))
