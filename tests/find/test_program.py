"""Where the time of a dense program goes, step by step."""

from __future__ import annotations

import pytest
from tests.find.networks import encoder

from aerogel.find.program import Product, Split, dense_program, gain, splits
from aerogel.tune.choose import DENSE


def forever() -> float:
    return 1e9


def test_every_layer_is_dense_whatever_its_zeros() -> None:
    program = dense_program(encoder())
    assert program.threads == 1
    assert {(entry.many, entry.few) for entry in program.plan.layers} == {(DENSE, DENSE)}


def test_splits_of_two_programs_have_rounds_in_common() -> None:
    program = dense_program(encoder())
    first, second = splits([program, program], 32, forever)
    assert len(first.total_s) == len(second.total_s) >= 6
    assert {(p.outputs, p.inputs, p.columns, p.activation) for p in first.products} == {
        (24, 8, 32, None), (12, 8, 32, "relu"), (3, 12, 1, None),
    }  # fmt: skip
    stacked = next(p for p in first.products if p.outputs == 24)
    assert stacked.layers == ("layer1.weight", "layer2.weight", "layer3.weight")
    assert first.total_s == tuple(a + b for a, b in zip(first.linear_s, first.other_s, strict=True))
    share = first.other_share
    assert 0 < share.low <= share.value <= share.high < 1
    same = gain(second, first).speedup
    assert 0 < same.low <= same.value <= same.high


def test_without_time_there_is_no_split() -> None:
    assert splits([dense_program(encoder())], 32, lambda: 0.0) == ()


def test_the_gain_pairs_rounds() -> None:
    dense = Split(16, (), (2.0, 4.0, 6.0, 2.0, 4.0, 6.0))
    sparse = Split(16, (), (1.0, 2.0, 3.0, 1.0, 2.0, 3.0))
    found = gain(_with_products(sparse), _with_products(dense))
    assert found.speedup.value == pytest.approx(2.0)
    assert (found.tokens, found.sparse_s, found.dense_s) == (16, 2.0, 4.0)


def _with_products(split: Split) -> Split:
    nothing = Product(1, 1, 1, None, 1, (), (0.0,) * len(split.other_s))
    return Split(split.tokens, (nothing,), split.other_s)
