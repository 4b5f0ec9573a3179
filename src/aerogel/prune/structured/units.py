"""What was removed, written down, so that it can be removed again from the dense model. Imports torch.

    json.dump(result.units, file); torch.save(result.model.state_dict(), weights)
    smaller = remove_units(dense, units=json.load(file)).model; smaller.load_state_dict(...)

Nothing is traced or scored then, so it takes no data, and any wiring that was cut once can be cut so again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.prune.structured.families import Place
from aerogel.prune.structured.shrink import shrink

Sizes = dict[str, dict[str, int]]
"""By module, what it says of its own size."""


@dataclass(frozen=True, slots=True)
class Units:
    """``cuts``: the indices that go, by place; ``lengths``: of these places in the dense model; ``sizes``:
    whole numbers of modules, and ``config`` of the model's configuration (a path with dots), after the cut;
    ``told``: of the report, as ``dataclasses.asdict`` gives it."""

    cuts: dict[Place, NDArray[np.int64]]
    lengths: dict[Place, int]
    sizes: Sizes = field(default_factory=Sizes)
    config: dict[str, int] = field(default_factory=dict[str, int])
    told: dict[str, Any] = field(default_factory=dict[str, Any])

    def to_json(self) -> dict[str, Any]:
        """As what ``json.dumps`` takes, and ``parsed`` reads."""
        cuts = [
            {"weight": name, "axis": axis, "of": self.lengths[name, axis], "gone": gone.tolist()}
            for (name, axis), gone in self.cuts.items()
        ]
        return {"cuts": cuts, "sizes": self.sizes, "config": self.config, "told": self.told}

    def cut(self, model: torch.nn.Module) -> torch.nn.Module:
        """``model`` itself, smaller. InputError where it is not one that these units were removed from, and
        then it is unchanged."""
        self.check(model)
        put_sizes(model, self.sizes)
        smaller = shrink(model, self.cuts)
        put_config(smaller, self.config)
        return smaller

    def masks(self, model: torch.nn.Module) -> dict[str, NDArray[np.bool_]]:
        """By parameter of ``model``, dense yet, of its shape: True where a weight stays."""
        found: dict[str, NDArray[np.bool_]] = {}
        parameters = dict(model.named_parameters())
        for (name, axis), indices in self.cuts.items():
            if name in parameters:
                mask = found.setdefault(name, np.ones(tuple(parameters[name].shape), np.bool_))
                np.moveaxis(mask, axis, 0)[indices] = False
        return found

    def check(self, model: torch.nn.Module) -> None:
        """InputError unless ``model`` is wired like the one that these units were removed from."""
        known = dict(model.named_parameters()) | dict(model.named_buffers())
        kind = type(model).__name__
        for (name, axis), gone in self.cuts.items():
            told = f"units were removed from {name!r}, which {kind} has not: give the model they were of"
            require(name in known, InputError, told)
            shape, length = tuple(known[name].shape), self.lengths[name, axis]
            fits = axis < len(shape) and shape[axis] == length
            told = (
                f"units were removed from {name!r} with {length} in axis {axis}, but here it is {list(shape)}"
            )
            require(fits, InputError, f"{told}: give the dense model")
            inside = bool(gone.size == 0 or (gone.min() >= 0 and gone.max() < length))
            require(inside, InputError, f"units of {name!r} go beyond its {length} in axis {axis}")
        modules = dict(model.named_modules())
        for name, sizes in self.sizes.items():
            lacks = next(
                (s for s in sizes if name not in modules or type(vars(modules[name]).get(s)) is not int), ""
            )
            told = f"units set {lacks!r} of {name!r}, which {kind} has not: give the model they were of"
            require(not lacks, InputError, told)
        for path in self.config:
            told = f"units set {path!r} of a configuration, which {kind} has not: give the model they were of"
            require(_part(model, path.split(".")[:-1]) is not None, InputError, told)


def require_replaceable(model: torch.nn.Module) -> None:
    """UnsupportedError where a smaller model cannot be the object itself."""
    told = "nn.MultiheadAttention cannot lose heads in place: leave inplace out, or give the module around it"
    require(type(model) is not torch.nn.MultiheadAttention, UnsupportedError, told)


def changed_sizes(one: torch.nn.Module, other: torch.nn.Module) -> Sizes:
    """The whole numbers of ``other``'s modules that ``one``, built alike, has otherwise."""
    found: Sizes = {}
    theirs = dict(other.named_modules())
    for name, module in one.named_modules():
        had = {k: v for k, v in vars(module).items() if type(v) is int}
        has = vars(theirs[name]) if name in theirs else {}
        new = {k: has[k] for k, v in had.items() if type(has.get(k)) is int and has[k] != v}
        if new:
            found[name] = new
    return found


def put_sizes(model: torch.nn.Module, sizes: Sizes) -> None:
    """Set ``sizes`` in the modules of ``model``."""
    for name, values in sizes.items():
        vars(model.get_submodule(name)).update(values)


def put_config(model: torch.nn.Module, values: Mapping[str, int | None]) -> None:
    """Set ``values`` in the configuration that ``model`` has, by paths with dots."""
    for path, value in values.items():
        *inner, name = path.split(".")
        setattr(_part(model, inner), name, value)


def _part(model: torch.nn.Module, path: list[str]) -> Any:
    """The part of ``model``'s configuration at ``path``, None where there is none."""
    found: Any = getattr(model, "config", None)
    for name in path:
        found = getattr(found, name, None)
    return found


def parsed(value: object) -> Units:
    """``StructuredResult.units``, perhaps read from JSON, checked."""
    told = "units is no record of removed units: give StructuredResult.units"
    require(isinstance(value, Mapping), InputError, told)
    assert isinstance(value, Mapping)
    record: dict[str, Any] = {str(k): v for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    try:
        cuts = {(str(c["weight"]), int(c["axis"])): np.array(c["gone"], np.int64) for c in record["cuts"]}
        lengths = {(str(c["weight"]), int(c["axis"])): int(c["of"]) for c in record["cuts"]}
        sizes = {str(m): {str(k): int(v) for k, v in s.items()} for m, s in record["sizes"].items()}
        config = {str(k): int(v) for k, v in record["config"].items()}
        found = dict(record["told"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{told} ({type(error).__name__}: {error})") from error
    return Units(cuts, lengths, sizes, config, found)
