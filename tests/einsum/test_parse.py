"""Index notation: what is read, where sums are placed, and errors that point at the character."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerogel.core.errors import InputError, NotationError
from aerogel.einsum.nodes import Access, Assignment, Binary, Expr, Number, Reduce, Unary
from aerogel.einsum.parse import DEEPEST, LONGEST, parse

A_ij = Access("A", ("i", "j"))
B_ij = Access("B", ("i", "j"))
x_j = Access("x", ("j",))
x_k = Access("x", ("k",))
b_i = Access("b", ("i",))
a, b, c = Access("a", ()), Access("b", ()), Access("c", ())
PRODUCT = Reduce("add", "j", Binary("mul", A_ij, x_j))


def summed(body: Expr, *indices: str) -> Expr:
    for index in reversed(indices):
        body = Reduce("add", index, body)
    return body


def test_a_matrix_times_a_vector_plus_a_vector() -> None:
    product = Reduce("add", "j", Binary("mul", A_ij, x_j))
    assert parse("y(i) = A(i,j) * x(j) + b(i)") == Assignment(
        Access("y", ("i",)), Binary("add", product, b_i), 0, None
    )


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        # around the smallest sub-expression with all uses
        ("relu(A(i,j) * x(j) + b(i))", Unary("relu", Binary("add", PRODUCT, b_i))),
        ("b(i) * A(i,j)", Binary("mul", b_i, summed(A_ij, "j"))),
        ("A(i,j) ** 2", Binary("pow", summed(A_ij, "j"), Number(2))),
        ("sum(j, A(i,j) ** 2)", summed(Binary("pow", A_ij, Number(2)), "j")),
        ("A(i,j) / x(j)", summed(Binary("div", A_ij, x_j), "j")),
        ("min(A(i,j), x(j))", summed(Binary("min", A_ij, x_j), "j")),
        # into + and -, term by term, at any depth
        ("A(i,j) - x(j)", Binary("sub", summed(A_ij, "j"), summed(x_j, "j"))),
        ("A(i,j) + b(i) + x(j)", Binary("add", Binary("add", summed(A_ij, "j"), b_i), summed(x_j, "j"))),
        ("b(i) * (A(i,j) + x(j))", Binary("mul", b_i, Binary("add", summed(A_ij, "j"), summed(x_j, "j")))),
        ("x(j) * (A(i,j) + b(i))", summed(Binary("mul", x_j, Binary("add", A_ij, b_i)), "j")),
        # several indices: the first used is outermost
        ("A(k,j) * B(i,j)", None),
        # explicit folds
        ("reduce_max(j, A(i,j))", Reduce("max", "j", A_ij)),
        ("reduce_max(j, A(i,j) * x(k))", Reduce("max", "j", Binary("mul", A_ij, summed(x_k, "k")))),
        ("sum(j, A(i,j)) * sum(j, x(j))", Binary("mul", summed(A_ij, "j"), summed(x_j, "j"))),
    ],
)  # fmt: skip
def test_where_sums_are_placed(right: str, expected: Expr | None) -> None:
    if expected is None:
        body = Binary("mul", Reduce("add", "k", Access("A", ("k", "j"))), B_ij)
        expected = Reduce("add", "j", body)
    assert parse(f"y(i) = {right}").expr == expected


def test_the_index_used_first_is_outermost() -> None:
    assert parse("s() = A(i,j) * B(i,j)").expr == summed(Binary("mul", A_ij, B_ij), "i", "j")
    assert parse("s = A(i,j) * B(i,j)") == parse("s() = A(i,j)*B(i,j)")
    assert parse("s = A(i,i)").expr == summed(Access("A", ("i", "i")), "i")


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        ("a + b * c", Binary("add", a, Binary("mul", b, c))),
        ("a - b - c", Binary("sub", Binary("sub", a, b), c)),
        ("-a ** 2", Unary("neg", Binary("pow", a, Number(2)))),
        ("a ** -b ** 2", Binary("pow", a, Unary("neg", Binary("pow", b, Number(2))))),
        ("-a * b", Binary("mul", Unary("neg", a), b)),
        ("-2.5e3", Number(-2500.0)),
        (".5", Number(0.5)),
        ("-inf", Number(-math.inf)),
        ("true", Number(True)),
        ("a > 1 & b", Binary("and", Binary("gt", a, Number(1)), b)),
        ("a & b | c", Binary("or", Binary("and", a, b), c)),
        ("min(a, b, 3)", Binary("min", Binary("min", a, b), Number(3))),
        ("pair(a, b)", Binary("pair", a, b)),
        ("div(a, b)", Binary("div", a, b)),
        ("neg(1)", Unary("neg", Number(1))),
        ("größe_1", Access("größe_1", ())),
    ],
)  # fmt: skip
def test_operators_and_functions(right: str, expected: Expr) -> None:
    read = parse(f"y = {right}").expr
    assert read == expected and repr(read) == repr(expected)


@pytest.mark.parametrize(
    ("sign", "op"),
    [
        ("+=", "add"),
        ("*=", "mul"),
        ("min=", "min"),
        ("max =", "max"),
        ("|=", "or"),
        ("&=", "and"),
        ("=", None),
    ],
)
def test_accumulation(sign: str, op: str | None) -> None:
    assert parse(f"y(i) {sign} b(i)").accumulate == op


@pytest.mark.parametrize(
    ("semiring", "add", "mul", "zero"),
    [
        ("plus_times", "add", "mul", 0),
        ("min_plus", "min", "add", math.inf),
        ("max_times", "max", "mul", 0),
        ("or_and", "or", "and", False),
        ("plus_pair", "add", "pair", 0),
    ],
)
def test_semirings(semiring: str, add: str, mul: str, zero: float) -> None:
    read = parse("y(i) += A(i,j) * x(j) + b(i)", semiring=semiring)
    product = Reduce(add, "j", Binary(mul, A_ij, x_j))  # type: ignore[arg-type]
    assert read == Assignment(Access("y", ("i",)), Binary(add, product, b_i), zero, add)  # type: ignore[arg-type]
    assert type(read.zero) is type(zero)
    if semiring != "plus_times":
        with pytest.raises(NotationError, match=f"'/' has no meaning in the semiring {semiring}"):
            parse("y = a / b", semiring=semiring)
        with pytest.raises(NotationError, match=f"'-' has no meaning in the semiring {semiring}"):
            parse("y = -a", semiring=semiring)
        assert parse("y = sub(a, -1)", semiring=semiring).expr == Binary("sub", Access("a", ()), Number(-1))


def test_an_unknown_semiring() -> None:
    with pytest.raises(InputError, match="semiring 'minplus' is unknown: did you mean 'min_plus'"):
        parse("y = a", semiring="minplus")


@pytest.mark.parametrize(
    ("marked", "what"),
    [
        ("y(i) = ^tahn(A(i))", "'tahn' is not a function: did you mean 'tanh'"),
        ("y(i) = ^foo(A(i))", "'foo' is not a function, and"),
        ("y(i) = A(i,j ^x(j)", r"expected ',' or '\)' in A\(...\), found 'x'"),
        ("y(i) = A(^0,j)", "take the slice before"),
        ("y(i) = A(^,j)", "expected an index in A"),
        ("y(i) = A(i)^; b", "';' is not part of the notation"),
        ("y(i) = A^[i]", "indices stand in parentheses"),
        ("y(i) = A(i)^^2", "a power is written"),
        ("y(i) = A(i) ^x(i)", "expected an operator or the end, found 'x'"),
        ("y(i) = (A(i)^", "to close '\\(' at character 8, found the end"),
        ("y(i) = ^", "expected a tensor, a number, a function or"),
        ("y(i) = ^* A(i)", "expected a tensor"),
        ("y(i) ^A(i)", "expected '=', "),
        ("y(i) ^== A(i)", "expected '=', "),
        ("^", "expected the output"),
        ("^3 = A(i)", "expected the output"),
        ("^exp(i) = A(i)", "word of the notation"),
        ("y = a < b ^< c", "comparisons do not chain"),
        ("y(i) = min(^i, A(i))", "'i' is an index here"),
        ("y(i) = sum(^i, A(i))", "stands in the output"),
        ("y(i) = sum(^j, A(i))", "not used"),
        ("y(i) = sum(j, A(i,j)) * x(^j)", "index 'j' is folded elsewhere"),
        ("y(i) = sum(j, A(i,j) * sum(^j, x(j)))", "folded already"),
        ("y(i) = ^sum(A(i,j))", "is told its indices first"),
        ("y(i) = ^pair(A(i))", "pair takes 2 operands, not 1"),
        ("y(i) = ^or(A(i))", "reduce_or"),
        ("y(i) = ^exp(A(i), 2)", "exp takes 1 operand, not 2"),
        ("y(i) = ^exp * 2", "expected exp"),
        ("y(i) = ^inf(2)", "is a constant"),
        ("y(i) = ^99999999999999999999", "does not fit 64 bits"),
        ("y(i) =\n  A(i) +\n\t ^+ b(i)", "expected a tensor"),
    ],
)
def test_errors_point_at_the_character(marked: str, what: str) -> None:
    at = marked.index("^")
    text = marked[:at] + marked[at + 1 :]
    with pytest.raises(NotationError, match=what) as caught:
        parse(text)
    line = text[text.rfind("\n", 0, at) + 1 :].split("\n", 1)[0]
    column = at - text.rfind("\n", 0, at) - 1
    *_, shown, caret = str(caught.value).split("\n")
    assert shown == f"  {line}"
    assert len(caret) == 2 + column + 1 and caret.strip() == "^"


def test_what_is_too_deep_or_too_long_is_refused() -> None:
    fine = DEEPEST - 1
    parse(f"y = {'(' * fine}a{')' * fine}")
    parse("y = " + " + ".join(["a"] * LONGEST))
    parse("y = " + "exp(" * fine + "A(i)" + ")" * fine)
    for text in ("(" * 10_000, "-" * 10_000 + "a", "a" + " ** a" * 1_000, "exp(" * 1_000):
        with pytest.raises(NotationError, match="nested more than"):
            parse(f"y = {text}")
    with pytest.raises(NotationError, match="more than 200 operations"):
        parse("y = " + " + ".join(["a"] * 1_000))
    with pytest.raises(NotationError, match="characters"):
        parse("y = a" + " " * 100_000)
    with pytest.raises(InputError, match="is a text, not int"):
        parse(3)  # type: ignore[arg-type]


PIECES = (
    "y",
    "(",
    ")",
    "i",
    "j",
    ",",
    "=",
    "+",
    "-",
    "*",
    "**",
    "sum",
    "min",
    "exp",
    "<",
    "&",
    "2",
    "A(i,j)",
)


@given(st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join) | st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    for whole in (text, f"y(i) = {text}"):
        try:
            parse(whole)
        except NotationError as error:
            assert str(error).endswith("^")  # noqa: PT017 - most texts are wrong, not all
