"""Calibrated pruning in one streamed pass: block by block, each fed by those already pruned."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from aerogel.core.errors import InputError, require
from aerogel.model.torch_grid import put_scale
from aerogel.prune.batches import Call
from aerogel.prune.blocks import Stack, hidden, stages
from aerogel.prune.hessian import Moments
from aerogel.prune.kept import KeptLayers
from aerogel.prune.layers import Layer, Prunable
from aerogel.prune.ledger import Ledger
from aerogel.prune.pattern import Pattern
from aerogel.prune.problem import Method, Outcome, Problem, spread
from aerogel.prune.rounding import rounded
from aerogel.prune.unfold import geometry, rows_fed
from aerogel.prune.watch import fed, inputs, run_watched

_ROWS = 512


@dataclass(frozen=True, slots=True)
class Calibration:
    """How to prune a layer. ``sparsities``: by name; ``dense_targets``: a layer learns to do with the inputs
    it gets from pruned layers what it did with the dense model's; ``integers``: weights end on the int8
    grid; ``damping``: see ``Moments.factor``; ``by_rows``, ``worths`` (by name): see ``Problem``."""

    method: Method
    pattern: Pattern
    sparsities: Mapping[str, float]
    integers: bool = False
    dense_targets: bool = True
    damping: float = 0.01
    by_rows: bool = False
    worths: Mapping[str, torch.Tensor] = field(default_factory=dict[str, torch.Tensor])


@dataclass(frozen=True, slots=True)
class _Feed:
    """``root`` run on ``calls`` reaches the layers; ``twin`` and ``twin_calls``: so for the dense model."""

    root: torch.nn.Module
    calls: list[Call]
    twin: torch.nn.Module | None
    twin_calls: list[Call]


class Stream:
    """Prunes ``model`` in place, layer by layer in the order of the data's way through it.

    ``dense``: the same model, unpruned, or None. ``kept``: where each layer is written once it is pruned;
    those that are there already are taken over (``restored``: how many). Memory: one block's hidden states
    for all batches (twice with ``dense_targets``), and the moments of one layer's inputs.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        dense: torch.nn.Module | None,
        settings: Calibration,
        kept: KeptLayers | None = None,
    ) -> None:
        self._model, self._dense, self._settings, self._kept = model, dense, settings, kept
        self.ledger = Ledger()
        self.outcomes: dict[str, Outcome] = {}
        self.restored = 0

    def run(self, layers: Sequence[Layer], calls: list[Call], progress: Callable[[str], None]) -> list[Layer]:
        """Prune ``layers``; those that the data never reaches are returned instead."""
        self.ledger.hold([call.args for call in calls], [dict(call.kwargs) for call in calls])
        todo, unreached = stages(self._model, layers, calls[0])
        for stage in todo:
            if stage.stack is None:
                self._segment(_Feed(self._model, calls, self._dense, calls), stage.layers, progress)
            else:
                self._chain(stage.stack, stage.layers, calls, progress)
        return unreached

    def _chain(
        self, stack: Stack, layers: list[Layer], calls: list[Call], progress: Callable[[str], None]
    ) -> None:
        paired = self._settings.dense_targets
        own = self._first_calls(self._model, stack, calls)
        twins = self._first_calls(self._dense or self._model, stack, calls) if paired else []
        for index, name in enumerate(stack.names):
            block = self._model.get_submodule(name)
            twin = self._twin(name, block) if paired else None
            within = [layer for layer in layers if layer.name.startswith(f"{name}.")]
            self._segment(_Feed(block, own, twin, twins), within, progress)
            if index + 1 < len(stack.names):
                own = self._advanced(block, stack, own)
                twins = self._advanced(twin, stack, twins) if twin is not None else []
        self.ledger.drop([stack.slot.get(c) for c in (*own, *twins)])

    def _twin(self, name: str, block: torch.nn.Module) -> torch.nn.Module:
        return copy.deepcopy(block) if self._dense is None else self._dense.get_submodule(name)

    def _first_calls(self, model: torch.nn.Module, stack: Stack, calls: list[Call]) -> list[Call]:
        """The calls of the stack's first block, one for each of the model's."""
        first, found = model.get_submodule(stack.names[0]), list[Call]()
        for call in calls:

            def seen(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any], mask: Any = call.mask) -> bool:
                found.append(Call(args, dict(kwargs), mask))
                return True

            run_watched(model, call, [first], seen)
        self.ledger.hold([stack.slot.get(c) for c in found])
        return found

    def _advanced(self, block: torch.nn.Module, stack: Stack, calls: list[Call]) -> list[Call]:
        """The next block's calls; each batch's old hidden states go as its new ones come."""
        for i, call in enumerate(calls):
            made = hidden(call.run(block))
            assert made is not None, "the chain was checked"
            self.ledger.drop(stack.slot.get(call))
            calls[i] = stack.slot.put(call, made)
            self.ledger.hold(made)
        return calls

    def _segment(self, feed: _Feed, layers: list[Layer], progress: Callable[[str], None]) -> None:
        """The layers under ``feed.root``: those with one input together, in order of running."""
        for group, uses in _groups(feed.root, feed.calls[0], layers):
            differs = bool(self.outcomes)
            todo = [layer for layer in group if not self._take_over(layer, progress)]
            if not todo:
                continue
            # What feeds the layers of a group does not depend on any of them.
            moments = self._moments(feed, group, uses, differs=differs)
            for layer in todo:
                self._prune(layer, moments, last=layer is todo[-1])
                if self._kept is not None:
                    self._kept.keep(layer, self.outcomes[layer.name])
                progress(layer.name)
            moments.release()

    def _take_over(self, layer: Layer, progress: Callable[[str], None]) -> bool:
        """Was it pruned by a run that was killed?"""
        found = None if self._kept is None else self._kept.restore(layer)
        if found is None:
            return False
        self.outcomes[layer.name] = found
        self.restored += 1
        progress(layer.name)
        return True

    def _moments(self, feed: _Feed, group: list[Layer], uses: int, *, differs: bool) -> Moments:
        """``differs``: is anything pruned before these? Else both models feed them the same."""
        first = group[0]
        paired = self._settings.dense_targets and len(first.uses) == 1 and differs
        twin = feed.twin if paired else None
        moments = Moments(first.shape[1], first.weight.device, self.ledger,
                          centred=first.bias is not None, paired=twin is not None)  # fmt: skip
        path = next((n for n, m in feed.root.named_modules() if m is first.uses[0]), "")
        for call, twin_call in zip(feed.calls, feed.twin_calls or feed.calls, strict=True):
            found = inputs(feed.root, call, first.uses, uses)
            dense = inputs(twin, twin_call, [twin.get_submodule(path)], uses) if twin is not None else []
            for i, x in enumerate(found):
                _add(moments, first.uses[0], x, dense[i] if dense else None, call.mask)
        moments.finish(first.name)
        return moments

    def _prune(self, layer: Layer, moments: Moments, *, last: bool) -> None:
        """``last``: of the layers that share ``moments``."""
        began, settings = time.perf_counter(), self._settings
        dense = layer.matrix.float()
        target = moments.target(dense, settings.damping)
        problem = Problem(target, dense == 0, moments, settings.pattern,
                          settings.sparsities[layer.name], settings.damping,
                          settings.by_rows, settings.worths.get(layer.name))  # fmt: skip
        solution = settings.method(problem)
        pruned, units = int(np.count_nonzero(solution.gone)), problem.units
        zero, weight = spread(problem, solution.gone), solution.weight
        # A large layer's flags are a quarter of its weight again.
        del problem, solution
        self.ledger.hold(target, weight, zero)
        if settings.integers:
            weight, scale = rounded(weight, zero, moments, settings.damping)
            for use in layer.uses:
                assert isinstance(use, torch.nn.Linear), "checked by require_float32"
                put_scale(use, scale)
        if last:
            moments.release_factor()
        finite = all(bool(torch.isfinite(rows).all()) for rows in weight.split(_ROWS))
        require(finite, InputError, f"layer {layer.name!r} overflows: scale it down")
        error = _relative_error(weight, target, moments.hessian)
        if layer.bias is not None:
            layer.bias.add_(moments.shift(dense, weight).to(layer.bias.dtype))
        layer.put(weight)
        self.ledger.drop(target, weight, zero)
        kept, seconds = zero.logical_not_().cpu().numpy(), time.perf_counter() - began
        self.outcomes[layer.name] = Outcome(kept, units, pruned, error, seconds)


