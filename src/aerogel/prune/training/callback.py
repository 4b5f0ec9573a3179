"""Masks while a model trains: what all ways to choose them share. Imports torch.

    gradual = GradualMagnitude(0.9, end=1000)

    with gradual.during(model, optimizer):                          # a loop of your own, as it is
        for batch in batches:
            loss(model, batch).backward(); optimizer.step(); optimizer.zero_grad()

    Trainer(model, args, train_dataset=data, callbacks=[gradual]).train()         # transformers
    lightning.Trainer(max_steps=1000, callbacks=[gradual]).fit(module, data)      # Lightning

Neither framework is imported: each calls its callbacks' methods by name, and those that mean nothing here do
nothing. When all is done the model is an ordinary one, with zeros.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.prune.layers import LayerChoice
from aerogel.prune.pattern import Pattern, pattern_named
from aerogel.prune.report import LayerReport, PruneReport, PruneResult
from aerogel.prune.size_notes import size_notes
from aerogel.prune.training.masks import MaskedLayer, Masks
from aerogel.prune.training.optimizers import HeldOptimizers, plain


class TrainingMasks(ABC):
    """See above. ``step``: steps of the optimiser that were done, those of resumed runs included."""

    def __init__(self, pattern: str, layers: LayerChoice | None) -> None:
        self.step = 0
        self.pattern: Pattern = pattern_named(pattern)
        self._layers = layers
        self._model: torch.nn.Module | None = None
        self._held: HeldOptimizers | None = None
        self._found: PruneResult | None = None
        self._steps: int | None = None
        self._names: list[str] = []

    # ------------------------------------------------------------------- what each way decides for itself

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What was asked, as what ``json.dumps`` takes: a run goes on only with the same."""

    @property
    @abstractmethod
    def requested(self) -> float | None:
        """The sparsity there is to be at the end; None: that which there is."""

    @abstractmethod
    def start(self, masks: Masks) -> None:
        """Make the masks those of ``step``, which may be one of a resumed run; what is masked stays so."""

    def look(self, masks: Masks) -> None:  # noqa: B027  most have nothing to look at
        """Before a step: gradients are still those of all weights."""

    def change(self, masks: Masks) -> bool:  # noqa: ARG002  some never do
        """After a step, which ``step`` counts already: change the masks, if it is time. Whether it was."""
        return False

    # ------------------------------------------------------------------------------------------ the training

    def attach(self, model: torch.nn.Module) -> Masks:
        """The masks of ``model``, which is given some if it has none. Do it before a checkpoint with masks is
        loaded; ``begin`` does it, too."""
        return Masks.attach(model, layers=self._layers)

    def begin(self, model: torch.nn.Module, optimizer: object, *, steps: int | None = None) -> None:
        """Training begins, or goes on after ``load_state_dict``. ``optimizer``: one, or a list of them;
        ``steps``: how many there will be in all, if that is known. From now on masks hold after each
        ``optimizer.step()``."""
        require(
            self._held is None, InputError, f"{self._name} has begun already: end it first, or make another"
        )
        self._steps = steps
        masks = self.attach(model)
        self._model, self._found = model, None
        self._names = [layer.name for layer in masks]
        self.start(masks)
        masks.apply()
        self._held = HeldOptimizers(masks, plain(optimizer), lambda: self.look(masks), self._after)
        self._held.clear_state()

    def end(self) -> PruneResult:
        """Training is done: the model keeps its zeros and is otherwise an ordinary one again. What was done;
        InputError where something but the optimiser has changed weights that are masked."""
        self.release()
        if self._model is None:
            return self.result
        masks = Masks.of(self._model)
        lost = [name for name in self._names if name not in {layer.name for layer in masks}]
        told = (
            f"the masks of {', '.join(map(repr, lost[:4]))} are gone: their layers were replaced in training"
        )
        require(not lost, InputError, told)
        masks.check()
        for layer in masks:
            layer.array()  # is finite
        self._found = PruneResult(self._model, masks.arrays(), self._report(masks))
        masks.remove()
        self._model = None
        return self._found

    def release(self) -> None:
        """Let go of the optimiser; the model keeps its masks."""
        if self._held is not None:
            self._held.release()
        self._held = None

    @contextmanager
    def during(
        self, model: torch.nn.Module, optimizer: object, *, steps: int | None = None
    ) -> Generator[Masks]:
        """``begin``, and ``end`` after the block. Where it fails, the model keeps its masks, to be saved."""
        self.begin(model, optimizer, steps=steps)
        try:
            yield self.masks
        except BaseException:
            self.release()
            raise
        self.end()

    @property
    def masks(self) -> Masks:
        """Those of the model in training; InputError before and after."""
        if self._model is None:
            raise InputError(f"{self._name} is not in training: begin first; what it left is in its result")
        return Masks.of(self._model)

    @property
    def result(self) -> PruneResult:
        """What training left, once it has ended."""
        if self._found is None:
            raise InputError(f"{self._name} has not trained to its end: there is no result yet")
        return self._found

    def state_dict(self) -> dict[str, Any]:
        """Where it stands; the masks themselves are in the model's own ``state_dict``."""
        return {"step": self.step, "settings": self.settings}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there; InputError where other settings were asked for, or it has begun already."""
        require(self._held is None, InputError, f"{self._name} has begun already: load its state before")
        there, here = dict(state.get("settings", {})), self.settings
        other = [key for key in sorted({*there, *here}) if there.get(key) != here.get(key)]
        told = ", ".join(f"{key}={there.get(key)!r}, not {here.get(key)!r}" for key in other)
        require(not other, InputError, f"the checkpoint is of {self._name} with {told}: ask for the same")
        step = state.get("step")
        known = isinstance(step, int) and step >= 0
        require(known, InputError, f"the checkpoint says step {step!r}: give a state_dict of {self._name}")
        self.step = int(step or 0)

    def last_step(self, end: int | None, share: float) -> int:
        """``end``, or that ``share`` of the steps announced; InputError where there is neither."""
        if end is not None:
            return end
        if self._steps is None:
            raise InputError(
                f"{self._name} does not know how long training is: give end=, or steps= to begin"
            )
        return int(share * self._steps)

    def _after(self) -> None:
        self.step += 1
        masks = self.masks
        if self.change(masks):
            masks.apply()
            if self._held is not None:
                self._held.clear_state()

    def _report(self, masks: Masks) -> PruneReport:
        layers = tuple(self._layer_report(layer) for layer in masks)
        size, zeros = sum(r.size for r in layers), sum(r.zeros for r in layers)
        asked = self.requested if self.requested is not None else zeros / max(1, size)
        return PruneReport(
            self._name,
            self.pattern.name,
            str(self.settings.get("scope", "layer")),
            asked,
            layers,
            notes=size_notes(layers, asked, {r.name: asked for r in layers}, self.pattern.name),
        )

    def _layer_report(self, layer: MaskedLayer) -> LayerReport:
        gone = gone_units(layer, self.pattern)
        zeros = int(torch.count_nonzero(layer.weight == 0))
        outputs = layer.weight.shape[0]
        shape = (outputs, layer.weight[0].numel() if outputs else 0)
        return LayerReport(layer.name, shape, gone.size, int(np.count_nonzero(gone)), zeros)

    @property
    def _name(self) -> str:
        return type(self).__name__

    # ------------------------------------------------------------- as a callback of transformers' Trainer

    def on_init_end(self, *_: Any, model: torch.nn.Module, **__: Any) -> None:
        """(args, state, control): before a checkpoint is loaded, so that its masks are, too."""
        self.attach(model)

    def on_train_begin(self, _args: Any, state: Any, *_: Any, model: Any, optimizer: Any, **__: Any) -> None:
        self.release()  # of a training that failed
        self.step = state.global_step
        self.begin(model, optimizer, steps=state.max_steps)

    def on_train_end(self, *given: Any, **__: Any) -> None:
        """(args, state, control); or of Lightning (trainer, module), which may still save after it."""
        if len(given) == 3:
            self.end()

    # ------------------------------------------------------------------------- as a callback of Lightning

    @property
    def state_key(self) -> str:
        return f"aerogel.{self._name}"

    _legacy_state_key = None
    """Lightning looks for a state under this, too."""

    def setup(self, _trainer: Any, module: torch.nn.Module, stage: str) -> None:
        """Before a checkpoint is loaded, so that its masks are, too."""
        if stage == "fit":
            self.attach(module)

    def on_train_start(self, trainer: Any, module: torch.nn.Module) -> None:
        self.release()  # of a training that failed
        total = trainer.estimated_stepping_batches
        self.begin(module, trainer.optimizers, steps=int(total) if np.isfinite(total) else None)

    def on_fit_end(self, *_: Any) -> None:
        """(trainer, module)"""
        self.end()

    def on_exception(self, *_: Any) -> None:
        """(trainer, module, error): the model keeps its masks, to be saved."""
        self.release()

    def __getattr__(self, name: str) -> Callable[..., None]:
        # Frameworks have dozens of such methods, more in each version, and call all of them.
        if name.startswith("on_") or name == "teardown":
            return _nothing
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


def gone_units(layer: MaskedLayer, pattern: Pattern) -> NDArray[np.bool_]:
    """The units of ``pattern`` that the mask keeps nothing of: [units of outputs, units of inputs]."""
    mask = layer.mask.cpu().numpy()
    flat = mask.reshape(mask.shape[0], -1)
    return pattern.per_unit(~flat, np.logical_and).astype(np.bool_, copy=False)


def put_gone(layer: MaskedLayer, pattern: Pattern, gone: NDArray[np.bool_]) -> None:
    """Mask exactly the units flagged in ``gone``."""
    outputs = layer.weight.shape[0]
    inputs = layer.weight[0].numel() if outputs else 0
    layer.put(torch.from_numpy(~pattern.spread(gone, (outputs, inputs))))


def _nothing(*_: Any, **__: Any) -> None:
    """An event that means nothing here."""
