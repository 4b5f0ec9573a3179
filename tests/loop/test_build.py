"""Code written statement by statement: names, constants, blocks that close themselves, programs that run."""

from __future__ import annotations

import numpy as np
import pytest

from aerogel.core.dtypes import DType
from aerogel.loop.build import Code, i64
from aerogel.loop.interpret import interpret
from aerogel.loop.nodes import (
    F32,
    I64,
    Assign,
    Buf,
    BufferType,
    Compare,
    Const,
    Define,
    Expr,
    For,
    Function,
    If,
    Let,
    Load,
    Module,
    Store,
    Var,
    Vec,
    VLoad,
    VStore,
    While,
)
from aerogel.loop.verify import verify

X, Y = Buf("x", BufferType(DType.I64, const=True)), Buf("y", BufferType(DType.I64))


def module(code: Code) -> Module:
    return Module("m", (Function("f", (X, Y), code.done()),))


def test_names_never_clash_and_are_the_same_each_time() -> None:
    def names() -> list[str]:
        code = Code()
        return [code.fresh(hint) for hint in ("i", "j", "i", "i", "j")]

    assert names() == names() == ["i", "j", "i_1", "i_2", "j_1"]


def test_a_hint_that_looks_like_a_numbered_name_stays_apart() -> None:
    code = Code()
    given = [code.fresh(hint) for hint in ("i_1", "i", "i", "i_1", "i", "i_2")]
    assert len(set(given)) == len(given)


def test_let_names_a_value_and_leaves_a_constant() -> None:
    code = Code()
    assert code.let(i64(3)) == i64(3)
    total = code.let(Load(X, i64(0)) + 1, "total")
    assert total == Var("total", I64)
    assert code.done() == (Let(Var("total", I64), Load(X, i64(0)) + 1),)


def test_let_keeps_what_a_variable_was() -> None:
    code = Code()
    count = code.define(i64(1), "count")
    before = code.let(count, "before")
    code.assign(count, count + 1)
    code.store(Y, i64(0), before)
    code.store(Y, i64(1), count)
    y = np.zeros(2, np.int64)
    interpret(module(code), (np.zeros(1, np.int64), y))
    np.testing.assert_array_equal(y, [1, 2])


def test_define_and_assign() -> None:
    code = Code()
    v = code.define(i64(0))
    code.assign(v, v + 1)
    assert code.done() == (Define(Var("v", I64), i64(0)), Assign(v, v + 1))


def test_store_takes_its_form_from_the_value() -> None:
    code = Code()
    lanes, mask = VLoad(X, i64(0), 4), Const(value=True, type=Vec(DType.BOOL, 4))
    code.store(Y, i64(0), Load(X, i64(0)))
    code.store(Y, i64(0), lanes)
    code.store(Y, i64(0), lanes, mask)
    assert code.done() == (
        Store(Y, i64(0), Load(X, i64(0))),
        VStore(Y, i64(0), lanes),
        VStore(Y, i64(0), lanes, mask),
    )


def test_blocks_hold_what_was_added_while_they_were_open() -> None:
    code = Code()
    with code.for_(i64(0), i64(8), "k", step=2) as k:
        code.store(Y, k, k)
        with code.if_(k < 4), code.while_(k > 4):
            code.store(Y, k, i64(0))
    code.store(Y, i64(1), i64(7))
    inner = While(k > 4, (Store(Y, k, i64(0)),))
    loop = For(k, i64(0), i64(8), (Store(Y, k, k), If(k < 4, (inner,))), 2)
    assert k == Var("k", I64)
    assert code.done() == (loop, Store(Y, i64(1), i64(7)))


def test_a_block_apart_is_placed_by_the_caller() -> None:
    code = Code()
    with code.block() as then:
        code.store(Y, i64(0), i64(1))
    with code.block() as orelse:
        code.store(Y, i64(0), i64(2))
    assert code.done() == ()
    cond = Load(X, i64(0)) > 0
    code.branch(cond, tuple(then), tuple(orelse))
    code.branch(cond, tuple(then))
    assert code.done() == (
        If(cond, (Store(Y, i64(0), i64(1)),), (Store(Y, i64(0), i64(2)),)),
        If(cond, (Store(Y, i64(0), i64(1)),)),
    )


def test_statements_are_added_in_order() -> None:
    code = Code()
    first, second = Store(Y, i64(0), i64(1)), Store(Y, i64(1), i64(2))
    code.add(first, second)
    code.add()
    assert code.done() == (first, second)


def test_done_wants_every_block_closed() -> None:
    code = Code()
    with code.for_(i64(0), i64(1)), pytest.raises(ValueError, match="too many values"):
        code.done()


def test_an_error_inside_a_block_closes_it() -> None:
    code = Code()
    with pytest.raises(ZeroDivisionError), code.block():
        raise ZeroDivisionError
    code.store(Y, i64(0), i64(1))
    assert code.done() == (Store(Y, i64(0), i64(1)),)


def test_what_is_written_runs() -> None:
    """The sum of the even numbers of x, and where a run of ones ends: every statement there is, together."""
    code = Code()
    total = code.define(i64(0), "total")
    with code.for_(i64(0), i64(6)) as i:
        value = code.let(Load(X, i), "value")
        with code.if_(Compare("eq", value % 2, i64(0))):
            code.assign(total, total + value)
    end = code.define(i64(0), "end")
    with code.while_(Compare("eq", Load(X, end), i64(1))):
        code.assign(end, end + 1)
    code.store(Y, i64(0), total)
    code.store(Y, i64(1), end)
    program = module(code)
    verify(program)
    y = np.zeros(2, np.int64)
    interpret(program, (np.array([1, 1, 4, 1, 6, 3]), y))
    np.testing.assert_array_equal(y, [10, 2])


def test_i64_is_of_the_type_of_indices() -> None:
    assert i64(5) == Const(5, I64)
    two: Expr = Const(2.0, F32)
    assert Code().let(two) is two


def test_when_asks_only_what_there_is_to_ask() -> None:
    code, cond = Code(), Load(X, i64(0)) > 0
    for asked in (cond, None):
        with code.when(asked):
            code.store(Y, i64(0), i64(1))
    assert code.done() == (If(cond, (Store(Y, i64(0), i64(1)),)), Store(Y, i64(0), i64(1)))
