"""The importer's steps: trace, tell inputs apart, walk, keep what the outputs need, check."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.fx import Node

from aerogel.core.errors import UnsupportedError, require
from aerogel.model import torch_attention, torch_dense, torch_layout, torch_parts, torch_pooling
from aerogel.model.check import check
from aerogel.model.graph import (
    Attention,
    FromPosition,
    FromUnpadded,
    Graph,
    Input,
    Lookup,
    Op,
    Output,
    Value,
    operands,
    weight_names,
)
from aerogel.model.torch_formula import formula
from aerogel.model.torch_meaning import UNBOUNDED_LENGTH, Meaning, cases
from aerogel.model.torch_probe import Probe
from aerogel.model.torch_program import Program, Size, arguments, trace, trace_fixed
from aerogel.model.torch_source import op_name, unsupported
from aerogel.model.torch_values import Act, Axis, Formula, Known
from aerogel.model.torch_walk import (
    Handler,
    Walk,
    act,
    active_nodes,
    call,
    is_token_lookup,
    require_shape,
    same_ids,
)
from aerogel.model.torch_weights import Weights

HANDLERS: dict[str, Handler] = {
    **torch_layout.HANDLERS,
    **torch_dense.HANDLERS,
    **torch_pooling.HANDLERS,
    **torch_parts.HANDLERS,
    **torch_attention.HANDLERS,
}
# Ids of an input nothing looks up may be anything.
_ANY_ID = 2**31 - 1


def imported(module: torch.nn.Module, example_inputs: Any, dynamic_shapes: Any) -> Graph:
    elsewhere = sorted({str(p.device) for p in module.parameters()} - {"cpu"})
    require(
        not elsewhere, UnsupportedError, f"the module has parameters on {elsewhere}: move it to the CPU first"
    )
    named = arguments(module, example_inputs)
    try:
        program = trace(module, named, dynamic_shapes)
    except UnsupportedError:
        if dynamic_shapes is None:
            # The operation that fixes a size is most often one the walk can name.
            _refuse_unknown(trace_fixed(module, named))
        raise
    return _graph(module, program)


def _graph(module: torch.nn.Module, program: Program) -> Graph:
    tokens = _token_inputs(program)
    symbols = _symbols(program, tokens[0]) if tokens else None
    features = [node for _, node, _ in program.inputs if node not in tokens]
    active = active_nodes(program, features, symbols)
    probe = Probe(program, active, symbols)
    names = {node: name for name, node, _ in program.inputs}
    meaning, lookups = _meaning(
        program, probe, tokens, [n for n in active if is_token_lookup(n, program.sizes, symbols)], names
    )
    walk = Walk(Weights(module), meaning, active, lookups, program.sizes, symbols)
    for node in features:
        width, axes = _feature_input(program, node, names[node])
        walk.known[node] = Act(Value(names[node], width, "rows"), axes)
    _run(walk, program)
    outputs = tuple(_output(walk, name, node) for name, node in program.outputs)
    ops = _alive(walk.ops, outputs)
    inputs = tuple(_input(walk, name, node, default=default) for name, node, default in program.inputs)
    used = {n for op in ops for n in weight_names(op)}
    weights = {name: array for name, array in walk.weights.arrays.items() if name in used}
    bounded = any(isinstance(v, (FromPosition, FromUnpadded)) for v in lookups.values())
    bounded = bounded or any(isinstance(op, Attention) and op.bias for op in ops)
    length = meaning.longest if bounded else None
    graph = Graph(inputs, ops, outputs, weights, length, type(module).__qualname__)
    check(graph)
    return graph


def _refuse_unknown(program: Program) -> None:
    """Names the first operation with a tensor that no handler exists for."""
    tokens = _token_inputs(program)
    symbols = (program.sizes[tokens[0]][0], program.sizes[tokens[0]][1]) if tokens else None
    active = active_nodes(program, [n for _, n, _ in program.inputs if n not in tokens], symbols)
    for node in program.nodes:
        if node in active and node.op == "call_function":
            _handler(node)


def _handler(node: Node) -> Handler:
    handler = HANDLERS.get(op_name(node).removeprefix("aten."))
    if handler is None:
        unsupported(node, "an operation aerogel does not know")
    return handler


def _symbols(program: Program, first: Node) -> tuple[Size, Size]:
    batch, length = program.sizes[first]
    fixed = [size for size in (batch, length) if isinstance(size, int)]
    told = f"input {first.name!r} has sizes fixed at {fixed}: let batch and length be dynamic"
    require(not fixed, UnsupportedError, told)
    return batch, length


def _token_inputs(program: Program) -> tuple[Node, ...]:
    """Inputs of shape (batch, length); none where the model takes features."""
    whole = [n for _, n, _ in program.inputs if not n.meta["val"].is_floating_point()]
    if not whole:
        return ()
    for name, node, _ in program.inputs:
        shape = program.sizes[node]
        fits = len(shape) == 2 and shape == program.sizes[whole[0]]
        require(
            fits,
            UnsupportedError,
            f"input {name!r} is {shape}: every input beside ids must be (batch, length)",
        )
    return tuple(node for _, node, _ in program.inputs)


def _feature_input(program: Program, node: Node, name: str) -> tuple[int, tuple[Axis, ...]]:
    shape = program.sizes[node]
    fixed = bool(shape) and isinstance(shape[-1], int)
    require(
        fixed,
        UnsupportedError,
        f"input {name!r} is {shape}: its last dimension must be a fixed number of features",
    )
    return int(shape[-1]), (*(f"L{i}" for i in range(len(shape) - 1)), "F")


def _meaning(
    program: Program, probe: Probe, tokens: tuple[Node, ...], embeddings: list[Node], names: dict[Node, str]
) -> tuple[Meaning, dict[Node, Lookup]]:
    """Tells ids (something looks them up, or nothing reads them) from the mask; where each embedding looks;
    and how long a sequence may be."""
    ids = {node: _ANY_ID for node in tokens if not node.users}
    index = {node: same_ids(node.args[1], program.sizes) for node in embeddings}  # type: ignore[arg-type]
    rows = {node: int(program.sizes[node.args[0]][0]) for node in embeddings}  # type: ignore[arg-type]
    for node, source in index.items():
        if source in names:
            ids[source] = min(rows[node], ids.get(source, _ANY_ID))
    masks = [node for node in tokens if node not in ids]
    told = (
        f"inputs {[names[m] for m in masks]} are looked up in no table: at most one can be the padding mask"
    )
    require(len(masks) <= 1, UnsupportedError, told)
    mask = masks[0] if masks else None
    first = Meaning(probe, mask, ids, 1, cases(mask, ids, None))
    lookups = {node: first.lookup(index[node], names, rows[node]) for node in embeddings}
    reach = [rows[n] - v.offset for n, v in lookups.items() if isinstance(v, FromPosition)]
    reach += [rows[n] - v.padding - 1 for n, v in lookups.items() if isinstance(v, FromUnpadded)]
    longest = min(reach, default=UNBOUNDED_LENGTH)
    return Meaning(probe, mask, ids, longest, cases(mask, ids, longest)), lookups


def _run(walk: Walk, program: Program) -> None:
    alive = _ancestors(node for _, node in program.outputs)
    ordered = [n for n in program.nodes if n in walk.active and n in alive and n.op == "call_function"]
    torch_attention.refuse_other_masks(walk, ordered)
    for node in ordered:
        walk.known[node] = _known(walk, node)
        require_shape(walk, node, walk.known[node])


def _known(walk: Walk, node: Node) -> Known:
    step = formula(walk, call(node))
    if step is not None:
        return step
    handler = _handler(node)
    for argument in node.all_input_nodes:
        if isinstance(walk.known.get(argument), Formula):
            act(walk, node, argument)  # a formula ends where something else reads it
    return handler(walk, call(node))


def _ancestors(nodes: Iterable[Node]) -> set[Node]:
    pending = list(nodes)
    found = set(pending)
    while pending:
        above = set(pending.pop().all_input_nodes) - found
        found |= above
        pending.extend(above)
    return found


def _output(walk: Walk, name: str, node: Node) -> Output:
    if node not in walk.active:
        unsupported(node, f"output {name!r} is computed from no activation")
    found = act(walk, node, node)
    squeezed = "F" not in found.axes and found.value.features == 1
    axes = (*found.axes, "F") if squeezed else found.axes
    leading = tuple(f"L{i}" for i in range(len(axes) - 1))
    if axes not in (("B", "S", "F"), ("B", "F"), (*leading, "F")):
        unsupported(node, f"output {name!r} is laid out as {found.axes}: return (B, S, F) or (B, F)")
    return Output(name, found.value.name, squeezed)


def _alive(ops: list[Op], outputs: tuple[Output, ...]) -> tuple[Op, ...]:
    """The operations some output needs, in order."""
    needed = {output.value for output in outputs}
    kept: list[Op] = []
    for op in reversed(ops):
        if op.out.name in needed:
            needed.update(operands(op))
            kept.append(op)
    return tuple(reversed(kept))


def _input(walk: Walk, name: str, node: Node, *, default: bool) -> Input:
    if node is walk.meaning.mask:
        return Input(name, "mask", 2, default)
    if node in walk.meaning.ids:
        # Left out, ids are 0 everywhere: what encoders do with token types, and nothing else.
        return Input(name, "ids", walk.meaning.ids[node], default and name == "token_type_ids")
    return Input(name, "features", int(walk.sizes[node][-1]))
