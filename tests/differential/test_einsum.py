"""Einsums at random: the interpreter's meaning, the loop interpreter, machine code at every target, NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.differential.einsum_cases import (
    Case,
    checked,
    listed,
    some_format,
    stored,
    sums_of_products,
    trees,
)

from aerogel.core.target import Target, available
from aerogel.formats.storage import Storage
from aerogel.tensor.entry import einsum, evaluate
from aerogel.tensor.tensor import Tensor

TARGETS = available()
QUICK = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def surroundings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """More threads than cores; all work is worth them; no code of a thousand kernels goes into a cache."""
    monkeypatch.setenv("AEROGEL_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "native-cache"))
    monkeypatch.setattr("aerogel.native.cache.store", lambda key, code: None)
    monkeypatch.setenv("AEROGEL_OVERSUBSCRIBE", "1")
    monkeypatch.setattr("aerogel.tensor.request.WORTH_A_THREAD", 1e-9)
    monkeypatch.setattr("aerogel.tensor.request.WORTH_WAKING", 0.0)


def target_of(case: Case) -> tuple[Target, ...]:
    """One target each, in turn: to build for all takes its time."""
    return (TARGETS[case.order % len(TARGETS)],)


def public(case: Case) -> Any:
    """What a user gets, of tensors; dense operands as NumPy arrays."""
    assert case.spelt is not None
    given_ = {name: as_given(storage) for name, storage in case.operands.items()}
    result = evaluate(
        case.spelt,
        semiring=case.semiring,
        out_format=case.wanted.out,
        order=case.wanted.order,
        workspace=case.wanted.workspace,
        parallel=case.wanted.parallel,
        threads=case.threads,
        **given_,
    )
    sparse = isinstance(result, Tensor)
    assert sparse == (case.wanted.out is not None and not case.wanted.out.dense) or case.wanted.out is None
    return result.to_numpy() if isinstance(result, Tensor) else np.asarray(result)


def as_given(storage: Storage) -> Any:
    return Tensor(storage).to_numpy() if storage.format.dense else Tensor(storage)


# --- a few for every run ----------------------------------------------------------------------


@given(case=listed())
@QUICK
def test_expressions_that_are_known(case: Case) -> None:
    checked(case, target_of(case), public)


@given(case=sums_of_products())
@QUICK
def test_sums_of_products(case: Case) -> None:
    checked(case, target_of(case), public)


@given(case=trees())
@QUICK
def test_whatever_the_grammar_gives(case: Case) -> None:
    checked(case, target_of(case))


# --- many -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(1800)
@given(case=listed())
@LONG
def test_many_expressions_that_are_known(case: Case) -> None:
    checked(case, TARGETS, public)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@given(case=sums_of_products())
@LONG
def test_many_sums_of_products(case: Case) -> None:
    checked(case, TARGETS, public)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@given(case=trees())
@LONG
def test_many_trees(case: Case) -> None:
    checked(case, TARGETS)


# --- against NumPy ----------------------------------------------------------------------------

SUBSCRIPTS = (
    "ij,j->i", "ij,jk->ik", "ij,jk", "ij->ji", "ij->j", "ij->", "ii->i", "ii", "ij,ij->ij", "ij,ji->",
    "i,j->ij", "ijk,jr,kr->ir", "ijk,kr->ijr", "...j,j->...", "...ij,jk->...ik", "ij,jk,kl->il", "i,i,i->",
    "ij,ik,jk->", "ijk->kij", ",ij->ij", "iij->j", "b...,b->...",
)  # fmt: skip


@st.composite
def strings(draw: st.DrawFn) -> tuple[str, list[Storage], Any]:
    subscripts = draw(st.sampled_from(SUBSCRIPTS))
    sizes = {letter: draw(st.sampled_from((1, 2, 3, 5))) for letter in "ijklrbxy"}
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(("f8", "f4", "i8", "i4")))
    operands: list[Storage] = []
    for term in subscripts.partition("->")[0].split(","):
        shape = tuple(sizes[letter] for letter in term.replace("...", "xy"[: draw(st.integers(2, 2))][:1]))
        operands.append(stored(rng, shape, draw(some_format(shape)), dtype, "plus_times"))
    rank = None if "..." in subscripts else len(subscripts.partition("->")[2])
    return subscripts, operands, rank


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=strings())
def test_as_numpy_einsum(case: tuple[str, list[Storage], int | None]) -> None:
    subscripts, operands, rank = case
    want = np.einsum(subscripts, *(Tensor(s).to_numpy() for s in operands))
    for form in (None, "coo") if rank else (None,):
        got = einsum(subscripts, *(as_given(s) for s in operands), out_format=form, threads=2)
        if form:
            assert isinstance(got, Tensor) and got.format.short in {"coo", "sv"}
        array = got.to_numpy() if isinstance(got, Tensor) else np.asarray(got)
        assert array.dtype == want.dtype and array.shape == want.shape
        np.testing.assert_allclose(array, want, rtol=1e-6, atol=1e-6)
