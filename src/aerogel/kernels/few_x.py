"""Activations for the kernels of few columns: each column in one piece, padded, as integers if need be.

A column becomes words x 64 numbers, zeros at the end, so that kernels read whole vectors. For int8 layers it
is then quantised with the grid of ``quantise``, to the same integers:

    x = scale (q - zero),   scale = (max - min) / 255,   q and zero in 0 .. 255

For int4 layers the integers stand in the order of ``nibbles``: place t x 4 lanes + 4 l + j of a block of
32 x lanes columns is column 32 l + 4 t + j.

For bf16 layers it is rounded in place to nearest even, 0 below 2^-56, infinite from 3.3962e38 on. Where the
CPU multiplies pairs of bf16 by itself, the first half of the column becomes pairs: of every 2 x lanes
numbers the l-th beside the (lanes + l)-th, like the weight's.

Sliced rows look inputs up byte by byte: for fp32 and bf16 layers ``bytes`` has of every 256 numbers first
their least significant bytes, then the next, and so on.

Threads take whole columns. Element (feature, column) of the source lies at feature x ``x_row_step`` +
column x ``x_column_step``: (1, features) for columns in one piece, (lanes, 1) for a tiled activation of one
vector.
"""

from __future__ import annotations

from aerogel.core.dtypes import DType
from aerogel.formats.nibbles import GROUP
from aerogel.formats.rows import BLOCK_COLUMNS, SMALLEST_BF16, WORD
from aerogel.kernels.approx import Lets, Names, maximum, minimum
from aerogel.kernels.few_params import COLUMNS, WORDS, Few
from aerogel.kernels.layout import one, zero
from aerogel.kernels.pack import FEATURES, first_lanes, sink, source, splat
from aerogel.kernels.quantise import Grid
from aerogel.loop.nodes import (
    F32,
    I64,
    Assign,
    Barrier,
    Bitcast,
    Block,
    Broadcast,
    Buf,
    BufferType,
    Call,
    Cast,
    Compare,
    Const,
    Expr,
    For,
    Function,
    If,
    Load,
    Param,
    Reduce,
    Select,
    Shuffle,
    Store,
    ThreadCount,
    ThreadId,
    Var,
    Vec,
    VLoad,
    VStore,
)

SOURCE, NUMBERS = source("source"), sink("numbers")
BYTES = Buf("bytes", BufferType(DType.U8))
X_SCALES, X_ZEROS = sink("x_scales"), Buf("x_zeros", BufferType(DType.I32, align=4))
ROW_STEP, COLUMN_STEP = Var("x_row_step", I64), Var("x_column_step", I64)
_COLUMN = Var("column", I64)

PARAMS: tuple[Param, ...] = (
    SOURCE, NUMBERS, BYTES, X_SCALES, X_ZEROS, FEATURES, WORDS, COLUMNS, ROW_STEP, COLUMN_STEP
)  # fmt: skip


def prepare(few: Few) -> Function:
    """``source`` -> ``numbers`` f32 [columns, words x 64], for bf16 rounded, and for integers and sliced rows
    on to ``bytes`` u8 [columns, words x 64 x bytes of a number]; for integers ``x_scales`` f32 and
    ``x_zeros`` i32 [columns]. What is not made is not touched."""
    names = Names()
    mine = Compare("eq", _COLUMN % ThreadCount(), ThreadId())
    body = _copy(few, names)
    if few.of_bytes:
        body = (*body, *_quantise(few, names))
    elif few.x_bytes:
        body = (*body, *_bytes_apart(few, names))
    elif few.number == "bf16":
        body = (*body, *_round(few, names))
    return Function("few_prepare", PARAMS, (For(_COLUMN, zero(), COLUMNS, (If(mine, body),)),))


def _copy(few: Few, names: Names) -> Block:
    """One column in one piece, zeros behind."""
    out, lanes = Lets(names), few.lanes
    at, to = out.let(_COLUMN * COLUMN_STEP, "at"), out.let(_COLUMN * (WORDS * WORD), "to")
    i, j, k = (Var(name, I64) for name in ("i", "j", "k"))
    inside = first_lanes(FEATURES - i, lanes)
    whole = VStore(NUMBERS, to + i, VLoad(SOURCE, at + i, lanes, inside))
    together = For(i, zero(), FEATURES, (whole,), step=lanes)
    one_by_one = For(j, zero(), FEATURES, (Store(NUMBERS, to + j, Load(SOURCE, at + j * ROW_STEP)),))
    rest = For(k, FEATURES, WORDS * WORD, (Store(NUMBERS, to + k, Const(0.0, F32)),))
    out.add(If(Compare("eq", ROW_STEP, one()), (together,), (one_by_one,)), rest)
    return out.block()


