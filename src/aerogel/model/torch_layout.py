"""aten calls that move no number: views, transpositions, casts, dropout in eval mode."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch.fx import Node

from aerogel.model.graph import Pool, Value
from aerogel.model.torch_parts import chosen, is_part, part
from aerogel.model.torch_shapes import Shape, reshaped
from aerogel.model.torch_source import origin, unsupported
from aerogel.model.torch_values import Act, Axis, Formula, Known, Norm, Parts, Scores, TokenSum
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
    found = reshaped(Shape(known.axes, before, known.heads), after, walk.symbols)
    if found is None:
        unsupported(call.node, f"reshapes {known.axes} of sizes {before} to {after}")
    return replace(known, axes=found.axes, heads=found.heads)


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
    if any(known.axes[d] not in _SQUEEZED or walk.sizes[call.first][d] != 1 for d in gone):
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
    if is_part(known, at):
        count = int(walk.sizes[call.first][at])
        return chosen(walk, call.node, known, at, call["index"] % count, call.node.name)
    return _first(call.node, walk, known, at, call["index"], rest)


def cut(walk: Walk, call: Call) -> Known:
    """slice: all of a dimension, its first token, or some of its features."""
    known = walk.known[call.first]
    if call["step"] == 1 and walk.sizes[call.first] == walk.sizes[call.node]:
        return known
    act = _act(walk, call)
    at = axis_of(call.node, call["dim"], act.axes)
    if is_part(act, at) and call["step"] == 1:
        whole = int(walk.sizes[call.first][at])
        start, end, _ = slice(call["start"], call["end"]).indices(whole)
        return part(walk, call.node, act, at, start, end, call.node.name)
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
        case Scores() | TokenSum() | Norm() | Formula() | Parts():
            return unsupported(call.node, f"applied to a {type(known).__name__}")


# Axes that may go: one that was put there, and that of a single feature.
_SQUEEZED = ("1", "F")

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
