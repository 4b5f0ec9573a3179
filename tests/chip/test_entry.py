"""An expression on the emulated chip, from its text to its result, against ``aerogel.evaluate``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import aerogel as ag
from aerogel.chip.machine.step import step
from aerogel.core.errors import InputError

DATA = Path(__file__).parents[3] / "shared" / "data" / "suitesparse"


def _matrix(rows: int, columns: int, seed: int) -> ag.Tensor:
    random = np.random.default_rng(seed)
    full = random.integers(-4, 5, (rows, columns)) * (random.random((rows, columns)) < 0.3)
    return ag.tensor(full.astype(np.float64), "csr")


@pytest.mark.parametrize("copies", [1, 3])
def test_a_matrix_times_a_vector(copies: int) -> None:
    matrix, vector = _matrix(10, 7, 1), np.arange(7.0)
    text = "y(i) = A(i,j) * x(j)"
    compiled = ag.chip.compile(text, fabric="onyx-large", copies=copies, A=matrix, x=vector)
    run = compiled.simulate(simulate=step)
    np.testing.assert_array_equal(run.output, ag.evaluate(text, A=matrix, x=vector))
    assert run.cycles >= run.array_cycles > 0
    assert run.seconds == run.cycles / compiled.program.fabric.clock_hertz
    assert run.work.run == copies
    assert run.counts.operations["mul"] == matrix.nnz
    assert run.counts.dram_read_bytes > 4 * len(compiled.configuration())
    assert run.energy().low < run.joules < run.energy().high
    assert "pieces in 1 runs" in run.text() and "bottleneck" in run.utilisation()
    assert f"{len(compiled.configuration())} words for onyx-large" in compiled.explain()


def test_the_result_has_the_format_and_type_asked_for(tmp_path: Path) -> None:
    matrix = ag.tensor(np.asarray([[1, 0], [2, 3]], np.int32), "csr")
    compiled = ag.chip.compile("B(i,j) = 2 * A(i,j)", out_format="csc", A=matrix)
    found = compiled.simulate(simulate=step).output
    assert found.format.short == "csc" and found.dtype == np.int32
    np.testing.assert_array_equal(found.to_numpy(), [[2, 0], [4, 6]])
    compiled.draw(tmp_path / "fabric.svg")
    assert (tmp_path / "fabric.svg").read_text(encoding="utf-8").startswith("<svg")
    with pytest.raises(InputError, match=r"give a name that ends in \.svg"):
        compiled.draw(tmp_path / "fabric.png")


def test_operands_that_are_missing_are_named() -> None:
    with pytest.raises(InputError, match="no tensor was given for x"):
        ag.chip.compile("y(i) = A(i,j) * x(j)", A=_matrix(3, 3, 1))


@pytest.mark.slow
@pytest.mark.parametrize("fabric", ["onyx-like", "onyx-small", "onyx-large"])
@pytest.mark.parametrize("name", ["LFAT5", "west0479", "lp_e226", "bcsstk13"])
def test_real_matrices(name: str, fabric: str) -> None:
    """Rounded after every operation: bf16 has 8 bits, f32 24."""
    if not (DATA / f"{name}.mtx").exists():
        pytest.skip(f"SuiteSparse's {name} is not in {DATA}")
    matrix = ag.read(DATA / f"{name}.mtx").asformat("csr")
    random = np.random.default_rng(0)
    vector, few = random.random(matrix.shape[1]), random.random((matrix.shape[1], 4))
    for text, operands in (
        ("y(i) = A(i,j) * x(j)", {"A": matrix, "x": vector}),
        ("Y(i,k) = A(i,j) * X(j,k)", {"A": matrix, "X": few}),
        ("Y(i,k) = A(i,j) * B(k,j)", {"A": matrix, "B": ag.tensor(few.T, "csr")}),
    ):
        run = ag.chip.compile(text, fabric=fabric, **operands).simulate()
        wanted = np.asarray(ag.evaluate(text, **operands))
        off = np.abs(np.asarray(run.output) - wanted).max() / np.abs(wanted).max()
        assert off < (0.05 if run.fabric.values == "bf16" else 1e-5)


@pytest.mark.slow
def test_copies_pay() -> None:
    """Unrolled and with transfers meanwhile: at least four times as fast as one copy."""
    random = np.random.default_rng(0)
    full = random.random((400, 400)) * (random.random((400, 400)) < 0.05)
    operands = {"A": ag.tensor(full, "csr"), "B": ag.tensor(full.T.copy(), "csr")}
    cycles = [
        ag.chip.compile("C(i,k) = A(i,j) * B(j,k)", copies=copies, **operands).simulate().cycles
        for copies in (1, None)
    ]
    assert cycles[0] > 4 * cycles[1]