def _round(few: Few, names: Names) -> Block:
    """One column of ``numbers`` as bf16: each in the place of a float32, or two in the place of the first."""
    out, lanes = Lets(names), few.lanes
    to = out.let(_COLUMN * (WORDS * WORD), "to")
    each, at = Lets(names), Var(names.fresh("at"), I64)
    low, high = (_bf16(VLoad(NUMBERS, to + at + i * lanes, lanes), lanes, each) for i in range(2))
    if few.dot2:
        pairs = low | high << 16
        each.add(VStore(NUMBERS, to + at // 2, Bitcast(pairs, Vec(DType.F32, lanes))))
    else:
        for i, half in enumerate((low, high)):
            each.add(VStore(NUMBERS, to + at + i * lanes, Bitcast(half << 16, Vec(DType.F32, lanes))))
    out.add(For(at, zero(), WORDS * WORD, each.block(), step=2 * lanes))
    return out.block()


def _bytes_apart(few: Few, names: Names) -> Block:
    """One column of ``numbers``, as fp32 or bf16, to ``bytes``: of every 256 numbers first the least
    significant bytes, then the next."""
    out, lanes = Lets(names), few.lanes
    from_ = out.let(_COLUMN * (WORDS * WORD), "from")
    to = out.let(from_ * few.x_bytes, "to")
    each, at = Lets(names), Var(names.fresh("at"), I64)
    x = VLoad(NUMBERS, from_ + at, lanes)
    bits = Bitcast(x, Vec(DType.U32, lanes)) if few.number == "fp32" else _bf16(x, lanes, each)
    kept = each.let(bits, "bits")
    inside = at % BLOCK_COLUMNS
    first = each.let(to + (at - inside) * few.x_bytes + inside, "first")
    for plane in range(few.x_bytes):
        byte = Cast((kept >> (8 * plane)) & 0xFF, Vec(DType.U8, lanes))
        each.add(VStore(BYTES, first + plane * BLOCK_COLUMNS, byte))
    out.add(For(at, zero(), WORDS * WORD, each.block(), step=lanes))
    return out.block()


def _bf16(x: Expr, lanes: int, out: Lets) -> Expr:
    """The bits of the nearest bf16 in u32 lanes; 0 below SMALLEST_BF16."""
    words = Vec(DType.U32, lanes)
    rounded = Bitcast(Cast(x, Vec(DType.BF16, lanes)), Vec(DType.U16, lanes))
    bits = out.let(Cast(rounded, words), "bits")
    return out.let(Select((bits & 0x7FFF) < SMALLEST_BF16, Const(0, words), bits), "number")


def _quantise(few: Few, names: Names) -> Block:
    """One column of ``numbers`` as unsigned bytes; zeros behind change neither its least nor its largest."""
    out, lanes = Lets(names), few.lanes
    to = out.let(_COLUMN * (WORDS * WORD), "to")
    nothing = splat(0.0, lanes)
    low, high, nan = (out.define(nothing, name) for name in ("low", "high", "nan"))
    each, at = Lets(names), Var(names.fresh("at"), I64)
    value = each.let(VLoad(NUMBERS, to + at, lanes), "value")
    each.add(Assign(low, minimum(value, low)), Assign(high, maximum(value, high)))
    each.add(Assign(nan, nan + value * nothing))
    out.add(For(at, zero(), WORDS * WORD, each.block(), step=lanes))
    least = out.let(Broadcast(Reduce("min", low), lanes), "least")
    most = out.let(Broadcast(Reduce("max", high), lanes), "most")
    grid = Grid.of(least, most, out)
    # All lanes are the same: this takes one of them.
    out.add(Store(X_SCALES, _COLUMN, Reduce("max", grid.scale) + Reduce("add", nan)))
    out.add(Store(X_ZEROS, _COLUMN, Reduce("max", grid.zero)))
    again, there = Lets(names), Var(names.fresh("at"), I64)
    number = grid.number(VLoad(NUMBERS, to + there, lanes), again)
    made = again.let(Cast(number, Vec(DType.U8, lanes)), "made")
    if few.number == "int8":
        again.add(VStore(BYTES, to + there, made))
    else:
        again.add(*_in_steps(made, to, there, lanes, again))
    out.add(For(there, zero(), WORDS * WORD, again.block(), step=lanes))
    return out.block()


def _in_steps(made: Expr, to: Expr, column: Expr, lanes: int, out: Lets) -> list[VStore]:
    """``lanes`` numbers from ``column`` on, of one group, four by four to where the kernel has them."""
    block = out.let(column // (GROUP * lanes) * (GROUP * lanes), "block")
    group = out.let((column - block) // GROUP, "group")
    step = out.let((column - block - group * GROUP) // 4, "step")
    first = out.let(to + block + step * (4 * lanes) + group * 4, "first")
    fours = [Shuffle(made, made, tuple(range(i, i + 4))) for i in range(0, lanes, 4)]
    return [VStore(BYTES, first + i * 4 * lanes, four) for i, four in enumerate(fours)]


def program_params(few: Few) -> tuple[Param, ...]:
    """What ``program`` takes: a layer's streams and bias, its activations, room to prepare them in, sizes."""
    buffers = [p for p in few.params if isinstance(p, Buf) and p.name not in ("x", "x_scales", "x_zeros")]
    room = (SOURCE, NUMBERS, BYTES, X_SCALES, X_ZEROS)
    sizes = (FEATURES, ROW_STEP, COLUMN_STEP, *(p for p in few.params if isinstance(p, Var)))
    return (*buffers, *room, *sizes)


def program(few: Few) -> Function:
    """One layer from activations to y: prepare, then the step. Its module has ``prepare``, ``kernels`` and
    ``step`` before it."""
    x = BYTES if few.x_bytes else NUMBERS
    given: dict[str, Buf | Var] = {"x": x, "x_scales": X_SCALES, "x_zeros": X_ZEROS}
    args = tuple(given.get(p.name, p) for p in few.params)
    body: Block = (Call("few_prepare", PARAMS), Barrier(), Call(f"{few.name}_step", args))
    return Function("few_layer", program_params(few), body)
