"""Tracing: a torch module becomes a functional aten graph with named inputs, outputs and dynamic sizes."""

from __future__ import annotations

import inspect
import io
import logging
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import Dim, ExportedProgram, export
from torch.fx import Node
from torch.utils import _pytree as pytree

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.model.torch_examples import encoder_inputs
from aerogel.model.torch_inplace import functional
from aerogel.model.torch_source import last_user_frame

# Sizes used while tracing: all different, so that torch cannot take one dimension for another, and at
# least 2, since torch fixes sizes 0 and 1.
_BATCH, _LENGTH, _LEADING = 3, 5, (3, 5, 7, 11, 13)


Size = int | Any  # a sympy expression where the size is dynamic


@dataclass(frozen=True)
class Program:
    """A traced module. ``sizes``: shape of every tensor; ``constants``: parameters, buffers and literals by
    placeholder; ``inputs``: (argument name, placeholder, has a default); ``outputs``: (name, node)."""

    nodes: tuple[Node, ...]
    sizes: Mapping[Node, tuple[Size, ...]]
    constants: Mapping[Node, torch.Tensor]
    inputs: tuple[tuple[str, Node, bool], ...]
    outputs: tuple[tuple[str, Node], ...]


def arguments(module: torch.nn.Module, example_inputs: Any) -> dict[str, Any]:
    """The example inputs by argument name, in the order of ``forward``; None values are left out. Where there
    are none at all, those of an encoder from transformers."""
    signature = inspect.signature(module.forward)
    if example_inputs is None:
        example_inputs = encoder_inputs(module)
    try:
        if isinstance(example_inputs, Mapping):
            bound = signature.bind(**example_inputs)
        else:
            many = isinstance(example_inputs, (tuple, list))
            bound = signature.bind(*(example_inputs if many else (example_inputs,)))
    except TypeError as error:
        raise InputError(
            f"example_inputs do not fit {type(module).__name__}.forward{signature}: {error}"
        ) from error
    if "use_cache" in signature.parameters:  # a cache of keys is for decoding, and is no tensor to return
        bound.arguments.setdefault("use_cache", False)
    named: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if name not in bound.arguments:
            continue
        unnamed = parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.POSITIONAL_ONLY,
            parameter.VAR_KEYWORD,
        )
        given = sorted(bound.arguments[name]) if parameter.kind is parameter.VAR_KEYWORD else name
        told = f"{type(module).__name__}.forward has no named argument for {given}: wrap it in one that has"
        require(not unnamed, InputError, told)
        named[name] = bound.arguments[name]
    return {name: value for name, value in named.items() if value is not None}


def trace(module: torch.nn.Module, named: Mapping[str, Any], dynamic_shapes: Any) -> Program:
    """Trace with the caller's ``dynamic_shapes``; None makes every size dynamic that a model could vary."""
    if dynamic_shapes is not None:
        if isinstance(dynamic_shapes, (tuple, list)):
            dynamic_shapes = dict(zip(named, dynamic_shapes, strict=False))
        return _traced(module, dict(named), dict.fromkeys(named) | dict(dynamic_shapes))
    examples, dynamic = _varied(named)
    return _traced(module, examples, dynamic)


def trace_fixed(module: torch.nn.Module, named: Mapping[str, Any]) -> Program:
    """Trace at fixed sizes: good for nothing but finding which operation stands in the way."""
    return _traced(module, dict(named), None)


