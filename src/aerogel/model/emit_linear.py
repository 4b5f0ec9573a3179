"""A linear step as calls of its kernels: which packing runs is decided by the number of columns of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from numpy.typing import NDArray

from aerogel.formats.panel import Packed
from aerogel.kernels import linear, linear_words
from aerogel.loop.nodes import F32, Buf, Call, Const, If, Stmt
from aerogel.model import rows
from aerogel.model.blob import Deferred
from aerogel.model.emission import Emission, made, whole_number
from aerogel.model.entry import ROW_VECTORS, TOKEN_VECTORS
from aerogel.model.graph import Weight
from aerogel.model.packings import STREAMS, Packings, stream_name
from aerogel.model.steps import LinearStep
from aerogel.tune.choose import chunk_of
from aerogel.tune.plan import FEW_COLUMNS


def linear_calls(of: Emission, step: LinearStep, packings: Packings) -> tuple[Stmt, ...]:
    """The code of ``step``."""
    bias = _rows(of, step, "bias", rows.bias)
    if step.element == "i8":
        x, x_scales, x_zeros = of.quantised(step.x)
        scales, sums = _rows(of, step, "scales", rows.scales), _rows(of, step, "sums", rows.sums)
        extra = (scales, sums, x_scales, x_zeros)
    else:
        x, extra = of.view(step.x, "x"), ()
    if step.rounded is None:
        residual = bias if step.residual is None else of.view(step.residual, "residual")
        buffers = (bias, x, residual, of.view(step.out, "out", const=False), *extra)
    else:
        buffers = (bias, x, *extra, *of.quantised(step.rounded.place, const=False))
    few, many = packings.few, packings.many
    run_many = _multiply(of, step, many, "many", buffers)
    if few is many:
        return (run_many,)
    run_few = _multiply(of, step, few, "few", buffers)
    return (If(of.columns(step.out) <= FEW_COLUMNS, (run_few,), (run_many,)),)


def _multiply(of: Emission, step: LinearStep, packed: Packed, role: str, buffers: tuple[Buf, ...]) -> Call:
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
        return Call(function.name, (*streams, *buffers, *map(whole_number, sizes + shares), vectors, *bounds))
    if step.activation is not None:
        of.use(made(linear.finish, of.layout, step.activation))
    function = of.use(made(linear.step, of.layout, packed.kind, step.activation, step.element))
    adds = 0 if step.residual is None else 1
    numbers = map(whole_number, (*sizes, adds, *shares))
    return Call(function.name, (*streams, *buffers, *numbers, vectors))


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
