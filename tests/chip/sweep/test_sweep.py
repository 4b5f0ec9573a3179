"""Sweeps over fabrics: each point is done or says why not, a killed sweep goes on, the front is one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerogel.chip.fabric.read import load
from aerogel.chip.sweep.outcome import Outcome, front
from aerogel.chip.sweep.run import Work, sweep
from aerogel.chip.sweep.variations import Variation, points
from aerogel.core.errors import FormatError, InputError
from aerogel.report.chip_sweep import sweep_report
from aerogel.report.page import render

SMALL = load("onyx-small")
PRODUCT = "y(i) = A(i,j) * x(j)"


@pytest.fixture(scope="module")
def work() -> Work:
    rng = np.random.default_rng(0)
    dense = rng.integers(-3, 4, (9, 7)) * (rng.random((9, 7)) < 0.4)
    from aerogel.tensor.make import tensor

    return Work.of([PRODUCT], {"A": tensor(dense.astype(float), "csr"), "x": rng.integers(1, 4, 7) * 1.0})


# --- what is varied -----------------------------------------------------------------------------------


def test_every_combination_is_a_point() -> None:
    found = points(SMALL, [Variation.parse("tracks=3,5"), Variation.parse("dram.bytes_per_second=1e9, 2e9")])
    assert [point.name for point in found] == [
        "tracks=3 dram.bytes_per_second=1000000000.0",
        "tracks=3 dram.bytes_per_second=2000000000.0",
        "tracks=5 dram.bytes_per_second=1000000000.0",
        "tracks=5 dram.bytes_per_second=2000000000.0",
    ]
    assert [point.fabric.tracks for point in found] == [3, 3, 5, 5]
    assert found[1].fabric.dram.bytes_per_second == 2e9
    assert [point.name for point in points(SMALL, [])] == ["onyx-small"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("track=3", "a fabric has no 'track' to vary: did you mean 'tracks'"),
        ("tracks", "'tracks' varies nothing: write a field and its values"),
        ("tracks=3,", "varies nothing"),
        ("tracks=3,x", "tracks=x: tracks is a whole number"),
        ("tracks=2.5", "tracks=2.5: tracks is a whole number"),
        ("volts=high", "volts=high: volts is a number"),
        ("tracks=3,3", "has a value twice"),
        ("name=a", "a fabric has no 'name' to vary"),
        ("tracks=inf", "tracks is a whole number"),
    ],
)
def test_what_cannot_be_varied_is_refused(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        Variation.parse(text)


def test_too_many_points_and_a_field_twice_are_refused() -> None:
    many = Variation("tracks", tuple(range(1, 200)))
    with pytest.raises(InputError, match="make 39601 fabrics: vary less"):
        points(SMALL, [many, replace(many, field="links")])
    with pytest.raises(InputError, match="tracks is varied twice"):
        points(SMALL, [many, many])


# --- the front ----------------------------------------------------------------------------------------

measures = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))


@given(st.lists(measures, max_size=8))
def test_the_front_is_what_nothing_beats(found: list[tuple[int, int, int]]) -> None:
    outcomes = [Outcome(str(at), {}, seconds=s, joules=j, mm2=a) for at, (s, j, a) in enumerate(found)]
    expected = {
        str(at)
        for at, mine in enumerate(found)
        if not any(all(o <= m for o, m in zip(other, mine, strict=True)) and other != mine for other in found)
    }
    assert {one.point for one in front([*outcomes, Outcome("no", {}, obstacle="none")])} == expected


# --- the sweep itself ---------------------------------------------------------------------------------


def test_points_are_simulated_and_those_that_cannot_be_say_why(work: Work) -> None:
    wanted = points(SMALL, [Variation.parse("links=1,16"), Variation.parse("columns=3,8")])
    told: list[tuple[int, int, str]] = []
    found = sweep(work, SMALL, wanted, processes=1, progress=lambda *step: told.append(step))
    assert [one.point for one in found] == [point.name for point in wanted]
    few, many = found[1], found[3]
    assert "columns must be more than processing_columns" in found[0].obstacle
    assert few.measures is not None and many.measures is not None
    assert few.seconds is not None and many.seconds is not None and few.seconds >= many.seconds
    assert few.low is not None and few.joules is not None and few.high is not None
    assert few.low < few.joules < few.high
    assert told[-1][:2] == (4, 4)
    assert all(one.obstacle in told[at + 1][2] for at, one in enumerate(found) if one.obstacle)


def test_a_sweep_goes_on_where_it_was_killed(work: Work, tmp_path: Path) -> None:
    file = tmp_path / "sweep.jsonl"
    wanted = points(SMALL, [Variation.parse("links=4,16")])
    whole = sweep(work, SMALL, wanted, record=file, processes=1)
    lines = file.read_bytes().split(b"\n")
    assert len(lines) == 4 and json.loads(lines[0])["work"] == [PRODUCT]
    # The last line was cut off while it was written.
    file.write_bytes(b"\n".join(lines[:2]) + b"\n" + lines[2][:-9])
    told: list[tuple[int, int, str]] = []
    again = sweep(work, SMALL, wanted, record=file, processes=1, progress=lambda *step: told.append(step))
    assert again == whole
    assert told[0] == (1, 2, "1 points were done before") and len(told) == 2
    assert file.read_bytes().split(b"\n") == lines


def test_a_file_of_something_else_is_refused(work: Work, tmp_path: Path) -> None:
    file, wanted = tmp_path / "sweep.jsonl", points(SMALL, [])
    for text, error, told in (
        ("{}\n", FormatError, "is no sweep"),
        ("x\n", FormatError, "line 1 is no JSON"),
        ('{"format": "aerogel chip sweep", "version": 9}\n', FormatError, "version 9 of sweeps"),
        (
            '{"format": "aerogel chip sweep", "version": 1, "digest": ""}\n',
            InputError,
            "a sweep of other work",
        ),
    ):
        file.write_text(text)
        with pytest.raises(error, match=told):
            sweep(work, SMALL, wanted, record=file, processes=1)
        assert file.read_text() == text
    file.unlink()
    sweep(work, SMALL, wanted, record=file, processes=1)
    with file.open("a") as more:
        more.write('{"point": 3}\n')
    with pytest.raises(FormatError, match="line 3 is no point of a sweep"):
        sweep(work, SMALL, wanted, record=file, processes=1)


def test_operands_that_do_not_fit_are_no_point(work: Work) -> None:
    with pytest.raises(InputError):
        sweep(replace(work, texts=("y(i) = A(i,j) * z(j)",)), SMALL, points(SMALL, []), processes=1)


@pytest.mark.slow
def test_processes_find_the_same(work: Work) -> None:
    wanted = points(SMALL, [Variation.parse("links=4,16")])
    assert sweep(work, SMALL, wanted, processes=2) == sweep(work, SMALL, wanted, processes=1)


# --- the page -----------------------------------------------------------------------------------------


def test_the_page_shows_every_point() -> None:
    pytest.importorskip("jinja2")
    found = [
        Outcome("tracks=3", {"tracks": 3}, 2e-5, 3e-6, 2e-6, 5e-6, 11.0, "chip and LPDDR4"),
        Outcome("tracks=5", {"tracks": 5}, 1e-5, 4e-6, 2e-6, 6e-6, 12.0, "chip and LPDDR4"),
        Outcome("tracks=6", {"tracks": 6}, 3e-5, 5e-6, 2e-6, 6e-6, 13.0, "chip and LPDDR4"),
        Outcome("tracks=1", {"tracks": 1}, obstacle="wires find no way"),
    ]
    page = render(sweep_report([PRODUCT], "onyx-like", found))
    for said in ("tracks=3", "tracks=6", "wires find no way", "nothing beats 2", "Fastest: tracks=5, 10 us"):
        assert said in page
    none = sweep_report([PRODUCT], "onyx-like", found[3:])
    assert none.headline == "None of 1 fabrics could do the work: the table says why."