def _varied(named: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Example inputs of the tracing sizes, made by tiling the caller's, and the dynamic sizes of each."""
    examples: dict[str, Any] = {}
    dynamic: dict[str, Any] = {}
    tokens = any(_whole(value) and value.ndim == 2 for value in named.values())
    for name, value in named.items():
        examples[name], dynamic[name] = value, None
        if not isinstance(value, torch.Tensor) or value.ndim == 0:
            continue
        require(value.numel(), InputError, f"example input {name!r} of shape {tuple(value.shape)} is empty")
        axes = min(2, value.ndim) if tokens else min(value.ndim - 1, len(_LEADING))
        sizes = (_BATCH, _LENGTH)[:axes] if tokens else _LEADING[:axes]
        examples[name], dynamic[name] = _tiled(value, sizes), dict.fromkeys(range(axes), Dim.DYNAMIC)
    return examples, dynamic


def _tiled(value: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
    """The tensor repeated or cut to the given leading sizes."""
    for axis, size in enumerate(sizes):
        value = value.index_select(axis, torch.arange(size) % value.shape[axis])
    return value


def _whole(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and not value.is_floating_point() and not value.is_complex()


def _traced(module: torch.nn.Module, named: dict[str, Any], dynamic: dict[str, Any] | None) -> Program:
    from torch._dynamo import config as dynamo  # it takes a second to load

    # torch would keep what each operation gave for a trace to come, which has symbols of its own and finds
    # none of it: thousands of objects that no collector frees, for they hold each other through C++.
    unkept = dynamo.patch(fake_tensor_cache_enabled=False)
    try:
        with _quiet(), unkept, torch.no_grad():
            exported = export(module, (), kwargs=named, dynamic_shapes=dynamic, strict=False)
            nodes = functional(exported.graph_module)
    except UnsupportedError:
        raise
    except Exception as error:  # torch.export lets through whatever the user's forward or torch raises
        at = last_user_frame(error.__traceback__)
        reason = str(error).strip().split("\n\n")[0]
        where = f" at {at}" if at else ""
        raise UnsupportedError(
            f"{type(module).__name__} cannot be traced by torch.export{where}: {reason}"
        ) from error
    return _program(module, exported, nodes, list(named))


def _program(
    module: torch.nn.Module, exported: ExportedProgram, nodes: tuple[Node, ...], names: list[str]
) -> Program:
    signature = exported.graph_signature
    fixed = {**exported.state_dict, **exported.constants}
    where = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    parameters = inspect.signature(module.forward).parameters
    placeholders = [n for n in nodes if n.op == "placeholder"]
    constants: dict[Node, Any] = {n: fixed[where[n.name]] for n in placeholders if n.name in where}
    user = [n for n in placeholders if n.name not in where]
    inputs = tuple(
        (name, node, name not in parameters or parameters[name].default is not inspect.Parameter.empty)
        for name, node in zip(names, user, strict=True)
        if isinstance(node.meta.get("val"), torch.Tensor)
    )
    return Program(
        nodes, _sizes(nodes, [n for _, n, _ in inputs]), constants, inputs, tuple(_outputs(exported, nodes))
    )


def _sizes(nodes: tuple[Node, ...], inputs: list[Node]) -> dict[Node, tuple[Size, ...]]:
    """Shapes in the sizes of the first token input: all token inputs have the same batch and length, also
    where torch needed no such fact and gave each its own symbol."""
    tokens = [n for n in inputs if n.meta["val"].ndim == 2 and any(_whole(m.meta["val"]) for m in inputs)]
    same: dict[Any, Size] = {}
    for node in tokens:
        for own, common in zip(node.meta["val"].shape, tokens[0].meta["val"].shape, strict=True):
            if not isinstance(own, int):
                same.setdefault(own.node.expr, common if isinstance(common, int) else common.node.expr)

    def size(given: Any) -> Size:
        return given if isinstance(given, int) else given.node.expr.subs(same)

    shaped = [n for n in nodes if isinstance(n.meta.get("val"), torch.Tensor)]
    return {n: tuple(size(s) for s in n.meta["val"].shape) for n in shaped}


def _outputs(exported: ExportedProgram, nodes: tuple[Node, ...]) -> Iterator[tuple[str, Node]]:
    """Names as the user's model has them: fields of its output class, keys, or output, output_0 ..."""
    returned: Any = nodes[-1].args[0]
    mutated = len(returned) - len(exported.graph_signature.user_outputs)
    require(
        mutated == 0, UnsupportedError, "the model changes its own buffers while it runs: make forward pure"
    )
    spec = exported.call_spec.out_spec
    require(spec is not None, UnsupportedError, "the model returns nothing")
    shaped = pytree.tree_unflatten(list(range(len(returned))), spec)  # pyright: ignore[reportArgumentType]
    for name, index in _leaves(shaped, ""):
        node = returned[index]
        if node is None:
            continue
        label = name or "output"
        require(
            isinstance(node, Node),
            UnsupportedError,
            f"output {label!r} is the constant {node!r}, not a tensor",
        )
        yield label, node


def _leaves(tree: Any, name: str) -> Iterator[tuple[str, int]]:
    match tree:
        case int():
            yield name, tree
        case Mapping():
            for key, child in tree.items():
                yield from _leaves(child, f"{name}.{key}" if name else str(key))
        case tuple() | list():
            for index, child in enumerate(tree):
                yield from _leaves(child, f"{name or 'output'}_{index}")
        case None:
            return
        case _:
            raise UnsupportedError(
                f"the model returns a {type(tree).__name__}: return tensors, tuples or dicts"
            )


@contextmanager
def _quiet() -> Generator[None]:
    """torch.export warns about what this importer checks by itself, and prints the graph it gave up on; the
    error it raises says enough."""
    logger = logging.getLogger("torch")
    level = logger.level
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            logger.setLevel(level)
