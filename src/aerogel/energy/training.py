"""The energy of training, epoch by epoch: in a plain loop, in transformers' Trainer or in Lightning's.

    energy = TrainingEnergy()
    Trainer(model, args, train_dataset=data, callbacks=[energy]).train()     # transformers
    lightning.Trainer(max_epochs=3, callbacks=[energy]).fit(model)           # Lightning

    with energy:                                                             # a loop of your own
        for epoch in range(3):
            for batch in batches:
                learn(batch)
                energy.step(items=len(batch))
            energy.end_epoch()
    print(energy)

Neither framework is imported: each calls its callbacks' methods by name, and those that mean nothing here do
nothing. Meters are read at the ends of epochs and of the whole alone; a step costs an addition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aerogel.core.errors import InputError, MeasureError, require
from aerogel.energy.block import Meter, meter
from aerogel.energy.reading import Reading


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch took. ``items``: None where nobody counted them."""

    reading: Reading
    steps: int
    items: int | None

    def to_json(self) -> dict[str, Any]:
        return {"reading": self.reading.to_json(), "steps": self.steps, "items": self.items}


class TrainingEnergy:
    """See above. ``items_of``: how many items a batch holds, for Lightning, which hands batches over;
    ``item``: what they are called. ``make_meter``: such as ``lambda: meter(tdp_watts=65)``.

    Of several processes on one machine, only the first meters: a meter counts the machine whoever asks, but
    power models know the first one's CPU time alone. Good for one training; MeasureError on the second.
    """

    def __init__(
        self,
        *,
        items_of: Callable[[Any], int] | None = None,
        item: str = "item",
        make_meter: Callable[[], Meter] = meter,
    ) -> None:
        self.item = item
        self.steps = 0
        self.epochs: tuple[Epoch, ...] = ()
        self._items: int | None = None
        self._items_of, self._make_meter = items_of, make_meter
        self._whole: Meter | None = None
        self._epoch: Meter | None = None
        self._epoch_began = (0, 0)
        self._ended = self._elsewhere = False

    def begin(self) -> None:
        """Training begins."""
        told = "this training has been metered already: make a TrainingEnergy for each"
        require(self._whole is None, MeasureError, told)
        self._whole = self._make_meter()
        self._whole.__enter__()
        self._begin_epoch()

    def step(self, items: int | None = None) -> None:
        """One step is done, on so many items."""
        self.steps += 1
        if items is not None:
            require(items >= 0, InputError, f"items={items!r}: a step has no fewer than 0 items")
            self._items = (self._items or 0) + items

    def end_epoch(self) -> None:
        """An epoch is done; the next begins at once. Steps after the last epoch belong to the whole alone."""
        if self._epoch is None:
            return
        self._epoch.__exit__(None, None, None)
        steps, items = self._epoch_began
        done = None if self._items is None else self._items - items
        self.epochs = (*self.epochs, Epoch(self._epoch.reading, self.steps - steps, done))
        self._begin_epoch()

    def end(self) -> None:
        """Training is done. What was begun of an epoch and not ended counts for the whole alone."""
        if self._whole is None or self._ended:
            return
        self._ended = True
        for running in (self._epoch, self._whole):
            if running is not None:
                running.__exit__(None, None, None)
        self._epoch = None

    def _begin_epoch(self) -> None:
        assert self._whole is not None
        self._epoch = self._whole.another()
        self._epoch.__enter__()
        self._epoch_began = (self.steps, self._items or 0)

    @property
    def items(self) -> int | None:
        """Done so far; None where nobody counted."""
        return self._items

    @property
    def reading(self) -> Reading:
        """Of the whole training; MeasureError before it has ended, and in processes that do not meter."""
        told = "the first process on this machine meters for all: ask its TrainingEnergy"
        require(not self._elsewhere, MeasureError, told)
        if self._whole is None:
            raise MeasureError("training has not begun, so nothing was metered: hand this to a trainer")
        return self._whole.reading

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def __str__(self) -> str:
        lines = [f"training, {self.steps} steps: {self.reading}"]
        if self._items:
            lines.append(f"  per {self.item} (of {self._items}): {self.reading.per_run(self._items).amount}")
        for number, epoch in enumerate(self.epochs, 1):
            took = f"{epoch.reading.amount} in {epoch.reading.seconds:.3g} s"
            lines.append(f"  epoch {number}, {epoch.steps} steps: {took}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """All of it; MeasureError before training has ended."""
        return {
            "reading": self.reading.to_json(),
            "steps": self.steps,
            "items": self._items,
            "item": self.item,
            "epochs": [epoch.to_json() for epoch in self.epochs],
        }

    # ------------------------------------------------------------- as a callback of transformers' Trainer

    def on_train_begin(self, _args: Any, state: Any, *_: Any, **__: Any) -> None:
        self._begin_here(first=getattr(state, "is_local_process_zero", True))

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._step_here(None)

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        """Of transformers (args, state, control)."""
        self.end_epoch()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Of both: (args, state, control) or (trainer, module)."""
        self.end()

    # ------------------------------------------------------------------------- as a callback of Lightning

    _legacy_state_key = None
    """Lightning asks for it where a checkpoint is resumed."""

    @property
    def state_key(self) -> str:
        return f"aerogel.TrainingEnergy.{id(self)}"

    def on_train_start(self, trainer: Any, *_: Any) -> None:
        self._begin_here(first=getattr(trainer, "local_rank", 0) == 0)

    def on_train_batch_end(self, *given: Any, **__: Any) -> None:
        """(trainer, module, outputs, batch, number)."""
        batch = given[3]
        self._step_here(None if self._items_of is None else self._items_of(batch))

    def on_train_epoch_end(self, *_: Any) -> None:
        self.end_epoch()

    def on_exception(self, *_: Any) -> None:
        self.end()

    def _begin_here(self, *, first: bool) -> None:
        self._elsewhere = not first
        if first:
            self.begin()

    def _step_here(self, items: int | None) -> None:
        if not self._elsewhere:
            self.step(items)

    def __getattr__(self, name: str) -> Callable[..., None]:
        # Frameworks have dozens of such methods, more in each version, and call all of them.
        if name.startswith("on_") or name in _LIFE:
            return _nothing
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


_LIFE = ("setup", "teardown", "state_dict", "load_state_dict")
"""What Lightning calls besides."""


def _nothing(*_: Any, **__: Any) -> None:
    """An event that means nothing here."""
