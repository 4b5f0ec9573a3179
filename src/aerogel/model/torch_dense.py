"""aten calls that compute on columns: linear, layer norm, activations, sums and products, embeddings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch.fx import Node

from aerogel.model.graph import (
    Activation,
    ActivationFn,
    Add,
    Embedding,
    LayerNorm,
    Linear,
    Mul,
    Normalize,
    Pool,
    Value,
)
from aerogel.model.torch_source import origin, unsupported
from aerogel.model.torch_values import Act, Axis, Formula, Known, Norm, Part, Scores, TokenSum
from aerogel.model.torch_walk import Call, Handler, Walk, act, features_of, is_plain, value_of


def embedding(walk: Walk, call: Call) -> Known:
    table, note = walk.weight(call.node, call["weight"], "weight")
    shape = walk.sizes[call.node]
    axes: tuple[Axis, ...] = ("S", "F") if len(shape) == 2 else ("1" if shape[0] == 1 else "B", "S", "F")
    out = Value(call.node.name, features_of(walk, call.node), "tokens")
    return Act(walk.emit(Embedding(out, table, walk.lookups[call.node], origin(call.node, note))), axes)


def linear(walk: Walk, call: Call) -> Known:
    x = act(walk, call.node, call["input"])
    if not is_plain(x):
        unsupported(call.node, "its input's last dimension is not all features")
    weight, note = walk.weight(call.node, call["weight"], "weight")
    bias = None if call["bias"] is None else walk.weight(call.node, call["bias"], "bias")[0]
    out = value_of(call.node, features_of(walk, call.node), x.value)
    return Act(walk.emit(Linear(out, x.value.name, weight, bias, origin(call.node, note))), x.axes)


def layer_norm(walk: Walk, call: Call) -> Known:
    x = act(walk, call.node, call["input"])
    if not is_plain(x) or list(call["normalized_shape"]) != [x.value.features]:
        unsupported(call.node, f"normalises over {call['normalized_shape']}, not over all features alone")
    named = {}
    for role, fill in (("weight", 1.0), ("bias", 0.0)):
        if call[role] is None:
            named[role] = walk.constant(call.node, role, torch.full((x.value.features,), fill))
        else:
            named[role] = walk.weight(call.node, call[role], role)[0]
    out, eps = value_of(call.node, x.value.features, x.value), float(call["eps"])
    op = LayerNorm(out, x.value.name, named["weight"], named["bias"], eps, origin(call.node))
    return Act(walk.emit(op), x.axes)


def activation(fn: ActivationFn) -> Handler:
    def handler(walk: Walk, call: Call) -> Known:
        x = act(walk, call.node, call.first)
        kind: ActivationFn = "gelu_tanh" if call["approximate"] == "tanh" else fn
        out = walk.emit(
            Activation(value_of(call.node, x.value.features, x.value), x.value.name, kind, origin(call.node))
        )
        return replace(x, value=out, padding="any")

    return handler


def add(walk: Walk, call: Call) -> Known:
    left, right = call["self"], call["other"]
    if call["alpha"] not in (None, 1):
        unsupported(call.node, f"adds {call['alpha']} times its second argument")
    known = [walk.known.get(a) if isinstance(a, Node) else None for a in (left, right)]
    match known:
        case [Act() | Formula(), Act() | Formula()]:
            return _both(walk, call, Add)
        case [Scores() as scores, None]:
            return _with_part(call.node, scores, right)
        case [None, Scores() as scores]:
            return _with_part(call.node, scores, left)
        case [Act() as x, None] if _is_all(walk, right, 0.0):
            return x
        case [None, Act() as x] if _is_all(walk, left, 0.0):
            return x
        case [Act() as x, None] if isinstance(right, Node) and left.users.keys() == {call.node}:
            return _biased(walk, call.node, x, right)
        case _:
            return unsupported(
                call.node, f"adds {left} and {right}: only two activations of the same tokens can be added"
            )


def _biased(walk: Walk, node: Node, x: Act, bias: Node) -> Act:
    """A vector added to a product without bias that nothing else reads: the product's bias."""
    last = walk.ops[-1]
    tensor = walk.meaning.probe.constant(bias)
    whole = (
        tensor is not None and tuple(tensor.shape) == (x.value.features,) and is_plain(x) and x.scale == 1.0
    )
    if not whole or not isinstance(last, Linear) or last.out != x.value or last.bias is not None:
        unsupported(
            node, f"adds {bias.name}, which is neither an activation nor the bias of the product before it"
        )
    walk.ops[-1] = replace(last, bias=walk.weight(node, bias, "bias")[0])
    return x


def mul(walk: Walk, call: Call) -> Known:
    left, right = call["self"], call["other"]
    first, second = (walk.known.get(a) if isinstance(a, Node) else None for a in (left, right))
    if isinstance(first, (Act, Formula)) and isinstance(second, (Act, Formula)):
        return _both(walk, call, Mul)
    return _times(walk, call.node, *((first, right) if first is not None else (second, left)))


