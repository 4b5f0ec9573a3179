"""Loops over several operands at once: which are walked together, and how much code that takes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.differential.einsum_cases import spread
from tests.lower.machines import Fenced, Interpreted, assert_same

from aerogel.convert.pack import pack
from aerogel.core.errors import UnsupportedError
from aerogel.core.target import available
from aerogel.einsum.interpret import interpret
from aerogel.einsum.parse import parse
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import named
from aerogel.loop.nodes import Module
from aerogel.loop.printer import show
from aerogel.lower.choose import Wanted
from aerogel.lower.emit import Phase, module
from aerogel.tensor.request import Prepared, Request, prepare

TARGET = available()[0]


def vectors(count: int, form: str = "sv", size: int = 40) -> dict[str, Storage]:
    rng = np.random.default_rng(count)
    found: dict[str, Storage] = {}
    for k in range(count):
        mask = rng.random(size) < 0.3
        found[f"x{k}"] = pack(np.nonzero(mask), rng.integers(1, 9, mask.sum()) / 4, (size,), named(form, 1))
    return found


def lists(count: int, form: str) -> dict[str, Storage]:
    """Matrices in which a row has several entries."""
    rng = np.random.default_rng(count)
    found: dict[str, Storage] = {}
    for k in range(count):
        mask = rng.random((6, 9)) < 0.3
        values = rng.integers(1, 9, mask.sum()) / 4
        found[f"x{k}"] = pack(np.nonzero(mask), values, (6, 9), named(form, 2))
    return found


def joined(count: int, how: str, indices: str = "i") -> str:
    names = [f"x{k}({','.join(indices)})" for k in range(count)]
    right = f"{how}({', '.join(names)})" if how in {"max", "min"} else f" {how} ".join(names)
    return f"z({','.join(indices)}) = {right}"


def planned(notation: str, operands: dict[str, Storage]) -> Prepared:
    return prepare(Request.of(parse(notation)), operands, Wanted())


def check(notation: str, operands: dict[str, Storage]) -> None:
    plan = planned(notation, operands)
    sizes = plan.extents(operands)
    want = interpret(
        parse(notation),
        {name: spread(s, 0)[0] for name, s in operands.items()},
        {name: spread(s, 0)[1] for name, s in operands.items()},
    )
    scheduled = plan.choice.scheduled
    slow = Interpreted(scheduled, TARGET)(operands, sizes, 1)
    assert_same(Fenced(scheduled, TARGET)(operands, sizes, 1), slow, notation)
    assert_same(Interpreted(scheduled, TARGET, 3)(operands, sizes, 3), slow, notation)
    np.testing.assert_allclose(spread(plan.run(operands, 1), 0)[0], want, rtol=1e-13, err_msg=notation)


def text_of(plan: Prepared) -> str:
    phase: Phase = "run" if plan.choice.scheduled.assembly in {"dense", "pattern"} else "fill"
    made: Module = module(plan.choice.scheduled, phase, TARGET)
    return show(made)


@pytest.mark.parametrize("count", [2, 3, 4, 6, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", ["+", "-", "*", "max"])
def test_many_operands_meet(count: int, how: str) -> None:
    check(joined(count, how), vectors(count))


@pytest.mark.parametrize("form", ["coo", "dcsr", "csr", "bitmap,compressed", "compressed,bitmap"])
@pytest.mark.parametrize("how", ["+", pytest.param("max", marks=pytest.mark.slow), "*"])
def test_many_matrices_meet(form: str, how: str) -> None:
    check(joined(4, how, "ij"), lists(4, form))


@pytest.mark.parametrize("how", ["+", "max", "-"])
def test_two_lists_meet(how: str) -> None:
    check(joined(2, how, "ij"), lists(2, "coo"))


@pytest.mark.parametrize(
    "right",
    [
        "x0(i) * (x1(i) + x2(i) + x3(i) + x4(i))",
        "x0(i) * x1(i) + x2(i) * x3(i)",
        "(x0(i) + x1(i)) * (x2(i) + x3(i))",
        "max(x0(i), x1(i)) * x2(i) + x3(i) - x4(i)",
        "x0(i) / (x1(i) + 1) + abs(x2(i) - x3(i)) * x4(i)",
    ],
)
def test_products_and_sums_mixed(right: str) -> None:
    used = [f"x{k}" for k in range(5) if f"x{k}" in right]
    check(f"z(i) = {right}", {name: s for name, s in vectors(5).items() if name in used})


def test_code_grows_with_the_operands_of_a_sum_and_no_faster() -> None:
    lengths = [len(text_of(planned(joined(n, "+"), vectors(n))).splitlines()) for n in (4, 8, 16)]
    assert lengths[2] < 2.5 * lengths[1] < 6 * lengths[0]
    check(joined(16, "+"), vectors(16))


def test_code_of_which_every_subset_is_another_is_bounded() -> None:
    assert len(text_of(planned(joined(6, "max"), vectors(6))).splitlines()) < 2000
    with pytest.raises(
        UnsupportedError, match="12 sparse operands meet in one loop, any of which may be missing"
    ):
        planned(joined(12, "max"), vectors(12)).run(vectors(12), 1)
    # Of a product nothing is left without any one of them.
    check(joined(12, "*"), vectors(12))


def test_a_much_longer_fiber_is_searched() -> None:
    rng = np.random.default_rng(0)
    for size, few in itertools.product((1000, 4000), (0, 3, 20)):
        at = np.sort(rng.choice(size, few, replace=False))
        short = pack((at,), np.ones(few), (size,), named("sv", 1))
        mask = rng.random(size) < 0.9
        long = pack(np.nonzero(mask), np.arange(1.0, mask.sum() + 1), (size,), named("sv", 1))
        for x, y in ((short, long), (long, short)):
            check("z(i) = x(i) * y(i)", {"x": x, "y": y})
    edges = pack((np.array([0, 999]),), np.ones(2), (1000,), named("sv", 1))
    whole = pack((np.arange(1000),), np.arange(1000.0), (1000,), named("sv", 1))
    check("z(i) = x(i) * y(i)", {"x": edges, "y": whole})


@pytest.mark.parametrize(
    "make", [vectors, lambda count: vectors(count, "bitmap"), lambda count: vectors(count, "dense")]
)
def test_what_is_everywhere_is_visited_everywhere(make: Callable[[int], dict[str, Storage]]) -> None:
    operands: dict[str, Any] = {
        **make(3),
        "d": pack((np.arange(40),), np.arange(40.0), (40,), named("dense", 1)),
    }
    check("z(i) = x0(i) * x1(i) + d(i) - x2(i)", operands)
    check("z(i) = exp(x0(i)) + x1(i) * x2(i) + d(i)", operands)
