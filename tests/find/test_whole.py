"""Which programs of the whole model are built and timed, and what is done without when time is short."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.model.graphs import Draft, rows_of

from aerogel.find import whole as module
from aerogel.find.program import Split
from aerogel.find.skipped import NO_TIME, Skipped
from aerogel.find.whole import TRIALS, WholeTimer, pruned
from aerogel.model.graph import Graph
from aerogel.model.quantised import quantised
from aerogel.tune.breakeven import DENSE_INT8, Way


def wide() -> Graph:
    draft = rows_of(64)
    return draft.graph(draft.linear(draft.linear("x", 128, weight="up"), 4, weight="small"))


@pytest.mark.parametrize("pattern", ["unstructured", "block4x1"])
def test_pruning_takes_the_least_of_every_large_layer(pattern: str) -> None:
    graph = wide()
    found = pruned(graph, pattern, 0.8)
    before, after = graph.weight("up.weight"), found.weight("up.weight")
    assert int((after == 0).sum()) == pytest.approx(0.8 * before.size, abs=4)
    kept = after != 0
    np.testing.assert_array_equal(after[kept], before[kept])
    if pattern == "unstructured":
        assert np.abs(before[~kept]).max() <= np.abs(before[kept]).min()
    else:
        fours = kept.reshape(-1, 4, 64)
        np.testing.assert_array_equal(fours.any(axis=1), fours.all(axis=1))
    np.testing.assert_array_equal(found.weight("small.weight"), graph.weight("small.weight"))
    assert graph.weight("up.weight").all(), "the graph itself is not changed"


def test_a_table_that_is_multiplied_too_is_left_alone() -> None:
    draft = Draft()
    draft.weight("table0", 50, 128)
    tokens = draft.embedding(128)
    graph = draft.graph(draft.linear(tokens, 50))
    name = graph.linears()[0].weight
    tied = Graph(
        graph.inputs,
        tuple(_with_weight(op, name, "table0") for op in graph.ops),
        graph.outputs,
        graph.weights,
        graph.max_length,
    )
    assert pruned(tied, "unstructured", 0.8).weight("table0").all()


def _with_weight(op: object, old: str, new: str) -> object:
    from dataclasses import replace

    return replace(op, weight=new) if getattr(op, "weight", None) == old else op  # type: ignore[type-var]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is built, without building it; a split of each."""
    asked: list[str] = []

    def named(what: str) -> Callable[..., str]:
        def make(graph: Graph, **_: object) -> str:
            asked.append(what if isinstance(graph.weights["up.weight"], np.ndarray) else f"{what} int8")
            return asked[-1]

        return make

    monkeypatch.setattr(module, "dense_program", named("dense"))
    monkeypatch.setattr(module, "build", named("sparse"))

    def splits(programs: list[str], tokens: int, left: Callable[[], float]) -> tuple[Split, ...]:
        return tuple(Split(tokens, (), (1.0,) * 9) for _ in programs) if left() > 0 else ()

    monkeypatch.setattr(module, "splits", splits)
    monkeypatch.setattr(module, "gain", lambda sparse, dense: (sparse.tokens, dense.tokens))
    return asked


def timed(sparse_share: float, seconds: float = 1e9) -> WholeTimer:
    made = WholeTimer(wide(), sparse_share, lambda: seconds, lambda _: None)
    made.now()
    for way in TRIALS:
        made.trial(way)
    return made


def test_a_dense_model_is_pruned_for_trials(built: list[str]) -> None:
    found = timed(0.0)
    assert built == ["dense", "dense int8", "sparse", "sparse int8", "sparse"]
    assert [(str(t.way), t.sparsity, len(t.dense), len(t.sparse)) for t in found.trials] == [
        (str(way), 0.0 if way == DENSE_INT8 else 0.8, 2, 2) for way in TRIALS
    ]
    assert [s.tokens for s in found.splits] == [16, 128]
    assert (found.gains, found.missing) == ((), [])


def test_a_sparse_model_is_timed_as_it_is(built: list[str]) -> None:
    found = timed(0.8)
    assert built == ["dense", "sparse", "dense int8"], "it is a trial itself"
    assert len(found.gains) == 2 and [t.way for t in found.trials] == [DENSE_INT8]


def test_a_model_in_integers_is_seen_beside_floats_its_zeros_beside_integers(built: list[str]) -> None:
    made = WholeTimer(quantised(wide()), 0.8, lambda: 1e9, lambda _: None)
    made.now()
    assert built == ["dense", "dense int8", "sparse int8"]
    assert len(made.gains) == len(made.splits) == 2


def test_a_slightly_sparse_model_is_both(built: list[str]) -> None:
    found = timed(0.3)
    assert len(built) == 6 and len(found.gains) == 2 and len(found.trials) == 4


def test_short_time_leaves_the_dense_program(built: list[str]) -> None:
    found = timed(0.0, module._FIRST_S - 1)
    assert built == ["dense"] and found.trials == []
    assert found.missing == [
        Skipped("the whole model dense int8", NO_TIME),
        *(Skipped(f"the whole model pruned to 80 % {way}", NO_TIME) for way in TRIALS[1:]),
    ]
    assert len(found.splits) == 2


def test_without_time_nothing_is_timed(built: list[str]) -> None:
    found = timed(0.0, 0.0)
    assert found.splits == ()
    assert Skipped("the whole model at 16 columns", NO_TIME) in found.missing


def test_without_a_dense_program_there_is_no_trial(built: list[str]) -> None:
    made = WholeTimer(wide(), 0.0, lambda: 1e9, lambda _: None)
    made.trial(Way("unstructured"))
    assert built == [] and made.trials == []
