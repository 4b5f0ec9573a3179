"""Loop IR: a small typed imperative language, the contract between what decides and what runs.

Everything is a frozen dataclass. Expressions have no side effects and carry their type;
statements are grouped in blocks (tuples). There is no pointer arithmetic and no aliasing:
distinct buffer parameters are disjoint, in-place work is one parameter.
No fast-math: what is written is what is computed, in that order; ``Fma`` rounds once.

Semantics that are not obvious from a name:

- Integer arithmetic wraps. ``div`` and ``rem`` truncate towards zero as in C.
  ``shr`` is arithmetic for signed, logical for unsigned; the shift count is below the width.
- ``min(a, b)`` is ``a if a < b else b``, ``max(a, b)`` is ``a if a > b else b`` (so a NaN in
  either operand gives ``b``, as the x86 instructions do).
- ``Reduce`` folds the upper half onto the lower half until one lane is left:
  ``v[i] = op(v[i], v[i + n/2])``. That order is part of its meaning.
- A masked ``VLoad`` reads 0 in the lanes that are off, and neither reads nor faults there;
  a masked ``VStore`` leaves those lanes untouched.
- Indices count elements of the buffer's dtype, not bytes.
- f16 and bf16 are computed and cast by way of f32. The bits of a NaN are not specified.
- In ``Bitcast`` a lane mask has one bit a lane. A cast to bool asks "is it not 0". ``ctz(0)`` is the width.
- An error in the interpreter, and undefined in machine code: division by zero, the lowest integer by -1, a
  shift by the width or more, a cast of a float that its integer type cannot hold.
- Variables and buffers share one namespace. Nodes are trees: bind a part that is used twice with ``Let``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aerogel.core.dtypes import DType

# --- types ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scalar:
    """One element."""

    dtype: DType


@dataclass(frozen=True, slots=True)
class Vec:
    """``lanes`` elements in a register; ``Vec(BOOL, n)`` is a lane mask. Lanes: a power of two."""

    dtype: DType
    lanes: int


Type = Scalar | Vec

BOOL = Scalar(DType.BOOL)
I32 = Scalar(DType.I32)
I64 = Scalar(DType.I64)
F32 = Scalar(DType.F32)


@dataclass(frozen=True, slots=True)
class BufferType:
    """A run of elements in memory. ``align``: bytes the start is a multiple of; ``const``: never written."""

    dtype: DType
    const: bool = False
    align: int = 1


# --- expressions ----------------------------------------------------------------------------


class _Operators:
    """Infix spelling for the nodes below; Python numbers become constants of the other side's type."""

    __slots__ = ()

    def __add__(self, other: Operand) -> Binary:
        return _binary("add", self, other)

    def __radd__(self, other: Operand) -> Binary:
        return _binary("add", other, self)

    def __sub__(self, other: Operand) -> Binary:
        return _binary("sub", self, other)

    def __rsub__(self, other: Operand) -> Binary:
        return _binary("sub", other, self)

    def __mul__(self, other: Operand) -> Binary:
        return _binary("mul", self, other)

    def __rmul__(self, other: Operand) -> Binary:
        return _binary("mul", other, self)

    def __truediv__(self, other: Operand) -> Binary:
        return _binary("div", self, other)

    def __floordiv__(self, other: Operand) -> Binary:
        return _binary("div", self, other)

    def __mod__(self, other: Operand) -> Binary:
        return _binary("rem", self, other)

    def __and__(self, other: Operand) -> Binary:
        return _binary("and", self, other)

    def __or__(self, other: Operand) -> Binary:
        return _binary("or", self, other)

    def __xor__(self, other: Operand) -> Binary:
        return _binary("xor", self, other)

    def __lshift__(self, other: Operand) -> Binary:
        return _binary("shl", self, other)

    def __rshift__(self, other: Operand) -> Binary:
        return _binary("shr", self, other)

    def __lt__(self, other: Operand) -> Compare:
        return _compare("lt", self, other)

    def __le__(self, other: Operand) -> Compare:
        return _compare("le", self, other)

    def __gt__(self, other: Operand) -> Compare:
        return _compare("gt", self, other)

    def __ge__(self, other: Operand) -> Compare:
        return _compare("ge", self, other)


# ``==`` stays structural equality of nodes: write Compare("eq", a, b) for the operation.

BinaryOp = Literal["add", "sub", "mul", "div", "rem", "min", "max", "and", "or", "xor", "shl", "shr"]
UnaryOp = Literal["neg", "not", "abs", "sqrt", "popcount", "ctz"]
CompareOp = Literal["eq", "ne", "lt", "le", "gt", "ge"]
ReduceOp = Literal["add", "min", "max", "and", "or"]


@dataclass(frozen=True, slots=True)
class Const(_Operators):
    """A literal; a vector type means the same value in every lane."""

    value: int | float | bool
    type: Type


