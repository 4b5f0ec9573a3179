"""Whether rows for few columns pay: with made-up clocks, and with real ones on a layer where they must."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aerogel.core.target import Target, current
from aerogel.formats.bitmap import pack
from aerogel.formats.panel import Packed, words
from aerogel.formats.rows import PackedRows
from aerogel.tune import few_choice as choosing
from aerogel.tune.choose import DENSE, choose, pack_as
from aerogel.tune.few_choice import (
    BITMAP,
    LEAST_WEIGHTS,
    NESTED,
    ROWS,
    SLICED,
    FewChoice,
    Rival,
    few_choice,
)
from aerogel.tune.plan import Candidate
from aerogel.tune.worth import WORTH_MORE_THAN_DENSE, WORTH_TWICE_DENSE, WORTH_TWO_PACKINGS

PANEL = Candidate("panel", 0)
SPARSE = (BITMAP, NESTED, SLICED) if current().looks_up else (BITMAP, NESTED)
Clock = Callable[[str, int], float]


def weight(zeros: float, rows: int = 256, columns: int = 256) -> np.ndarray:
    rng = np.random.default_rng(3)
    dense = rng.standard_normal((rows, columns)).astype(np.float32)
    return np.where(rng.random((rows, columns)) < zeros, np.float32(0), dense)


def chosen(monkeypatch: pytest.MonkeyPatch, matrix: Any, clock: Clock, *, own: bool = False) -> FewChoice:
    """The choice by ``clock(form or "rival", columns)``."""
    packed = pack_as(matrix, DENSE if matrix.dtype != np.float32 else PANEL, pairs=current().pairs)
    rival = Rival(PANEL, packed, _never, _nothing, packed.nbytes, own, matrix.nbytes, 3)
    monkeypatch.setattr(Rival, "seconds", lambda _, columns: clock("rival", columns))
    monkeypatch.setattr(choosing, "_seconds", lambda p, target, columns, copies: clock(p.form, columns))
    return few_choice(matrix, rival, current())


def _nothing() -> None:
    """Comes between."""


def _never(packed: Packed, columns: int) -> Callable[[], None]:
    raise AssertionError("nothing is timed")


@pytest.mark.parametrize(
    ("zeros", "needed"), [(0.0, WORTH_TWICE_DENSE), (0.5, WORTH_MORE_THAN_DENSE), (0.9, WORTH_TWO_PACKINGS)]
)
def test_the_more_memory_the_more_it_must_gain(
    monkeypatch: pytest.MonkeyPatch, zeros: float, needed: float
) -> None:
    def clock(gain: float) -> Clock:
        return lambda form, columns: gain if form == "rival" else 1.0

    assert chosen(monkeypatch, weight(zeros), clock(needed * 0.99)).few is None
    found = chosen(monkeypatch, weight(zeros), clock(needed * 1.01))
    assert found.few == (ROWS if zeros == 0 else BITMAP) and found.columns == 8
    assert set(found.seconds) == {PANEL, ROWS, *(SPARSE if zeros else ())}


def test_the_fastest_form_wins_but_dense_rows_only_by_far(monkeypatch: pytest.MonkeyPatch) -> None:
    def clock(nested: float, dense: float) -> Clock:
        seconds = {"rival": 9.0, "bitmap": 1.0, "nested": nested, "dense": dense}
        return lambda form, columns: seconds.get(form, 5.0)

    assert chosen(monkeypatch, weight(0.5), clock(1.1, 1.0)).few == BITMAP
    assert chosen(monkeypatch, weight(0.5), clock(0.9, 1.0)).few == NESTED
    assert chosen(monkeypatch, weight(0.5), clock(1.1, 0.8)).few == BITMAP
    assert chosen(monkeypatch, weight(0.5), clock(1.1, 0.7)).few == ROWS


def test_sliced_rows_are_tried_where_bytes_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def clock(form: str, columns: int) -> float:
        return {"rival": 9.0, "sliced": 1.0}.get(form, 2.0)

    def choice(*features: str) -> FewChoice:
        monkeypatch.setattr(
            choosing, "pack_matrix", lambda weight, form, lanes: pack(weight, "fp32", form, 16)
        )
        target = Target("t", "x86_64", 512, 32, features)
        matrix = weight(0.9)
        packed = pack_as(matrix, PANEL, pairs=False)
        monkeypatch.setattr(Rival, "seconds", lambda _, columns: clock("rival", columns))
        monkeypatch.setattr(choosing, "_seconds", lambda p, target, columns, copies: clock(p.form, columns))
        rival = Rival(
            PANEL, packed, _never, _nothing, packed.nbytes, own=False, dense_bytes=matrix.nbytes, copies=1
        )
        return few_choice(matrix, rival, target)

    assert choice("avx512f", "avx512vbmi").few == SLICED
    without = choice("avx512f")
    assert without.few == BITMAP and SLICED not in without.seconds


@pytest.mark.parametrize(("faster_up_to", "columns"), [(1, 1), (2, 2), (3, 2), (4, 4), (7, 4), (8, 8)])
def test_up_to_where_it_is_faster(monkeypatch: pytest.MonkeyPatch, faster_up_to: int, columns: int) -> None:
    def clock(form: str, n: int) -> float:
        return 2.0 if form == "rival" else 1.0 if n <= faster_up_to else 1.9

    assert chosen(monkeypatch, weight(0.9), clock).columns == columns
    # A packing of its own for few columns is given up for one that serves all of them only.
    assert (chosen(monkeypatch, weight(0.9), clock, own=True).few is None) == (columns < 8)


def test_nothing_is_tried_below_the_least_number_of_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def timed(packed: PackedRows, target: Target, columns: int, copies: int) -> float:
        seen.append(columns)
        return 1.0

    packed = pack_as(weight(0.9), PANEL, pairs=current().pairs)
    monkeypatch.setattr(Rival, "seconds", lambda _, columns: 2.0)
    monkeypatch.setattr(choosing, "_seconds", timed)
    rival = Rival(PANEL, packed, _never, _nothing, packed.nbytes, own=False, dense_bytes=1 << 18, copies=1)
    found = few_choice(weight(0.9), rival, current(), 4)
    assert found.columns == 8 and set(seen) == {4, 8}
    plan = choose({"a": weight(0.9), "b": weight(0.9)}, current(), 32, least={"b": 4})
    assert [entry.rows_columns for entry in plan.layers] == [1, 4] and 1 in seen


def test_what_cannot_or_need_not_be_packed_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def clock(form: str, columns: int) -> float:
        raise AssertionError(form)

    small = weight(0.9, 8, LEAST_WEIGHTS // 8 - 1)
    lowest = np.ones((256, 256), np.int8)
    lowest[3, 4] = -128
    for matrix in (small, words(lowest)):
        assert chosen(monkeypatch, matrix, clock) == FewChoice(None, 0, {})


def test_zeros_of_integers_count_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of them 0, hardly a word of four: as words there is nothing to skip, in a bitmap there is."""
    integers = np.where(weight(0.5) == 0, 0, 7).astype(np.int8)
    found = chosen(monkeypatch, words(integers), lambda form, n: 2.0 if form in ("rival", "dense") else 1.0)
    assert found.few == BITMAP


@pytest.mark.parametrize("integers", [False, True])
def test_timed_for_real_every_candidate_takes_time(integers: bool) -> None:
    matrix = words(np.where(weight(0.5) == 0, 0, 7).astype(np.int8)) if integers else weight(0.5)
    entry = choose({"a": matrix}, current(), columns=32).of("a")
    assert {"dense rows", "bitmap", "nested"} < set(entry.rows_seconds)
    assert all(s > 0 for s in entry.rows_seconds.values())
    if entry.few.form is not None:
        assert entry.rows_seconds[str(entry.few)] < max(entry.rows_seconds.values())


def test_calls_take_turns_with_copies_of_the_weight() -> None:
    packed, seen = pack_as(weight(0.5), PANEL, pairs=current().pairs), []

    def ready(each: Any) -> Callable[[], None]:
        seen.append(each)
        np.testing.assert_array_equal(each.values, packed.values)
        return lambda: None

    calls: list[int] = []
    choosing._cold(packed, ready, 4, lambda: calls.append(1))
    assert len(calls) == choosing.ROUNDS
    assert len({each.values.ctypes.data for each in seen}) == len(seen) == 4
    assert not isinstance(packed, PackedRows)
