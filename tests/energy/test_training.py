"""Training, metered by epoch: a plain loop, and the calls that frameworks make."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from tests.energy.metered import Meters, measured

from aerogel.core.errors import MeasureError
from aerogel.energy.training import TrainingEnergy

WHOLE, FIRST, SECOND, LEFT = measured(100.0, 10.0), measured(40.0, 4.0), measured(50.0, 5.0), measured(1.0)


def energy(**options) -> tuple[TrainingEnergy, Meters]:
    meters = Meters(WHOLE, FIRST, SECOND, LEFT)
    return TrainingEnergy(make_meter=meters, **options), meters


def test_a_plain_loop() -> None:
    training, meters = energy(item="image")
    with training:
        for _ in range(2):
            for size in (8, 8, 4):
                training.step(items=size)
            training.end_epoch()
        training.step(items=2)
    assert training.reading == WHOLE
    assert [(e.reading, e.steps, e.items) for e in training.epochs] == [(FIRST, 3, 20), (SECOND, 3, 20)]
    assert (training.steps, training.items) == (7, 42)
    assert all(m.ended == 1 for m in meters.made)
    lines = str(training).splitlines()
    assert lines[0].startswith("training, 7 steps: 100 J")
    assert lines[1] == "  per image (of 42): 2.38 J [2.38 J, 2.38 J]"
    assert lines[2] == "  epoch 1, 3 steps: 40 J [40 J, 40 J] in 4 s"
    assert json.loads(json.dumps(training.to_json()))["epochs"][1]["items"] == 20


def test_items_that_nobody_counted_are_not_zero() -> None:
    training, _ = energy()
    with training:
        training.step()
        training.end_epoch()
    assert training.items is None and training.epochs[0].items is None
    assert "per item" not in str(training)


def test_what_fails_is_metered_up_to_there() -> None:
    training, _ = energy()

    def train() -> None:
        with training:
            training.step()
            raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged"):
        train()
    assert (training.reading, training.steps, training.epochs) == (WHOLE, 1, ())


def test_one_training_each() -> None:
    training, _ = energy()
    with pytest.raises(MeasureError, match="has not begun"):
        assert training.reading
    with training:
        pass
    with pytest.raises(MeasureError, match="metered already"):
        training.begin()


def test_as_transformers_calls_it() -> None:
    training, _ = energy()
    args, state, control = SimpleNamespace(), SimpleNamespace(is_local_process_zero=True), object()

    def call(event: str) -> None:
        assert getattr(training, event)(args, state, control, model=None, optimizer=None) is None

    call("on_init_end")
    call("on_train_begin")
    for _ in range(2):
        call("on_epoch_begin")
        for _ in range(3):
            call("on_step_begin")
            call("on_optimizer_step")
            call("on_step_end")
        call("on_evaluate")
        call("on_epoch_end")
    call("on_train_end")
    assert training.reading == WHOLE
    assert [e.steps for e in training.epochs] == [3, 3]


def test_as_lightning_calls_it() -> None:
    training, _ = energy(items_of=len)
    trainer, module = SimpleNamespace(local_rank=0), object()
    training.setup(trainer, module, stage="fit")
    training.on_fit_start(trainer, module)
    training.on_train_start(trainer, module)
    for _ in range(2):
        training.on_train_epoch_start(trainer, module)
        for number in range(3):
            training.on_train_batch_start(trainer, module, [1, 2], number)
            training.on_train_batch_end(trainer, module, None, [1, 2], number)
        training.on_train_epoch_end(trainer, module)
    training.on_train_end(trainer, module)
    training.teardown(trainer, module, stage="fit")
    assert isinstance(training.state_key, str)
    assert (training.reading, training.steps, training.items) == (WHOLE, 6, 12)
    assert len(training.epochs) == 2


def test_lightning_ends_it_where_training_fails() -> None:
    training, _ = energy()
    training.on_train_start(SimpleNamespace(local_rank=0), object())
    training.on_exception(object(), object(), ValueError())
    training.on_train_end(object(), object())
    assert training.reading == WHOLE


@pytest.mark.parametrize("framework", ["transformers", "lightning"])
def test_only_the_first_process_of_a_machine_meters(framework: str) -> None:
    training, meters = energy()
    if framework == "transformers":
        training.on_train_begin(None, SimpleNamespace(is_local_process_zero=False), None)
        training.on_step_end(None, None, None)
    else:
        training.on_train_start(SimpleNamespace(local_rank=1), None)
        training.on_train_batch_end(None, None, None, [], 0)
    training.on_epoch_end()
    training.on_train_end()
    assert not meters.made
    with pytest.raises(MeasureError, match="the first process"):
        assert training.reading


def test_other_attributes_are_missing_as_usual() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'joules'"):
        assert TrainingEnergy().joules
