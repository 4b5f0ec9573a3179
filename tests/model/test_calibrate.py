"""Programs of 8-bit integers with ranges found beforehand, against the slow interpreter of their graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.model.graphs import Draft, agree, quick, rows_of, tokens
from tests.model.test_few_columns import planned

import aerogel
from aerogel.core.errors import InputError
from aerogel.core.target import Target, available
from aerogel.model.calibrate import calibratable, calibrated
from aerogel.model.fuse import fuse
from aerogel.model.graph import Graph, Range
from aerogel.model.quantised import quantised
from aerogel.model.steps import LinearStep, NormStep, QuantiseStep
from aerogel.tune.plan import Candidate


def mlp(features: int = 22, hidden: int = 41) -> Graph:
    d = rows_of(features)
    return quantised(d.graph(d.linear(d.activation(d.linear("x", hidden)), 5)))


def encoder() -> Graph:
    d = Draft()
    x = d.norm(d.embedding(24))
    for _ in range(2):
        x = d.norm(d.add(d.linear(d.attend(x), 24), x))
        x = d.norm(d.add(d.linear(d.activation(d.linear(x, 70)), 24), x))
    return quantised(d.graph(x, d.pool(x)))


def some(count: int = 40, features: int = 22, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, features)).astype(np.float32)


def kinds(graph: Graph) -> list[str]:
    return [type(step).__name__.removesuffix("Step").lower() for step in fuse(graph)]


# --- what is fused -------------------------------------------------------------------------------


def test_a_layer_that_feeds_layers_of_integers_alone_stores_integers() -> None:
    graph = mlp()
    assert kinds(graph) == ["feed", "quantise", "linear", "quantise", "linear", "fetch"]
    found = calibrated(graph, [some()])
    assert kinds(found) == ["feed", "quantise", "linear", "linear", "fetch"]
    first = next(s for s in fuse(found) if isinstance(s, LinearStep))
    assert first.rounded is not None and first.activation == "gelu"


def test_a_layer_norm_makes_integers_beside_its_numbers() -> None:
    graph = encoder()
    norms = [s for s in fuse(graph) if isinstance(s, NormStep)]
    assert [s.rounded is not None for s in norms] == [True, True, True, True, False]
    assert kinds(graph).count("quantise") == 4
    static = calibrated(graph, [tokens((5, 40, 1))])
    assert kinds(static).count("quantise") == 2
    assert [r.value for r in static.ranges] == list(calibratable(graph))
    # It is read as numbers, too, so it stays a step of its own.
    seen = replace(static, outputs=(*static.outputs, replace(static.outputs[0], name="o", value="v8")))
    assert kinds(replace(seen, ranges=(Range("v8", -1.0, 1.0),))).count("quantise") >= 3


def test_it_is_what_the_slow_interpreter_says() -> None:
    graph = encoder()
    for ranges in ((), calibrated(graph, [tokens((40, 40), seed=1)]).ranges):
        agree(quick(replace(graph, ranges=ranges)), tokens((5, 40, 1)), 3e-2)


def test_bits_are_those_of_steps_of_their_own() -> None:
    """A second output of the value keeps the layer from storing integers, on the same grid."""
    graph, x = calibrated(mlp(), [some()]), some(50, seed=3) * 3
    apart = replace(graph, outputs=(*graph.outputs, replace(graph.outputs[0], name="o", value="v1")))
    assert "quantise" in kinds(apart)[3:]
    for target in available():
        results = [quick(g, target)(x) for g in (graph, apart)]
        np.testing.assert_array_equal(results[0], results[1]["out0"])


@pytest.mark.parametrize("target", available(), ids=lambda t: t.name)
def test_any_value_may_have_a_range(target: Target) -> None:
    graph = encoder()
    read = dict.fromkeys(op.x for op in graph.linears())
    static = replace(graph, ranges=tuple(Range(value, -3.0, 3.5) for value in read))
    known = [s.out.known for s in fuse(static) if isinstance(s, QuantiseStep)]
    assert known and None not in known
    agree(quick(static, target), tokens((5, 40, 1)), 5e-2)


def test_few_columns_have_the_bits_of_many() -> None:
    graph, x = calibrated(mlp(), [some()]), some(20, seed=4)
    few = planned(graph, available()[0], Candidate("rows", 0, dense=True), 8)
    np.testing.assert_array_equal(few(x[:8]), quick(graph, available()[0])(x)[:8])
    np.testing.assert_array_equal(few(x), quick(graph, available()[0])(x))


@pytest.mark.parametrize("ends", [(0.0, 1e-45), (-3.4e38, 3.4e38), (-1e-30, 0.0)])
def test_ranges_of_any_size_give_numbers(ends: tuple[float, float]) -> None:
    graph = mlp()
    (value,) = calibratable(graph)
    assert np.isfinite(quick(replace(graph, ranges=(Range(value, *ends),)))(some())).all()


def test_threads_and_company_do_not_change_a_bit() -> None:
    program, x = quick(calibrated(mlp(), [some()])), some(70, seed=2)
    whole = program(x)
    np.testing.assert_array_equal(program(x, threads=2), whole)
    np.testing.assert_array_equal(np.concatenate([program(row[None]) for row in x]), whole)


# --- ranges --------------------------------------------------------------------------------------


def test_ranges_are_what_the_data_reaches() -> None:
    graph = mlp()
    x = some()
    (found,) = calibrated(graph, [x[:7], (x[7:],), {"x": x[:1]}]).ranges
    hidden = quick(replace(graph, outputs=(replace(graph.outputs[0], value=found.value),)))(x)
    assert found.low == hidden.min() < 0
    assert 0.6 * hidden.max() < found.high <= hidden.max()


def test_ends_are_drawn_in_where_few_numbers_are_far_out() -> None:
    d = rows_of()
    graph = d.graph(d.linear(d.activation(d.linear("x", 32), "relu"), 5))
    weight, last = d.weights["layer0.weight"].copy(), d.weights["layer2.weight"].copy()
    weight[3] *= 1000  # a feature that nothing depends on
    last[:, 3] = 0
    wide = quantised(replace(graph, weights=d.weights | {"layer0.weight": weight, "layer2.weight": last}))
    x = some(40, 8)
    (found,) = calibrated(wide, [x]).ranges
    reached = quick(replace(wide, outputs=(replace(wide.outputs[0], value=found.value),)))(x)
    assert found.low == 0 and found.high == pytest.approx(0.3 * reached.max(), rel=1e-6)


def test_what_lies_beyond_is_cut_off_and_what_is_not_finite_spoils_its_row() -> None:
    program, x = quick(calibrated(mlp(), [some()])), some(6, seed=1)
    clean = program(x)
    far = x.copy()
    far[1] *= 1000
    assert np.abs(program(far)[1]).max() < 20 * np.abs(clean).max()
    for number in (np.nan, np.inf, 3e38):
        spoilt = x.copy()
        spoilt[2, 3] = number
        found = program(spoilt)
        assert np.isnan(found[2]).all()
        np.testing.assert_array_equal(np.delete(found, 2, 0), np.delete(clean, 2, 0))


def test_a_value_that_is_always_zero_keeps_a_range_per_row() -> None:
    d = rows_of(6)
    graph = d.graph(d.linear(d.activation(d.linear("x", 8), "relu"), 3))
    graph = quantised(replace(graph, weights=d.weights | {"layer0.bias": np.full(8, -9e3, np.float32)}))
    assert calibrated(graph, [some(5, 6)]).ranges == ()


def test_one_row_of_one_feature() -> None:
    graph = mlp(1, 1)
    program = quick(calibrated(graph, [np.ones((1, 1), np.float32)]))
    agree(program, {"x": np.ones((1, 1), np.float32)}, 1e-2)


# --- files and the public face --------------------------------------------------------------------


def module() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(22, 40), torch.nn.GELU(), torch.nn.Linear(40, 5))


def test_a_file_carries_the_ranges(tmp_path: Path) -> None:
    x = torch.from_numpy(some())
    program = aerogel.compile(module(), (x,), precision="int8", plan="quick", calibration=[x, x[:3]])
    program.save(tmp_path / "static.aero")
    # From the file, and from what was kept of it.
    loaded = [aerogel.load(tmp_path / "static.aero") for _ in range(2)]
    for again in loaded:
        assert again.built.graph.ranges == program.built.graph.ranges != ()
        np.testing.assert_array_equal(np.asarray(again(x)), np.asarray(program(x)))
    kernels = [step.kernel for step in loaded[-1].explain(x.numpy()).steps]
    assert any("quantise static" in kernel for kernel in kernels)
    dynamic = aerogel.compile(module(), (x,), precision="int8", plan="quick")
    assert "static" not in str(dynamic.explain(x.numpy()))
    assert not np.array_equal(np.asarray(dynamic(x)), np.asarray(program(x)))


@pytest.mark.parametrize(
    ("calibration", "told"),
    [
        ([], "is empty"),
        ("text", "is a str"),
        (3, "is a int"),
        ({"x": some()}, "is a dict"),
        (["text"], "no tokenizer"),
        (["text", some()], "mixes texts"),
        ([some(), some(3, 9)], "batch 1 of calibration"),
        ([{"y": some()}], "no input 'y'"),
        ([some(0)], "without a row or token"),
        ([np.full((2, 22), np.nan, np.float32)], "NaN or infinite"),
    ],
)
def test_bad_data_is_refused(calibration: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        calibrated(mlp(), calibration)


def test_calibration_is_for_integers_and_for_models_that_gain() -> None:
    x = torch.from_numpy(some())
    with pytest.raises(InputError, match="add precision='int8'"):
        aerogel.compile(module(), (x,), calibration=[x])
    with pytest.raises(InputError, match="leave calibration out"):
        aerogel.compile(torch.nn.Linear(22, 5), (x,), precision="int8", calibration=[x])
