"""Choosing kernels: dense is always tried, timing is real, and nothing else than the winner is kept."""

from __future__ import annotations

import numpy as np
import pytest

from aerogel.core.errors import InputError
from aerogel.core.target import Target, available, current
from aerogel.formats.panel import Packed, pack, unpack
from aerogel.kernels.layout import Layout
from aerogel.tune import choose as choosing
from aerogel.tune.choose import (
    DENSE,
    QUICK_FEW,
    QUICK_MANY,
    SPARSE,
    WORTH_MORE_THAN_DENSE,
    WORTH_TWO_AT_MANY,
    WORTH_TWO_PACKINGS,
    WORTH_TWO_SMALL,
    candidates,
    choose,
    pack_as,
    quick,
)
from aerogel.tune.kernel import CHUNK_BYTES, chunk_of, kernel_module
from aerogel.tune.plan import FEW_COLUMNS, Candidate


def weight(zeros: float, rows: int = 40, columns: int = 48) -> np.ndarray:
    rng = np.random.default_rng(3)
    dense = rng.standard_normal((rows, columns)).astype(np.float32)
    return np.where(rng.random((rows, columns)) < zeros, np.float32(0), dense)


@pytest.mark.parametrize("zeros", [0.0, 0.1, 0.3, 0.9, 1.0])
def test_dense_is_always_a_candidate(zeros: float) -> None:
    found = candidates(weight(zeros, columns=300))
    assert found[0] == DENSE
    assert set(found[1:]) == (set(SPARSE) if zeros > 0.2 else set())


def test_a_block_of_all_columns_is_not_tried_beside_the_whole_row() -> None:
    whole = {Candidate("panel", 0), Candidate("quad", 0)}
    assert set(candidates(weight(0.5, columns=128))) == {DENSE, *whole}
    assert set(candidates(weight(0.5, columns=129))) == {DENSE, *whole, Candidate("quad", 128)}


@pytest.mark.parametrize("candidate", [DENSE, *SPARSE, Candidate("quad", 7)])
def test_a_candidate_says_how_to_pack(candidate: Candidate) -> None:
    matrix = weight(0.5)
    packed = pack_as(matrix, candidate, pairs=current().pairs)
    assert packed.kind == candidate.kind
    assert packed.block == (candidate.block if 0 < candidate.block < 48 else 48)
    np.testing.assert_array_equal(unpack(packed), matrix)
    assert (packed.values.size == matrix.size) == candidate.dense


@pytest.mark.parametrize(("zeros", "many", "few"), [(0.0, DENSE, DENSE), (0.6, QUICK_MANY, QUICK_FEW)])
def test_quick_goes_by_the_share_of_zeros(zeros: float, many: Candidate, few: Candidate) -> None:
    plan = quick({"layer": weight(zeros)}, current())
    assert (plan.of("layer").many, plan.of("layer").few) == (many, few)
    assert plan.columns == 0 and not plan.of("layer").many_seconds


def test_a_timed_plan_keeps_the_fastest_and_the_evidence() -> None:
    calls: list[tuple[int, int]] = []
    weights = {"a": weight(0.9), "b": weight(0.0), "c": weight(0.9)}
    plan = choose(weights, current(), columns=32, progress=lambda done, of: calls.append((done, of)))
    assert [e.layer for e in plan.layers] == ["a", "b", "c"]
    for name in "ac":
        entry = plan.of(name)
        for choice, seconds in ((entry.many, entry.many_seconds), (entry.few, entry.few_seconds)):
            assert set(seconds) == {"dense", "panel", "quad"}
            assert all(s > 0 for s in seconds.values())
            assert seconds[str(choice)] <= WORTH_MORE_THAN_DENSE * min(seconds.values())
            assert entry.many == entry.few or seconds[str(choice)] == min(seconds.values())
    assert plan.of("b").many == plan.of("b").few == DENSE and plan.of("b").many_seconds == {}
    # Layers that look alike are timed once.
    assert plan.of("a").many_seconds == plan.of("c").many_seconds
    assert calls == [(1, 2), (2, 2)]
    assert plan.columns == 32 and plan.target == current().fingerprint


def test_the_fastest_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """With made-up clocks: each of the candidates in turn, and other ones for few columns."""
    options = (DENSE, *SPARSE)
    for many, few in zip(options, options[1:] + options[:1], strict=True):

        def timed(packed: object, target: Target, columns: int) -> dict[Candidate, float]:
            best = few if columns <= FEW_COLUMNS else many  # noqa: B023 (called within this round)
            return {c: 1.0 if c == best else 2.0 for c in options}

        monkeypatch.setattr(choosing, "_time", timed)
        entry = choose({"a": weight(0.5, columns=300)}, current()).of("a")
        assert (entry.many, entry.few) == (many, few)


