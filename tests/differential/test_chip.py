"""The chip against the einsum interpreter: every expression, loop order and format; odd operands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from tests.differential.chip_cases import (
    EXACT,
    EXPRESSIONS,
    ROUNDED,
    Order,
    agree,
    array_of,
    by_graph,
    differ,
    kinds_of,
    odd_cases,
    on_chip,
    operands_of,
    orders,
    spelt,
    wanted,
)
from tests.differential.einsum_cases import formats

import aerogel as ag
from aerogel.chip.fabric.read import load
from aerogel.chip.graph.build import build
from aerogel.einsum.nodes import accesses
from aerogel.einsum.parse import parse

MOST = 16
"""Combinations of formats that go through the chip for an order of loops."""
MANY = 200
"""Examples of odd operands: about a minute of them."""
SLOW_IS_FINE = (HealthCheck.too_slow, HealthCheck.data_too_large)
EVERY = [
    pytest.param(name, order, id=f"{name}-{''.join(order)}") for name in EXPRESSIONS for order in orders(name)
]


def one_of(name: str, seed: int) -> tuple[Order, dict[str, Any]]:
    """An order, and operands in some formats."""
    rng = np.random.default_rng(seed)
    some, kinds = orders(name), list(kinds_of(EXPRESSIONS[name]))
    order = some[int(rng.integers(len(some)))]
    return order, operands_of(
        name, spelt(EXPRESSIONS[name], kinds[int(rng.integers(len(kinds)))], order), rng
    )


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_order_and_formats_of_each(name: str) -> None:
    order, operands = one_of(name, len(name))
    differ(name, order, operands)


@given(case=odd_cases())
@settings(max_examples=7, deadline=None, suppress_health_check=SLOW_IS_FINE)
def test_odd_operands(case: tuple[str, Order | None, dict[str, Any], dict[str, Any]]) -> None:
    checked(*case)


def checked(name: str, order: Order | None, operands: dict[str, Any], options: dict[str, Any]) -> None:
    text = EXPRESSIONS[name]
    plan = build(text, operands, order)
    want = wanted(text, operands, plan)
    agree(by_graph(plan, operands), want, f"{text}: graph", rounded=name in ROUNDED)
    run = on_chip(text, operands, order, **options)
    agree(array_of(run), want, f"{text}: chip", rounded=name in ROUNDED)
    if "out_format" in options and not options["out_format"].dense:
        assert run.output.format == options["out_format"]


@pytest.mark.parametrize("name", ["SpM*SpM"])
def test_the_result_in_every_format(name: str) -> None:
    """Compiled once: only how the host writes the result differs."""
    order, operands = one_of(name, 1)
    chip = ag.chip.compile(EXPRESSIONS[name], order=order, fabric=EXACT, copies=1, **operands)
    want = wanted(EXPRESSIONS[name], operands, build(EXPRESSIONS[name], operands, order))
    every = formats(len(parse(EXPRESSIONS[name]).out.indices))
    for form in every[:: max(1, len(every) // 6)]:
        run = replace(chip, out=form).simulate()
        agree(array_of(run), want, f"{name} as {form.short}")


@pytest.mark.parametrize("name", ["SpM*SpM", "Plus3"])
def test_bf16_within_its_rounding(name: str) -> None:
    """Values of 8 bits: each operand, product and partial sum is off by 2^-9 of itself at the most."""
    check_bf16(name)


def check_bf16(name: str) -> None:
    text, rng = EXPRESSIONS[name], np.random.default_rng(2)
    order = orders(name)[0]
    operands = operands_of(name, {}, rng, 0.8)
    operands = {n: np.asarray(t) * rng.uniform(0.5, 1.5, np.shape(t)) for n, t in operands.items()}
    operands = {n: ag.tensor(t, "csf") if t.ndim else t for n, t in operands.items()}
    run = on_chip(text, operands, order, fabric=load("onyx-like"))
    want = wanted(text, operands, build(text, operands, order))
    # With all numbers positive, and no difference of any: what the roundings are shares of.
    sizes = {n: ag.tensor(abs(np.asarray(t)), "csf") if np.ndim(t) else abs(t) for n, t in operands.items()}
    largest = wanted(text.replace("-", "+"), sizes, build(text.replace("-", "+"), sizes, order))
    roundings = 2 * len(accesses(parse(text).expr)) + 12
    assert (abs(array_of(run) - want) <= roundings * 2.0**-9 * largest).all()
    assert (array_of(run) != want).any(), "bf16 rounds"


# --- everything ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "order"), EVERY)
def test_every_order_and_format(name: str, order: Order) -> None:
    """Dense and compressed levels in every combination by the graph's interpreter; where there are more than
    ``MOST``, in a share of them on the chip, another share for each order: all of them over the orders."""
    text, rng = EXPRESSIONS[name], np.random.default_rng(len(name))
    every = list(kinds_of(text))
    step = -(-len(every) // MOST)
    turn = orders(name).index(order) % step
    for at, kinds in enumerate(every):
        operands = operands_of(name, spelt(text, kinds, order), rng, float(rng.choice([0.2, 0.5, 0.9])))
        differ(name, order, operands, chip=at % step == turn)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [name for name in EXPRESSIONS if parse(EXPRESSIONS[name]).out.indices])
def test_every_format_of_the_result(name: str) -> None:
    order, operands = one_of(name, 3)
    chip = ag.chip.compile(EXPRESSIONS[name], order=order, fabric=EXACT, copies=1, **operands)
    want = wanted(EXPRESSIONS[name], operands, build(EXPRESSIONS[name], operands, order))
    every = formats(len(parse(EXPRESSIONS[name]).out.indices))
    for form in every[:: max(1, len(every) // 40)]:
        agree(
            array_of(replace(chip, out=form).simulate()),
            want,
            f"{name} as {form.short}",
            rounded=name in ROUNDED,
        )


@pytest.mark.slow
@pytest.mark.timeout(1800)
@given(case=odd_cases())
@settings(max_examples=MANY, deadline=None, suppress_health_check=SLOW_IS_FINE)
def test_many_odd_operands(case: tuple[str, Order | None, dict[str, Any], dict[str, Any]]) -> None:
    """A sample: other ones in every run."""
    checked(*case)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EXPRESSIONS if name not in ("max", "row max")])
def test_bf16_of_everything(name: str) -> None:
    if name not in ROUNDED and "relu" not in EXPRESSIONS[name]:
        check_bf16(name)
