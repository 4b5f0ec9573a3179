"""What a layer multiplies its matrix with, of what it is fed: of a convolution, patches. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional

from aerogel.prune.hessian import tokens
from aerogel.prune.layers import Prunable

_AT_ONCE = 2**24
"""Numbers of patches unfolded at a time: a patch is the input some nine times over."""


def rows_fed(module: Prunable, x: torch.Tensor, mask: torch.Tensor | None) -> Iterator[torch.Tensor]:
    """The rows [n, inputs] float32 of ``x`` that ``module``, fed it, sees, in parts: tokens, without those
    that
    ``mask`` leaves out (see ``tokens``), or patches [n, inputs * kernel height * kernel width], padding
    included, in the order of the weight's own numbers."""
    if isinstance(module, torch.nn.Linear):
        yield tokens(x, mask)
        return
    flat = isinstance(module, torch.nn.Conv1d)
    x = x.detach().float()
    if x.ndim == (2 if flat else 3):
        x = x[None]
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    # In torch's own order for ``pad``: what its convolutions themselves give to it.
    x = functional.pad(x, module._reversed_padding_repeated_twice, mode)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    kernel, dilation, stride = (_two(v) for v in (module.kernel_size, module.dilation, module.stride))
    if flat:
        x = x[:, :, None]
    patch = kernel[0] * kernel[1] * x[0].numel() if len(x) else 1
    for part in x.split(max(1, _AT_ONCE // max(1, patch))):
        found = functional.unfold(part, kernel, dilation=dilation, stride=stride)
        yield found.transpose(1, 2).reshape(-1, found.shape[1])


def geometry(module: Prunable) -> tuple[Any, ...]:
    """Equal for two modules that, fed the same, see the same rows."""
    if isinstance(module, torch.nn.Linear):
        return ()
    return module.kernel_size, module.dilation, module.stride, module.padding, module.padding_mode


def _two(sizes: tuple[int, ...]) -> tuple[int, int]:
    return (1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])
