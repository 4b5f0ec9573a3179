"""How much of the zeros each layer's activations take. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.prune.activation.magnitudes import Magnitudes
from aerogel.prune.activation.sites import Site
from aerogel.prune.activation.thresholds import apply_thresholds, remove_thresholds
from aerogel.prune.batches import Call
from aerogel.prune.blocks import hidden, like_blocks
from aerogel.prune.hessian import tokens
from aerogel.prune.watch import run_watched

_STEP = 0.05
"""Of a block's weights, what one step of the greedy search leaves out; TEAL takes as much."""
_LARGEST_STEP = 0.1
"""Of one site's activations: a small layer would otherwise lose all of them at once."""
_CAP = 0.99
_ENOUGH_TOKENS = 2048

Distributions = Mapping[str, Magnitudes]
"""By site name."""


def greedy(
    model: torch.nn.Module,
    found: Sequence[Site],
    dense: Distributions,
    calls: Sequence[Call],
    sparsity: float,
    progress: Callable[[str], None],
) -> dict[str, float]:
    """By site, its share of zeros: within each block they leave out ``sparsity`` of the block's weights.

    Each step gives more zeros to the site where the block's output, fed as in the dense model, moves least
    for each weight that is left out (TEAL: Liu et al. 2024, algorithm 1). Sites outside of blocks get
    ``sparsity`` itself.
    """
    names = like_blocks(model)
    within = {name: [s for s in found if s.name.startswith(f"{name}.")] for name in names}
    within = {name: sites for name, sites in within.items() if sites}
    told = f"{type(model).__name__} has no list of like blocks around these layers: use allocation='uniform'"
    require(within, InputError, told)
    shares = {site.name: sparsity for site in found}
    for name, sites in within.items():
        shares |= _Block(model, name, sites, dense, calls).spread(sparsity)
        progress(name)
    return shares


class _Block:
    """One block, what it is fed with the first batches, and what it makes of that without thresholds."""

    def __init__(
        self,
        model: torch.nn.Module,
        name: str,
        found: Sequence[Site],
        dense: Distributions,
        calls: Sequence[Call],
    ) -> None:
        self._module, self._name = model.get_submodule(name), name
        self._found, self._dense = found, dense
        self._calls: list[Call] = []
        self._wanted: list[torch.Tensor] = []
        for call in calls:
            if sum(len(y) for y in self._wanted) < _ENOUGH_TOKENS:
                fed = self._fed(model, call)
                self._calls += fed
                self._wanted += [self._run(each) for each in fed]

    def _fed(self, model: torch.nn.Module, call: Call) -> list[Call]:
        fed: list[Call] = []

        def seen(_: torch.nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> bool:
            fed.append(Call(args, kwargs, call.mask))
            return True

        run_watched(model, call, [self._module], seen)
        return fed

    def _run(self, call: Call) -> torch.Tensor:
        made = hidden(call.run(self._module))
        if made is None:
            raise UnsupportedError(f"{self._name} gives no tensor: use allocation='uniform'")
        return tokens(made, call.mask)

    def _error(self, shares: Mapping[str, float]) -> float:
        """The sum of squares of how far the block's output is off."""
        within = len(self._name) + 1
        apply_thresholds(self._module, {n[within:]: self._dense[n].quantile(s) for n, s in shares.items()})
        pairs = zip(self._calls, self._wanted, strict=True)
        return sum(float((self._run(c) - y).square().sum(dtype=torch.float64)) for c, y in pairs)

    def spread(self, sparsity: float) -> dict[str, float]:
        """Shares by site name; the module has no thresholds before and after."""
        shares = {site.name: 0.0 for site in self._found}
        total = sum(site.weights for site in self._found)
        cap = max(_CAP, sparsity)
        left, now = sparsity * total, 0.0
        try:
            while left > 1e-9 * total:
                best: tuple[float, float, Site, float] | None = None
                for site in self._found:
                    room = cap - shares[site.name]
                    step = min(_STEP * total / site.weights, _LARGEST_STEP, room, left / site.weights)
                    if step <= 0:
                        continue
                    error = self._error(shares | {site.name: shares[site.name] + step})
                    worth = (error - now) / (step * site.weights)
                    if best is None or worth < best[0]:
                        best = worth, error, site, step
                assert best is not None, "shares are at their cap only where the block's is"
                _, now, site, step = best
                shares[site.name] += step
                left -= step * site.weights
        finally:
            remove_thresholds(self._module)
        return shares
