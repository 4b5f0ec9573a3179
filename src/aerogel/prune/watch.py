"""Looking into a running torch model: what its modules are fed, and stopping once that is known."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from aerogel.prune.batches import Call


class _Reached(Exception):  # noqa: N818  not an error: the way out of a forward pass
    """All that was looked for has been seen."""


Seen = Callable[[torch.nn.Module, tuple[Any, ...], dict[str, Any]], bool]
"""Told of a module about to run and its arguments; True ends the pass."""


def run_watched(root: torch.nn.Module, call: Call, modules: Iterable[torch.nn.Module], seen: Seen) -> None:
    """Run ``root`` on ``call``; ``seen`` is told before each run of each of ``modules``."""

    def hook(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if seen(module, args, kwargs):
            raise _Reached

    with ExitStack() as hooks:
        for module in modules:
            hooks.callback(module.register_forward_pre_hook(hook, with_kwargs=True).remove)
        try:
            call.tried(root)
        except _Reached:
            return


def inputs(
    root: torch.nn.Module, call: Call, modules: Sequence[torch.nn.Module], uses: int
) -> list[torch.Tensor]:
    """What ``modules`` are fed, in order; the pass ends at the ``uses``-th."""
    found: list[torch.Tensor] = []

    def seen(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        found.append(fed(args, kwargs))
        return len(found) == uses

    run_watched(root, call, modules, seen)
    return found


def fed(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    """The input of an ``nn.Linear`` called so."""
    return args[0] if args else kwargs["input"]


@contextmanager
def observed(*models: torch.nn.Module) -> Generator[None]:
    """Inside, ``models`` are as in use: no dropout, no gradients, no cache of keys and values (it would
    grow with each pass), and every module runs by itself, so that it can be watched."""
    before = [(m, m.training) for model in models for m in model.modules()]
    configs = {id(c): c for m, _ in before if (c := getattr(m, "config", None)) is not None}.values()
    caching = [(c, c.use_cache) for c in configs if hasattr(c, "use_cache")]
    fused = torch.backends.mha.get_fastpath_enabled()
    try:
        for model in models:
            model.eval()
        for config, _ in caching:
            config.use_cache = False
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for config, value in caching:
            config.use_cache = value
        for module, training in before:
            module.training = training