def test_one_packing_where_it_is_good_enough_at_both(monkeypatch: pytest.MonkeyPatch) -> None:
    panel, quad = QUICK_MANY, QUICK_FEW

    def chosen(slower: float, zeros: float, at_few: float = 9.0) -> tuple[Candidate, Candidate]:
        """The panel wins at many columns, the quad at few: the quad takes ``slower`` times as long as panels
        at many, the panel ``at_few`` times as long as the quad at few."""
        few, many = {panel: at_few, quad: 1.0, DENSE: 9.0}, {panel: 1.0, quad: slower, DENSE: 9.0}
        monkeypatch.setattr(
            choosing, "_time", lambda packed, target, columns: few if columns <= FEW_COLUMNS else many
        )
        entry = choose({"a": weight(zeros, columns=200)}, current()).of("a")
        return entry.many, entry.few

    assert chosen(WORTH_TWO_AT_MANY - 0.01, 0.7) == (quad, quad)
    assert chosen(WORTH_TWO_AT_MANY + 0.01, 0.7) == (panel, quad)
    # Few columns may take longer.
    assert chosen(2.0, 0.7, WORTH_TWO_PACKINGS - 0.01) == (panel, panel)
    assert chosen(2.0, 0.7, WORTH_TWO_PACKINGS + 0.01) == (panel, quad)
    # Two of a nearly empty matrix take less than half of the dense one.
    assert chosen(WORTH_TWO_SMALL - 0.01, 0.95) == (quad, quad)
    assert chosen(WORTH_TWO_SMALL + 0.01, 0.95) == (panel, quad)
    assert chosen(2.0, 0.95, WORTH_TWO_SMALL - 0.01) == (panel, panel)
    assert chosen(2.0, 0.95, WORTH_TWO_SMALL + 0.01) == (panel, quad)
    # Two of a half empty matrix take more than the dense one.
    assert chosen(WORTH_TWO_PACKINGS + 0.01, 0.5) == (quad, quad)
    assert chosen(WORTH_MORE_THAN_DENSE + 0.01, 0.5) == (panel, quad)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (weight(0.9), weight(0.9)[::-1], True),
        (weight(0.9), weight(0.5), False),
        (weight(0.5), weight(0.5, rows=44), False),
        (weight(0.5), np.repeat(weight(0.5, rows=10), 4, axis=0), False),
    ],
)
def test_what_looks_alike(one: np.ndarray, other: np.ndarray, alike: bool) -> None:
    assert (choosing._looks(one) == choosing._looks(other)) == alike


def test_a_weight_that_is_not_finite_is_refused() -> None:
    matrix = weight(0.5)
    matrix[0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        choose({"a": matrix}, current(), columns=16)


def test_a_chunk_holds_about_what_the_cache_does() -> None:
    def chunk(packed: Packed) -> int:
        return chunk_of(packed) * packed.nbytes // packed.groups

    large = pack(np.ones((512, 1024), np.float32), "panel", 1024)
    assert 200_000 < chunk(large) <= CHUNK_BYTES
    assert chunk_of(pack(np.ones((1, 1), np.float32), "panel", 1)) >= 1
    assert chunk_of(pack(np.ones((32, 60_000), np.float32), "panel", 60_000)) == 1


@pytest.mark.parametrize("target", available(), ids=lambda t: t.name)
@pytest.mark.parametrize("columns", [1, 20])
def test_the_kernels_tried_compute_the_product(target: Target, columns: int) -> None:
    matrix = weight(0.6)
    layout = Layout.of(target)
    x = np.random.default_rng(0).standard_normal((48, columns)).astype(np.float32)
    for candidate in (DENSE, *SPARSE):
        packed = pack_as(matrix, candidate, pairs=current().pairs)
        y = np.zeros(layout.size(40, columns), np.float32)
        bias = np.zeros(40, np.float32)
        streams = (packed.values, packed.indices, packed.runs, packed.starts.ravel(), packed.work)
        sizes = (40, 48, packed.block, 0, packed.groups, 1, layout.vectors(columns))
        kernel_module(target, candidate.kind)(*streams, bias, layout.pack(x), bias, y, *sizes)
        np.testing.assert_allclose(layout.unpack(y, 40, columns), matrix @ x, rtol=1e-5, atol=1e-5)