def _add(
    moments: Moments, use: Prunable, x: torch.Tensor, dense: torch.Tensor | None, mask: torch.Tensor | None
) -> None:
    """What ``use`` sees of ``x``, and its twin of ``dense``, beside it."""
    if dense is None:
        for rows in rows_fed(use, x, mask):
            moments.add(rows, None, None)
        return
    for rows, twins in zip(rows_fed(use, x, mask), rows_fed(use, dense, mask), strict=True):
        moments.add(rows, twins, None)


def _groups(root: torch.nn.Module, call: Call, layers: list[Layer]) -> list[tuple[list[Layer], int]]:
    """Layers that are fed the very same tensor together, in order of running, and how often each runs."""
    owner = {id(module): layer for layer in layers for module in layer.uses}
    fed_to: dict[str, list[torch.Tensor]] = {}

    def seen(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        fed_to.setdefault(owner[id(module)].name, []).append(fed(args, kwargs))
        return False

    inside = {id(m) for m in root.modules()}
    run_watched(root, call, [m for layer in layers for m in layer.uses if id(m) in inside], seen)
    by_name = {layer.name: layer for layer in layers}
    groups: dict[tuple[object, ...], tuple[list[Layer], int]] = {}
    for name, tensors in fed_to.items():
        # A centred Hessian serves only layers with a bias.
        key = (by_name[name].bias is None, geometry(by_name[name].uses[0]), *map(id, tensors))
        groups.setdefault(key, ([], len(tensors)))[0].append(by_name[name])
    return list(groups.values())


def _relative_error(weight: torch.Tensor, target: torch.Tensor, hessian: torch.Tensor) -> float:
    """|(weight - target) x| / |target x| over the tokens x, root mean square."""
    error = whole = 0.0
    # Some outputs at a time: a large layer's weight is half a gigabyte, and this would hold three more.
    for ours, wanted in zip(weight.split(_ROWS), target.split(_ROWS), strict=True):
        error += _energy(ours - wanted, hessian)
        whole += _energy(wanted, hessian)
    return float(np.sqrt(max(error, 0.0) / whole)) if whole > 0 else 0.0


def _energy(rows: torch.Tensor, hessian: torch.Tensor) -> float:
    """Sum of r H r^T over ``rows`` r: of a symmetric H, what is left of the diagonal counts twice, and what
    is right of it is not looked at."""
    total = 0.0
    for start in range(0, len(hessian), _ROWS):
        stop = start + _ROWS
        turned = rows[:, start:stop] @ hessian[start:stop, start:stop]
        if start:
            turned.addmm_(rows[:, :start], hessian[:start, start:stop], alpha=2)
        total += float((turned * rows[:, start:stop]).sum(dtype=torch.float64))
    return total
