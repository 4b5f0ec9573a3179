"""What training does to weights, and masks survive: optimisers, mixed precision, accumulation, compilation,
copies, checkpoints."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.prune.training.little import (
    EVERYTHING,
    adam,
    loss_of,
    network,
    no_negative_zeros,
    train,
    zeros,
)

from aerogel.core.errors import InputError
from aerogel.prune import prune
from aerogel.prune.training import GradualMagnitude, HeldMasks, Masks, RigL, TrainingMasks

WAYS: dict[str, Callable[[], TrainingMasks]] = {
    "held": lambda: HeldMasks(layers=EVERYTHING),
    "gradual": lambda: GradualMagnitude(0.75, end=12, every=3, layers=EVERYTHING),
    "rigl": lambda: RigL(0.75, end=14, every=3, layers=EVERYTHING),
}
ways = pytest.mark.parametrize("make", WAYS.values(), ids=WAYS)

OPTIMIZERS: dict[str, Callable[[torch.nn.Module], torch.optim.Optimizer]] = {
    "sgd": lambda m: torch.optim.SGD(m.parameters(), 0.05, momentum=0.9, weight_decay=0.1, nesterov=True),
    "adam": lambda m: torch.optim.Adam(m.parameters(), 1e-2, weight_decay=0.1),
    "adamw": adam,
    "rmsprop": lambda m: torch.optim.RMSprop(m.parameters(), 1e-2, momentum=0.5, centered=True),
    "adagrad": lambda m: torch.optim.Adagrad(m.parameters(), 1e-2),
    "rprop": lambda m: torch.optim.Rprop(m.parameters(), 1e-3),
}


def pruned(share: float = 0.75) -> torch.nn.Module:
    return prune(network(), share, layers=EVERYTHING, inplace=True).model


def start_of(make: Callable[[], TrainingMasks]) -> torch.nn.Module:
    return pruned() if make is WAYS["held"] else network()


def held_by(masks: Masks) -> None:
    """Weights keep to the masks, exactly."""
    masks.check()
    for layer in masks:
        assert not bool(torch.signbit(layer.weight[~layer.mask]).any())


@pytest.mark.parametrize(
    ("make", "optimizer"),
    [
        *(pytest.param(make, OPTIMIZERS["adamw"], id=f"{way}-adamw") for way, make in WAYS.items()),
        *(pytest.param(WAYS["rigl"], make, id=name) for name, make in OPTIMIZERS.items() if name != "adamw"),
    ],
)
def test_optimisers(
    make: Callable[[], TrainingMasks], optimizer: Callable[[torch.nn.Module], torch.optim.Optimizer]
) -> None:
    model = start_of(make)
    before, optim = copy.deepcopy(model), optimizer(model)
    with make().during(model, optim) as masks:
        for _ in train(model, optim, 20):
            held_by(masks)
            for layer in masks:
                states = [v for v in optim.state[layer.weight].values() if getattr(v, "ndim", 0) == 2]
                moved = "prev" not in optim.state[layer.weight] and not isinstance(optim, torch.optim.Rprop)
                assert not moved or not any(bool(v[~layer.mask].any()) for v in states), "momentum"
    assert list(model.state_dict()) == list(before.state_dict())
    assert not torch.equal(model[0].weight, before[0].weight), "what is kept has learnt"
    share = [float(gone.float().mean()) for gone in zeros(model).values()]
    assert share == pytest.approx([0.75, 0.75], abs=0.02)


def test_pruned_masks_are_held_to_the_end() -> None:
    result = prune(network(), 0.7, layers=EVERYTHING)
    model, optimizer = result.model, adam(result.model)
    held = HeldMasks(result.masks)
    with held.during(model, optimizer):
        list(train(model, optimizer, 10))
    assert all(np.array_equal(held.result.masks[name], mask) for name, mask in result.masks.items())
    assert held.result.report.sparsity == pytest.approx(result.report.sparsity)
    assert no_negative_zeros(model)


def test_several_optimisers_count_as_one() -> None:
    model = pruned()
    first, second = (torch.optim.SGD(model[i].parameters(), 0.1, momentum=0.9) for i in (0, 2))
    held = HeldMasks(layers=EVERYTHING)
    with held.during(model, [second, first]) as masks:
        for step in range(4):
            loss_of(model, step).backward()
            for optimizer in (first, second):
                optimizer.step()
                optimizer.zero_grad()
            held_by(masks)
    assert held.step == 4


def test_one_that_evaluates_again_within_its_step() -> None:
    model = pruned()
    optimizer = torch.optim.LBFGS(model.parameters(), 0.5, max_iter=4)

    def again() -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, 0)
        loss.backward()
        return loss

    with HeldMasks(layers=EVERYTHING).during(model, optimizer) as masks:
        for _ in range(3):
            optimizer.step(again)
            held_by(masks)


@ways
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision(make: Callable[[], TrainingMasks], dtype: torch.dtype) -> None:
    model = start_of(make)
    optimizer, scaler, way = adam(model), torch.amp.GradScaler("cpu", init_scale=2.0**10), make()
    skipped = 0
    with way.during(model, optimizer) as masks:
        for step in range(20):
            with torch.autocast("cpu", dtype):
                loss = loss_of(model, step)
            if step in (5, 6):
                loss = loss * float("inf")
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            was = scaler.get_scale()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            skipped += scaler.get_scale() < was
            held_by(masks)
    assert (skipped, way.step) == (2, 18), "steps that a scaler leaves out do not count"
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())


@ways
def test_gradients_that_add_up(make: Callable[[], TrainingMasks]) -> None:
    """Two half batches are one: the same steps, the same masks."""
    whole, halves = start_of(make), start_of(make)
    found = []
    for model, parts in ((whole, 1), (halves, 2)):
        optimizer, way = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9), make()
        with way.during(model, optimizer) as masks:
            for step in range(20):
                for _ in range(parts):
                    (loss_of(model, step) / parts).backward()
                optimizer.step()
                optimizer.zero_grad()
                held_by(masks)
        assert way.step == 20
        found.append(way.result.masks)
    assert all(np.array_equal(found[0][name], mask) for name, mask in found[1].items())
    torch.testing.assert_close(whole.state_dict(), halves.state_dict())


@pytest.mark.parametrize(
    ("way", "backend"),
    [
        ("gradual", "eager"),
        pytest.param("rigl", "aot_eager", marks=pytest.mark.slow),
        # A C++ compiler is at work, which is slow while others are.
        pytest.param("gradual", "inductor", marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    ],
)
def test_a_compiled_model(way: str, backend: str) -> None:
    make = WAYS[way]
    plain = start_of(make)
    model = copy.deepcopy(plain)
    torch.compiler.reset()
    compiled = torch.compile(model, backend=backend)
    for runs in (plain, compiled):
        optimizer = adam(runs)
        with make().during(runs, optimizer) as masks:
            assert [layer.name for layer in masks] == ["0.weight", "2.weight"]
            for _ in train(runs, optimizer, 20):
                held_by(masks)
    torch.testing.assert_close(plain.state_dict(), model.state_dict())
    x = torch.randn(3, 8)
    torch.testing.assert_close(compiled(x), plain(x))


@ways
def test_a_copy_learns_apart(make: Callable[[], TrainingMasks]) -> None:
    model = start_of(make)
    optimizer, way = adam(model), make()
    with way.during(model, optimizer) as masks:
        list(train(model, optimizer, 8))
        other, kept = copy.deepcopy(model), masks.arrays()
        wanted = copy.deepcopy(model.state_dict())
        theirs = adam(other)
        with HeldMasks().during(other, theirs) as copied:
            assert all(np.array_equal(kept[name], mask) for name, mask in copied.arrays().items())
            for _ in train(other, theirs, 4):
                held_by(copied)
        assert all(torch.equal(value, model.state_dict()[name]) for name, value in wanted.items())
        list(train(model, optimizer, 4, 8))
        held_by(masks)


# ---------------------------------------------------------------------------------------------- checkpoints


@ways
@pytest.mark.parametrize("at", [0, 6, 7])
def test_resumed_it_ends_where_it_would_have(make: Callable[[], TrainingMasks], at: int) -> None:
    model = start_of(make)
    optimizer, way = adam(model), make()
    file = io.BytesIO()
    with way.during(model, optimizer):
        list(train(model, optimizer, at))
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "way": way.state_dict()}
        torch.save(state, file)
        list(train(model, optimizer, 20 - at, at))

    file.seek(0)
    state = torch.load(file)
    other, again = network(9), make()
    again.attach(other)
    other.load_state_dict(state["model"])
    theirs = adam(other)
    theirs.load_state_dict(state["optimizer"])
    again.load_state_dict(state["way"])
    assert again.step == at
    with again.during(other, theirs):
        list(train(other, theirs, 20 - at, at))
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
    assert all(np.array_equal(mask, again.result.masks[name]) for name, mask in way.result.masks.items())


@ways
def test_a_checkpoint_without_masks_finds_them_in_its_zeros(make: Callable[[], TrainingMasks]) -> None:
    model = start_of(make)
    optimizer, way = adam(model), make()
    with way.during(model, optimizer) as masks:
        list(train(model, optimizer, 8))
        kept, state = masks.arrays(), {n: v for n, v in model.state_dict().items() if "mask" not in n}
        saved = way.state_dict()
    other, again = network(9), make()
    other.load_state_dict(state)
    again.load_state_dict(saved)
    again.begin(other, adam(other))
    assert all(np.array_equal(kept[name], mask) for name, mask in again.masks.arrays().items())
    again.release()


def test_a_run_that_failed_keeps_its_masks() -> None:
    model = network()
    optimizer, way = adam(model), WAYS["gradual"]()

    def fail() -> None:
        with way.during(model, optimizer):
            list(train(model, optimizer, 12))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert "0.weight_mask" in model.state_dict() and Masks.of(model).sparsity == 0.75
    with pytest.raises(InputError, match="not trained to its end"):
        assert way.result
    with way.during(model, optimizer):
        list(train(model, optimizer, 2, 12))
    assert way.step == 14 and way.result.report.sparsity == 0.75


# ------------------------------------------------------------------------------------------------ bad input


def test_the_optimiser_of_another_model() -> None:
    with pytest.raises(InputError, match="trains no weight that has a mask"):
        WAYS["rigl"]().begin(network(), adam(network()))
    with pytest.raises(InputError, match="the optimizer is a str"):
        WAYS["rigl"]().begin(network(), "adam")


def test_weights_set_behind_its_back() -> None:
    model = pruned()
    held = HeldMasks(layers=EVERYTHING)
    held.begin(model, adam(model))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
    with pytest.raises(InputError, match=r"72 masked weights of '0.weight' are not zero"):
        held.end()
    held.masks.apply()
    assert held.end().report.sparsity == 0.75


def test_in_the_wrong_order() -> None:
    model = network()
    way, optimizer = WAYS["gradual"](), adam(model)
    with pytest.raises(InputError, match="is not in training: begin first"):
        assert way.masks
    with pytest.raises(InputError, match="no result yet"):
        way.end()
    way.begin(model, optimizer)
    with pytest.raises(InputError, match="has begun already: end it first"):
        way.begin(model, optimizer)
    with pytest.raises(InputError, match="has begun already: load its state before"):
        way.load_state_dict({})
    way.end()
    assert way.end() is way.result, "ended twice is ended"


def test_the_checkpoint_of_another_run() -> None:
    way, other = WAYS["gradual"](), GradualMagnitude(0.5, end=12, every=3)
    with pytest.raises(InputError, match=r"sparsity=0.5, not 0.75: ask for the same"):
        way.load_state_dict(other.state_dict())
    with pytest.raises(InputError, match="says step 'two'"):
        way.load_state_dict(way.state_dict() | {"step": "two"})
    with pytest.raises(InputError, match="says step None"):
        way.load_state_dict({"settings": way.settings})


@ways
def test_weights_that_are_not_numbers(make: Callable[[], TrainingMasks]) -> None:
    model = start_of(make)
    optimizer, way = adam(model), make()
    way.begin(model, optimizer)
    with torch.no_grad():
        model[0].weight[:, 0] = float("nan")
    if make is WAYS["held"]:
        return
    with pytest.raises(InputError, match=r"'0.weight' has \d+ non-finite values"):
        list(train(model, optimizer, 3))
