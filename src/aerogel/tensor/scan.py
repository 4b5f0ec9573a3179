"""Lines of plain decimal numbers read in machine code; whatever else stands in a text is left to others.

Up to 18 digits are the exact sum of two floats, and a power of ten of at most 22 is a float: their product
or quotient is then known, as a float and what it lacks, to 2^-104 of itself. Where nothing so small could
change which float is the nearest, it is the one that ``float`` has (Ziv 1991). Values with more digits, and
those few that come too near the middle between two floats, are noted, to be read one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from aerogel import native
from aerogel.core.dtypes import DType
from aerogel.loop.build import Code, i64
from aerogel.loop.nodes import (
    I64,
    Binary,
    Buf,
    BufferType,
    Cast,
    Compare,
    Const,
    Expr,
    Fma,
    Function,
    Load,
    Module,
    Scalar,
    Select,
    Unary,
    Var,
)

Scanned = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]
"""Coordinates [rows, k], values [rows], and the line of each row, from 0."""
_DIGITS, _EXPONENT, _LONGEST = 18, 22, 1024
_UNSURE = 2.0**-100
_POWERS = np.array([float(10**n) for n in range(_EXPONENT + 1)])
_SHIFTS = np.array([10**n for n in range(_DIGITS + 1)], np.int64)
_F64 = Scalar(DType.F64)

_SIZE = Var("size", I64)
_TEXT = Buf("text", BufferType(DType.U8, const=True))
_TENS = Buf("powers", BufferType(DType.F64, const=True))
_STEPS = Buf("shifts", BufferType(DType.I64, const=True))
_IDS = Buf("ids", BufferType(DType.I64))
_VALUES = Buf("values", BufferType(DType.F64))
_LINES = Buf("lines", BufferType(DType.I64))
_HARD = Buf("hard", BufferType(DType.I64))
_FOUND = Buf("found", BufferType(DType.I64))


def scanned(part: bytes, counts: int, *, valued: bool) -> Scanned | None:
    """The rows of a text: in each line that is not blank ``counts`` whole numbers without sign and, where
    ``valued``, a decimal one. None where anything else stands in it."""
    # The text's own end is a line's end; the loops stop there.
    text = np.frombuffer(part + b"\n", np.uint8)
    most = part.count(b"\n") + 1
    ids, values = np.empty(most * counts, np.int64), np.empty(most if valued else 0)
    lines, hard = np.empty(most, np.int64), np.empty(2 * most if valued else 0, np.int64)
    found = np.zeros(3, np.int64)
    kernel = _kernel(counts, valued)
    kernel.launch(len(part), text, _POWERS, _SHIFTS, ids, values, lines, hard, found)
    rows, sound, left = found.tolist()
    if not sound:
        return None
    for row, at in hard[: 2 * left].reshape(left, 2).tolist():
        token = part[at : at + _LONGEST].split(None, 1)[0]
        if len(token) == _LONGEST:
            return None
        values[row] = float(token)
    return ids[: rows * counts].reshape(rows, counts), values[:rows], lines[:rows]


@cache
def _kernel(counts: int, valued: bool) -> native.Compiled:  # noqa: FBT001 (a key)
    return native.compile(scan_module(counts, valued=valued))


def scan_module(counts: int, *, valued: bool) -> Module:
    """``scan(size, text, powers, shifts, ids, values, lines, hard, found)``: ``found`` gets the rows, whether
    the text is sound, and how many values are hard: their rows and where they begin stand in ``hard``."""
    code = Code()
    scan = _Scan(code)
    with code.while_((scan.at < _SIZE) & scan.sound):
        scan.blanks()
        with code.block() as blank:
            pass
        with code.block() as row:
            for column in range(counts):
                scan.whole(scan.row * counts + column)
            if valued:
                scan.decimal()
            code.store(_LINES, scan.row, scan.line)
            code.assign(scan.row, scan.row + 1)
            scan.require(scan.is_(ord("\n")))
        code.branch(scan.is_(ord("\n")), tuple(blank), tuple(row))
        code.assign(scan.line, scan.line + 1)
        code.assign(scan.at, scan.at + 1)
    for slot, value in enumerate((scan.row, Cast(scan.sound, I64), scan.left)):
        code.store(_FOUND, i64(slot), value)
    params = (_SIZE, _TEXT, _TENS, _STEPS, _IDS, _VALUES, _LINES, _HARD, _FOUND)
    return Module("scan", (Function("scan", params, code.done()),))


class _Scan:
    """Where the scan is: ``at`` this byte, in this ``row`` of this ``line``; ``left``: hard values so far."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.at, self.row, self.line, self.left = (
            code.define(i64(0), hint) for hint in ("at", "row", "line", "left")
        )
        self.sound = code.define(Const(value=True, type=Scalar(DType.BOOL)), "sound")

    def byte(self) -> Expr:
        return Cast(Load(_TEXT, self.at), I64)

    def is_(self, *bytes_: int) -> Expr:
        """Whether one of these stands here."""
        here = self.code.let(self.byte(), "here")
        found: Expr = Compare("eq", here, i64(bytes_[0]))
        for other in bytes_[1:]:
            found = found | Compare("eq", here, i64(other))
        return self.code.let(found, "is")

    def require(self, holds: Expr) -> None:
        self.code.assign(self.sound, self.sound & holds)

    def step(self) -> None:
        self.code.assign(self.at, self.at + 1)

    def among(self, test: Sequence[int], body: Callable[[], None]) -> None:
        """``body`` for every byte from here on that is one of ``test``."""
        going = self.code.define(self.is_(*test), "going")
        with self.code.while_(going):
            body()
            self.step()
            self.code.assign(going, self.is_(*test))

    def blanks(self) -> None:
        self.among((ord(" "), ord("\t"), ord("\r")), lambda: None)

    def digits(self, use: Callable[[Expr], None]) -> None:
        """``use`` of every digit from here on."""
        going = self.code.define(self._digit() >= 0, "going")
        with self.code.while_(going):
            use(self.code.let(self._digit(), "digit"))
            self.step()
            self.code.assign(going, self._digit() >= 0)

    def _digit(self) -> Expr:
        """The digit that stands here; -1 for none."""
        value = self.code.let(self.byte() - ord("0"), "value")
        inside = Compare("ge", value, i64(0)) & Compare("le", value, i64(9))
        return self.code.let(Select(inside, value, i64(-1)), "digit")

    def end(self) -> None:
        """The token ends here; what comes next is reached."""
        self.require(self.is_(ord(" "), ord("\t"), ord("\r"), ord("\n")))
        self.blanks()

    def whole(self, place: Expr) -> None:
        """A coordinate, kept at ``place``."""
        code = self.code
        start, value = code.let(self.at + 0, "start"), code.define(i64(0), "whole")
        self.digits(lambda digit: code.assign(value, value * 10 + digit))
        length = code.let(self.at - start, "length")
        self.require(Compare("ge", length, i64(1)) & Compare("le", length, i64(_DIGITS)))
        code.store(_IDS, code.let(place, "place"), value)
        self.end()

    def decimal(self) -> None:
        """A value, kept in its row: sign, digits with a point, exponent."""
        code = self.code
        start = code.let(self.at + 0, "start")
        minus = code.let(self.is_(ord("-")), "minus")
        with code.if_(minus | self.is_(ord("+"))):
            self.step()
        number = _Decimal(code)
        self.digits(lambda digit: number.take(digit, behind=False))
        with code.if_(self.is_(ord("."))):
            self.step()
            self.digits(lambda digit: number.take(digit, behind=True))
        self.require(number.any)
        exponent = code.define(i64(0), "exponent")
        with code.if_(self.is_(ord("e"), ord("E"))):
            self.step()
            below = code.let(self.is_(ord("-")), "below")
            with code.if_(below | self.is_(ord("+"))):
                self.step()
            first, size = code.let(self.at + 0, "first"), code.define(i64(0), "big")
            self.digits(lambda digit: code.assign(size, Binary("min", size * 10 + digit, i64(100_000))))
            self.require(self.at > first)
            code.assign(exponent, Select(below, i64(0) - size, size))
        value, easy = number.value(exponent)
        code.store(_VALUES, self.row, Select(minus, Unary("neg", value), value))
        with code.if_(Unary("not", easy)):
            code.store(_HARD, self.left * 2, self.row)
            code.store(_HARD, self.left * 2 + 1, start)
            code.assign(self.left, self.left + 1)
        self.end()


