"""A model as stages to calibrate in turn: stacks of like blocks, and the layers around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from aerogel.prune.batches import Call
from aerogel.prune.layers import Layer
from aerogel.prune.watch import run_watched


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a block's argument that the block before it made is: a position, or a name."""

    key: int | str

    def put(self, call: Call, value: torch.Tensor) -> Call:
        if isinstance(self.key, int):
            args = (*call.args[: self.key], value, *call.args[self.key + 1 :])
            return replace(call, args=args)
        return replace(call, kwargs={**call.kwargs, self.key: value})

    def get(self, call: Call) -> torch.Tensor:
        return call.args[self.key] if isinstance(self.key, int) else call.kwargs[self.key]


@dataclass(frozen=True, slots=True)
class Stack:
    """Blocks that run one after the other, each fed by the one before, all else equal."""

    names: tuple[str, ...]
    slot: Slot


@dataclass(slots=True)
class Stage:
    """``stack``, or None for layers that are reached by running the whole model; ``layers``: to prune."""

    stack: Stack | None
    layers: list[Layer] = field(default_factory=list[Layer])


def stages(model: torch.nn.Module, layers: Sequence[Layer], call: Call) -> tuple[list[Stage], list[Layer]]:
    """The stages of ``layers`` in the order in which ``call`` runs them, and the layers it never runs."""
    stacks = _stacks(model, layers, call)
    home = {layer.name: s for layer in layers for s in stacks if layer.name.startswith(_within(s))}
    order = _order(model, layers, call)
    found: list[Stage] = []
    for layer in order:
        stack = home.get(layer.name)
        stage = next((s for s in found if s.stack is stack is not None), None)
        if stage is None and (stack is not None or not found or found[-1].stack is not None):
            stage = Stage(stack)
            found.append(stage)
        (stage or found[-1]).layers.append(layer)
    run = {layer.name for layer in order}
    return found, [layer for layer in layers if layer.name not in run]


def hidden(output: Any) -> torch.Tensor | None:
    """The tensor a block hands on: its output, or the first of its outputs."""
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    return output if isinstance(output, torch.Tensor) else None


def _within(stack: Stack) -> tuple[str, ...]:
    return tuple(f"{name}." for name in stack.names)


def _order(model: torch.nn.Module, layers: Sequence[Layer], call: Call) -> list[Layer]:
    owner = {id(module): layer for layer in layers for module in layer.uses}
    order: dict[str, Layer] = {}

    def seen(module: torch.nn.Module, _: tuple[Any, ...], __: dict[str, Any]) -> bool:
        order.setdefault(owner[id(module)].name, owner[id(module)])
        return False

    run_watched(model, call, [m for layer in layers for m in layer.uses], seen)
    return list(order.values())


def like_blocks(model: torch.nn.Module) -> list[str]:
    """The names of the members of all outermost lists of blocks."""
    return [name for names in _lists(model) for name in names]


def _lists(model: torch.nn.Module) -> list[tuple[str, ...]]:
    """The members' names of each outermost list of at least two different modules of one type that are more
    than a layer."""
    found: list[tuple[str, ...]] = []
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        inside = any(prefix.startswith(f"{n}.") for names in found for n in names)
        if inside or not isinstance(module, (torch.nn.ModuleList, torch.nn.Sequential)):
            continue
        blocks = dict(module.named_children())
        like = len({type(b) for b in blocks.values()}) == 1 and len(blocks) == len(module) > 1
        if like and all(any(b.children()) for b in blocks.values()):
            found.append(tuple(f"{prefix}{child}" for child in blocks))
    return found


def _stacks(model: torch.nn.Module, layers: Sequence[Layer], call: Call) -> list[Stack]:
    """Lists whose members each have a layer to prune and run as a chain. The layers of others, and those
    whose weight several modules use, are reached by running the whole model."""
    found: list[Stack] = []
    for names in _lists(model):
        full = all(any(layer.name.startswith(f"{n}.") for layer in layers) for n in names)
        slot = _chained(model, [model.get_submodule(n) for n in names], call) if full else None
        if slot is not None:
            found.append(Stack(names, slot))
    return found


def _chained(model: torch.nn.Module, blocks: list[torch.nn.Module], call: Call) -> Slot | None:
    """The slot, if each block runs once, in order, on what the one before made and the same other
    arguments as it."""
    runs: list[tuple[torch.nn.Module, Call]] = []
    made: list[torch.Tensor | None] = []
    handles = [b.register_forward_hook(lambda _, __, out: made.append(hidden(out))) for b in blocks]

    def seen(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        runs.append((module, Call(args, dict(kwargs), None)))
        return False

    try:
        run_watched(model, call, blocks, seen)
    finally:
        for handle in handles:
            handle.remove()
    if [id(m) for m, _ in runs] != [id(b) for b in blocks]:
        return None
    slots = {_slot(runs[i][1], runs[i + 1][1], made[i]) for i in range(len(blocks) - 1)}
    return slots.pop() if len(slots) == 1 else None


def _slot(before: Call, after: Call, made: torch.Tensor | None) -> Slot | None:
    if made is None or len(before.args) != len(after.args) or set(before.kwargs) != set(after.kwargs):
        return None
    keys = [*range(len(after.args)), *after.kwargs]
    olds = [*before.args, *(before.kwargs[k] for k in after.kwargs)]
    news = [*after.args, *after.kwargs.values()]
    changed = [k for k, old, new in zip(keys, olds, news, strict=True) if not _same(old, new)]
    slot = Slot(changed[0]) if len(changed) == 1 else None
    return slot if slot is not None and slot.get(after) is made else None


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return a is b or (isinstance(a, (int, float, str, bool)) and type(a) is type(b) and a == b)
