"""Graphs on real matrices and a real tensor, against SciPy and NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
from tests.chip.graph import cases

from aerogel.chip.graph.build import Options, build, run
from aerogel.tensor.files import read

DATA = Path(__file__).parents[3].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the matrices are not there: ../shared/data")
KERNELS: dict[str, Callable[[Any, Any], Any]] = {
    "y(i) = A(i,j) * v(j)": lambda a, v: a @ v,
    "X(i,j) = A(i,k) * A(k,j)": lambda a, _: (a @ a).toarray(),
    "X(i,j) = A(i,j) * A(j,i)": lambda a, _: (a * a.T).toarray(),
    "X(i,j) = A(i,j) + A(j,i)": lambda a, _: (a + a.T).toarray(),
    "y(i) = v(i) - A(j,i) * v(j)": lambda a, v: v - a.T @ v,
}


def checked(name: str, text: str, options: Options) -> None:
    matrix = sp.csr_array(scipy.io.mmread(DATA / f"suitesparse/{name}.mtx")).astype(np.float64)
    vector = np.linspace(-1, 1, matrix.shape[1])
    tensors = {key: value for key, value in {"A": matrix, "v": vector}.items() if f"{key}(" in text}
    for formats in ({"A": "csr"}, {"A": "dcsr"}):
        plan = build(text, tensors, formats=formats, options=options)
        found = cases.dense(run(plan, tensors))
        np.testing.assert_allclose(found, KERNELS[text](matrix, vector), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("text", KERNELS)
def test_a_small_matrix(text: str) -> None:
    checked("LFAT5", text, Options())


@pytest.mark.slow
@pytest.mark.parametrize("options", [Options(), Options(skips=True), Options(bits=True), Options(lanes=4)])
@pytest.mark.parametrize("text", KERNELS)
@pytest.mark.parametrize("name", ["west0067", "karate", "bfwa62", "cage5"])
def test_matrices(name: str, text: str, options: Options) -> None:
    checked(name, text, options)


@pytest.mark.slow
def test_a_tensor() -> None:
    tensor = read(DATA / "tensors" / "kinship.tns")
    vector = np.linspace(-1, 1, tensor.shape[2])
    for order in cases.orders("X(i,j) = B(i,j,k) * c(k)"):
        plan = build("X(i,j) = B(i,j,k) * c(k)", {"B": tensor, "c": vector}, order)
        found = cases.dense(run(plan, {"B": tensor, "c": vector}))
        np.testing.assert_allclose(found, tensor.to_numpy() @ vector, rtol=1e-9, atol=1e-9)
