"""What each expert adds, REAP's measure (Lasby et al. 2025). Imports torch.

The saliency of expert e is the mean, over the tokens x that are routed to it, of ``gate_e(x) |expert_e(x)|``,
the gate as it multiplies the expert's output, the norm over features.

- Fused experts are called with the gates: each is called once more on its tokens, alone, with a gate of 1.
- Experts of a list are called by code that is not known. But a block's output is ``sum gate_e expert_e(x)``
  and perhaps more; made again with expert e giving zeros, it differs by just ``gate_e(x) expert_e(x)``.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.prune.batches import Call
from aerogel.prune.blocks import hidden
from aerogel.prune.experts.mixtures import Mixture, real
from aerogel.prune.watch import run_watched


class Worth:
    """Sums over tokens for one mixture's experts. ``tokens``: those routed to each, int64 [experts];
    ``most``: how many experts the busiest token went to."""

    def __init__(self, count: int) -> None:
        self._sums = np.zeros(count)
        self.tokens = np.zeros(count, np.int64)
        self.most = 0

    def add(self, expert: int, parts: torch.Tensor) -> None:
        """``parts``: gate times norm, of each token routed to ``expert``."""
        self._sums[expert] += float(parts.sum(dtype=torch.float64))
        self.tokens[expert] += len(parts)

    @property
    def saliency(self) -> NDArray[np.float64]:
        """The mean over its tokens, by expert; 0 for an expert that none was routed to."""
        return self._sums / np.maximum(self.tokens, 1)


def worths(model: nn.Module, found: Sequence[Mixture], calls: Sequence[Call]) -> list[Worth]:
    """Of each mixture, over all tokens of ``calls`` but padding.

    InputError where a saliency is NaN or infinite; UnsupportedError where fused experts are called otherwise
    than with tokens, the experts chosen for them, and gates."""
    worth = {id(mixture.experts): Worth(mixture.count) for mixture in found}
    by_module = {id(m.experts if m.fused else m.block): m for m in found}
    watched = [m.experts if m.fused else m.block for m in found]
    for call in calls:

        def seen(
            module: nn.Module,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
            mask: torch.Tensor | None = call.mask,
        ) -> bool:
            mixture = by_module[id(module)]
            measure = _fused if mixture.fused else _listed
            measure(mixture, Call(args, kwargs, mask), worth[id(mixture.experts)])
            return False

        run_watched(model, call, watched, seen)
    for mixture in found:
        finite = bool(np.isfinite(worth[id(mixture.experts)].saliency).all())
        require(finite, InputError, f"{mixture.name}: an expert gives NaN or infinity: check the weights")
    return [worth[id(mixture.experts)] for mixture in found]


def _fused(mixture: Mixture, call: Call, worth: Worth) -> None:
    keys = _Keys(mixture, call)
    x, chosen, gates = (keys.values[key] for key in (keys.tokens, keys.chosen, keys.gates))
    counts = real(call.mask, len(x), x.device)
    worth.most = max(worth.most, chosen.shape[1])
    for expert in range(mixture.count):
        to_it = (chosen == expert) & counts[:, None]
        rows = to_it.any(1)
        size = int(rows.sum())
        if size:
            only = {
                keys.tokens: x[rows],
                keys.chosen: chosen.new_full((size, 1), expert),
                keys.gates: gates.new_ones((size, 1)),
            }
            # Called by ``forward``: the hook that led here is not to be met again.
            made = keys.call(only)
            gate = (gates * to_it).sum(1)[rows].float()
            worth.add(expert, gate * made.reshape(size, -1).float().norm(dim=1))


class _Keys:
    """Which arguments of fused experts are what: whole numbers are the experts chosen [n, k], floats of that
    shape the gates, other floats the tokens [n, width], which come first where the shapes do not tell."""

    def __init__(self, mixture: Mixture, call: Call) -> None:
        self._forward, self._call = mixture.experts.forward, call
        given: dict[int | str, Any] = {**dict(enumerate(call.args)), **call.kwargs}
        self.values = {key: v for key, v in given.items() if isinstance(v, torch.Tensor)}
        floats = [key for key, v in self.values.items() if v.is_floating_point() and v.ndim == 2]
        whole = [key for key, v in self.values.items() if v.dtype in (torch.int32, torch.int64)]
        shape = self.values[whole[0]].shape if len(whole) == 1 else None
        floats.sort(key=lambda key: self.values[key].shape == shape)
        shapes = [self.values[key].shape for key in floats]
        fits = len(floats) == 2 and shapes[1] == shape and shapes[0][0] == shapes[1][0]
        told = (
            f"{mixture.name} is not called with tokens, the experts chosen for them and gates, "
            "so its experts cannot be told apart"
        )
        require(fits, UnsupportedError, told)
        (self.tokens, self.gates), self.chosen = floats, whole[0]

    def call(self, values: Mapping[int | str, torch.Tensor]) -> torch.Tensor:
        args = (values.get(i, v) for i, v in enumerate(self._call.args))
        made = hidden(self._forward(*args, **{k: values.get(k, v) for k, v in self._call.kwargs.items()}))
        assert made is not None, "experts give a tensor, as they do to the model"
        return made


def _listed(mixture: Mixture, call: Call, worth: Worth) -> None:
    ran: set[int] = set()
    with ExitStack() as hooks:
        for index, expert in enumerate(mixture.each):
            handle = expert.register_forward_hook(lambda _, __, ___, index=index: ran.add(index))
            hooks.callback(handle.remove)
        whole = _rows(mixture, call)
    counts = real(call.mask, len(whole), whole.device)
    experts_of = torch.zeros(len(whole), dtype=torch.int64, device=whole.device)
    for index in sorted(ran):
        with _silent(mixture.each[index]):
            parts = (whole - _rows(mixture, call)).norm(dim=1)
        routed = (parts > 0) & counts
        experts_of += routed
        worth.add(index, parts[routed])
    worth.most = max(worth.most, int(experts_of.max()))


def _rows(mixture: Mixture, call: Call) -> torch.Tensor:
    """What the block gives, float32 [tokens, width]. By ``forward``, as above."""
    made = hidden(mixture.block.forward(*call.args, **call.kwargs))
    if made is None:
        raise UnsupportedError(f"{mixture.name}: the block around it gives no tensor")
    return made.reshape(-1, made.shape[-1]).float()


@contextmanager
def _silent(expert: nn.Module) -> Generator[None]:
    """Inside, the expert gives zeros."""

    def zeros(_: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(output)

    handle = expert.register_forward_hook(zeros)
    try:
        yield
    finally:
        handle.remove()
