"""How labels pass through operations that compute element by element, move, or reduce. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree

from aerogel.prune.structured.labels import first_along, laid_along
from aerogel.prune.structured.rules_attention import ATTENTION
from aerogel.prune.structured.rules_layers import LAYERS
from aerogel.prune.structured.tracing import Tracing, Weight, operation

MOVES = frozenset({
    "alias", "clone", "contiguous", "detach", "expand", "flip", "lift_fresh", "permute", "repeat",
    "roll", "slice", "split", "split_with_sizes", "squeeze", "t", "transpose", "unsqueeze", "view",
    "_unsafe_view",
    "_reshape_alias", "_to_copy", "select", "unbind", "index", "index_select",
})  # fmt: skip
"""Operations that move elements and compute nothing."""
POINTWISE = frozenset({
    "copy", "dropout", "masked_fill", "native_dropout", "zeros_like", "ones_like", "full_like", "empty_like",
    "rand_like", "where", "fill", "_prelu_kernel",
})  # fmt: skip
"""What torch does not tag as pointwise, and is, as far as shapes go."""
REDUCTIONS = frozenset({
    "mean", "sum", "amax", "amin", "max", "min", "var", "std", "var_mean", "prod", "logsumexp", "argmax",
    "argmin", "any", "all", "linalg_vector_norm", "norm",
})  # fmt: skip
ALONG = frozenset({"_softmax", "_log_softmax", "_safe_softmax", "cumsum", "cumprod", "sort", "topk"})
"""Operations in which all elements along one axis, the second argument, meet."""
SPATIAL = frozenset({
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices",
    "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_bilinear2d",
    "upsample_bicubic2d",
    "upsample_linear1d", "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d",
    "max_pool2d",
})  # fmt: skip
"""[samples, channels, space...]: each channel by itself, whatever happens in space."""


def follow(tracing: Tracing, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    """Label ``out``, what ``func`` made of ``args``."""
    name = operation(func)
    if name.endswith("_") and not name.endswith("__"):
        name = name[:-1]
    inputs = pytree.tree_leaves((args, kwargs))
    if all(tracing.of(value) is None for value in inputs):
        for value in pytree.tree_leaves(out):
            tracing.put(value, None)
        return
    if (rule := RULES.get(name) or LAYERS.get(name) or ATTENTION.get(name)) is not None:
        rule(tracing, func, args, kwargs, out)
    elif name in POINTWISE or torch.Tag.pointwise in func.tags:
        _pointwise(tracing, inputs, out)
    else:
        tracing.lock_all(inputs, f"aten.{name} is not followed")


def _pointwise(tracing: Tracing, inputs: Sequence[Any], out: Any) -> None:
    results = [value for value in pytree.tree_leaves(out) if isinstance(value, torch.Tensor)]
    tensors = [value for value in inputs if isinstance(value, torch.Tensor) and value.ndim]
    own = [tracing.of(value) for value in tensors]
    if len(tensors) == 1 and isinstance(own[0], Weight) and results[0].shape == tensors[0].shape:
        # A weight by itself (scaled, cast, rectified) is no longer the weight that can be cut.
        tracing.lock_weight(own[0], f"{own[0].name} is computed with before it is used")
        return
    shape = results[0].shape
    labels = None
    for known in own:
        if isinstance(known, torch.Tensor):
            spread = known.expand(shape)
            labels = spread if labels is None else _combined(tracing, labels, spread)
    for value, known in zip(tensors, own, strict=True):
        sizes = (1,) * (len(shape) - value.ndim) + tuple(value.shape)
        if known is None:
            _beside_fixed(tracing, labels, sizes)
        elif isinstance(known, Weight):
            _beside_weight(tracing, labels, sizes, known)
    for result in results:
        if result.shape == shape:
            tracing.put(result, labels)


def _combined(tracing: Tracing, one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
    """Labels of what is computed from elements with labels ``one`` and ``two``."""
    first, second = set(tracing.labels.varying(one)), set(tracing.labels.varying(two))
    if first & second:
        tracing.labels.join(one, two, "it meets channels of a fixed number")
        return one
    for labels, varies in ((one, first), (two, second)):
        if not varies or (first and second):
            tracing.labels.lock(labels, "every pair of channels of two tensors is combined")
    return one if first else two


def _beside_fixed(tracing: Tracing, labels: torch.Tensor | None, sizes: tuple[int, ...]) -> None:
    if labels is not None:
        for axis, size in enumerate(sizes):
            if size > 1:
                tracing.labels.pin(labels, axis, "it is combined with a tensor whose size is fixed")


def _beside_weight(
    tracing: Tracing, labels: torch.Tensor | None, sizes: tuple[int, ...], weight: Weight
) -> None:
    """A weight that is added, say: its axes go with the labels along them."""
    for axis_labels in weight.axes:
        row = axis_labels.reshape(sizes)
        along = tracing.labels.own(row)
        if labels is None or not along:
            tracing.labels.lock(row, f"{weight.name} is combined with what has a fixed size")
            continue
        axis, varying = along[0], tracing.labels.varying(labels)
        if len(along) > 1 or axis not in varying:
            tracing.labels.lock(row, f"{weight.name} is combined with what has a fixed size")
            continue
        if axis != varying[0]:
            tracing.labels.pin(labels, axis, f"{weight.name} is shared among them")
            tracing.labels.lock(row, f"{weight.name} is shared among heads")
            continue
        kept = tracing.labels.along(labels, axis, f"{weight.name} is shared among them")
        tracing.labels.join(kept, first_along(row, axis), f"{weight.name} meets a fixed number of channels")


def _move(tracing: Tracing, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    """Move the labels by the operation itself."""
    known = tracing.of(args[0])
    results = list(out) if isinstance(out, list | tuple) else [out]
    if known is None:
        tracing.lock_all(pytree.tree_leaves((args, kwargs)), "it says where others are looked up")
        return
    if isinstance(known, Weight):
        moved = [_moved(func, axis, args, kwargs, results) for axis in known.axes]
        for k, result in enumerate(results):
            tracing.put(result, Weight(known.name, tuple(axis[k] for axis in moved)))
        return
    _pin_where_numbered(tracing, func, known, args)
    for result, labels in zip(results, _moved(func, known, args, kwargs, results), strict=True):
        tracing.put(result, labels)


def _moved(
    func: Any, labels: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any], results: Sequence[Any]
) -> list[torch.Tensor]:
    match operation(func):
        case "view" | "_unsafe_view" | "_reshape_alias":
            return [labels.reshape(results[0].shape)]
        case "clone" | "detach" | "alias" | "contiguous" | "_to_copy" | "lift_fresh":
            return [labels]
        case _:
            moved = func(labels, *args[1:], **kwargs)
            return list(moved) if isinstance(moved, list | tuple) else [moved]


def _pin_where_numbered(tracing: Tracing, func: Any, labels: torch.Tensor, args: Sequence[Any]) -> None:
    """Places that are numbered from outside stay where they are; equal parts stay equally long."""
    name, ndim = operation(func), labels.ndim
    if name in {"select", "unbind", "index_select"}:
        axis = (0 if name == "unbind" and not args[1:] else args[1]) % ndim
        tracing.labels.pin(labels, axis, f"aten.{name} takes channels by their number")
    elif name == "index":
        for axis, at in enumerate(args[1]):
            if at is not None:
                tracing.labels.pin(labels, axis, "aten.index takes channels by their number")
    elif name in {"split", "split_with_sizes"}:
        axis = (args[2] if len(args) > 2 else 0) % ndim
        sizes = {args[1]} if isinstance(args[1], int) else set(args[1])
        if axis in tracing.labels.varying(labels) and len(sizes) == 1:
            parts = labels.split(sizes.pop(), axis)
            for part in parts[1:]:
                if part.shape == parts[0].shape:
                    tracing.labels.join(parts[0], part, "it is split into equal parts")


def _concatenate(
    tracing: Tracing, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any
) -> None:
    tensors, given = args[0], args[1] if len(args) > 1 else kwargs.get("dim", 0)
    stacked = operation(func) == "stack"
    axis = given % out.ndim
    parts: list[torch.Tensor] = []
    for tensor in tensors:
        labels = _as_labels(tracing, tensor)
        parts.append(labels.unsqueeze(axis) if stacked else labels)
    whole = torch.cat(parts, axis)
    varying = [set(tracing.labels.varying(part)) - {axis} for part in parts]
    if any(varying):
        # Along any axis but the one they are put together on, parts must agree.
        rows = [part.movedim(axis, 0)[:1].movedim(0, axis) for part in parts if part.shape[axis]]
        for row in rows[1:]:
            tracing.labels.join(rows[0], row, "it is put beside a tensor whose size is fixed")
        tracing.labels.pin(whole, axis, "tensors of different channels are put together")
    tracing.put(out, whole)


def _as_labels(tracing: Tracing, tensor: torch.Tensor) -> torch.Tensor:
    match tracing.of(tensor):
        case None:
            return torch.zeros((), dtype=torch.int32).expand(tensor.shape)
        case Weight() as weight:
            long = [axis for axis in weight.axes if tracing.labels.own(axis)]
            if len(long) == 1:
                return long[0]
            tracing.lock_weight(weight, f"{weight.name} is put beside others")
            return torch.zeros((), dtype=torch.int32).expand(tensor.shape)
        case labels:
            return labels


def _reduce(tracing: Tracing, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    labels = tracing.activation(args[0])
    if labels is None:
        return
    name = operation(func)
    place = 2 if name in {"linalg_vector_norm", "norm"} else 1
    dims = args[place] if len(args) > place else kwargs.get("dim")
    axes = range(labels.ndim) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    axes = sorted({axis % max(1, labels.ndim) for axis in axes}, reverse=True)

    for result in pytree.tree_leaves(out):
        tracing.put(result, _Reduced(tracing, labels, axes, result.shape, name))


@dataclass(frozen=True)
class _Reduced:
    """Labels of a reduction, once it is used: what was summed up can no longer lose parts."""

    tracing: Tracing
    labels: torch.Tensor
    axes: Sequence[int]
    shape: torch.Size
    name: str

    def __call__(self) -> torch.Tensor | None:
        reduced = self.labels
        for axis in self.axes:
            self.tracing.labels.pin(self.labels, axis, f"aten.{self.name} is taken over its channels")
            keep = len(self.shape) == self.labels.ndim
            reduced = reduced.narrow(axis, 0, 1) if keep else reduced.select(axis, 0)
        return reduced if reduced.shape == self.shape and reduced.ndim else None


def _meet(tracing: Tracing, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    labels = tracing.activation(args[0])
    if labels is None:
        return
    name = operation(func)
    topk = name == "topk"
    axis = args[2] if topk and len(args) > 2 else -1 if topk else args[1] if len(args) > 1 else -1
    tracing.labels.pin(labels, axis % labels.ndim, f"aten.{name} is taken over its channels")
    for result in pytree.tree_leaves(out):
        tracing.put(result, labels.narrow(axis, 0, 1).expand(result.shape))


def _in_space(tracing: Tracing, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    labels = tracing.activation(args[0])
    if labels is None:
        return
    spaces = {"1d": 1, "2d": 2, "3d": 3}
    space = next(n for text, n in spaces.items() if text in operation(func))
    channels = labels.ndim - space - 1
    row = tracing.labels.along(labels, channels, f"aten.{operation(func)} mixes what lies beside each other")
    for result in pytree.tree_leaves(out):
        tracing.put(result, laid_along(row, channels, result.shape))


def _padded(tracing: Tracing, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
    labels = tracing.activation(args[0])
    if labels is None:
        return
    pad, varying = args[1], tracing.labels.varying(labels)
    result = labels
    for k in range(len(pad) // 2):
        axis, before, after = labels.ndim - 1 - k, pad[2 * k], pad[2 * k + 1]
        if axis not in varying:
            result = result.narrow(axis, 0, 1).expand(*(out.shape[j] if j == axis else n
                                                        for j, n in enumerate(result.shape)))  # fmt: skip
        elif before or after:
            result = torch.nn.functional.pad(result, [0, 0] * k + [before, after])
    tracing.put(out, result)


Rule = Callable[[Tracing, Any, tuple[Any, ...], dict[str, Any], Any], None]
RULES: dict[str, Rule] = {
    **dict.fromkeys(MOVES, _move),
    **dict.fromkeys(REDUCTIONS, _reduce),
    **dict.fromkeys(ALONG, _meet),
    **dict.fromkeys(SPATIAL, _in_space),
    "cat": _concatenate,
    "stack": _concatenate,
    "constant_pad_nd": _padded,
}
"""By the operation's name, without its overload."""
