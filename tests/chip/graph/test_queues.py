"""No graph is stopped by queues of two tokens: each runs on the machine, and gives what it means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.chip.graph import cases

from aerogel.chip.fabric.read import load
from aerogel.chip.graph.build import Options, build
from aerogel.chip.graph.interpret import interpret
from aerogel.chip.machine.assemble import assemble
from aerogel.chip.machine.simulate import simulate
from aerogel.core.errors import ChipError

FABRIC = replace(load("onyx-like"), values="f64")
WAYS = [Options(), Options(skips=True), Options(bits=True), Options(lanes=3), Options(softmax=True)]


def runs(text: str, order: tuple[str, ...] | None, options: Options, rng: np.random.Generator) -> bool:
    arrays = cases.operands(text, rng, rng.choice([0.2, 0.5, 0.9]))
    tensors = cases.stored(arrays, cases.any_formats(arrays, rng))
    try:
        plan = build(text, tensors, order, options=options)
    except ChipError:
        return False
    stored = plan.stored(tensors)
    machine = assemble(plan.graph, stored, FABRIC)
    found = simulate(machine.netlist, machine.arrays, FABRIC, limit=100_000).results
    (values,) = [n for n, s in enumerate(machine.netlist.segments) if s.written and s.role == "vals"]
    expected = interpret(plan.graph, stored).values[plan.out]
    np.testing.assert_allclose(found[values], expected, rtol=1e-12, err_msg=f"{text} {order} {options}")
    return True


def test_a_product_and_a_softmax() -> None:
    rng = np.random.default_rng(1)
    assert runs(cases.EXPRESSIONS["SpM*SpM"], ("i", "k", "j"), Options(), rng)
    assert runs(cases.EXPRESSIONS["SDDMM"], ("i", "j", "k"), Options(softmax=True), rng)
    # A result of two dimensions, from lanes, met by another operand.
    assert runs(cases.EXPRESSIONS["MTTKRP"], ("l", "k", "i", "j"), Options(), rng)
    assert runs(cases.EXPRESSIONS["SpMV"], ("i", "j"), Options(lanes=3), rng)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        (cases.EXPRESSIONS["TTM"], "lkji"),
        ("X(i,j) = B(i,j) - C(i,k) * D(k,j)", "kij"),
        ("X(i,j) = B(i,j) / (1 + sum(k, C(i,k)))", "kji"),
        ("X(i,j,l) = B(i,j,l) * (C(i,j,k) * D(k,l) + B(i,j,l))", "kijl"),
    ],
)
def test_workspaces_of_more_dimensions_and_fibers_that_are_sifted(text: str, order: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(3):
        assert runs(text, tuple(order), Options(), rng)


@pytest.mark.slow
@pytest.mark.parametrize("text", [*cases.EXPRESSIONS.values(), *cases.MORE])
def test_everything(text: str) -> None:
    rng = np.random.default_rng(2)
    for order in cases.orders(text):
        for options in WAYS:
            runs(text, order, options, rng)
