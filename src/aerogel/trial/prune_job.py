"""What is asked of ``aerogel prune``, checked before anything takes time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from aerogel.core.errors import InputError, require
from aerogel.core.folders import require_place
from aerogel.core.suggest import unknown
from aerogel.model.save_pretrained import check_folder
from aerogel.prune.recipe_file import PruneRecipe
from aerogel.prune.schedule import Schedule
from aerogel.trial.accuracy import Bounds
from aerogel.trial.trade import check_against, check_threads

ARTEFACT, WEIGHTS = ".aero", ".safetensors"
# Names that others' files have: whoever gives one does not mean a directory.
_FILES = (".bin", ".pt", ".pth", ".onnx", ".json", ".npz", ".zip", ".gguf")


class Listener(Protocol):
    """Told what is being done (``share``: how much of it is over, 0 to 1, where that is known), and what is
    worth knowing before it ends."""

    def stage(self, words: str, share: float | None = None) -> None: ...

    def note(self, words: str) -> None: ...


class Noting:
    """A listener that keeps what was noted."""

    def __init__(self, listener: Listener) -> None:
        self.stage, self._note = listener.stage, listener.note
        self.notes: list[str] = []

    def note(self, words: str) -> None:
        self.notes.append(words)
        self._note(words)


@dataclass(frozen=True, slots=True)
class PruneJob:
    """``model``: as for ``load_model``; ``outputs``: directories, files that end in .aero, or sparse weights
    alone in files that end in .safetensors.

    ``sparsity`` to ``precision``: as for ``aerogel.prune``, but for ``repair`` None: where there is data,
    unless ``recovery`` is given, which is of layers and batch norms alone.
    ``data``: a file of texts (see ``read_texts``), of which ``texts`` calibrate; None for docstrings.
    ``evaluate``: see ``evaluate.CONTRACT``. ``bounds``: below them nothing is written unless ``force``,
    which also lets another model's directory be replaced. ``recover``: ``90s``, ``10m``, ``1h`` or
    ``200steps``. ``checkpoint``: where recovery goes on from, and pruning from ``layers_kept``. ``measure``,
    ``against``, ``shapes``: see ``Trading``. ``note``: of the recipe.
    """

    model: str
    sparsity: float | Mapping[str, float] | None
    outputs: tuple[Path, ...]
    method: str | None = "sparsegpt"
    pattern: str = "unstructured"
    budget: str = "uniform"
    repair: bool | None = None
    importance: str | None = None
    recovery: tuple[str, ...] = ()
    layers: str | None = None
    precision: Literal["fp32", "int8"] = "fp32"
    data: Path | None = None
    texts: int = 512
    evaluate: str | None = None
    bounds: Bounds = field(default_factory=Bounds)
    recover: str | None = None
    checkpoint: Path | None = None
    force: bool = False
    measure: bool = True
    against: tuple[str, ...] = ("torch",)
    shapes: tuple[str, ...] | None = None
    threads: int | None = None
    note: str | None = None

    @property
    def schedule(self) -> Schedule | None:
        """When recovery ends; InputError for text that says nothing of the kind."""
        if self.recover is None:
            return None
        try:
            return Schedule.parse(f"distill:{self.recover}")
        except InputError as error:
            told = f"recover {self.recover!r} is no length of training: give 90s, 10m, 1h or 200steps"
            raise InputError(told) from error

    @property
    def from_factory(self) -> bool:
        """Is the model made by a function of a Python file?"""
        return self.model.rpartition(":")[0].endswith(".py")

    @property
    def needs_data(self) -> bool:
        """Is there no way without? Not so for pruning by magnitude alone."""
        alone = self.budget in ("uniform", "global", "erk") and self.recovery in ((), ("none",))
        method = self.method or "magnitude"
        small = (self.importance or method) == "magnitude" and (
            method == "magnitude" or self.recovery[:1] == ("none",)
        )
        return self.repair is True or self.recover is not None or not alone or not small

    @property
    def repairs(self) -> bool | None:
        """``repair``, where it is said or ``recovery`` says it; else None."""
        return False if self.repair is None and self.recovery else self.repair

    @property
    def writes_artefact(self) -> bool:
        return any(out.suffix == ARTEFACT for out in self.outputs)

    @property
    def share(self) -> float | None:
        """The sparsity where all layers have the same one to begin with, else None."""
        return self.sparsity if isinstance(self.sparsity, int | float) else None

    @property
    def layers_kept(self) -> Path | None:
        """The folder of layers that are pruned already, for a run that goes on."""
        return (
            None if self.checkpoint is None else self.checkpoint.with_name(f"{self.checkpoint.name}.layers")
        )

    @property
    def recipe(self) -> PruneRecipe:
        """The choices as they were made, wherever they were said: what is recorded."""
        trained = () if self.recover is None else (f"distill:{self.recover}",)
        return PruneRecipe(
            sparsity=self.sparsity,
            method=self.method,
            importance=self.importance,
            pattern=self.pattern,
            budget=self.budget,
            repair=self.repairs,
            recovery=(*self.recovery, *trained) or None,
            layers=self.layers,
            precision=self.precision,
            note=self.note,
        )

    def following(self, recipe: PruneRecipe) -> PruneJob:
        """With the choices of ``recipe``, and what it leaves out as ``ag.prune`` has it. InputError for
        training that does not come last: here it has texts of its own, and is judged by others."""
        said = recipe.recovery or ()
        steps = [said] if isinstance(said, str) else list(said)
        trains = bool(steps) and steps[-1].startswith("distill:")
        last = steps.pop().removeprefix("distill:") if trains else None
        early = next((step for step in steps if step.startswith("distill:")), None)
        told = f"the recipe's recovery has {early!r} before other steps: aerogel prune trains last, and once"
        require(early is None, InputError, told)
        return replace(
            self,
            sparsity=recipe.sparsity,
            method=recipe.method,
            importance=recipe.importance,
            pattern=recipe.pattern or "unstructured",
            budget=_budget(recipe),
            repair=recipe.repair or False,
            recovery=tuple(steps),
            recover=last,
            layers=recipe.layers,
            precision=_precision(recipe),
            note=recipe.note,
        )

    def check(self) -> None:
        """InputError for what cannot be done whatever the model is like."""
        self._check_model()
        require(self.outputs, InputError, "there is nothing to write: give -o DIRECTORY or -o FILE.aero")
        places = [out.resolve() for out in self.outputs]
        require(len(set(places)) == len(places), InputError, "the same output is given twice: give it once")
        for out in self.outputs:
            self._check_output(out)
            for other in (*self.outputs, self.checkpoint):
                apart = other is None or out.resolve() not in other.resolve().parents
                told = f"{out} is written anew, and {other} in it would be lost: give it another place"
                require(apart, InputError, told)
        _ = self.schedule
        if self.checkpoint is not None:
            require_place(self.checkpoint)
            told = f"checkpoint {self.checkpoint} is a directory: give a name for a file"
            require(not self.checkpoint.is_dir(), InputError, told)
        check_threads(self.threads)
        if self.measure:
            check_against(self.against)

    def _check_model(self) -> None:
        compiled = Path(self.model).suffix == ARTEFACT
        told = f"{self.model!r} is compiled already: prune the model that it was made from"
        require(not compiled, InputError, told)

    def _check_output(self, out: Path) -> None:
        if out.suffix in (ARTEFACT, WEIGHTS):
            require_place(out)
            require(not out.is_dir(), InputError, f"{out} is a directory: give a name for a file")
            return
        odd = out.suffix.lower() in _FILES
        require(
            not odd, InputError, f"{out}: a {out.suffix} file is not written: give a directory, or FILE.aero"
        )
        told = (
            f"{out} would be a model's directory, but {self.model} is none: give -o FILE.aero, or "
            "-o FILE.safetensors for its weights alone"
        )
        require(not self.from_factory, InputError, told)
        check_folder(out, Path(self.model), force=self.force)

    def to_json(self) -> Mapping[str, Any]:
        """What was asked for, as ``json.dumps`` takes it."""
        share = dict(self.sparsity) if isinstance(self.sparsity, Mapping) else self.sparsity
        return {
            "sparsity": share,
            "method": self.method,
            "pattern": self.pattern,
            "importance": self.importance,
            "budget": self.budget,
            "recovery": list(self.recovery),
            "layers": self.layers,
            "precision": self.precision,
            "recover": self.recover,
            "eval": self.evaluate,
            "keep": self.bounds.keep,
            "floor": self.bounds.floor,
            "threads": self.threads,
        }


def _budget(recipe: PruneRecipe) -> str:
    said = recipe.budget or "uniform"
    require(
        recipe.scope in (None, "layer", "global"), InputError, f"scope {recipe.scope!r} is layer or global"
    )
    if recipe.scope != "global":
        return said
    both = said in ("uniform", "global")
    require(
        both, InputError, f"scope: global is a budget, as is {said!r}: leave one of them out of the recipe"
    )
    return "global"


def _precision(recipe: PruneRecipe) -> Literal["fp32", "int8"]:
    match recipe.precision:
        case None | "fp32":
            return "fp32"
        case "int8":
            return "int8"
        case other:
            raise InputError(unknown("precision", other, ("fp32", "int8")))