class _Decimal:
    """Digits taken one by one: all up to the last that is not 0 make ``digits``."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.digits, self.used, self.zeros, self.scale = (
            code.define(i64(0), hint) for hint in ("digits", "used", "zeros", "scale")
        )
        self.any = code.define(Const(value=False, type=Scalar(DType.BOOL)), "any")

    def take(self, digit: Expr, *, behind: bool) -> None:
        """One more digit, ``behind`` the point or before it."""
        code = self.code
        code.assign(self.any, Const(value=True, type=Scalar(DType.BOOL)))
        if behind:
            code.assign(self.scale, self.scale - 1)
        with code.block() as zero:
            code.assign(self.zeros, self.zeros + 1)
        with code.block() as more:
            wide = code.let(self.zeros + 1, "wide")
            # Zeros in front are no digits.
            count = code.let(Select(Compare("eq", self.digits, i64(0)), i64(1), wide), "count")
            fits = code.let(Compare("le", self.used + count, i64(_DIGITS)), "fits")
            shift = code.let(Load(_STEPS, Select(fits, count, i64(0))), "shift")
            code.assign(self.digits, Select(fits, self.digits * shift + digit, self.digits))
            code.assign(self.used, self.used + count)
            code.assign(self.zeros, i64(0))
        code.branch(Compare("eq", digit, i64(0)), tuple(zero), tuple(more))

    def value(self, exponent: Expr) -> tuple[Expr, Expr]:
        """The number, and whether it is surely the nearest one."""
        code = self.code
        # Zeros behind the last digit before the point count, those behind the point are in the scale.
        power = code.let(exponent + self.scale + self.zeros, "power")
        none = code.let(Compare("eq", self.digits, i64(0)), "none")
        power = code.let(Select(none, i64(0), power), "power")
        near = Compare("ge", power, i64(-_EXPONENT)) & Compare("le", power, i64(_EXPONENT))
        sound = code.let(near & Compare("le", self.used, i64(_DIGITS)), "sound_so_far")
        safe = code.let(Select(sound, power, i64(0)), "safe")
        up = code.let(Load(_TENS, Binary("max", safe, i64(0))), "up")
        down = code.let(Load(_TENS, Binary("max", i64(0) - safe, i64(0))), "down")
        # The digits as a sum of two numbers, exactly; then what they make as one with its remainder.
        digits = code.let(Select(sound, self.digits, i64(0)), "all")
        high = code.let(Cast(digits, _F64), "high")
        low = code.let(Cast(digits - Cast(high, I64), _F64), "low")
        product, quotient = code.let(high * up, "product"), code.let(high / down, "quotient")
        above = Fma(low, up, Fma(high, up, Unary("neg", product)))
        below = (Fma(Unary("neg", quotient), down, high) + low) / down
        grows = code.let(Compare("ge", safe, i64(0)), "grows")
        near_it = code.let(Select(grows, product, quotient), "near_it")
        rest = code.let(Select(grows, above, below), "rest")
        unsure = code.let(near_it * Const(_UNSURE, _F64), "unsure")
        number = code.let(near_it + (rest + unsure), "number")
        same = Compare("eq", number, near_it + (rest - unsure))
        return number, code.let(sound & same, "easy")
