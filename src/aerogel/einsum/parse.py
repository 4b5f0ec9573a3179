"""Index notation, read: ``y(i) = A(i,j) * x(j) + b(i)``.

    assignment   out ("=" | "+=" | "*=" | "min=" | "max=" | "|=" | "&=") expression
    operators    |    &    == != < <= > >=    + -    * /    -x    **        from loosest to tightest
    operands     A(i,j)   s   s()   2   2.5   inf   true   (...)   f(...)

- Comparisons do not chain. ``&`` and ``|`` bind looser than comparisons, so ``x(i) > 0 & x(i) < 1`` reads as
  it should; with ``not(x)`` they work on truth values. ``**`` groups to the right and tighter than a minus.
- Functions of one operand: neg abs sqrt square relu sign not exp log tanh sigmoid sin cos reciprocal. Of two
  or more: min max. Of two: pair, and every operator by name (add sub mul div pow and or eq ne lt le gt ge).
- An index that the output lacks is summed, around the smallest sub-expression with all its uses: ``sums.py``.
- ``sum(i, j, x)`` sums where it stands. Other folds: reduce_min reduce_max reduce_mul reduce_or reduce_and
  reduce_add. (``min(a, b)`` is always the lesser of two operands.) An index folded so is used only within.

A semiring gives ``+``, ``*``, ``+=``, ``*=``, ``sum`` and implicit sums its meaning; operations by name,
``min=``, ``&``, ``**`` and comparisons mean what they always do. ``-`` and ``/`` exist in ``plus_times``
alone.
"""

from __future__ import annotations

from typing import cast, get_args

from aerogel.core.errors import InputError, NotationError, require
from aerogel.core.suggest import meant
from aerogel.einsum.nodes import (
    Access,
    Assignment,
    Binary,
    BinaryOp,
    Expr,
    Number,
    Reduce,
    ReduceOp,
    Unary,
    UnaryOp,
    indices,
)
from aerogel.einsum.semiring import Semiring, semiring_named
from aerogel.einsum.sums import place_sums
from aerogel.einsum.tokens import Token, tokens, wrong

COMPARISONS: dict[str, BinaryOp] = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
PRECEDENCE = {"|": 1, "&": 2, **dict.fromkeys(COMPARISONS, 3), "+": 4, "-": 4, "*": 5, "/": 5}
MINUS, POWER = 6, 7
"""How tight ``-x`` and ``**`` bind."""
LITERAL: dict[str, BinaryOp] = {"|": "or", "&": "and", **COMPARISONS}
CONSTANTS: dict[str, float | bool] = {
    "inf": float("inf"),
    "nan": float("nan"),
    "true": True,
    "false": False,
}
UNARY: tuple[UnaryOp, ...] = get_args(UnaryOp)
BINARY: tuple[BinaryOp, ...] = get_args(BinaryOp)
REDUCE: dict[str, ReduceOp] = {f"reduce_{op}": op for op in cast("tuple[ReduceOp, ...]", get_args(ReduceOp))}
RESERVED = frozenset({*UNARY, *BINARY, *REDUCE, *CONSTANTS, "sum"})
"""Names that no tensor can have here."""
DEEPEST = 30
"""Parentheses within parentheses; it bounds the recursion of the parser."""
LONGEST = 200
"""Operations in a text; it bounds the recursion of whatever walks the tree."""
_ASSIGN: dict[str, ReduceOp] = {"|=": "or", "&=": "and"}


def parse(text: str, *, semiring: str = "plus_times") -> Assignment:
    """The assignment that ``text`` says, sums placed; NotationError that points at what cannot be read."""
    require(isinstance(text, str), InputError, f"index notation is a text, not {type(text).__name__}")
    return _Parser(text, semiring_named(semiring)).assignment()