def div(walk: Walk, call: Call) -> Known:
    known = walk.known.get(call["self"])
    by = walk.known.get(call["other"]) if isinstance(call["other"], Node) else None
    if call["rounding_mode"] is not None:
        unsupported(call.node, "rounds activations to integers")
    match known, by:
        case Act() as x, Norm() as norm if x.value == norm.value and x.scale == 1.0:
            op = Normalize(
                value_of(call.node, x.value.features, x.value), x.value.name, norm.eps, origin(call.node)
            )
            return Act(walk.emit(op), x.axes)
        case TokenSum() as total, None if _counts(walk, call["other"]) == "count":
            return _mean(walk, call.node, total)
        case ((Act() | Scores()), None) if (
            number := _number(walk, call["other"])
        ) is not None and number != 0:
            return _scaled(call.node, known, 1.0 / number)
        case _:
            return unsupported(
                call.node,
                f"divides {call['self']} by {call['other']}, which is no known scale, norm or count",
            )


def _times(walk: Walk, node: Node, known: Known | None, factor: Any) -> Known:
    number = _number(walk, factor)
    match known:
        case Act() | Scores() if number is not None:
            return _scaled(node, known, number)
        case Act() if "S" in known.axes and isinstance(factor, Node) and factor not in walk.active:
            match walk.meaning.weights(factor):
                case "one":
                    return known
                case "mask":
                    return replace(known, padding="zero")
                case "share":
                    return replace(known, padding="share")
                case None:
                    pass
        case TokenSum() if _counts(walk, factor) == "inverse":
            return _mean(walk, node, known)
        case _:
            pass
    return unsupported(node, f"multiplies by {factor}, which is no activation, scale or padding mask")


def _counts(walk: Walk, operand: Any) -> str | None:
    waiting = isinstance(operand, Node) and operand not in walk.active
    return walk.meaning.counts(operand) if waiting else None


def _mean(walk: Walk, node: Node, total: TokenSum) -> Act:
    out = Value(node.name, total.value.features, "rows")
    return Act(walk.emit(Pool(out, total.value.name, "mean", origin(node))), total.axes)


def _both(walk: Walk, call: Call, kind: type[Add | Mul]) -> Act:
    left, right = act(walk, call.node, call["self"]), act(walk, call.node, call["other"])
    a, b = (left, right) if len(left.axes) >= len(right.axes) else (right, left)
    short = ("1",) * (len(a.axes) - len(b.axes)) + b.axes
    tokens = a.value.columns == "tokens"
    fits = a.value.columns == b.value.columns and a.value.features == b.value.features and a.heads == b.heads
    # A size-one axis may stand for B (the same tokens in every sequence) but not for S: no token is special.
    if not fits or any(
        p != q and not (tokens and {p, q} == {"1", "B"}) for p, q in zip(a.axes, short, strict=True)
    ):
        unsupported(call.node, f"combines {a.axes} of {a.value} with {b.axes} of {b.value}")
    axes = tuple(p if q == "1" else q for p, q in zip(a.axes, short, strict=True))
    out = value_of(call.node, a.value.features, a.value)
    return Act(walk.emit(kind(out, left.value.name, right.value.name, origin(call.node))), axes, left.heads)


def _with_part(node: Node, scores: Scores, other: Any) -> Scores:
    if scores.normal or not isinstance(other, Node):
        unsupported(node, "adds to attention weights after their softmax, or adds a plain number")
    return replace(scores, parts=(*scores.parts, Part(other, "add")))


def _scaled(node: Node, known: Known | None, factor: float) -> Known:
    match known:
        case Act() if known.padding != "share":
            return replace(known, scale=known.scale * factor)
        case Scores() if not known.normal and not known.parts:
            return replace(known, scale=known.scale * factor)
        case _:
            return unsupported(node, f"multiplies by {factor} where no scale can be kept")


def _number(walk: Walk, operand: Any) -> float | None:
    """A Python number, or a constant tensor whose elements are all the same number."""
    if isinstance(operand, (int, float)) and not isinstance(operand, bool):
        return float(operand)
    tensor = walk.meaning.probe.constant(operand) if isinstance(operand, Node) else None
    if tensor is None or tensor.numel() == 0:
        return None
    first = tensor.reshape(-1)[0]
    return float(first) if bool((tensor == first).all()) else None


def _is_all(walk: Walk, operand: Any, wanted: float) -> bool:
    return _number(walk, operand) == wanted


HANDLERS: dict[str, Handler] = {
    "embedding": embedding,
    "linear": linear,
    "layer_norm": layer_norm,
    "gelu": activation("gelu"),
    "relu": activation("relu"),
    "silu": activation("silu"),
    "tanh": activation("tanh"),
    "sigmoid": activation("sigmoid"),
    "add": add,
    "mul": mul,
    "div": div,
}
