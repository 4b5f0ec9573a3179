"""What is asked of a torch module itself: example inputs as arrays; and where compile refuses it, its weights
and what its linear layers are fed. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import UnsupportedError
from aerogel.find.held import Held, Role
from aerogel.model.torch_program import arguments
from aerogel.prune.batches import calls_of
from aerogel.prune.hessian import tokens
from aerogel.prune.watch import fed, observed, run_watched


def named_arrays(module: torch.nn.Module, example_inputs: Any) -> dict[str, NDArray[Any]]:
    """The tensors among the example inputs, by argument name."""
    named = arguments(module, example_inputs)
    return {name: _array(value) for name, value in named.items() if isinstance(value, torch.Tensor)}


def module_weights(module: torch.nn.Module) -> tuple[Held, ...]:
    """Its floating-point parameters, each once under its first name; ``readers`` has all its names."""
    roles = _roles(module)
    names: dict[int, list[str]] = {}
    tensors: dict[int, torch.nn.Parameter] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if parameter.is_floating_point():
            names.setdefault(id(parameter), []).append(name)
            tensors[id(parameter)] = parameter
    found: list[Held] = []
    for key, called in names.items():
        shape = tuple(tensors[key].shape)
        found.append(Held(called[0], _role(roles, called), shape, tuple(called), _loader(tensors[key])))
    return tuple(found)


def _roles(module: torch.nn.Module) -> dict[str, Role]:
    """By parameter name, for linear layers and embedding tables."""
    kinds: tuple[tuple[type[torch.nn.Module], Role], ...] = (
        (torch.nn.Linear, "linear"),
        (torch.nn.Embedding, "embedding"),
    )
    found: dict[str, Role] = {}
    for name, part in module.named_modules(remove_duplicate=False):
        for kind, role in kinds:
            if isinstance(part, kind):
                found[f"{name}.weight" if name else "weight"] = role
    return found


def _role(roles: Mapping[str, Role], names: Sequence[str]) -> Role:
    """``linear`` where any of the names is: a table tied to it is multiplied like any other matrix."""
    found = {roles.get(name) for name in names}
    return "linear" if "linear" in found else "embedding" if "embedding" in found else "other"


def _loader(parameter: torch.nn.Parameter) -> Callable[[], NDArray[np.float32]]:
    return lambda: parameter.detach().to("cpu", torch.float32).numpy()


def linear_inputs(
    module: torch.nn.Module, batches: Sequence[Mapping[str, NDArray[Any]]] | None, example_inputs: Any
) -> dict[str, NDArray[np.float32]]:
    """What each ``nn.Linear`` is fed, [tokens, features], by its weight's name; padding is left out. Fed with
    ``batches`` of named arrays, or with the example inputs. UnsupportedError where the module fails on
    them."""
    linears = {
        id(part): f"{name}.weight" if name else "weight"
        for name, part in module.named_modules()
        if isinstance(part, torch.nn.Linear)
    }
    given = [example_inputs] if batches is None else [_tensors(batch) for batch in batches]
    calls = calls_of(module, given)
    found: dict[str, list[NDArray[np.float32]]] = {}
    with observed(module):
        for call in calls:

            def seen(
                part: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], mask: Any = call.mask
            ) -> bool:
                found.setdefault(linears[id(part)], []).append(tokens(fed(args, kwargs), mask).cpu().numpy())
                return False

            try:
                run_watched(module, call, [m for m in module.modules() if id(m) in linears], seen)
            except Exception as error:  # a module's forward can raise anything
                raise UnsupportedError(
                    f"the module fails on them: {type(error).__name__}: {error}"
                ) from error
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _tensors(batch: Mapping[str, NDArray[Any]]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in batch.items()}


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    # NumPy has no bfloat16.
    known = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    return known.detach().cpu().numpy()