class _Parser:
    """Reads one text, left to right."""

    def __init__(self, text: str, semiring: Semiring) -> None:
        self.text = text
        self.semiring = semiring
        self.tokens = tokens(text)
        self.next = 0
        self.depth = 0
        self.operations = 0
        self.out: Access = Access("", ())
        self.bound: list[str] = []  # by the folds around what is read now
        self.free: dict[str, int] = {}  # index -> where it is used outside of every fold over it
        self.folded: dict[str, int] = {}  # index -> where a fold names it
        self.bare: dict[str, int] = {}  # tensors without parentheses, and where

    # --- words --------------------------------------------------------------------------------

    @property
    def token(self) -> Token:
        return self.tokens[self.next]

    def take(self) -> Token:
        token = self.token
        self.next += 1
        return token

    def accept(self, sign: str) -> bool:
        """Takes ``sign`` if it is next."""
        found = self.token.kind == "sign" and self.token.text == sign
        self.next += found
        return found

    def expect(self, sign: str, where: str) -> None:
        if not self.accept(sign):
            raise self.wrong(self.token, f"expected {sign!r} {where}, found {self.token}")

    def wrong(self, token: Token, what: str) -> NotationError:
        return wrong(self.text, token.at, what)

    def followed_by(self, sign: str) -> bool:
        """Whether a name is next, and ``sign`` behind it."""
        return self.token.kind == "name" and self.tokens[self.next + 1].text == sign

    # --- assignment ---------------------------------------------------------------------------

    def assignment(self) -> Assignment:
        self.out = self.output()
        accumulate = self.operation()
        expr = self.expression(0)
        if self.token.kind != "end":
            raise self.wrong(self.token, f"expected an operator or the end, found {self.token}")
        self.check_names()
        expr = place_sums(expr, self.out.indices, self.semiring.add)
        return Assignment(self.out, expr, self.semiring.zero, accumulate)

    def output(self) -> Access:
        name = self.take()
        if name.kind != "name":
            raise self.wrong(name, f"expected the output, as in y(i) = ..., found {name}")
        if name.text in RESERVED:
            raise self.wrong(name, f"{name.text!r} is a word of the notation: give the output another name")
        return Access(name.text, self.index_list(name) if self.accept("(") else ())

    def operation(self) -> ReduceOp | None:
        """What stands between output and expression."""
        token = self.take()
        match token.text:
            case "=":
                return None
            case "+=":
                return self.semiring.add
            case "*=" if self.semiring.mul == "pair":
                raise self.wrong(
                    token, "'*=' has no meaning in plus_pair: what is accumulated has no second operand"
                )
            case "*=":
                return cast("ReduceOp", self.semiring.mul)
            case "|=" | "&=":
                return _ASSIGN[token.text]
            case "min" | "max" if self.accept("="):
                return token.text
            case _:
                raise self.wrong(
                    token, f"expected '=', '+=', '*=', 'min=', 'max=', '|=' or '&=', found {token}"
                )

    def check_names(self) -> None:
        for index, at in self.folded.items():
            if index in self.free:
                what = f"index {index!r} is folded elsewhere: use it only within that, or rename it here"
                raise wrong(self.text, self.free[index], f"{what} (the fold stands at character {at + 1})")
        for name, at in self.bare.items():
            if name in self.free or name in self.folded or name in self.out.indices:
                what = (
                    f"{name!r} is an index here, and so no scalar: for a fold over it write sum({name}, ...)"
                )
                raise wrong(
                    self.text, at, f"{what}, reduce_min({name}, ...); for a scalar of that name {name}()"
                )

    # --- expressions --------------------------------------------------------------------------

    def expression(self, least: int) -> Expr:
        """Operands joined by operators that bind at least as tight as ``least``."""
        left = self.signed()
        while self.token.kind == "sign" and PRECEDENCE.get(self.token.text, -1) >= least:
            sign = self.take()
            rank = PRECEDENCE[sign.text]
            left = Binary(self.meaning(sign), left, self.expression(rank + 1))
            if sign.text in COMPARISONS and self.token.text in COMPARISONS:
                raise self.wrong(
                    self.token, "comparisons do not chain: join them by &, or put one in parentheses"
                )
        return left

    def count(self, token: Token) -> None:
        self.operations += 1
        if self.operations > LONGEST:
            raise self.wrong(token, f"more than {LONGEST} operations: split the expression in several")

    def meaning(self, sign: Token) -> BinaryOp:
        """The operation of an operator, in this semiring."""
        self.count(sign)
        match sign.text:
            case "+":
                return cast("BinaryOp", self.semiring.add)
            case "*":
                return self.semiring.mul
            case "-" | "/":
                self.require_inverse(sign, "sub(a, b)" if sign.text == "-" else "div(a, b)")
                return "sub" if sign.text == "-" else "div"
            case text:
                return LITERAL[text]

    def require_inverse(self, sign: Token, instead: str) -> None:
        name = self.semiring.name
        if name != "plus_times":
            lack = "division" if sign.text == "/" else "subtraction"
            what = f"{sign.text!r} has no meaning in the semiring {name}, which has no {lack}"
            raise self.wrong(sign, f"{what}: for the operation on numbers write {instead}")

    def signed(self) -> Expr:
        minus = self.token
        if not self.accept("-"):
            return self.power()
        self.count(minus)
        self.enter(minus)
        operand = self.signed()
        self.depth -= 1
        if isinstance(operand, Number) and not isinstance(operand.value, bool):
            return Number(-operand.value)
        self.require_inverse(minus, "neg(x)")
        return Unary("neg", operand)

    def power(self) -> Expr:
        base = self.operand()
        sign = self.token
        if not self.accept("**"):
            return base
        self.count(sign)
        self.enter(sign)
        exponent = self.signed()
        self.depth -= 1
        return Binary("pow", base, exponent)

    def enter(self, token: Token) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.wrong(token, f"nested more than {DEEPEST} deep: split the expression in several")

    # --- operands -----------------------------------------------------------------------------

    def operand(self) -> Expr:
        token = self.take()
        match token.kind:
            case "number":
                return self.number(token)
            case "name":
                return self.named(token)
            case "sign" if token.text == "(":
                self.enter(token)
                inner = self.expression(0)
                self.expect(")", f"to close '(' at character {token.at + 1}")
                self.depth -= 1
                return inner
            case _:
                raise self.wrong(token, f"expected a tensor, a number, a function or '(', found {token}")

    def number(self, token: Token) -> Number:
        if not token.text.isdigit():
            return Number(float(token.text))
        if len(token.text) > 19 or int(token.text) >= 2**63:
            raise self.wrong(token, f"{token.text[:30]} does not fit 64 bits: write a float, such as 1e30")
        return Number(int(token.text))

    def named(self, name: Token) -> Expr:
        called = self.accept("(")
        if name.text in CONSTANTS and not called:
            return Number(CONSTANTS[name.text])
        if name.text in RESERVED:
            if not called:
                raise self.wrong(name, f"{name.text!r} is a word of the notation: expected {name.text}(...)")
            return self.function(name)
        if not called:
            self.bare.setdefault(name.text, name.at)
            return Access(name.text, ())
        return self.access(name)

    def access(self, name: Token) -> Access:
        at = self.next
        access = Access(name.text, self.index_list(name))
        for token in self.tokens[at : self.next]:
            if token.kind == "name" and token.text not in self.bound:
                self.free.setdefault(token.text, token.at)
        return access

    def index_list(self, name: Token) -> tuple[str, ...]:
        """Names up to ``)``; the ``(`` is read already."""
        found: list[str] = []
        if self.accept(")"):
            return ()
        while True:
            token = self.take()
            if token.kind != "name" or self.token.text not in {",", ")"}:
                raise self.no_index(name, token)
            found.append(token.text)
            if self.take().text == ")":
                return tuple(found)

    def no_index(self, name: Token, token: Token) -> NotationError:
        """Something in ``name(...)`` is no index: perhaps a function was meant."""
        hint = meant(name.text.lower(), [*UNARY, *BINARY, *REDUCE, "sum"], "", least=0.7)
        if hint:
            return self.wrong(name, f"{name.text!r} is not a function: {hint}")
        found = self.token if token.kind == "name" else token
        wanted = "an index" if found is token else "',' or ')'"
        what = f"expected {wanted} in {name.text}(...), found {found}"
        if found.kind == "number":
            return self.wrong(found, f"{what}: an index is a name; take the slice before")
        if found.text == "(":
            return self.wrong(name, f"{name.text!r} is not a function, and a tensor's indices are names")
        return self.wrong(found, what)

    # --- functions ----------------------------------------------------------------------------

    def function(self, name: Token) -> Expr:
        """A call of ``name``, whose ``(`` is read already."""
        self.enter(name)
        self.count(name)
        word = name.text
        if word == "sum" or word in REDUCE:
            made = self.fold(name, REDUCE.get(word, self.semiring.add))
        else:
            made = self.applied(name, self.arguments(name))
        self.depth -= 1
        return made

    def arguments(self, name: Token) -> list[Expr]:
        found = [self.expression(0)]
        while self.accept(","):
            self.count(name)
            found.append(self.expression(0))
        self.expect(")", f"or ',' in {name.text}(...)")
        return found

    def applied(self, name: Token, operands: list[Expr]) -> Expr:
        word, count = name.text, len(operands)
        if word in UNARY:
            if count != 1:
                raise self.wrong(name, f"{word} takes 1 operand, not {count}")
            return Unary(word, operands[0])
        if word not in BINARY:
            raise self.wrong(name, f"{word!r} is a constant, not a function")
        if count < 2 or (count > 2 and word not in {"min", "max"}):
            raise self.wrong(name, f"{word} takes 2 operands, not {count}{self.folds(word)}")
        made = operands[0]
        for operand in operands[1:]:
            made = Binary(word, made, operand)
        return made

    def folds(self, word: str) -> str:
        return f" (a fold over an index is reduce_{word}(i, ...))" if f"reduce_{word}" in REDUCE else ""

    def fold(self, name: Token, op: ReduceOp) -> Expr:
        """``sum(i, j, body)``."""
        given: list[Token] = []
        while self.followed_by(","):
            given.append(self.take())
            self.take()
            self.bind(name, given[-1])
        if not given:
            raise self.wrong(name, f"{name.text} is told its indices first: {name.text}(i, ...)")
        body = self.expression(0)
        self.expect(")", f"to end {name.text}(...)")
        used = indices(body)
        for token in reversed(given):
            if token.text not in used:
                raise self.wrong(token, f"index {token.text!r} is not used in what {name.text} folds")
            body = Reduce(op, self.bound.pop(), body)
        return body

    def bind(self, name: Token, index: Token) -> None:
        if index.text in self.bound:
            raise self.wrong(index, f"index {index.text!r} is folded already: rename one of the two")
        if index.text in self.out.indices:
            what = f"index {index.text!r} stands in the output, so {name.text} cannot fold it"
            raise self.wrong(index, f"{what}: rename it within {name.text}")
        self.count(index)
        self.bound.append(index.text)
        self.folded.setdefault(index.text, index.at)
