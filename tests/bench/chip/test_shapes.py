"""Shapes of published results, on problems that are small."""

import pytest

from aerogel.bench.chip.shapes import Crossover, crossover, orders, speed, unrolled
from aerogel.chip.fabric.read import load


def test_inner_products_take_many_times_gustavsons_order():
    found = orders(load(), size=60, share=0.05)
    assert found.times == found.inner / found.gustavson > 3
    assert found.to_json()["times"] == found.times


def test_where_two_modes_meet():
    # In logarithms halfway between 1600 and 100.
    found = Crossover(8, 400, ((0.7, 1600), (0.8, 1600), (0.9, 100)))
    assert found.zeros == pytest.approx(0.85)
    assert Crossover(8, 400, ((0.8, 1600), (0.9, 800))).zeros is None
    assert Crossover(8, 400, ((0.8, 300), (0.9, 100))).zeros is None


@pytest.mark.slow
def test_modes_meet_and_copies_help():
    fabric = load()
    meet = crossover(fabric, 64, (0.5, 0.95))
    assert meet.zeros is not None and 0.5 < meet.zeros < 0.95
    assert unrolled(fabric, 200, 0.05).times > 2
    assert speed(fabric, 2000, 1).block_steps > 10_000
