"""A pruning recipe: the choices of ``ag.prune`` as one object: in Python, in YAML, and in what is saved.

    sparsity: 0.8            # or a map from regular expressions, searched in layer names, to shares
    importance: wanda
    pattern: block4x1        # or 2:4, which YAML would read as a time, and this does not
    budget: owl
    recovery: [least_squares, "distill:10m"]
    layers: encoder

What is left out is what ``ag.prune`` does when it is left out. Reading needs no torch; YAML needs PyYAML.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.core.files import write_file
from aerogel.core.suggest import meant
from aerogel.prune.entry import prune
from aerogel.prune.pattern import pattern_named, wanted_sparsity
from aerogel.prune.schedule import Schedule

if TYPE_CHECKING:
    import torch

    from aerogel.prune.report import PruneResult

LARGEST = 64 << 10
"""Bytes of a recipe: a longer file is something else."""


@dataclass(frozen=True)
class PruneRecipe:
    """What ``ag.prune`` is asked for; None: left out. ``recovery``: one step, or a list of them, in order.
    ``note``: for whoever reads it. InputError for values that cannot be; what is only known with torch, such
    as the names of importances, is checked when it is applied."""

    sparsity: float | Mapping[str, float] | None = None
    method: str | None = None
    importance: str | None = None
    pattern: str | None = None
    budget: str | None = None
    scope: str | None = None
    repair: bool | None = None
    recovery: str | tuple[str, ...] | None = None
    layers: str | None = None
    precision: str | None = None
    note: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("method", "importance", "pattern", "budget", "scope", "layers", "precision", "note"):
            value = getattr(self, name)
            told = f"{name} is {value!r}: a recipe has a text there"
            require(value is None or isinstance(value, str), InputError, told)
        told = f"repair is {self.repair!r}: write true or false"
        require(self.repair is None or isinstance(self.repair, bool), InputError, told)
        object.__setattr__(self, "sparsity", _checked_sparsity(self.sparsity))
        object.__setattr__(self, "recovery", _checked_recovery(self.recovery))
        if self.pattern is not None:
            pattern = pattern_named(self.pattern)
            if self.sparsity is not None and not isinstance(self.sparsity, Mapping):
                wanted_sparsity(pattern, self.sparsity)

    # --- reading ---------------------------------------------------------------------------------

    @classmethod
    def from_json(cls, said: object) -> PruneRecipe:
        """From what ``json.loads`` gives; InputError for an unknown key, with the one that was meant."""
        if not isinstance(said, Mapping):
            raise InputError(
                f"a recipe is a map of settings, not a {type(said).__name__}: write sparsity: 0.8"
            )
        known = [f.name for f in fields(cls)]
        for key in said:
            if key not in known:
                raise InputError(f"a recipe has no {key!r}: {meant(str(key), known)}")
        return cls(**cast("dict[str, Any]", dict(said)))

    @classmethod
    def from_yaml(cls, text: str) -> PruneRecipe:
        """From YAML, or JSON, which is YAML; InputError with the line where it is wrong."""
        # Only who reads YAML needs PyYAML.
        from aerogel.prune.recipe_yaml import parse

        require(
            len(text) <= LARGEST, InputError, f"a recipe of {len(text)} characters is none: at most {LARGEST}"
        )
        return cls.from_json(parse(text))

    @classmethod
    def read(cls, path: str | Path) -> PruneRecipe:
        """From a YAML or JSON file; InputError that names it."""
        path = Path(path)
        try:
            with path.open("rb") as file:
                data = file.read(LARGEST + 1)
            return cls.from_yaml(data.decode("utf-8-sig"))
        except OSError as error:
            raise InputError(f"recipe {path} cannot be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"recipe {path} is no text in UTF-8: {error}") from error
        except InputError as error:
            raise InputError(f"recipe {path}: {error}") from error

    # --- writing ---------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """What is set, and nothing else, as ``json.dumps`` takes it; ``from_json`` gives the same recipe."""
        said = {f.name: getattr(self, f.name) for f in fields(self)}
        said = {name: value for name, value in said.items() if value is not None}
        if isinstance(self.recovery, tuple):
            said["recovery"] = list(self.recovery)
        if isinstance(self.sparsity, Mapping):
            said["sparsity"] = dict(self.sparsity)
        return said

    def to_yaml(self) -> str:
        """YAML that ``from_yaml`` reads as the same recipe: a line a setting, its value as JSON has it."""
        lines = (f"{name}: {_quoted(value)}\n" for name, value in self.to_json().items())
        return "".join(lines) or "{}\n"

    def save(self, path: str | Path) -> None:
        """``to_yaml`` into a file; InputError where it cannot be written."""
        write_file(Path(path), self.to_yaml().encode())

    # --- doing -----------------------------------------------------------------------------------

    def options(self) -> dict[str, Any]:
        """The arguments of ``ag.prune`` that are set, by name."""
        return {name: value for name, value in self.to_json().items() if name != "note"}

    def apply(
        self,
        model: torch.nn.Module,
        data: Iterable[Any] | None = None,
        *,
        inplace: bool = False,
        progress: Callable[[str], None] | None = None,
    ) -> PruneResult:
        """``ag.prune(model, ...)`` with these choices; its errors."""
        options = self.options()
        taken = inspect.signature(prune).parameters
        for name in options:
            require(name in taken, UnsupportedError, f"this version's prune knows no {name}: leave it out")
        return prune(model, **options, data=data, inplace=inplace, progress=progress)


def _quoted(value: object) -> str:
    """``value`` as JSON that YAML reads as the same: YAML writes in one piece what JSON writes as a pair."""

    def one(found: re.Match[str]) -> str:
        whole = found.group()
        if whole == r"\\":
            return whole  # a backslash, which what follows does not belong to
        return f"\\U{ord(json.loads(chr(34) + whole + chr(34))):08x}"

    return re.sub(r"\\\\|\\ud[89ab]\w\w\\ud[c-f]\w\w", one, json.dumps(value))


def _checked_sparsity(sparsity: object) -> float | dict[str, float] | None:
    if sparsity is None:
        return None
    if isinstance(sparsity, Mapping):
        require(sparsity, InputError, "sparsity is an empty map: name layers, or give one share for all")
        for key, value in sparsity.items():
            require(isinstance(key, str), InputError, f"sparsity has {key!r}: a layer's name is a text")
            _require_share(value, f"sparsity of {key!r}")
        return {str(key): float(value) for key, value in sparsity.items()}
    _require_share(sparsity, "sparsity")
    return float(cast("float", sparsity))


def _require_share(value: object, what: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    fits = number and 0 <= cast("float", value) <= 1
    percent = number and 1 < cast("float", value) <= 100
    advice = (
        f"write {cast('float', value) / 100:g} for {value} %"
        if percent
        else "write a share from 0 to 1, as 0.8"
    )
    require(fits, InputError, f"{what} is {value!r}: {advice}")


def _checked_recovery(recovery: object) -> str | tuple[str, ...] | None:
    steps: tuple[object, ...]
    if recovery is None:
        return None
    if isinstance(recovery, str):
        steps = (recovery,)
    elif isinstance(recovery, list | tuple):
        steps = tuple(cast("list[object]", recovery))
    else:
        raise InputError(f"recovery is {recovery!r}: write one step, as distill:10m, or a list of them")
    for step in steps:
        require(
            isinstance(step, str), InputError, f"recovery has {step!r}: each step is a text, as distill:10m"
        )
        if cast("str", step).startswith("distill"):
            Schedule.parse(step)
    return recovery if isinstance(recovery, str) else cast("tuple[str, ...]", steps)
