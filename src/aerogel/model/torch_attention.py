"""aten calls of attention: the fused call, and the spelt-out products and softmax."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch.fx import Node

from aerogel.model.graph import Attention, Linear
from aerogel.model.torch_source import module_path, op_name, origin, unsupported
from aerogel.model.torch_values import Act, Axis, Known, Part, Scores
from aerogel.model.torch_walk import Call, Handler, Walk, act, call, features_of, is_plain, value_of

_HEADED: tuple[Axis, ...] = ("B", "H", "S", "D")


def fused(walk: Walk, call: Call) -> Known:
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


def refuse_other_masks(walk: Walk, nodes: Iterable[Node]) -> None:
    """Names what fused attention does beyond a padding mask, before any lesser reason to give up."""
    for node in nodes:
        if op_name(node) != "aten.scaled_dot_product_attention":
            continue
        arguments = call(node)
        if arguments["is_causal"]:
            unsupported(node, "causal attention (is_causal=True)")
        heads = walk.sizes[arguments["query"]][1]
        mask = arguments["attn_mask"]
        if isinstance(mask, Node) and mask not in walk.active and isinstance(heads, int):
            _table(walk, node, (Part(mask, "add"),), heads)


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
    name = walk.weights.name_of(tensor) or ".".join(p for p in (module_path(node), "weight") if p)
    weight, note = walk.weights.add(tensor.t(), f"{name}.transposed")
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
    bias = _table(walk, node, scores.parts, scores.heads)
    op = Attention(out, q.name, k.name, v.value.name, scores.heads, scores.scale, bias, origin(node))
    return Act(walk.emit(op), _HEADED, scores.heads)


def _table(walk: Walk, node: Node, parts: tuple[Part, ...], heads: int) -> str | None:
    """Proves the masks; the weight holding the additive bias, shared by all layers with the same masks."""
    for part in parts:
        if part.node in walk.active:
            unsupported(node, "an attention mask computed from activations")
    if parts not in walk.tables:
        table = walk.meaning.attention(node, parts, heads)
        walk.tables[parts] = None
        if table is not None:
            path = module_path(parts[0].node) or module_path(node)
            name = ".".join(p for p in (path, "attention_bias") if p)
            walk.tables[parts] = walk.weights.add(torch.from_numpy(table.copy()), name)[0]
    return walk.tables[parts]


HANDLERS: dict[str, Handler] = {
    "scaled_dot_product_attention": fused,
    "matmul": matmul,
    "softmax": softmax,
    "_softmax": softmax,
}
