"""The int8 grid that a linear layer's weight lies on: a buffer that goes along with it. Imports torch.

Such a layer has the persistent buffer ``weight_scale`` [outputs] float32, above 0, and its weight is, in
float32, ``weight_scale[:, None]`` times whole numbers from -127 to 127.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import safetensors
import torch
from numpy.typing import NDArray

SCALE = "weight_scale"
LARGEST = 127
_ROWS = 512


def put_scale(layer: torch.nn.Linear, scale: torch.Tensor) -> None:
    """Give ``layer`` its own copy of ``scale`` [outputs]; one that it has is replaced."""
    layer.register_buffer(SCALE, scale.detach().float().clone(), persistent=True)


def scale_of(layer: torch.nn.Linear) -> torch.Tensor | None:
    """The scale of ``layer``, None where it has none."""
    return layer.get_buffer(SCALE) if SCALE in dict(layer.named_buffers(recurse=False)) else None


def drop_scale(layer: torch.nn.Linear) -> None:
    """Forget the scale, if there is one."""
    if scale_of(layer) is not None:
        delattr(layer, SCALE)


def lies_on(weight: torch.Tensor, scale: torch.Tensor) -> bool:
    """Is ``weight`` [outputs, inputs] exactly on the grid that ``scale`` says?"""
    if weight.dtype != torch.float32 or scale.dtype != torch.float32:
        return False
    if scale.shape != weight.shape[:1] or not bool((torch.isfinite(scale) & (scale > 0)).all()):
        return False
    parts = zip(weight.detach().split(_ROWS), scale.split(_ROWS), strict=True)
    return all(_on(rows, of[:, None]) for rows, of in parts)


def _on(rows: torch.Tensor, scale: torch.Tensor) -> bool:
    whole = (rows / scale).round().clamp(-LARGEST, LARGEST)
    return torch.equal(whole * scale, rows)


def scales_by_weight(module: torch.nn.Module) -> dict[str, NDArray[np.float32]]:
    """The scales of the layers of ``module`` whose weights lie on one, by the names of the weights. A buffer
    of that name which is anything else (another format's, or of a model turned into bfloat16) is left out."""
    return {
        f"{name}.weight" if name else "weight": scale.detach().cpu().numpy()
        for name, layer in module.named_modules()
        if isinstance(layer, torch.nn.Linear)
        and (scale := scale_of(layer)) is not None
        and lies_on(layer.weight, scale)
    }


def restore_scales(module: torch.nn.Module, files: Iterable[Path]) -> None:
    """Give the linear layers of ``module``, loaded from safetensors ``files``, the scales that stand there.
    A tensor of that name with another meaning (other formats have some) is left alone."""
    for file in files:
        with safetensors.safe_open(file, framework="pt") as tensors:
            for name in (n for n in tensors.keys() if n.rpartition(".")[2] == SCALE):  # noqa: SIM118  no mapping
                layer = dict(module.named_modules()).get(name.rpartition(".")[0])
                if isinstance(layer, torch.nn.Linear):
                    scale = tensors.get_tensor(name)
                    if lies_on(layer.weight, scale):
                        put_scale(layer, scale)
