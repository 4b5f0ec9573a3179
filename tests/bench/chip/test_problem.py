"""Problems of the chip's comparison: exact, in bfloat16, and solved alike by every library."""

from pathlib import Path

import numpy as np
import pytest

from aerogel.bench.chip import own_side, scipy_side
from aerogel.bench.chip.kernels import KERNELS, Kernel, named
from aerogel.bench.chip.problem import bf16, problem_of, random_pattern
from aerogel.bench.einsum.entries import Entries
from aerogel.bench.einsum.problem import save
from aerogel.bench.einsum.side import file_name
from aerogel.core.errors import InputError

MATRIX = random_pattern("matrix", (12, 15), 0.2)
TENSOR = random_pattern("tensor", (5, 6, 7), 0.1)


def pattern_for(kernel: Kernel):
    return MATRIX if kernel.kind == "matrix" else TENSOR


def dense(operand: Entries) -> np.ndarray:
    array = np.zeros(operand.shape)
    array[operand.coords] = operand.values
    return array


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=lambda kernel: kernel.key)
def test_what_must_come_out_is_what_the_text_says(kernel: Kernel):
    """By NumPy's einsum, from the kernel's own text."""
    problem, wanted = problem_of(kernel, pattern_for(kernel))
    arrays = [dense(a) for a in problem.sparse] + [np.asarray(x, np.float64) for x in problem.dense]
    left, right = kernel.text.replace(" ", "").split("=")

    def inside(access: str) -> str:
        return access[access.find("(") + 1 : -1].replace(",", "") if "(" in access else ""

    if "+" in right:
        expected = sum(arrays)
    else:
        expected = np.einsum(",".join(map(inside, right.split("*"))) + "->" + inside(left), *arrays)
    exact = dense(wanted.exact) if isinstance(wanted.exact, Entries) else wanted.exact
    np.testing.assert_allclose(exact, expected, rtol=1e-12, atol=1e-12)
    assert [part.split("(")[0] for part in right.replace("+", "*").split("*")] == list(kernel.operands)


@pytest.mark.parametrize("make", [own_side.make, scipy_side.make], ids=["own", "scipy"])
@pytest.mark.parametrize("kernel", named(["spmspv", "elemmult", "innerprod"]), ids=lambda kernel: kernel.key)
def test_every_library_solves_it(make, kernel: Kernel, tmp_path: Path):
    """Those that the benchmark of einsums does not have."""
    pattern = pattern_for(kernel)
    save(tmp_path / file_name(kernel.key, pattern.name, "f32"), *problem_of(kernel, pattern))
    side = make(str(tmp_path), 1)
    side.prepare({"operation": kernel.key, "data": pattern.name, "dtype": "f32"})  # checks the result
    side.run()
    assert side.facts()["how"][kernel.key]


def test_operands_overlap_in_part():
    for kernel in named(["elemmult", "innerprod"]):
        first, second = problem_of(kernel, pattern_for(kernel))[0].sparse
        both = np.intersect1d(first.keys(), second.keys()).size
        assert 0.25 * first.stored < both < 0.9 * first.stored


def test_bf16_is_the_nearest_and_ties_go_to_even():
    values = np.array([1.0, 1 + 2**-9, 1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-7, 3.14159], np.float32)
    assert bf16(values).tolist() == [1.0, 1.0, 1.0, 1 + 2**-6, -1 - 2**-7, 3.140625]
    problem, _ = problem_of(KERNELS["ttm"], TENSOR)
    for array in (problem.sparse[0].values, problem.dense[0]):
        np.testing.assert_array_equal(array, bf16(array))


def test_an_unknown_kernel_is_refused():
    with pytest.raises(InputError, match="kernel 'spmm' is unknown: did you mean 'spgemm'"):
        named(["spmm"])


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS.values(), ids=lambda kernel: kernel.key)
def test_torch_solves_it(kernel: Kernel, tmp_path: Path):
    pytest.importorskip("torch")
    from aerogel.bench.chip import torch_side

    pattern = pattern_for(kernel)
    save(tmp_path / file_name(kernel.key, pattern.name, "f32"), *problem_of(kernel, pattern))
    side = torch_side.make(str(tmp_path), 1)
    side.prepare({"operation": kernel.key, "data": pattern.name, "dtype": "f32"})
