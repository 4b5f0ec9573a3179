"""aten calls that turn tokens into rows or measure columns: sums, means, maxima, fills and norms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch.fx import Node

from aerogel.model.graph import Pool, PoolKind, Value
from aerogel.model.torch_source import origin, unsupported
from aerogel.model.torch_values import Act, Axis, Known, Norm, Part, Parts, Scores, TokenSum
from aerogel.model.torch_walk import Call, Handler, Walk, act, axis_of

# A fill this low is below every real activation, so a maximum never sees it.
_LOW = -9999.0


def total(walk: Walk, call: Call) -> Known:
    known = walk.known[call["self"]]
    if isinstance(known, Act) and known.padding == "share" and known.scale == 1.0:
        return _pool(walk, call, known, "mean")
    x = act(walk, call.node, call["self"])
    axes = _left(call, x)
    if walk.meaning.mask is not None and x.padding != "zero":
        unsupported(call.node, "sums over padding too: multiply by the padding mask first")
    return TokenSum(x.value, axes)


def mean(walk: Walk, call: Call) -> Known:
    x = act(walk, call.node, call["self"])
    _left(call, x)
    if walk.meaning.mask is not None:
        unsupported(call.node, "averages over padding too: divide a masked sum by the mask's sum")
    return _pool(walk, call, x, "mean")


def maximum(walk: Walk, call: Call) -> Known:
    x = act(walk, call.node, call["self"])
    _left(call, x)
    if walk.meaning.mask is not None and x.padding != "low":
        unsupported(call.node, "takes the maximum over padding too: fill padding with -1e9 first")
    return _pool(walk, call, x, "max")


def item(walk: Walk, call: Call) -> Known:
    """One of the parts of a split; or the values of a maximum, its indices being no activation."""
    source, index = call.node.args
    if isinstance(source, Node) and isinstance(known := walk.known.get(source), Parts):
        return known.parts[int(str(index))]
    if index != 0 or not isinstance(source, Node):
        unsupported(call.node, "uses the indices of a maximum")
    return walk.known[source]


def _left(call: Call, x: Act) -> tuple[Axis, ...]:
    dims = call["dim"] if isinstance(call["dim"], (list, tuple)) else [call["dim"]]
    if len(dims) != 1 or dims[0] is None or x.axes != ("B", "S", "F"):
        unsupported(
            call.node, f"reduces dimensions {dims} of {x.axes}: only the tokens of a sequence can be reduced"
        )
    at = axis_of(call.node, dims[0], x.axes)
    if x.axes[at] != "S":
        unsupported(
            call.node, f"reduces dimension {at} of {x.axes}: only the tokens of a sequence can be reduced"
        )
    return ("B", "1", "F") if call["keepdim"] else ("B", "F")


def _pool(walk: Walk, call: Call, x: Act, kind: PoolKind) -> Act:
    out = Value(call.node.name, x.value.features, "rows")
    return Act(walk.emit(Pool(out, x.value.name, kind, origin(call.node))), _left(call, x))


def masked_fill(walk: Walk, call: Call) -> Known:
    return _filled(walk, call.node, call["self"], call["mask"], "drop", call["value"])


def where(walk: Walk, call: Call) -> Known:
    if call["self"] in walk.known if isinstance(call["self"], Node) else False:
        return _filled(walk, call.node, call["self"], call["condition"], "keep", call["other"])
    return _filled(walk, call.node, call["other"], call["condition"], "drop", call["self"])


def index_put(walk: Walk, call: Call) -> Known:
    if len(call["indices"]) != 1 or call["accumulate"]:
        unsupported(call.node, "writes at computed positions")
    return _filled(walk, call.node, call["self"], call["indices"][0], "drop", call["values"])


def _filled(walk: Walk, node: Node, source: Any, condition: Any, kind: Any, value: Any) -> Known:
    """``source`` with ``value`` where ``condition`` is true (drop) or false (keep)."""
    known = walk.known.get(source)
    number = value
    if isinstance(value, Node):
        tensor = walk.meaning.probe.constant(value)
        number = float(tensor) if tensor is not None and tensor.numel() == 1 else None
    if not isinstance(number, (int, float)) or condition in walk.active:
        unsupported(node, "fills with a computed value, or where activations say so")
    if isinstance(known, Scores) and number <= _LOW and not known.normal:
        return replace(known, parts=(*known.parts, Part(condition, kind)))
    if isinstance(known, Act) and "S" in known.axes:
        where = walk.meaning.selects(condition)
        if where == "none" and kind == "drop":
            return known
        if where == ("padding" if kind == "drop" else "tokens") and (number == 0 or number <= _LOW):
            return replace(known, padding="zero" if number == 0 else "low")
    return unsupported(node, f"fills with {number} in places that are not the padding")


def norm(walk: Walk, call: Call) -> Known:
    x = act(walk, call.node, call["self"])
    order = call["ord"] if "ord" in call.arguments else call["p"]
    dims = call["dim"] if isinstance(call["dim"], (list, tuple)) else [call["dim"]]
    last = len(dims) == 1 and dims[0] is not None and dims[0] % len(x.axes) == len(x.axes) - 1
    if order != 2 or not last or x.axes[-1] != "F" or not call["keepdim"]:
        unsupported(
            call.node, f"norm of order {order} over {dims}: only the 2-norm of each column, dimension kept"
        )
    return Norm(x.value, x.axes)


def clamp(walk: Walk, call: Call) -> Known:
    known = walk.known[call["self"]]
    if not isinstance(known, Norm) or call["max"] is not None or not isinstance(call["min"], (int, float)):
        unsupported(call.node, "clamps activations")
    return replace(known, eps=max(known.eps, float(call["min"])))


HANDLERS: dict[str, Handler] = {
    "sum": total,
    "mean": mean,
    **dict.fromkeys(("max", "amax"), maximum),
    "getitem": item,
    "masked_fill": masked_fill,
    "where": where,
    "index_put": index_put,
    **dict.fromkeys(("linalg_vector_norm", "norm"), norm),
    **dict.fromkeys(("clamp", "clamp_min"), clamp),
}
