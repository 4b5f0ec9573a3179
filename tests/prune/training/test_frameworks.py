"""As callbacks: the calls that the trainers of transformers and Lightning make, and these trainers themselves
where they are installed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tests.prune.training.little import EVERYTHING, adam, batch, loss_of, network, train

from aerogel.core.errors import InputError
from aerogel.prune import prune
from aerogel.prune.training import GradualMagnitude, Masks, RigL, TrainingMasks

WAYS: dict[str, Callable[[], TrainingMasks]] = {
    "gradual": lambda: GradualMagnitude(0.75, every=2, layers=EVERYTHING),
    "rigl": lambda: RigL(0.75, every=2, layers=EVERYTHING),
}
ways = pytest.mark.parametrize("make", WAYS.values(), ids=WAYS)


def wrapped(optimizer: torch.optim.Optimizer, name: str = "optimizer") -> Any:
    """As frameworks wrap it: an optimiser to look at, which hands each step on."""

    class Wrapper(torch.optim.Optimizer):
        def __init__(self) -> None:
            setattr(self, name, optimizer)

        def step(self, *_: Any) -> None:
            optimizer.step()

        def zero_grad(self, *_: Any) -> None:
            optimizer.zero_grad()

    return Wrapper()


def as_transformers(way: Any, model: torch.nn.Module, stop: int = 16, optimizer: Any = None) -> Any:
    """The events of a training in their order; ``optimizer``: of a resumed run, with where it is."""
    args, control = SimpleNamespace(), object()
    inner, state = optimizer or (adam(model), SimpleNamespace(global_step=0, max_steps=16))
    outer = wrapped(inner)

    def call(event: str) -> None:
        assert getattr(way, event)(args, state, control, model=model, optimizer=outer) is None

    call("on_init_end")
    call("on_train_begin")
    call("on_epoch_begin")
    while state.global_step < stop:
        call("on_step_begin")
        loss_of(model, state.global_step).backward()
        call("on_pre_optimizer_step")
        outer.step()
        call("on_optimizer_step")
        outer.zero_grad()
        state.global_step += 1
        call("on_step_end")
        way.masks.check()
    if stop == 16:
        call("on_epoch_end")
        call("on_train_end")
    return inner, state


@ways
def test_as_transformers_calls_it(make: Callable[[], TrainingMasks]) -> None:
    model, way = network(), make()
    as_transformers(way, model)
    assert way.step == 16 and way.result.report.sparsity == 0.75
    assert list(model.state_dict()) == list(network().state_dict())
    plain, other = network(), make()
    with other.during(plain, optimizer := adam(plain), steps=16):
        list(train(plain, optimizer, 16))
    assert all(torch.equal(v, model.state_dict()[n]) for n, v in plain.state_dict().items())


@ways
def test_transformers_goes_on_from_a_checkpoint(make: Callable[[], TrainingMasks]) -> None:
    whole, way = network(), make()
    as_transformers(way, whole)
    first, half = network(), make()
    optimizer, _ = as_transformers(half, first, stop=5)
    saved = copy.deepcopy((first.state_dict(), optimizer.state_dict()))

    model, again = network(4), make()
    again.on_init_end(None, None, None, model=model)
    model.load_state_dict(saved[0])
    (theirs := adam(model)).load_state_dict(saved[1])
    as_transformers(again, model, optimizer=(theirs, SimpleNamespace(global_step=5, max_steps=16)))
    assert all(torch.equal(v, model.state_dict()[n]) for n, v in whole.state_dict().items())
    assert all(np.array_equal(m, again.result.masks[n]) for n, m in way.result.masks.items())


@ways
def test_as_lightning_calls_it(make: Callable[[], TrainingMasks]) -> None:
    model, way = network(), make()
    optimizer = adam(model)
    trainer = SimpleNamespace(estimated_stepping_batches=16, optimizers=[wrapped(optimizer, "_optimizer")])
    way.setup(trainer, model, "fit")
    assert len(Masks.of(model)) == 2, "before a checkpoint is loaded"
    way.on_train_start(trainer, model)
    for number, _ in enumerate(train(model, optimizer, 16)):
        way.on_train_batch_end(trainer, model, None, batch(number), number)
        way.masks.check()
    state = way.state_dict()
    way.on_train_end(trainer, model)
    assert "0.weight_mask" in model.state_dict(), "checkpoints may still be written"
    way.on_fit_end(trainer, model)
    way.teardown(trainer, model, "fit")
    assert way.result.report.sparsity == 0.75 and "0.weight_mask" not in model.state_dict()
    assert state["step"] == 16 and way.state_key == f"aerogel.{type(way).__name__}"


def test_lightning_does_not_say_how_long() -> None:
    model = network()
    trainer = SimpleNamespace(estimated_stepping_batches=float("inf"), optimizers=[adam(model)])
    with pytest.raises(InputError, match="does not know how long training is"):
        WAYS["gradual"]().on_train_start(trainer, model)


def test_a_training_that_failed_can_be_begun_again() -> None:
    model, way = network(), WAYS["rigl"]()
    optimizer = adam(model)
    trainer = SimpleNamespace(estimated_stepping_batches=16, optimizers=[optimizer])
    way.on_train_start(trainer, model)
    way.on_exception(trainer, model, ValueError())
    way.on_train_start(trainer, model)
    list(train(model, optimizer, 1))
    assert way.step == 1, "the first time's hooks are gone"
    with pytest.raises(AttributeError, match="no attribute 'of_train_end'"):
        way.of_train_end()


# -------------------------------------------------------------------------------------------- the real ones


@pytest.mark.slow
@ways
def test_transformers_trainer(make: Callable[[], TrainingMasks], tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )
    chance = torch.Generator().manual_seed(0)
    data = [{"input_ids": torch.randint(0, 50, (8,), generator=chance), "labels": i % 2} for i in range(64)]

    def trained(checkpoint: str | None) -> tuple[Any, TrainingMasks]:
        torch.manual_seed(0)
        model, way = transformers.BertForSequenceClassification(config), make()
        args = transformers.TrainingArguments(
            str(tmp_path),
            max_steps=10,
            per_device_train_batch_size=4,
            gradient_accumulation_steps=2,
            save_steps=5,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        )
        trainer = transformers.Trainer(model, args, train_dataset=data, callbacks=[way])
        trainer.train(resume_from_checkpoint=checkpoint)
        return model, way

    model, way = trained(None)
    again, resumed = trained(str(tmp_path / "checkpoint-5"))
    assert way.step == resumed.step == 10
    assert way.result.report.sparsity == pytest.approx(0.75, abs=0.01)
    assert all(np.array_equal(m, resumed.result.masks[n]) for n, m in way.result.masks.items())
    assert all(torch.equal(v, again.state_dict()[n]) for n, v in model.state_dict().items())


@pytest.mark.slow
@ways
@pytest.mark.filterwarnings("ignore")
def test_lightning_trainer(make: Callable[[], TrainingMasks], tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network()

        def training_step(self, given: list[torch.Tensor], number: int) -> torch.Tensor:
            return (self.network(given[0]) - given[1]).square().mean()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return adam(self)

    data = [batch(i) for i in range(8)]

    def trained(checkpoint: str | None) -> tuple[Any, TrainingMasks]:
        module, way = Module(), make()
        # Saved at the end of an epoch: within one, Lightning does not go on with the batch that is next.
        saving = lightning.pytorch.callbacks.ModelCheckpoint(
            dirpath=tmp_path, filename="{step}", every_n_train_steps=8, save_top_k=-1
        )
        trainer = lightning.Trainer(
            max_steps=16,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
            callbacks=[way, saving],
        )
        trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=None), ckpt_path=checkpoint)
        return module, way

    module, way = trained(None)
    again, resumed = trained(str(tmp_path / "step=8.ckpt"))
    assert way.step == resumed.step == 16 and way.result.report.sparsity == 0.75
    assert all(torch.equal(v, again.state_dict()[n]) for n, v in module.state_dict().items())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_adapters_of_peft() -> None:
    peft = pytest.importorskip("peft")
    result = prune(network(), 0.75, layers=EVERYTHING)
    Masks.attach(result.model, result.masks)
    adapted = peft.get_peft_model(result.model, peft.LoraConfig(r=2, target_modules=["0", "2"]))
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], 1e-2)
    list(train(adapted, optimizer, 10))
    merged = adapted.merge_and_unload()
    masks = Masks.of(merged)
    assert masks.apply() > 0
    assert all(np.array_equal(m, masks.arrays()[name]) for name, m in result.masks.items())
    masks.check()
