"""aten calls of attention: the fused call, and the spelt-out products and softmax."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch.fx import Node

from aerogel.model.graph import Attention, Linear
from aerogel.model.torch_source import module_path, origin, unsupported
from aerogel.model.torch_values import Act, Axis, Known, Part, Scores
from aerogel.model.torch_walk import Call, Handler, Walk, act, features_of, is_plain, value_of

_HEADED: tuple[Axis, ...] = ("B", "H", "S", "D")


def fused(walk: Walk, call: Call) -> Known:
    if call["is_causal"]:
        unsupported(call.node, "causal attention (is_causal=True)")
    if call["dropout_p"]:
        unsupported(
            call.node, f"attention dropout p={call['dropout_p']} in training mode: call module.eval() first"
        )
    if call["enable_gqa"]:
        unsupported(call.node, "grouped-query attention")
    q, k, v = (_headed(walk, call.node, call[name], _HEADED) for name in ("query", "key", "value"))
    scale = call["scale"] if call["scale"] is not None else 1.0 / math.sqrt(q.value.features // q.heads)
    parts = () if call["attn_mask"] is None else (Part(call["attn_mask"], "add"),)
    scores = Scores(q.value, k.value, q.heads, float(scale) * q.scale * k.scale, parts, normal=True)
    return _attend(walk, call.node, scores, v)


def matmul(walk: Walk, call: Call) -> Known:
    names = list(call.arguments)
    left, right = (call[name] for name in names[:2])
    first, second = walk.known.get(left), walk.known.get(right)
    match first, second:
        case Act(), Act():
            q = _headed(walk, call.node, left, _HEADED)
            k = _headed(walk, call.node, right, ("B", "H", "D", "S"))
            if q.heads != k.heads:
                unsupported(call.node, f"queries have {q.heads} heads, keys {k.heads}")
            return Scores(q.value, k.value, q.heads, q.scale * k.scale)
        case Scores(), Act():
            return _attend(walk, call.node, first, _headed(walk, call.node, right, _HEADED))
        case Act(), None:
            return _projected(walk, call.node, left, right)
        case _:
            return unsupported(call.node, f"a product of {left} and {right}")


def _projected(walk: Walk, node: Node, left: Node, right: Node) -> Act:
    x = act(walk, node, left)
    tensor = walk.meaning.probe.constant(right)
    if tensor is None or tensor.ndim != 2 or not is_plain(x):
        unsupported(node, "a product of activations with something that is no constant matrix")
    name = ".".join(p for p in (module_path(node), f"{right.name}.transposed") if p)
    weight, note = walk.weights.add(tensor.t(), name)
    out = value_of(node, features_of(walk, node), x.value)
    return Act(walk.emit(Linear(out, x.value.name, weight, None, origin(node, note))), x.axes)


def softmax(walk: Walk, call: Call) -> Known:
    scores = walk.known[call.first]
    if not isinstance(scores, Scores) or scores.normal or call["dim"] not in (-1, 3):
        unsupported(call.node, "softmax of anything but attention scores over the keys")
    return replace(scores, normal=True)


def _headed(walk: Walk, node: Node, argument: Node, axes: tuple[Axis, ...]) -> Act:
    known = walk.known.get(argument)
    if not isinstance(known, Act) or known.axes != axes or known.padding == "share":
        found = known.axes if isinstance(known, Act) else type(known).__name__
        unsupported(
            node, f"attention over {argument.name}, which is {found} and not heads laid out as {axes}"
        )
    return known


def _attend(walk: Walk, node: Node, scores: Scores, v: Act) -> Act:
    if not scores.normal or v.scale != 1.0:
        unsupported(node, "attention scores times values without a softmax, or scaled values")
    q, k = scores.q, scores.k
    if not q.features == k.features == v.value.features or v.heads != scores.heads:
        unsupported(
            node, f"queries, keys and values of {q.features}, {k.features} and {v.value.features} features"
        )
    out = value_of(node, v.value.features, v.value)
    bias = _bias(walk, node, scores)
    op = Attention(out, q.name, k.name, v.value.name, scores.heads, scores.scale, bias, origin(node))
    return Act(walk.emit(op), _HEADED, scores.heads)


def _bias(walk: Walk, node: Node, scores: Scores) -> str | None:
    """Proves the masks; the weight holding the additive bias, shared by all layers with the same masks."""
    for part in scores.parts:
        if part.node in walk.active:
            unsupported(node, "an attention mask computed from activations")
    if scores.parts not in walk.tables:
        table = walk.meaning.attention(node, scores.parts, scores.heads)
        name = None
        if table is not None:
            added = next(p.node for p in reversed(scores.parts) if len(walk.sizes[p.node]) >= 3)
            name = ".".join(p for p in (module_path(added), "attention_bias") if p)
            name = walk.weights.add(torch.from_numpy(table.copy()), name)[0]
        walk.tables[scores.parts] = name
    return walk.tables[scores.parts]


HANDLERS: dict[str, Handler] = {
    "scaled_dot_product_attention": fused,
    "matmul": matmul,
    "softmax": softmax,
    "_softmax": softmax,
}
