"""aten calls that take part of a product's features: the product itself is cut, so that no copy is needed.

Queries, keys and values out of one matrix, gates beside what they gate, the first and last word of an answer.
"""

from __future__ import annotations

from dataclasses import replace

from torch.fx import Node

from aerogel.model.graph import Linear, Value
from aerogel.model.torch_source import unsupported
from aerogel.model.torch_values import Act, Known, Parts
from aerogel.model.torch_walk import Call, Handler, Walk, axis_of


def split(walk: Walk, call: Call) -> Known:
    """``split`` into sizes, or into equal ones of a given size; ``chunk`` into a given number."""
    x, at = _along(walk, call)
    whole = walk.sizes[call.first][at]
    found: list[Act] = []
    start = 0
    for index, size in enumerate(_sizes(call, int(whole))):
        found.append(part(walk, call.node, x, at, start, start + size, f"{call.node.name}_part{index}"))
        start += size
    return Parts(tuple(found))


def unbind(walk: Walk, call: Call) -> Known:
    x, at = _along(walk, call)
    count = walk.sizes[call.first][at]
    return Parts(
        tuple(chosen(walk, call.node, x, at, i, f"{call.node.name}_part{i}") for i in range(int(count)))
    )


def chosen(walk: Walk, node: Node, x: Act, at: int, index: int, name: str) -> Act:
    """The features of one index along the outermost axis that features were split into."""
    cut = part(walk, node, x, at, index, index + 1, name)
    axes = (*cut.axes[:at], *cut.axes[at + 1 :])
    if x.axes[at] == "H":  # parts that were taken for heads: what is left is not split
        axes = tuple("F" if axis == "D" else axis for axis in axes)
    return replace(cut, axes=axes, heads=1 if x.axes[at] == "H" else x.heads)


def is_part(x: Act, at: int) -> bool:
    """Whether an axis is all features, or the outermost of those they are split into."""
    return x.axes[at] in ("F", "P") or (x.axes[at] == "H" and "P" not in x.axes)


def part(walk: Walk, node: Node, x: Act, at: int, start: int, end: int, name: str) -> Act:
    """Indices ``start`` to ``end`` of such an axis: a product of its own, with those rows of the weight."""
    whole = next((op for op in walk.ops if op.out == x.value), None)
    if not isinstance(whole, Linear):
        unsupported(node, f"takes part of the features of {x.value.name}, which is no product with a matrix")
    each = x.value.features // int(walk.sizes[node.all_input_nodes[0]][at])
    rows = slice(start * each, end * each)
    bias = None if whole.bias is None else walk.weights.rows(whole.bias, rows)
    out = Value(name, (end - start) * each, x.value.columns)
    made = walk.emit(Linear(out, whole.x, walk.weights.rows(whole.weight, rows), bias, whole.origin))
    return replace(x, value=made)


def _along(walk: Walk, call: Call) -> tuple[Act, int]:
    x = walk.known[call.first]
    if not isinstance(x, Act):
        unsupported(call.node, f"applied to a {type(x).__name__}")
    at = axis_of(call.node, call["dim"], x.axes)
    if not is_part(x, at):
        unsupported(call.node, f"splits dimension {at} of {x.axes}: only features can be split")
    return x, at


def _sizes(call: Call, whole: int) -> list[int]:
    if isinstance(given := call["split_sizes"] or call["split_size"], (list, tuple)):
        return [int(size) for size in given]
    size = -(-whole // int(call["chunks"])) if call["chunks"] else int(given)
    return [min(size, whole - start) for start in range(0, whole, size)]


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), split),
    "unbind": unbind,
}
