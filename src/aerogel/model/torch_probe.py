"""Running the parts of a traced graph that hold no activations: masks, positions, counts, constants.

What such a part computes is found by trying it on chosen masks and ids, not by how it is spelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.fx import Node
from torch.fx.node import map_arg

from aerogel.model.torch_program import Program, Size
from aerogel.model.torch_source import op_name, unsupported

# Results that depend on the shape or dtype, never on the content, of these arguments.
_SHAPE_ONLY = {
    **dict.fromkeys(("sym_size", "zeros_like", "ones_like", "full_like", "empty_like"), (0,)),
    **dict.fromkeys(("new_zeros", "new_ones", "new_full", "new_empty", "_assert_tensor_metadata"), (0,)),
    **dict.fromkeys(("expand_as", "type_as", "view_as", "reshape_as"), (1,)),
}


def content_arguments(node: Node) -> list[Node]:
    """The arguments whose content (not only shape) the node's result depends on."""
    ignored = _SHAPE_ONLY.get(op_name(node).removeprefix("aten."), ())
    found: list[Node] = []
    for index, argument in enumerate(node.args):
        if index not in ignored:
            map_arg(argument, found.append)
    map_arg(node.kwargs, found.append)
    return found


@dataclass(frozen=True, eq=False)
class Case:
    """One trial: the (batch, length) content of every token input, and which tokens are real."""

    mask: torch.Tensor
    inputs: Mapping[Node, torch.Tensor]
    known: dict[Node, Any] = field(default_factory=dict[Node, Any])

    @property
    def batch(self) -> int:
        return int(self.mask.shape[0])

    @property
    def length(self) -> int:
        return int(self.mask.shape[1])


class Probe:
    """Evaluates nodes that depend on no activation. ``symbols``: batch and length as torch calls them."""

    def __init__(self, program: Program, active: frozenset[Node], symbols: tuple[Size, Size] | None) -> None:
        self.program = program
        self._active = active
        self._symbols = symbols
        self._order = {node: index for index, node in enumerate(program.nodes)}
        self._roots: dict[Node, frozenset[Node]] = {}
        self._nowhere = Case(torch.zeros(0, 0, dtype=torch.bool), {})

    def roots(self, node: Node) -> frozenset[Node]:
        """The token inputs the node's value depends on (their shapes aside)."""
        if node not in self._roots:
            for member in self._ancestors(node, content_only=True):
                if member in self._roots:
                    continue
                if member.op == "placeholder" and member not in self.program.constants:
                    self._roots[member] = frozenset((member,))
                else:
                    above = (self._roots[a] for a in content_arguments(member) if a in self._roots)
                    self._roots[member] = frozenset[Node]().union(*above)
        return self._roots[node]

    def constant(self, node: Node) -> torch.Tensor | None:
        """The node's value where it depends on no input and no dynamic size; None otherwise."""
        if node in self._active or not isinstance(node.meta.get("val"), torch.Tensor):
            return None
        if any(m.op == "placeholder" and m not in self.program.constants for m in self._ancestors(node)):
            return None
        return self.run(node, self._nowhere)

    def run(self, node: Node, case: Case) -> Any:
        """The node's value in ``case``. UnsupportedError where torch cannot compute it there."""
        for member in self._ancestors(node):
            if member not in case.known:
                case.known[member] = self._step(member, case)
        return case.known[node]

    def _ancestors(self, node: Node, *, content_only: bool = False) -> list[Node]:
        found = {node}
        pending = [node]
        while pending:
            member = pending.pop()
            for argument in content_arguments(member) if content_only else member.all_input_nodes:
                if argument not in found and argument not in self._active:
                    found.add(argument)
                    pending.append(argument)
        return sorted(found, key=self._order.__getitem__)

    def _step(self, node: Node, case: Case) -> Any:
        if node in self.program.constants:
            return self.program.constants[node].detach()
        if node in case.inputs:
            return case.inputs[node]
        if node.op != "call_function" or not callable(node.target):
            unsupported(node, "it cannot be evaluated by itself")

        def value(argument: Node) -> Any:
            return self._stand_in(argument, case) if argument in self._active else case.known[argument]

        args, kwargs = map_arg((node.args, dict(node.kwargs)), value)
        try:
            return node.target(*args, **kwargs)
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            shape = f"batch {case.batch} and length {case.length}"
            unsupported(node, f"it fails at {shape}: {str(error).splitlines()[0]}")

    def _stand_in(self, node: Node, case: Case) -> torch.Tensor:
        """Zeros of the shape and dtype an activation would have."""
        shape = [s if isinstance(s, int) else self._size(s, case) for s in self.program.sizes[node]]
        return torch.zeros(shape, dtype=node.meta["val"].dtype)

    def _size(self, size: Any, case: Case) -> int:
        batch, length = self._symbols or (None, None)
        return int(size.subs({batch: case.batch, length: case.length}))
