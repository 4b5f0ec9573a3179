"""Contenders: a whole model as its user calls it, pooling or head included; compiled, or in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import aerogel
from aerogel.bench.cases import token_batch
from aerogel.core.errors import InputError, require
from aerogel.measure.resident import resident

Arrays = dict[str, NDArray[Any]]


class WholeModel:
    """A contender (see ``measure.Contender``): ``forward`` is timed, on what ``bind`` makes of a case.

    A case has ``lengths``, of sequences of token ids below ``vocabulary``; or ``file``, a .npz with the
    arguments of a call, by name or, where the names are numbers, by place.
    """

    def __init__(
        self,
        bind: Callable[[Arrays], Any],
        forward: Callable[[Any], Any],
        facts: Mapping[str, Any],
        vocabulary: int | None,
    ) -> None:
        self._bind, self._forward, self._facts, self._vocabulary = bind, forward, facts, vocabulary
        self._inputs: Any = None

    def prepare(self, case: Mapping[str, Any]) -> None:
        if "file" in case:
            with np.load(case["file"], allow_pickle=False) as loaded:
                arrays = {name: loaded[name] for name in loaded.files}
        else:
            assert self._vocabulary is not None
            batch = token_batch(case, self._vocabulary)
            arrays = {"input_ids": batch.ids, "attention_mask": batch.mask}
        self._inputs = self._bind(arrays)

    def run(self) -> Any:
        return self._forward(self._inputs)

    def facts(self) -> dict[str, Any]:
        """``size_bytes``, ``version``, ``threads``, and the memory of this process."""
        return {**self._facts, **resident().to_json()}


def program(path: str, vocabulary: int | None = None, threads: int | None = None) -> WholeModel:
    """``path``: an .aero file, run without torch."""
    loaded = aerogel.load(path, threads=threads)

    def forward(inputs: tuple[list[Any], dict[str, Any]]) -> Any:
        return loaded(*inputs[0], **inputs[1])

    size = Path(path).stat().st_size
    facts = {"size_bytes": size, "version": aerogel.__version__, "threads": loaded.threads}
    return WholeModel(call_of, forward, facts, vocabulary)


def torch_eager(
    model: str, size_bytes: int, vocabulary: int | None = None, threads: int | None = None
) -> WholeModel:
    """``model``: as for ``load_model``, run by PyTorch as it comes; ``threads`` is set for the process."""
    import torch

    from aerogel.model.source import load_model

    if threads is not None:
        torch.set_num_threads(threads)
    module = load_model(model).module

    def bind(arrays: Arrays) -> Any:
        args, named = call_of(arrays)
        return [torch.from_numpy(a) for a in args], {n: torch.from_numpy(a) for n, a in named.items()}

    def forward(inputs: Any) -> Any:
        with torch.inference_mode():
            return module(*inputs[0], **inputs[1])

    facts = {"size_bytes": size_bytes, "version": torch.__version__, "threads": torch.get_num_threads()}
    return WholeModel(bind, forward, facts, vocabulary)


def call_of(arrays: Arrays) -> tuple[list[NDArray[Any]], Arrays]:
    """Arguments by place and by name: those whose names are 0, 1, ... are the former."""
    places = sorted((name for name in arrays if name.isdecimal()), key=int)
    return [arrays[name] for name in places], {n: a for n, a in arrays.items() if not n.isdecimal()}


def arrays_of(inputs: Any) -> Arrays:
    """The arrays of a call with ``inputs``, a tuple or a dict of tensors: what ``call_of`` takes apart.
    InputError for an input that is no tensor."""
    named = inputs.items() if isinstance(inputs, Mapping) else enumerate(inputs)
    found: Arrays = {}
    for name, value in named:
        told = (
            f"example input {name!r} is a {type(value).__name__}: only tensors are timed: give --no-measure"
        )
        require(hasattr(value, "detach"), InputError, told)
        found[str(name)] = value.detach().cpu().numpy()
    return found
