"""An inspection as text: aligned, grouped by kind of layer, or layer by layer."""

from __future__ import annotations

import numpy as np
import pytest
from tests.find.evidence import QUICK, USES, about, control, curve, evidence, pay_map, row, split
from tests.find.networks import mlp, subject

from aerogel.find.cost import count_costs
from aerogel.find.estimate import estimates
from aerogel.find.held import Held
from aerogel.find.program import Gain
from aerogel.find.render import text
from aerogel.find.result import Header, Timing
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.find.verdict import verdict
from aerogel.find.weights import measure_weights


def held(name: str, zeros: int) -> Held:
    weight = np.ones((2, 5), np.float32)
    weight.ravel()[:zeros] = 0
    return Held(name, "linear", (2, 5), (name,), lambda: weight)


def test_layers_that_differ_in_numbers_are_one_line() -> None:
    report = measure_weights((held("block.0.up", 1), held("block.1.up", 3), held("head", 0)), lambda _: None)
    lines = {line.split()[0]: line for line in text(report).splitlines()}
    assert "block.*.up" in lines and "block.0.up" not in lines
    assert lines["block.*.up"].split()[1:6] == ["2", "x", "5", "2", "10.0"]
    assert "10.0 to 30.0 %" in lines["block.*.up"]
    every = text(report, every_layer=True)
    assert "block.0.up" in every and "block.1.up" in every and "*" not in every
    assert "WEIGHTS: 30, of which 4 are zero" in every


def test_definitions_ties_and_sparse_layers_are_said() -> None:
    shown = text(measure_weights((held("a", 3),), lambda _: None))
    assert "Near zero: not 0, but in size below 1 % of the layer's largest" in shown.replace("\n  ", " ")
    assert "Used more than once (tied): none." in shown
    assert "Sparse already (15 % zeros or more): a (30 %, unstructured)." in shown


def test_a_long_name_keeps_its_end() -> None:
    name = "encoder." + "very_" * 20 + "long.weight"
    shown = text(measure_weights((held(name, 0),), lambda _: None))
    assert "long.weight" in shown and name not in shown


def test_costs() -> None:
    made = subject(mlp())
    shown = text(count_costs(made, measure_weights(made.weights, lambda _: None), {}))
    assert "COSTS of one call on 128 rows" in shown
    assert "At 16 rows, gross / effective:" in shown and "not known" in shown


def test_the_map_the_split_and_the_estimates() -> None:
    pay = pay_map((row(curve(QUICK), control()),), control())
    whole = split()
    gains = (Gain(128, about(2.0), 1e-3, 2e-3),)
    timing = Timing(pay, (whole,), estimates(pay, (whole,), USES), gains, (Skipped("more", NO_TIME),))
    shown = text(timing)
    line = next(line for line in shown.splitlines() if line.startswith("256 x 128"))
    assert "from 20 % [" in line and "1.00 ms" in line
    assert "than onnxruntime fp32" in shown
    speed = [line for line in shown.splitlines() if line.startswith("256 x 128")][1]
    assert speed.split()[3:5] == ["128", "unstructured"] and "1.67x [1.59, 1.75]" in speed
    assert "The whole model, dense in fp32, at 128 columns: 10.0 ms, linear layers 8.00 ms" in shown
    assert "As it is, its zeros skipped, at 128 columns: 2.00x" in shown
    assert "SPEED OF THE WHOLE MODEL" in shown and "estimate" in shown
    assert "Not measured, as there was no time: more." in shown


def test_columns_are_aligned() -> None:
    shown = text(measure_weights((held("a", 1), held("a.longer.name", 10)), lambda _: None))
    table = [line for line in shown.splitlines() if line.endswith(("%", "near rms"))]
    assert len({len(line) for line in table}) == 1


@pytest.mark.parametrize("refusal", [None, "an operation aerogel does not know"])
def test_the_header(refusal: str | None) -> None:
    shown = text(Header("net", "factory", refusal))
    assert ("would refuse" in shown) == (refusal is not None)


def test_nothing_is_wider_than_a_terminal_but_tables() -> None:
    shown = text(verdict(evidence(QUICK, control())))
    assert shown.startswith("VERDICT\n") and max(map(len, shown.splitlines())) <= 110
    assert text(Skipped("activations", "it is dark")) == "ACTIVATIONS: not looked at, since it is dark"
