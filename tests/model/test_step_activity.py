"""What steps do, by hand: operations by number, bytes by level."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from tests.model.graphs import Draft, quick, rows_of, tokens

from aerogel.core.caches import Cache
from aerogel.energy.activity import Activity
from aerogel.kernels.approx import ACTIVATIONS
from aerogel.model.program import Program
from aerogel.model.step_activity import Levels, _of, step_activity
from aerogel.model.work import step_work

K, M = 1 << 10, 1 << 20
CACHES = (Cache(1, 32 * K, 1), Cache(2, 512 * K, 1), Cache(3, 16 * M, 4))
KNOWN = ("L1", "L2", "L3", "memory")


def test_the_nearest_cache_that_holds_it() -> None:
    one, four = Levels(CACHES, 1, KNOWN), Levels(CACHES, 4, KNOWN)
    assert [one.holding(n) for n in (1, 32 * K, 33 * K, 600 * K, 17 * M)] == [
        "L1",
        "L1",
        "L2",
        "L3",
        "memory",
    ]
    # Four threads have four of the small caches, and one large one together.
    assert [four.holding(n) for n in (128 * K, 129 * K, 2 * M, 3 * M, 17 * M)] == [
        "L1",
        "L2",
        "L2",
        "L3",
        "memory",
    ]


def test_a_level_that_was_not_fitted_is_the_next_one() -> None:
    assert Levels(CACHES, 1, ("L1", "L2", "memory")).holding(M) == "memory"
    assert Levels(CACHES, 1, ("L1", "L2")).holding(M) == "L2"
    assert Levels(CACHES, 1, ("L2", "memory")).at("L1") == "L2"


@pytest.mark.parametrize("function", list(ACTIVATIONS))
def test_operations_of_functions_are_those_of_their_code(function: str) -> None:
    assert 1 <= _of(function) <= 40
    assert _of("relu") == 1


@cache
def layer() -> Program:
    """64 x 32 with 32 zero inputs of 64, relu."""
    d = rows_of(64)
    y = d.activation(d.linear("x", 32), "relu")
    (name,) = (name for name, weight in d.weights.items() if np.ndim(weight) == 2)
    d.weights[name][:, 32:] = 0
    return quick(d.graph(y))


def activity(program: Program, number: int, n: int, threads: int = 2) -> Activity:
    batch = program.batch(np.zeros((n, 64), np.float32))
    return step_activity(program.built, number, batch, 0.5, Levels(CACHES, threads, KNOWN))


def test_a_linear_layer_by_hand() -> None:
    n = 96
    found = activity(layer(), 1, n)
    built = layer().built
    batch = layer().batch(np.zeros((n, 64), np.float32))
    work = step_work(built, 1, batch)
    packed = next(iter(built.packed.values())).at(n)
    assert (found.seconds, found.awake_s) == (0.5, 1.0)
    assert found.operations == {"fp32": work.flops_computed + 32 * n}, "a product, and relu of each output"
    lanes = built.layout.lanes
    activations = 4 * n * (64 + 32)
    constants = work.bytes_effective - activations
    # All is small, so weights and activations come from two threads' L1; inputs are loaded again and again.
    again = 4 * lanes * packed.loads * built.layout.vectors(n)
    assert found.bytes["L1"] == activations + constants + again
    assert found.bytes.get("L2", 0) == packed.nbytes * (len(built.layout.tiles(n)) - 1)


def test_other_steps_move_what_work_says() -> None:
    for number in (0, 2):
        batch = layer().batch(np.zeros((7, 64), np.float32))
        found = activity(layer(), number, 7)
        assert found.operations == {"fp32": 0}
        assert found.bytes["L1"] == step_work(layer().built, number, batch).bytes_effective


@cache
def encoder() -> Program:
    d = Draft()
    x = d.embedding(16)
    x = d.norm(d.add(d.activation(d.linear(d.attend(x), 16)), x))
    return quick(d.graph(x, d.normalize(d.pool(x))))


def test_every_step_of_an_encoder_has_an_activity() -> None:
    batch = encoder().batch(**tokens((9, 30)))
    for number, step in enumerate(encoder().built.steps):
        found = step_activity(encoder().built, number, batch, 1e-3, Levels(CACHES, 1, KNOWN))
        assert all(amount >= 0 for amount in found.amounts().values())
        assert sum(found.bytes.values()) >= step_work(encoder().built, number, batch).bytes_effective
        if type(step).__name__ == "AttentionStep":
            flops = 4 * (9**2 + 30**2) * 16
            softmax = (4 + _of("exp2")) * 2 * (9**2 + 30**2)
            assert found.operations["fp32"] == flops + softmax


def test_weights_of_a_large_program_come_from_memory() -> None:
    """A cache of 1 KB holds no program, and no activations either."""
    little = Levels((Cache(1, 1 * K, 1),), 1, KNOWN)
    batch = layer().batch(np.zeros((96, 64), np.float32))
    found = step_activity(layer().built, 1, batch, 1.0, little)
    assert found.bytes["memory"] == step_work(layer().built, 1, batch).bytes_effective
