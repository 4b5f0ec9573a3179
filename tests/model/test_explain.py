"""Where the time goes: every step named, its numbers consistent, its limit what the formula says."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from tests.model.graphs import Draft, quick, rows_of, tokens

from aerogel.core.errors import InputError
from aerogel.model.explain import Explanation, StepCost, _cost, default_inputs
from aerogel.model.program import Program
from aerogel.model.steps import LinearStep
from aerogel.model.work import NOTHING
from aerogel.tune.peaks import Peaks, peaks
from aerogel.tune.roofline import roofline

PEAKS = Peaks(threads=2, flops=1e9, dots=4e9, loads=1e8, bytes=1e10)


@cache
def program() -> Program:
    d = Draft()
    x = d.embedding(16)
    x = d.norm(d.add(d.activation(d.linear(d.attend(x), 16)), x))
    graph = d.graph(x, d.normalize(d.pool(x)))
    d.weights["layer5.weight"][:, 4:] = 0
    return quick(graph)


@cache
def explained() -> Explanation:
    return program().explain(**tokens((9, 30)))


def test_every_step_is_there() -> None:
    e, built = explained(), program().built
    assert [s.name for s in e.steps] == [s.name for s in built.steps]
    assert [s.kernel.split()[0] for s in e.steps][:3] == ["embed", "linear", "attention"]
    assert (e.target, e.threads, e.columns) == (built.target.name, 1, "39 tokens in 2 sequence(s)")
    assert e.seconds > 0 and all(s.seconds > 0 and s.bytes > 0 for s in e.steps)


def test_linear_layers_have_limits_and_nothing_else_has() -> None:
    work = program().batch(**tokens((9, 30)))
    for number, step in enumerate(program().built.steps):
        cost = _cost(program().built, number, work, 1e-3, PEAKS)
        if isinstance(step, LinearStep):
            packed = program().built.packed[step.name].at(39)
            assert cost.zeros == pytest.approx(1 - packed.nonzeros / packed.rows / packed.columns)
            assert cost.kernel == f"linear {program().plan.of(step.name).choice(39)}"
            assert cost.shape == f"{packed.rows} x {packed.columns}"
            limits = roofline(packed, 39, program().built.layout.lanes, PEAKS, cost.bytes)
            assert cost.binds is not None and limits[cost.binds] == max(limits.values())
            assert cost.share == pytest.approx(max(limits.values()) / 1e-3)
            # What is shorter than a launch varies has no share.
            assert _cost(program().built, number, work, 1e-7, PEAKS).share is None
        else:
            assert cost.zeros is cost.share is cost.binds is None
    assert [round(s.zeros, 2) for s in explained().steps if s.zeros is not None] == [0.0, 0.75]


def test_bytes_are_constants_inputs_and_outputs_each_once() -> None:
    """Rows in, a dense layer of 3 x 4 with its bias, rows out: 5 rows."""
    d = rows_of(4)
    p = quick(d.graph(d.linear("x", 3)))
    work = p.batch(np.zeros((5, 4), np.float32))
    feed, linear, fetch = (_cost(p.built, i, work, 1e-3, PEAKS).bytes for i in range(3))
    packed = next(iter(p.built.packed.values())).at(5)
    assert feed == 2 * 4 * 5 * 4
    assert linear == packed.nbytes + 4 * (3 + 5 * 4 + 5 * 3)
    steps = [_cost(p.built, i, work, 1e-3, PEAKS) for i in range(3)]
    assert [step.to_json()["bytes"] for step in steps] == [feed, linear, fetch]
    assert fetch == 2 * 4 * 5 * 3


def test_the_table_has_a_line_for_each_step() -> None:
    text = str(explained())
    lines = text.splitlines()
    assert lines[0].split() == ["step", "kernel", "shape", "zeros", "operations", "bytes", "time", "roofline"]
    assert all(any(line.startswith(s.name[:40]) for line in lines) for s in explained().steps)
    assert "39 tokens in 2 sequence(s) on 1 thread(s)" in text and "Gflop/s" in text
    assert "75 %" in text and not any(line != line.rstrip() for line in lines)


def test_long_names_keep_their_end() -> None:
    step = replace(explained().steps[0], name="encoder." * 9 + "query")
    text = str(replace(explained(), steps=(step,)))
    assert "encoder.query" in text and "..." in text and step.name not in text


def test_it_can_be_written_down() -> None:
    data = json.loads(json.dumps(explained().to_json()))
    assert [s["name"] for s in data["steps"]] == [s.name for s in explained().steps]
    assert data["peaks"]["flops"] == explained().peaks.flops
    assert data["seconds"] == explained().seconds
    assert data["work"] == program().work(**tokens((9, 30))).to_json()


def test_seconds_by_kind_add_up() -> None:
    by_kernel = explained().by_kernel()
    assert sum(by_kernel.values()) == pytest.approx(sum(s.seconds for s in explained().steps))
    assert list(by_kernel.values()) == sorted(by_kernel.values(), reverse=True)


def test_without_inputs_it_takes_a_usual_shape() -> None:
    given = default_inputs(program().built.graph)
    # The model takes at most 40 tokens.
    assert given["ids"].shape == (1, 40) and "mask" not in given
    assert program().explain().columns == "40 tokens in 1 sequence(s)"
    d = rows_of(4)
    rows = quick(d.graph(d.linear("x", 3)))
    assert rows.explain().columns == "128 rows"


def test_the_thread_count_is_the_one_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")
    e = program().explain(threads=2, **tokens((3,)))
    assert e.threads == e.peaks.threads == 2


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to explain"):
        program().explain(np.zeros((0, 3), int))


def test_peaks_are_rates() -> None:
    top = peaks(program().built.target, 1)
    assert top is peaks(program().built.target, 1)
    # A vector unit does more than a scalar one, and less than any made so far.
    assert 1e9 < top.flops < 1e12 and 1e8 < top.loads < 1e11 and 1e8 < top.bytes < 1e12


def test_a_step_is_data() -> None:
    cost = StepCost("a", "b", "c", None, NOTHING, 1.0, None, None)
    with pytest.raises(AttributeError):
        cost.name = "other"  # type: ignore[misc]
