"""Activation functions spelt out in arithmetic: gathered step by step, then recognised by their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Node

from aerogel.model.torch_source import op_name
from aerogel.model.torch_values import Act, Formula
from aerogel.model.torch_walk import Call, Walk

# Arithmetic on one element at a time. Those in _ONLY have no other meaning in a graph of columns.
_ONLY = frozenset(
    ("pow", "erf", "exp", "neg", "sub", "rsub", "square", "reciprocal", "abs", "softplus", "log_sigmoid")
)
_ALSO = frozenset(("add", "mul", "div", "tanh", "sigmoid", "relu", "clamp", "clamp_min", "to", "type_as"))

Step = Callable[[torch.Tensor], Any]


def formula(walk: Walk, call: Call) -> Formula | None:
    """The call as one more step of a formula of one activation; None where it is something else."""
    name = op_name(call.node).removeprefix("aten.")
    given = [walk.known.get(a) for a in call.node.all_input_nodes if a in walk.active]
    inside = [known for known in given if isinstance(known, (Act, Formula))]
    if name not in _ONLY | _ALSO or not inside or len(inside) < len(given):
        return None
    bases = {(k.x if isinstance(k, Formula) else k).value for k in inside}
    new = name in _ONLY or (name == "add" and len(inside) == 1 and _is_number(call))
    # Where an activation times a number would be refused, it can only be a step of a formula.
    bare = name in ("tanh", "sigmoid", "relu") or (name == "mul" and len(inside) == 2)
    scaled = bare and any(isinstance(k, Act) and k.scale != 1.0 for k in inside)
    if len(bases) != 1 or not (new or scaled or any(isinstance(k, Formula) for k in inside)):
        return None
    if any(a not in walk.active and _number(walk, a) is None for a in call.node.all_input_nodes):
        return None
    first = inside[0].x if isinstance(inside[0], Formula) else inside[0]
    return Formula(first, _step(walk, call.node))


def _is_number(call: Call) -> bool:
    numbers = [a for a in (call["self"], call["other"]) if isinstance(a, (int, float))]
    return len(numbers) == 1 and numbers[0] != 0


def _number(walk: Walk, node: Node) -> torch.Tensor | None:
    tensor = walk.meaning.probe.constant(node)
    return tensor if tensor is not None and tensor.numel() == 1 else None


def _step(walk: Walk, node: Node) -> Step:
    """The node's value as a function of the formula's argument."""
    steps: dict[Node, Step] = {a: _operand(walk, a) for a in node.all_input_nodes}
    target: Any = node.target

    def step(x: torch.Tensor) -> torch.Tensor:
        args: list[Any] = [steps[a](x) if isinstance(a, Node) else a for a in node.args]
        if op_name(node) in ("aten.to", "aten.type_as"):
            return args[0]
        return target(*args, **node.kwargs)

    return step


def _operand(walk: Walk, node: Node) -> Step:
    match walk.known.get(node):
        case Formula(fn=fn):
            return fn
        case Act(scale=scale):
            return lambda x: x * scale
        case _:
            tensor = _number(walk, node)
            return lambda _: tensor
