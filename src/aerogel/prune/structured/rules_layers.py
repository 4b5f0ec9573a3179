"""How labels pass through layers with weights: products, convolutions, normalisations. Imports torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from aerogel.prune.structured.atoms import Ids
from aerogel.prune.structured.labels import as_ids, first_along, laid_along
from aerogel.prune.structured.rules_attention import of_activations
from aerogel.prune.structured.tracing import Tracing, Weight


def contract(tracing: Tracing, x: torch.Tensor, weight: Weight, out: torch.Tensor) -> None:
    """``out[..., o] = sum_i x[..., i] weight[..., i, o]``: what gives input i loses weight[i], and so on."""
    rows = _rows(tracing, weight, (-2, -1), out)
    if rows is None:
        return
    reads, makes = rows
    _read(tracing, tracing.activation(x), reads, weight.name, x.ndim - 1)
    tracing.put(out, laid_along(makes, out.ndim - 1, out.shape))


def _read(
    tracing: Tracing, labels: torch.Tensor | None, reads: torch.Tensor, name: str, axis: int
) -> torch.Tensor | None:
    """Tie what is read along ``axis`` to the inputs of a weight that read it; their labels."""
    fixed = f"{name} reads what has a fixed size: the model's input, say"
    tracing.atoms.mark_readers(as_ids(reads))
    if labels is None:
        tracing.labels.lock(reads, fixed)
        return None
    row = tracing.labels.along(labels, axis, f"{name} reads it at several places")
    tracing.labels.join(row, reads, fixed)
    return row


def _rows(
    tracing: Tracing, weight: Weight, axes: tuple[int, int], out: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Atoms of ``weight`` along two of its axes; None, with all locked, where it is no longer its own."""
    found: list[torch.Tensor] = []
    ndim = weight.axes[0].ndim
    for axis in axes:
        long = [labels for labels in weight.axes if tracing.labels.own(labels) == [axis % ndim]]
        if weight.axes[0].shape[axis] == 1:
            # One channel: of one, nothing can be removed.
            long = [torch.zeros((), dtype=torch.int32).expand(weight.axes[0].shape)]
        if len(long) != 1:
            tracing.lock_weight(weight, f"{weight.name} is rearranged before it is used")
            tracing.put(out, None)
            return None
        found.append(first_along(long[0], axis))
    return found[0], found[1]


def add_bias(tracing: Tracing, bias: object, out: torch.Tensor, axis: int) -> None:
    known, labels = tracing.of(bias), tracing.of(out)
    if not isinstance(bias, torch.Tensor):
        return
    if isinstance(known, Weight) and isinstance(labels, torch.Tensor) and bias.ndim == 1:
        row = tracing.labels.along(labels, axis, f"{known.name} is shared")
        tracing.labels.join(row, first_along(known.axes[0], 0), f"{known.name} has a fixed size")
        return
    tracing.lock_all((bias, out), "a product is added to what is not a layer's bias")


