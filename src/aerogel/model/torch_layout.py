"""aten calls that move no number: views, transpositions, casts, dropout in eval mode."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch.fx import Node

from aerogel.model.graph import Pool, Value
from aerogel.model.torch_program import Size
from aerogel.model.torch_source import origin, unsupported
from aerogel.model.torch_values import Act, Axis, Formula, Known, Norm, Scores, TokenSum
from aerogel.model.torch_walk import Call, Handler, Walk, axis_of


def same(walk: Walk, call: Call) -> Known:
    """clone, contiguous, detach, casts among floating-point types."""
    dtype = call.node.meta["val"].dtype
    if not dtype.is_floating_point:
        unsupported(call.node, f"casts activations to {dtype}")
    return walk.known[call.first]


def dropout(walk: Walk, call: Call) -> Known:
    if call["train"] and call["p"]:
        unsupported(call.node, f"dropout p={call['p']} in training mode: call module.eval() first")
    return walk.known[call["input"]]


def view(walk: Walk, call: Call) -> Known:
    known = walk.known[call.first]
    before, after = walk.sizes[call.first], walk.sizes[call.node]
    if before == after:
        return known
    if not isinstance(known, Act):
        unsupported(call.node, f"reshapes a {type(known).__name__}")
    axes, heads = _regrouped(walk, call, known)
    return replace(known, axes=axes, heads=heads)


def _regrouped(walk: Walk, call: Call, known: Act) -> tuple[tuple[Axis, ...], int]:
    """Axes of the new shape: each old axis kept, F split into H and D or joined again, B and S likewise."""
    before, after = walk.sizes[call.first], walk.sizes[call.node]
    axes, kept, heads = list(known.axes), list(before), known.heads
    result: list[Axis] = []
    for at, size in enumerate(after):
        if kept and size == kept[0]:
            result.append(axes[0])
            del axes[0], kept[0]
        elif axes[:1] == ["F"] and isinstance(size, int) and (size,) == _split(kept[0], after[at + 1 :]):
            heads = size
            result.append("H")
            axes[0], kept[0] = "D", after[at + 1]
        elif axes[:1] == ["BS"] and walk.symbols == after[at : at + 2]:
            result.append("B")
            axes[0], kept[0] = "S", after[at + 1]
        elif (joined := _JOINED.get(tuple(axes[:2]))) and size == kept[0] * kept[1]:
            heads = 1 if joined == "F" else heads
            result.append(joined)
            del axes[:2], kept[:2]
        elif size == 1:
            result.append("1")
        else:
            unsupported(call.node, f"reshapes {known.axes} of sizes {before} to {after}")
    if any(a != "1" for a in axes):
        unsupported(call.node, f"reshapes {known.axes} of sizes {before} to {after}")
    return tuple(result), heads


def _split(features: Size, rest: tuple[Size, ...]) -> tuple[Size, ...]:
    """(heads,) where features are heads times the one size that is left, () where they are not."""
    whole = len(rest) == 1 and isinstance(rest[0], int) and rest[0] > 0 and features % rest[0] == 0
    return (features // rest[0],) if whole else ()


_JOINED: dict[tuple[Axis, ...], Axis] = {("H", "D"): "F", ("B", "S"): "BS"}


def transpose(walk: Walk, call: Call) -> Known:
    known = _act(walk, call)
    axes = list(known.axes)
    a, b = (axis_of(call.node, call[name], known.axes) for name in ("dim0", "dim1"))
    axes[a], axes[b] = axes[b], axes[a]
    return replace(known, axes=tuple(axes))


def permute(walk: Walk, call: Call) -> Known:
    known = _act(walk, call)
    return replace(known, axes=tuple(known.axes[axis_of(call.node, d, known.axes)] for d in call["dims"]))


def unsqueeze(walk: Walk, call: Call) -> Known:
    known = _act(walk, call)
    at = call["dim"] % (len(known.axes) + 1)
    return replace(known, axes=(*known.axes[:at], "1", *known.axes[at:]))


def squeeze(walk: Walk, call: Call) -> Known:
    known = _act(walk, call)
    dims = call["dim"] if isinstance(call["dim"], (list, tuple)) else [call["dim"]]
    if None in dims:
        unsupported(call.node, "squeezes every dimension of size one: name the dimension")
    gone = {axis_of(call.node, d, known.axes) for d in dims}
    if any(known.axes[d] != "1" for d in gone):
        unsupported(call.node, f"squeezes {[known.axes[d] for d in gone]} of {known.axes}")
    return replace(known, axes=tuple(a for i, a in enumerate(known.axes) if i not in gone))


def expand(walk: Walk, call: Call) -> Known:
    known = walk.known[call.first]
    before, after = walk.sizes[call.first], walk.sizes[call.node]
    if before == after or isinstance(known, Norm):
        return known
    batched = isinstance(known, Act) and known.axes[0] == "1" and before[1:] == after[1:]
    if not isinstance(known, Act) or not batched or known.value.columns != "tokens":
        unsupported(call.node, f"repeats an activation from {before} to {after}")
    return replace(known, axes=("B", *known.axes[1:]))


def select(walk: Walk, call: Call) -> Known:
    known = _act(walk, call)
    at = axis_of(call.node, call["dim"], known.axes)
    rest = (*known.axes[:at], *known.axes[at + 1 :])
    if known.axes[at] == "1":
        return replace(known, axes=rest)
    return _first(call.node, walk, known, at, call["index"], rest)


def cut(walk: Walk, call: Call) -> Known:
    """slice: all of a dimension, or its first token."""
    known = walk.known[call.first]
    if call["step"] == 1 and walk.sizes[call.first] == walk.sizes[call.node]:
        return known
    act = _act(walk, call)
    at = axis_of(call.node, call["dim"], act.axes)
    alone = call["end"] == 1 and call["step"] == 1
    axes: tuple[Axis, ...] = (*act.axes[:at], "1", *act.axes[at + 1 :])
    return _first(call.node, walk, act, at, (call["start"] or 0) if alone else None, axes)


def _first(node: Node, walk: Walk, known: Act, at: int, index: Any, axes: tuple[Axis, ...]) -> Act:
    plain = known.scale == 1.0 and known.padding != "share" and known.axes == ("B", "S", "F")
    if known.axes[at] != "S" or index != 0 or not plain:
        unsupported(
            node, f"takes {index} of dimension {at} of {known.axes}: only the first token can be taken"
        )
    out = Value(node.name, known.value.features, "rows")
    return Act(walk.emit(Pool(out, known.value.name, "first", origin(node))), axes)


def _act(walk: Walk, call: Call) -> Act:
    known = walk.known[call.first]
    match known:
        case Act():
            return known
        case Scores() | TokenSum() | Norm() | Formula():
            return unsupported(call.node, f"applied to a {type(known).__name__}")


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("clone", "contiguous", "detach", "alias", "to", "type_as", "lift_fresh", "float"), same),
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout"), dropout),
    **dict.fromkeys(
        ("view", "reshape", "_unsafe_view", "flatten", "unflatten", "view_as", "reshape_as"), view
    ),
    **dict.fromkeys(("expand", "expand_as"), expand),
    "transpose": transpose,
    "permute": permute,
    "unsqueeze": unsqueeze,
    "squeeze": squeeze,
    "select": select,
    "slice": cut,
}
