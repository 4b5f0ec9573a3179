"""A linear step as calls of its kernels: which packing runs is decided by the number of columns of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.dtypes import DType
from aerogel.formats.panel import Packed
from aerogel.formats.rows import PackedRows
from aerogel.kernels import few_tiled, linear, linear_words
from aerogel.kernels.few_params import Few
from aerogel.kernels.quantise import quantise
from aerogel.loop.nodes import F32, Barrier, Buf, BufferType, Call, Const, Expr, If, Stmt
from aerogel.model import rows
from aerogel.model.arena import gathered_bytes
from aerogel.model.blob import Deferred
from aerogel.model.emission import Emission, made, whole_number
from aerogel.model.entry import ROW_VECTORS, TOKEN_VECTORS
from aerogel.model.graph import Range, Weight
from aerogel.model.packings import ROW_STREAMS, STREAMS, Packings, stream_name
from aerogel.model.steps import LinearStep
from aerogel.model.steps import words as words_of
from aerogel.tune.kernel import chunk_of


@dataclass(frozen=True, slots=True)
class _Buffers:
    """What a step reads and makes beside its weights. ``made``: y, or words, scales and zero points, where
    integers are stored; ``integers``: scales and sums of rows, scales and zero points of columns; none for
    float32."""

    bias: Buf
    x: Buf
    residual: Buf
    made: tuple[Buf, ...]
    integers: tuple[Buf, ...]


def linear_calls(of: Emission, step: LinearStep, packings: Packings) -> tuple[Stmt, ...]:
    """The code of ``step``."""
    buffers = _buffers(of, step)
    run_many = _multiply(of, step, packings.many, "many", buffers)
    if packings.few is packings.many:
        return (run_many,)
    if isinstance(packings.few, PackedRows):
        run_few = _multiply_few(of, step, packings.few, buffers)
    else:
        run_few = (_multiply(of, step, packings.few, "few", buffers),)
    return (If(of.columns(step.out) <= packings.few_columns, run_few, (run_many,)),)


def _buffers(of: Emission, step: LinearStep) -> _Buffers:
    bias = _rows(of, step, "bias", rows.bias)
    if step.element == "i8":
        x, x_scales, x_zeros = of.quantised(step.x)
        scales, sums = _rows(of, step, "scales", rows.scales), _rows(of, step, "sums", rows.sums)
        integers = (scales, sums, x_scales, x_zeros)
    else:
        x, integers = of.view(step.x, "x"), ()
    residual = bias if step.residual is None else of.view(step.residual, "residual")
    if step.rounded is None:
        stored = (of.view(step.out, "out", const=False),)
    else:
        stored = of.quantised(step.rounded.place, const=False)
    return _Buffers(bias, x, residual, stored, integers)


def _multiply(of: Emission, step: LinearStep, packed: Packed, role: str, b: _Buffers) -> Call:
    of.use(*made(linear.kernels, of.layout, packed.kind, step.element))
    streams = tuple(
        of.constant(stream_name(of.number, role, n), getattr(packed, n), f"{role}_{n}") for n in STREAMS
    )
    vectors = TOKEN_VECTORS if step.out.columns == "tokens" else ROW_VECTORS
    sizes = (packed.rows, packed.columns, packed.block)
    shares = (packed.groups, chunk_of(packed))
    known = None if step.rounded is None else step.rounded.known
    if known is not None:
        of.use(made(linear_words.finish, of.layout, step.activation))
        function = of.use(made(linear_words.step, of.layout, packed.kind, step.activation))
        bounds = (Const(number, F32) for number in (known.low, known.high, rows.most(step, of.weights)))
        buffers = (b.bias, b.x, *b.integers, *b.made)
        return Call(function.name, (*streams, *buffers, *map(whole_number, sizes + shares), vectors, *bounds))
    _use_activation(of, step)
    function = of.use(made(linear.step, of.layout, packed.kind, step.activation, step.element))
    numbers = map(whole_number, (*sizes, _adds(step), *shares))
    buffers = (b.bias, b.x, b.residual, *b.made, *b.integers)
    return Call(function.name, (*streams, *buffers, *numbers, vectors))


# --- few columns ----------------------------------------------------------------------------


def _multiply_few(of: Emission, step: LinearStep, packed: PackedRows, b: _Buffers) -> tuple[Stmt, ...]:
    """Columns are gathered; when all threads have done so, each takes its rows; where integers are to be
    stored, the rows are numbers in the room first."""
    few = few_tiled.few_of(of.layout, step.element, packed.form)
    _use_activation(of, step)
    function = of.use(*made(few_tiled.functions, few, step.activation))
    x, gather = _gathered(of, step, packed, few, b)
    known = None if step.rounded is None else step.rounded.known
    y, round_ = (b.made[0], ()) if known is None else _rounded(of, step, known, b)
    sizes = {"rows": whole_number(packed.rows), "words": whole_number(packed.words)}
    steps = {"row_step": of.stride(step.out), "column_step": whole_number(1)}
    named: dict[str, Buf | Expr] = {"bias": b.bias, "x": x, "y": y, "columns": of.columns(step.out)}
    given = _streams(of, packed, b) | named | sizes | steps
    arguments = tuple(given[p.name] for p in few.params)
    run = Call(function.name, (*arguments, b.residual, whole_number(_adds(step))))
    return (gather, Barrier(), run, *round_)


def _gathered(of: Emission, step: LinearStep, packed: PackedRows, few: Few, b: _Buffers) -> tuple[Buf, Call]:
    """The columns as the kernels take them, and what brings them there."""
    padded, most = packed.words * few_tiled.padded_word(few), few_tiled.MOST_COLUMNS * packed.words
    words = Buf(of.local("gathered"), few_tiled.gathered(few).type)
    of.room(words, most * few_tiled.gathered_word(few))
    x = of.room(Buf(of.local("few_x"), few.x.type), most * few.x_word)
    features = words_of(step.inputs) if step.element == "i8" else step.inputs
    sizes = (whole_number(features), whole_number(padded), of.columns(step.out), of.stride(step.out))
    return x, Call(few_tiled.gather(few).name, (b.x, words, *sizes))


def _rounded(of: Emission, step: LinearStep, known: Range, b: _Buffers) -> tuple[Buf, tuple[Stmt, ...]]:
    """Where the numbers of a step go that stores integers, and what makes these of them."""
    function = of.use(made(quantise, of.layout, fixed=True))
    room = Buf(of.local("few_y"), BufferType(DType.F32, align=4))
    count = step.out.features * of.layout.vectors(few_tiled.MOST_COLUMNS) * of.layout.lanes
    y = of.room(room, count, gathered_bytes(step))
    numbers = (whole_number(step.out.features), of.columns(step.out))
    bounds = (Const(known.low, F32), Const(known.high, F32))
    return y, (Barrier(), Call(function.name, (y, *b.made, *bounds, *numbers)))


def _streams(of: Emission, packed: PackedRows, b: _Buffers) -> dict[str, Buf | Expr]:
    """By the names that the kernels of few columns give them."""
    streams = {
        name: of.constant(stream_name(of.number, "few", name), getattr(packed, name), f"few_{name}")
        for name in ROW_STREAMS
    }
    nothing = of.constant("no integers", np.zeros(1, np.int32), "nothing")
    # Kernels of float32 take these too, and read none of them.
    integers = b.integers or (b.bias, nothing, b.bias, nothing)
    return {**streams, **dict(zip(("scales", "sums", "x_scales", "x_zeros"), integers, strict=True))}


def _use_activation(of: Emission, step: LinearStep) -> None:
    if step.activation is not None:
        of.use(made(linear.finish, of.layout, step.activation))


def _adds(step: LinearStep) -> int:
    return 0 if step.residual is None else 1


def _rows(
    of: Emission,
    step: LinearStep,
    role: str,
    make: Callable[[LinearStep, Mapping[str, Weight]], NDArray[Any]],
) -> Buf:
    """A constant with a number of 4 bytes for every output."""
    dtype = "int32" if role == "sums" else "float32"
    deferred = Deferred(dtype, (step.out.features,), partial(make, step, of.weights))
    of.constant_bytes[-1] += 4 * step.out.features
    return of.constant(f"step {of.number} {role}", deferred, role)
