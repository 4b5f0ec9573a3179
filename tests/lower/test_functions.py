"""Every operation of index notation on every type it has: NumPy's results, the same bits everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from tests.lower.built import Array, everywhere, module, run

from aerogel.core.dtypes import DType
from aerogel.core.errors import UnsupportedError
from aerogel.einsum import nodes
from aerogel.loop.build import Code
from aerogel.loop.nodes import Broadcast, Const, Expr, Let, Scalar, Var, Vec
from aerogel.loop.verify import verify
from aerogel.lower.functions import BINARY, REDUCE, UNARY

FLOATS, INTEGERS = ("float32", "float64"), ("int32", "int64")
NUMBERS = FLOATS + INTEGERS
EVERY = (*NUMBERS, "bool")


def values(dtype: str) -> Array:
    """The odd ones, and some more."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return np.array([False, True])
    if kind.kind == "i":
        info = np.iinfo(kind)
        return np.array([0, 1, -1, 2, -2, 3, 7, -8, 100, info.min, info.max, info.min + 1], kind)
    info = np.finfo(kind)
    usual = [0.0, 1.0, 0.1, 2.0, 3.7, np.inf, info.max, info.tiny, info.smallest_subnormal]
    return np.array([*usual, *(-v for v in usual), np.nan], kind)


def pairs(dtype: str) -> tuple[Array, Array]:
    a, b = np.meshgrid(values(dtype), values(dtype))
    return a.ravel(), b.ravel()


# --- one operand ------------------------------------------------------------------------------

_UNARY: dict[str, tuple[Callable[[Any], Any], tuple[str, ...]]] = {
    "neg": (np.negative, NUMBERS),
    "abs": (np.abs, EVERY),
    "sqrt": (np.sqrt, FLOATS),
    "square": (lambda x: x * x, EVERY),
    "relu": (lambda x: np.maximum(x, x.dtype.type(0)), EVERY),
    "sign": (lambda x: x if x.dtype == bool else np.sign(x), EVERY),
    "not": (lambda x: np.logical_not(x).astype(x.dtype), EVERY),
    "reciprocal": (lambda x: 1 / x, FLOATS),
}


@pytest.mark.parametrize(("name", "dtype"), [(n, d) for n, (_, dtypes) in _UNARY.items() for d in dtypes])
def test_unary_operations_are_NumPy_s(name: str, dtype: str) -> None:
    x = values(dtype)
    with np.errstate(all="ignore"):
        want = _UNARY[name][0](x)
    got = everywhere(UNARY[name], x)
    assert got.dtype == want.dtype == x.dtype
    np.testing.assert_array_equal(got, want)


def test_sign_of_minus_zero_is_zero_as_in_NumPy() -> None:
    assert not np.signbit(run(UNARY["sign"], np.array([-0.0, 0.0]))).any()


@pytest.mark.parametrize("dtype", INTEGERS)
def test_reciprocal_of_integers_truncates_and_never_traps(dtype: str) -> None:
    x = np.array([0, 1, -1, 2, -2, np.iinfo(dtype).min], dtype)
    np.testing.assert_array_equal(everywhere(UNARY["reciprocal"], x), [0, 1, -1, 0, 0, 0])


# --- two operands -----------------------------------------------------------------------------

_BINARY: dict[str, tuple[Callable[[Any, Any], Any], tuple[str, ...]]] = {
    "add": (np.add, EVERY),
    "sub": (np.subtract, NUMBERS),
    "mul": (np.multiply, EVERY),
    "div": (np.divide, FLOATS),
    "min": (np.minimum, EVERY),
    "max": (np.maximum, EVERY),
    "or": (np.logical_or, EVERY),
    "and": (np.logical_and, EVERY),
    "pair": (lambda a, b: np.ones_like(a), EVERY),
    "eq": (np.equal, EVERY),
    "ne": (np.not_equal, EVERY),
    "lt": (np.less, EVERY),
    "le": (np.less_equal, EVERY),
    "gt": (np.greater, EVERY),
    "ge": (np.greater_equal, EVERY),
}


@pytest.mark.parametrize(("name", "dtype"), [(n, d) for n, (_, dtypes) in _BINARY.items() for d in dtypes])
def test_binary_operations_are_NumPy_s(name: str, dtype: str) -> None:
    a, b = pairs(dtype)
    with np.errstate(all="ignore"):
        want = _BINARY[name][0](a, b).astype(a.dtype)
    got = everywhere(BINARY[name], a, b)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_division_truncates_and_never_traps(dtype: str) -> None:
    a, b = pairs(dtype)
    wrap = np.iinfo(dtype).min

    def divided(x: int, y: int) -> int:
        if y == 0:
            return 0
        quotient = abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)
        return wrap if quotient == -wrap else quotient

    want = [divided(int(x), int(y)) for x, y in zip(a, b, strict=True)]
    np.testing.assert_array_equal(everywhere(BINARY["div"], a, b), want)


@pytest.mark.parametrize("by", [3, -1, 0, -2])
def test_division_by_a_constant(by: int) -> None:
    a = values("int32")

    def build(code: Code, x: Expr) -> Expr:
        return BINARY["div"](code, x, Const(by, x.type))

    np.testing.assert_array_equal(everywhere(build, a), run(BINARY["div"], a, np.full_like(a, by)))