def _addmm(tracing: Tracing, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    product(tracing, args[1], args[2], out)
    add_bias(tracing, args[0], out, out.ndim - 1)


def _mm(tracing: Tracing, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    product(tracing, args[0], args[1], out)


def product(tracing: Tracing, x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> None:
    known = tracing.of(y)
    if isinstance(known, Weight) and not isinstance(tracing.of(x), Weight):
        contract(tracing, x, known, out)
        return
    of_activations(tracing, x.unsqueeze(0), y.unsqueeze(0), out, (tracing.of(x), tracing.of(y)))


def _bmm(tracing: Tracing, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    x, y = args[-2:] if len(args) == 2 else args[1:3]
    known = tracing.of(x), tracing.of(y)
    if isinstance(known[1], Weight) and not isinstance(known[0], Weight):
        contract(tracing, x, known[1], out)
    else:
        of_activations(tracing, x, y, out, known)
    if len(args) > 2:
        tracing.lock_all((args[0],), "it is added to a product of activations")


def _convolution(
    tracing: Tracing, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> None:
    x, weight, bias, groups = args[0], tracing.of(args[1]), args[2], args[8]
    transposed = args[6]
    if not isinstance(weight, Weight):
        tracing.lock_all(args[:3], "its convolution has a weight that is computed")
        return
    home = [first_along(axis, k) for k, axis in enumerate(weight.axes[:2])]
    # A transposed convolution has its inputs first.
    reads, makes = (home[0], home[1]) if transposed else (home[1], home[0])
    for axis in weight.axes[2:]:
        tracing.labels.lock(axis, f"{weight.name} has a fixed extent in space")
    labels = tracing.activation(x)
    if groups == 1:
        _read(tracing, labels, reads, weight.name, 1)
    elif transposed or labels is None:
        tracing.lock_all(args[:3], f"{weight.name} is a grouped convolution that cannot be cut")
        return
    else:
        _grouped(tracing, labels, weight.name, reads, makes, groups)
    tracing.put(out, laid_along(makes, 1, out.shape))
    add_bias(tracing, bias, out, 1)


def _grouped(
    tracing: Tracing, labels: torch.Tensor, name: str, reads: torch.Tensor, makes: torch.Tensor, groups: int
) -> None:
    """Whole groups go: all that a group reads, and all that it makes."""
    tracing.labels.lock(reads, f"{name} is a grouped convolution: only whole groups can go")
    row = tracing.labels.along(labels, 1, f"{name} reads it at several places")
    inputs, outputs = as_ids(row).reshape(groups, -1), as_ids(makes).reshape(groups, -1)
    told = f"{name} reads what has a fixed size: the model's input, say"
    first = inputs[:, :1]
    for members in (inputs, outputs):
        tracing.atoms.join(*_pairs(first, members), told)


def _pairs(first: Ids, members: Ids) -> tuple[Ids, Ids]:
    return first.repeat(members.shape[1], 1), members


def _per_channel(
    tracing: Tracing, labels: torch.Tensor, weights: tuple[object, ...], axis: int, reason: str
) -> torch.Tensor:
    row = tracing.labels.along(labels, axis, reason)
    for tensor in weights:
        known = tracing.of(tensor)
        if isinstance(known, Weight):
            tracing.labels.join(row, first_along(known.axes[0], 0), f"{known.name} has a fixed size")
        elif isinstance(tensor, torch.Tensor):
            tracing.labels.lock(row, "it is normalised by what has a fixed size")
    return row


def _batch_norm(tracing: Tracing, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    labels = tracing.activation(args[0])
    if labels is None:
        tracing.lock_all(args[1:5], "it normalises what has a fixed size: the model's input, say")
        return
    row = _per_channel(tracing, labels, args[1:5], 1, "a batch norm is taken over it")
    tracing.put(out[0], laid_along(row, 1, out[0].shape))


def _layer_norm(tracing: Tracing, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    result = out[0] if isinstance(out, list | tuple) else out
    weights = [tracing.of(value) for value in args[2:4]]
    name = next((known.name for known in weights if isinstance(known, Weight)), "a norm without weights")
    told = f"a layer norm averages over its channels ({name})"
    labels = tracing.activation(args[0])
    if labels is not None:
        for axis in range(labels.ndim - len(args[1]), labels.ndim):
            tracing.labels.pin(labels, axis, told)
        tracing.put(result, labels)
    tracing.lock_all(args[2:4], told)


def _group_norm(tracing: Tracing, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    labels, groups = tracing.activation(args[0]), args[6]
    if labels is None:
        tracing.lock_all(args[1:3], "it normalises what has a fixed size: the model's input, say")
        return
    row = _per_channel(tracing, labels, args[1:3], 1, "a group norm averages over it")
    members = as_ids(row).reshape(groups, -1)
    told = "a group norm averages over all channels"
    tracing.atoms.join(*_pairs(members[:, :1], members), told)
    if groups == 1:
        tracing.labels.lock(row, told)
    tracing.put(out[0], laid_along(row, 1, out[0].shape))


def _embedding(tracing: Tracing, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    weight = tracing.of(args[0])
    if not isinstance(weight, Weight) or len(weight.axes) != 2 or not math.prod(out.shape):
        tracing.lock_all(args, "its embedding has a table that is computed")
        return
    tracing.labels.lock(weight.axes[0], f"{weight.name} has a row for each token")
    tracing.atoms.mark_readers(as_ids(first_along(weight.axes[0], 0)))
    tracing.put(out, laid_along(first_along(weight.axes[1], 1), out.ndim - 1, out.shape))


LAYERS: dict[str, Callable[[Tracing, Any, tuple[Any, ...], dict[str, Any], Any], None]] = {
    "addmm": _addmm,
    "mm": _mm,
    "bmm": _bmm,
    "baddbmm": _bmm,
    "convolution": _convolution,
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "cudnn_batch_norm": _batch_norm,
    "native_layer_norm": _layer_norm,
    "_fused_rms_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "embedding": _embedding,
}
"""By the operation's name, without its overload."""
