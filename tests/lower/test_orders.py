"""Which orders of loops are tried, and which first."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np

from aerogel.convert.pack import pack
from aerogel.core.dtypes import DType
from aerogel.einsum.nodes import Access
from aerogel.einsum.parse import parse
from aerogel.formats.tensor_format import named
from aerogel.lower.choose import Wanted
from aerogel.lower.operand import OperandType, Stored
from aerogel.lower.orders import FEW_ORDERS, MOST_ORDERS, fitting, orders
from aerogel.tensor.request import Request, prepare


def stored(indices: str, form: str) -> Stored:
    operand = OperandType("A", named(form, len(indices)), DType.F64, DType.I32)
    return Stored.of(Access("A", tuple(indices)), operand)


def test_every_order_comes_once() -> None:
    found = list(orders(tuple("ijkl"), [stored("ij", "csr"), stored("lk", "csr"), stored("ji", "dense")]))
    assert sorted(found) == sorted(itertools.permutations("ijkl")) and len(set(found)) == math.factorial(4)


def test_those_that_take_operands_as_they_are_come_first() -> None:
    found = list(orders(tuple("ikj"), [stored("ij", "csr"), stored("jk", "csr")]))
    assert found[0] == tuple("ijk")
    found = list(orders(tuple("ikj"), [stored("ij", "csc"), stored("jk", "csc")]))
    assert found[0] == tuple("kji")
    # Around in a circle: there is none.
    assert list(fitting(tuple("ij"), frozenset({("i", "j"), ("j", "i")}))) == []
    assert len(list(orders(tuple("ij"), [stored("ij", "csr"), stored("ji", "csr")]))) == 2
    assert list(fitting((), frozenset())) == [()]


def test_many_indices_do_not_take_for_ever() -> None:
    assert len(list(orders(tuple("abcdef"), []))) == MOST_ORDERS == math.factorial(6)
    assert len(list(orders(tuple("abcdefghi"), []))) == FEW_ORDERS
    chained = [stored(pair, "csr") for pair in ("ab", "bc", "cd", "de", "ef", "fg", "gh", "hi")]
    assert next(orders(tuple("aibcdefgh"), chained)) == tuple("abcdefghi")
    names = "abcdefghi"
    matrix = pack((np.arange(4), np.arange(4)), np.ones(4), (5, 5), named("csr", 2))
    pairs = [a + b for a, b in itertools.pairwise(names)]
    notation = "C(a,i) = " + " * ".join(f"M{pair}({pair[0]},{pair[1]})" for pair in pairs)
    start = time.perf_counter()
    plan = prepare(Request.of(parse(notation)), {f"M{pair}": matrix for pair in pairs}, Wanted())
    assert time.perf_counter() - start < 10
    assert plan.choice.scheduled.order == tuple(names)
    assert all(form.short == "csr" for form in plan.choice.formats.values())