# --- pow --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int32", pytest.param("int64", marks=pytest.mark.slow)])
def test_integer_powers_wrap_and_negative_exponents_truncate(dtype: str) -> None:
    a, b = pairs(dtype)
    bits = np.dtype(dtype).itemsize * 8

    def raised(x: int, y: int) -> int:
        if y < 0:
            return {1: 1, -1: -1 if y & 1 else 1}.get(x, 0)
        low = pow(x, y, 1 << bits)
        return low - (1 << bits) if low >> (bits - 1) else low

    want = [raised(int(x), int(y)) for x, y in zip(a, b, strict=True)]
    np.testing.assert_array_equal(everywhere(BINARY["pow"], a, b), want)


def test_powers_of_bool() -> None:
    a, b = pairs("bool")
    np.testing.assert_array_equal(everywhere(BINARY["pow"], a, b), a.astype(int) ** b.astype(int) == 1)


def to_the(exponent: float, *, spread: bool = False) -> Callable[[Code, Expr], Expr]:
    """x ** exponent, a constant of the vector's type, or a scalar one spread over the lanes."""

    def build(code: Code, x: Expr) -> Expr:
        if spread and isinstance(x.type, Vec):
            return BINARY["pow"](code, x, Broadcast(Const(exponent, Scalar(x.type.dtype)), x.type.lanes))
        return BINARY["pow"](code, x, Const(exponent, x.type))

    return build


@pytest.mark.parametrize("exponent", [0, 1, 2, -1, 3, 4, 0.5])
@pytest.mark.parametrize("dtype", FLOATS)
def test_constant_exponents_are_computed_directly(dtype: str, exponent: float) -> None:
    x = values(dtype)
    with np.errstate(all="ignore"):
        exact = {0: x**0, 1: x, 2: x * x, 3: x * x * x, 4: (x * x) * (x * x), -1: 1 / x, 0.5: np.sqrt(x)}
    np.testing.assert_array_equal(everywhere(to_the(exponent), x), exact[exponent])
    np.testing.assert_array_equal(everywhere(to_the(exponent, spread=True), x), exact[exponent])
    code = Code()
    to_the(exponent)(code, Var("x", Scalar(DType.of(dtype))))
    assert len(code.done()) <= 2


@pytest.mark.parametrize("exponent", [0, 1, 2, 5, -1, -2])
def test_constant_exponents_of_integers(exponent: int) -> None:
    x = values("int32")
    want = run(BINARY["pow"], x, np.full_like(x, exponent))
    np.testing.assert_array_equal(everywhere(to_the(exponent), x), want)


def test_other_constant_exponents_are_right() -> None:
    x = np.array([0.5, 2, 10, 0.1])
    np.testing.assert_allclose(run(to_the(2.5), x), x**2.5, rtol=1e-15)


# --- the tables -------------------------------------------------------------------------------


def test_every_operation_of_the_notation_has_a_builder() -> None:
    assert set(UNARY) == set(get_args(nodes.UnaryOp))
    assert set(BINARY) == set(get_args(nodes.BinaryOp))
    assert set(REDUCE) == set(get_args(nodes.ReduceOp))


@pytest.mark.parametrize("dtype", EVERY)
@pytest.mark.parametrize("op", REDUCE)
def test_an_identity_changes_nothing(op: str, dtype: str) -> None:
    x = values(dtype)
    if op in ("or", "and"):
        x = (x != 0).astype(dtype)
    identity = REDUCE[op](DType.of(dtype))
    assert type(identity) is type(np.dtype(dtype).type(0).item())
    np.testing.assert_array_equal(run(BINARY[op], np.full_like(x, identity), x), x)
    np.testing.assert_array_equal(run(BINARY[op], x, np.full_like(x, identity)), x)


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_builders_add_only_lets_and_the_same_ones_each_time(name: str) -> None:
    def built() -> tuple[Any, Expr]:
        code = Code()
        kind = Vec(DType.F32, 8)
        operands = [Var("x", kind)] if name in UNARY else [Var("x", kind), Var("y", kind)]
        value = {**UNARY, **BINARY}[name](code, *operands)
        assert value.type == kind
        return code.done(), value

    assert all(isinstance(statement, Let) for statement in built()[0])
    assert repr(built()) == repr(built())


def test_two_in_one_function_do_not_clash() -> None:
    def build(code: Code, x: Expr) -> Expr:
        return UNARY["exp"](code, UNARY["exp"](code, UNARY["log"](code, x)))

    verify(module(build, (DType.F64,), 8, 4))
    np.testing.assert_allclose(run(build, np.array([0.5, 3.0])), np.exp([0.5, 3.0]), rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "dtype"), [("exp", "int32"), ("sqrt", "bool"), ("neg", "bool"), ("sin", "int64")]
)
def test_what_an_operation_does_not_work_on_is_refused(name: str, dtype: str) -> None:
    x = Var("x", Scalar(DType.of(dtype)))
    with pytest.raises(
        UnsupportedError, match=f"{name} does not work on {x.type.dtype.short}: cast to float32"
    ):
        UNARY[name](Code(), x)


def test_operands_of_two_types_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="add takes two operands of one type"):
        BINARY["add"](Code(), Var("x", Scalar(DType.F32)), Var("y", Scalar(DType.F64)))
    with pytest.raises(UnsupportedError, match="div does not work on bool"):
        BINARY["div"](Code(), Var("x", Scalar(DType.BOOL)), Var("y", Scalar(DType.BOOL)))
