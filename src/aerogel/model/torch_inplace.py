"""One pass over a traced graph: in-place operations become their functional twins."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from aerogel.model.torch_source import op_name, unsupported

# Operations whose result shares memory with their first argument.
_VIEWS = frozenset(
    f"aten.{name}"
    for name in (
        *("view", "reshape", "_unsafe_view", "view_as", "reshape_as", "flatten", "unflatten"),
        *("transpose", "permute", "t", "unsqueeze", "squeeze", "expand", "expand_as"),
        *("select", "slice", "narrow", "split", "chunk", "unbind"),
        *("alias", "detach", "contiguous", "to", "type_as"),
    )
)


def functional(module: GraphModule) -> tuple[Node, ...]:
    """The graph's nodes, with no in-place operation left. UnsupportedError where another view of the
    changed tensor is read afterwards: its new content would be lost."""
    graph = module.graph
    nodes = list(graph.nodes)
    order = {node: index for index, node in enumerate(nodes)}
    for node in nodes:
        name = op_name(node).removeprefix("aten.")
        if node.op != "call_function" or not name.endswith("_") or name.endswith("__"):
            continue
        changed = node.args[0]
        twin = getattr(torch.ops.aten, name.removesuffix("_"), None)
        overload = getattr(node.target, "_overloadname", "")
        if not isinstance(changed, Node) or twin is None or not hasattr(twin, overload or "default"):
            unsupported(node, "an in-place operation that cannot be made functional")
        _refuse_shared(node, changed, order)
        later = [user for user in changed.users if order[user] > order[node]]
        node.target = getattr(twin, overload or "default")
        for user in later:
            user.replace_input_with(changed, node)
    return tuple(graph.nodes)


def _refuse_shared(node: Node, changed: Node, order: dict[Node, int]) -> None:
    if changed.op == "placeholder":
        unsupported(node, "changes an input or a parameter in place")
    family = {changed}
    pending = [changed]
    while pending:
        member = pending.pop()
        relatives = [user for user in member.users if op_name(user) in _VIEWS and user.args[0] is member]
        if op_name(member) in _VIEWS and isinstance(member.args[0], Node):
            relatives.append(member.args[0])
        for relative in relatives:
            if relative not in family and relative is not node:
                family.add(relative)
                pending.append(relative)
    for member in family - {changed}:
        if member.op == "placeholder":
            unsupported(node, "changes an input or a parameter in place")
        if any(order[user] > order[node] for user in member.users):
            unsupported(node, "changes in place a tensor that is read through another view afterwards")