@dataclass(frozen=True, slots=True)
class Var(_Operators):
    """Reads a scalar parameter, a ``Let``, a ``Define`` or a loop counter."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Buf:
    """Names a buffer: a parameter, a ``LetView`` or an ``Alloc``."""

    name: str
    type: BufferType


@dataclass(frozen=True, slots=True)
class Binary(_Operators):
    op: BinaryOp
    a: Expr
    b: Expr

    @property
    def type(self) -> Type:
        return self.a.type


@dataclass(frozen=True, slots=True)
class Unary(_Operators):
    """``neg``, ``abs``: floats and signed; ``not``: bool and integers; ``sqrt``: floats; others: integers."""

    op: UnaryOp
    a: Expr

    @property
    def type(self) -> Type:
        return self.a.type


@dataclass(frozen=True, slots=True)
class Compare(_Operators):
    """Ordered comparisons: false when an operand is NaN, except ``ne``, which is then true."""

    op: CompareOp
    a: Expr
    b: Expr

    @property
    def type(self) -> Type:
        return _with_dtype(self.a.type, DType.BOOL)


@dataclass(frozen=True, slots=True)
class Select(_Operators):
    """Lane by lane ``a`` where ``cond``, else ``b``; a scalar condition chooses whole vectors."""

    cond: Expr
    a: Expr
    b: Expr

    @property
    def type(self) -> Type:
        return self.a.type


@dataclass(frozen=True, slots=True)
class Cast(_Operators):
    """Converts values. Float to integer truncates; out of range or NaN is an error in the interpreter."""

    a: Expr
    type: Type


@dataclass(frozen=True, slots=True)
class Bitcast(_Operators):
    """Same bits, another type of the same total width."""

    a: Expr
    type: Type


@dataclass(frozen=True, slots=True)
class Load(_Operators):
    buf: Buf
    index: Expr

    @property
    def type(self) -> Type:
        return Scalar(self.buf.type.dtype)


@dataclass(frozen=True, slots=True)
class VLoad(_Operators):
    """``lanes`` consecutive elements from ``index`` on. No alignment is assumed."""

    buf: Buf
    index: Expr
    lanes: int
    mask: Expr | None = None

    @property
    def type(self) -> Type:
        return Vec(self.buf.type.dtype, self.lanes)


@dataclass(frozen=True, slots=True)
class Broadcast(_Operators):
    a: Expr
    lanes: int

    @property
    def type(self) -> Type:
        return Vec(self.a.type.dtype, self.lanes)


@dataclass(frozen=True, slots=True)
class Iota(_Operators):
    """0, 1, 2 ... in the lanes of an integer vector type."""

    type: Vec


@dataclass(frozen=True, slots=True)
class Fma(_Operators):
    """a * b + c, rounded once; f32 and f64."""

    a: Expr
    b: Expr
    c: Expr

    @property
    def type(self) -> Type:
        return self.c.type


@dataclass(frozen=True, slots=True)
class Reduce(_Operators):
    op: ReduceOp
    a: Expr

    @property
    def type(self) -> Type:
        return Scalar(self.a.type.dtype)


@dataclass(frozen=True, slots=True)
class Expand(_Operators):
    """Lane i gets the next unused element of ``values`` where bit i of ``bits`` (an unsigned integer
    with at least as many bits as lanes) is set, else 0."""

    bits: Expr
    values: Expr

    @property
    def type(self) -> Type:
        return self.values.type


@dataclass(frozen=True, slots=True)
class _Dot(_Operators):
    """``acc`` and some products of ``a`` and ``b`` in each lane."""

    acc: Expr
    a: Expr
    b: Expr

    @property
    def type(self) -> Type:
        return self.acc.type


@dataclass(frozen=True, slots=True)
class Dot4(_Dot):
    """Lane i: acc[i] + sum over j < 4 of a[4i+j] * b[4i+j]; acc i32, a u8, b i8; wraps, never saturates."""


@dataclass(frozen=True, slots=True)
class PairDot4(_Dot):
    """As ``Dot4``, but the sum of two neighbouring products saturates at 16 bits before it is added: the same
    wherever it is within -2^15 .. 2^15 - 1. (What ``pmaddubsw`` of x86 does.)"""


@dataclass(frozen=True, slots=True)
class Dot2(_Dot):
    """Lane i: acc[i] + a[2i+1] * b[2i+1] + a[2i] * b[2i], in that order; acc f32, a and b bf16.

    Two fused multiply-adds, each rounded once. A subnormal operand counts as a zero of its sign, and a result
    that would be one, rounded as if exponents had no end, becomes one. (What ``vdpbf16ps`` of x86 does.)"""


@dataclass(frozen=True, slots=True)
class Shuffle(_Operators):
    """Lane i is element ``lanes[i]`` of ``a`` followed by ``b``."""

    a: Expr
    b: Expr
    lanes: tuple[int, ...]

    @property
    def type(self) -> Type:
        return Vec(self.a.type.dtype, len(self.lanes))


@dataclass(frozen=True, slots=True)
class Permute(_Operators):
    """Lane i is element ``at[i]``, modulo twice the lanes, of ``a`` followed by ``b``; ``at``: unsigned
    integers as wide as the elements. (What ``vpermi2b`` and its kin of x86 do.)"""

    a: Expr
    b: Expr
    at: Expr

    @property
    def type(self) -> Type:
        return self.a.type


@dataclass(frozen=True, slots=True)
class ThreadId(_Operators):
    """Number of the running thread, i64, from 0."""

    @property
    def type(self) -> Type:
        return I64


@dataclass(frozen=True, slots=True)
class ThreadCount(_Operators):
    """How many threads run the program, i64."""

    @property
    def type(self) -> Type:
        return I64


Expr = (
    Const | Var | Binary | Unary | Compare | Select | Cast | Bitcast | Load | VLoad | Broadcast
    | Iota | Fma | Reduce | Expand | Dot4 | PairDot4 | Dot2 | Shuffle | Permute | ThreadId
    | ThreadCount
)  # fmt: skip
Operand = Expr | int | float

# --- statements -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Let:
    """Binds a name once, until the end of the enclosing block. No shadowing."""

    var: Var
    value: Expr


@dataclass(frozen=True, slots=True)
class Define:
    """Introduces a variable that ``Assign`` may change, until the end of the enclosing block."""

    var: Var
    value: Expr


@dataclass(frozen=True, slots=True)
class Assign:
    var: Var
    value: Expr


@dataclass(frozen=True, slots=True)
class LetView:
    """``buf`` names ``count`` elements of ``base``, from byte ``offset`` on, read as ``buf.type``.

    ``base`` holds u8; a view of a const buffer is const. The caller answers for alignment.
    """

    buf: Buf
    base: Buf
    offset: Expr
    count: Expr


@dataclass(frozen=True, slots=True)
class Alloc:
    """Scratch memory on the thread's stack until the function returns; at the top of a function only.
    ``count`` elements, 64-byte aligned, contents undefined (the interpreter fills it with a pattern)."""

    buf: Buf
    count: int


@dataclass(frozen=True, slots=True)
class Store:
    buf: Buf
    index: Expr
    value: Expr


@dataclass(frozen=True, slots=True)
class VStore:
    buf: Buf
    index: Expr
    value: Expr
    mask: Expr | None = None


@dataclass(frozen=True, slots=True)
class For:
    """``for var in range(start, stop, step)``, i64, bounds taken once, step a positive constant.
    ``unroll``: expand fully while generating code; then both bounds are constants."""

    var: Var
    start: Expr
    stop: Expr
    body: Block
    step: int = 1
    unroll: bool = False


@dataclass(frozen=True, slots=True)
class While:
    cond: Expr
    body: Block


@dataclass(frozen=True, slots=True)
class If:
    cond: Expr
    then: Block
    orelse: Block = ()


@dataclass(frozen=True, slots=True)
class Prefetch:
    """A hint; the index may be out of range."""

    buf: Buf
    index: Expr


@dataclass(frozen=True, slots=True)
class Call:
    """Runs another function of the module, defined before this one. Buffers are passed by ``Buf``."""

    function: str
    args: tuple[Expr | Buf, ...]


@dataclass(frozen=True, slots=True)
class Barrier:
    """No thread passes until all have come. Only directly in the body of a module's entry, or in a
    loop or branch there whose control is the same on every thread."""


Stmt = (
    Let | Define | Assign | LetView | Alloc | Store | VStore | For | While | If | Prefetch | Call | Barrier
)  # fmt: skip
Block = tuple[Stmt, ...]

Param = Var | Buf


@dataclass(frozen=True, slots=True)
class Function:
    """Parameters are scalars (``Var``) and buffers (``Buf``); nothing is returned: results are stored."""

    name: str
    params: tuple[Param, ...]
    body: Block


@dataclass(frozen=True, slots=True)
class Module:
    """Functions in definition order; the last one is the entry, run by every thread."""

    name: str
    functions: tuple[Function, ...]

    @property
    def entry(self) -> Function:
        return self.functions[-1]


# --- construction ---------------------------------------------------------------------------


def _with_dtype(type_: Type, dtype: DType) -> Type:
    match type_:
        case Scalar():
            return Scalar(dtype)
        case Vec(lanes=lanes):
            return Vec(dtype, lanes)


def _operands(a: object, b: object) -> tuple[Expr, Expr]:
    if isinstance(a, int | float):
        return Const(a, b.type), b  # type: ignore[union-attr,return-value]
    if isinstance(b, int | float):
        return a, Const(b, a.type)  # type: ignore[union-attr,return-value]
    return a, b  # type: ignore[return-value]


def _binary(op: BinaryOp, a: object, b: object) -> Binary:
    return Binary(op, *_operands(a, b))


def _compare(op: CompareOp, a: object, b: object) -> Compare:
    return Compare(op, *_operands(a, b))
