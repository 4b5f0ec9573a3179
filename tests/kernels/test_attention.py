"""Attention against float64, over packed sequences of unequal lengths."""

from __future__ import annotations

import numpy as np
import pytest
from tests.kernels.attention_cases import Case, check, keys_at_once
from tests.kernels.machine import Machine

from aerogel.kernels.attention import Attention, attention
from aerogel.kernels.attention_terms import Products
from aerogel.loop.nodes import Alloc


@pytest.fixture(params=["fp32", "int8"])
def products(request: pytest.FixtureRequest) -> Products:
    return request.param


@pytest.mark.parametrize(
    ("key_bias", "relative"),
    [
        (False, False),
        (True, True),
        # Each alone: the tests below, and MPNet in tests/model.
        pytest.param(True, False, marks=pytest.mark.slow),
        pytest.param(False, True, marks=pytest.mark.slow),
    ],
)
def test_unequal_sequences_across_tiles(
    machine: Machine, products: Products, key_bias: bool, relative: bool
) -> None:
    check(machine, Case(Attention(5, key_bias, relative, products), machine.ragged))


@pytest.mark.parametrize("lengths", [[], [1], [1, 1, 1], [17], [16, 16]])
def test_few_tokens(machine: Machine, products: Products, lengths: list[int]) -> None:
    check(machine, Case(Attention(8, products=products), lengths))


@pytest.mark.parametrize("size", [1, 3, 12, pytest.param(64, marks=pytest.mark.slow)])
def test_head_sizes(machine: Machine, products: Products, size: int) -> None:
    check(machine, Case(Attention(size, products=products), [5, 11], heads=1))


def test_several_blocks_of_keys(machine: Machine, products: Products) -> None:
    keys = keys_at_once(machine.layout, Attention(4, products=products))
    check(
        machine, Case(Attention(4, key_bias=True, relative=True, products=products), [3, keys + 5], heads=1)
    )


def test_a_first_block_of_masked_keys_weighs_nothing(machine: Machine, products: Products) -> None:
    kind = Attention(4, key_bias=True, products=products)
    case = Case(kind, [keys_at_once(machine.layout, kind) + 3], heads=1)
    case.keys[:-2] = -np.inf
    check(machine, case, interpreted=machine.target is None)


def test_large_scores_neither_overflow_nor_vanish(machine: Machine, products: Products) -> None:
    check(machine, Case(Attention(4, products=products), [30, 5], sharpness=20.0, scale=1.0))


@pytest.mark.parametrize("size", [32, *(pytest.param(s, marks=pytest.mark.slow) for s in (64, 128))])
def test_real_sizes(machine: Machine, products: Products, size: int) -> None:
    if machine.target is None:
        pytest.skip("this CPU lacks the target")
    kind = Attention(size, key_bias=True, relative=True, products=products)
    check(machine, Case(kind, [128, 37, 300, 1, 64], heads=3, scale=size**-0.5), interpreted=False)


def test_thousands_of_tokens(machine: Machine, products: Products) -> None:
    if machine.target is None:
        pytest.skip("this CPU lacks the target")
    check(machine, Case(Attention(4, products=products), [2500], heads=1), interpreted=False)


def test_a_sequence_has_the_same_bits_alone_and_in_a_batch(machine: Machine, products: Products) -> None:
    if machine.target is None:
        pytest.skip("this CPU lacks the target")
    kind = Attention(4, products=products)
    batch = Case(kind, [5, 90, 3])
    together = batch.run(machine, interpreted=False)[:, 5:95]
    alone = Case(kind, [90])
    alone.qkv = [np.ascontiguousarray(x[:, 5:95]) for x in batch.qkv]
    np.testing.assert_array_equal(alone.run(machine, interpreted=False), together)


def test_scratch_memory_is_bounded(machine: Machine, products: Products) -> None:
    """Of a task with what it calls: in int8 the last function before the program calls one of the others."""
    for size in (1, 32, 64, 96, 128, 256):
        *tasks, _ = attention(machine.layout, Attention(size, products=products))
        stack = [
            sum(s.buf.type.dtype.itemsize * s.count for s in f.body if isinstance(s, Alloc)) for f in tasks
        ]
        assert (max(stack[:-1]) + stack[-1] if products == "int8" else max(stack)) <= 64 * 1024


def test_a_nan_spoils_its_own_head_and_sequence_only(machine: Machine, products: Products) -> None:
    case = Case(Attention(4, products=products), [6, 20, 3])
    case.qkv[1][5, 10] = np.nan
    spoilt = np.isnan(case.run(machine))
    assert spoilt[4:, 6:26].all()
    assert not spoilt[:4].any() and not spoilt[:, :6].any() and not spoilt[:, 26:].any()
