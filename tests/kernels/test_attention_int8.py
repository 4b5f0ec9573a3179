"""Attention with integer products: what rounding must not do, and what is not finite."""

from __future__ import annotations

import numpy as np
import pytest
from tests.kernels.attention_cases import Array, Case
from tests.kernels.machine import Machine

from aerogel.kernels.attention import Attention

KIND = Attention(8, products="int8")


def one_head(scores: Array, values: Array) -> Case:
    """A case where every query has these scores (natural units): q is constant, k a multiple of it."""
    tokens = len(scores)
    case = Case(KIND, [tokens], heads=1, scale=1.0)
    q = np.full((8, tokens), 1.0, np.float32)
    k = np.zeros((8, tokens), np.float32)
    k[0] = scores
    case.qkv = [q, k, values.astype(np.float32)]
    return case


def compiled_only(machine: Machine) -> None:
    if machine.target is None:
        pytest.skip("this CPU lacks the target")


def test_a_key_that_draws_attention_to_nothing_does_not_silence_the_others(
    machine: Machine, rng: np.random.Generator
) -> None:
    compiled_only(machine)
    values = rng.standard_normal((8, 40)) + 2
    values[:, 0] *= 1e-3
    # Each of the others weighs 1/1100 of the first: far less than a step of 1/254, if values did not count.
    case = one_head(np.array([7.0, *np.zeros(39)]), values)
    assert case.errors(case.run(machine, interpreted=False)).max() < 0.02


def test_many_small_weights_are_not_rounded_away(machine: Machine, rng: np.random.Generator) -> None:
    compiled_only(machine)
    values = rng.standard_normal((8, 61))
    values[:, 1:] = values[:, 1:2]
    # 60 keys of 0.0015 each, less than half a step: rounded one by one, 8 % of the output would be lost.
    case = one_head(np.array([6.5, *np.zeros(60)]), values / np.abs(values).max(0))
    assert case.errors(case.run(machine, interpreted=False)).max() < 0.03


def test_values_of_zero_give_zero(machine: Machine, rng: np.random.Generator) -> None:
    case = one_head(rng.standard_normal(7), np.zeros((8, 7)))
    np.testing.assert_array_equal(case.run(machine), 0)


@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_the_size_of_values_does_not_matter(machine: Machine, rng: np.random.Generator, size: float) -> None:
    compiled_only(machine)
    case = one_head(rng.standard_normal(21), size * rng.standard_normal((8, 21)))
    assert case.errors(case.run(machine, interpreted=False)).max() < 0.03


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["q", "k", "v"])
def test_what_is_not_finite_becomes_nan(machine: Machine, bad: float, which: str) -> None:
    case = Case(KIND, [3, 6], heads=1)
    case.qkv["qkv".index(which)][2, 5] = bad
    spoilt = np.isnan(case.run(machine))
    # A query spoils its own output; a key or a value that of every query of its sequence.
    where = spoilt[:, 5] if which == "q" else spoilt[:, 3:]
    assert where.all() and spoilt.sum() == where.size
