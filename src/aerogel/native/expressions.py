"""The table from expression nodes to LLVM: one function per node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_never

from aerogel.core.dtypes import DType
from aerogel.core.errors import NativeError, refuse
from aerogel.loop import nodes as n
from aerogel.native import expand as expanding
from aerogel.native import fallbacks, halves
from aerogel.native import permute as permuting
from aerogel.native.emitter import Emitter, Pointer, Slot
from aerogel.native.spelling import HALVES, Value, lanes_of, literal, spell, suffix, with_lanes
from aerogel.native.versions import aligned_pointer


def emit(e: Emitter, expr: n.Expr) -> Value:
    """The value of ``expr``; an expression object met before in this statement is not emitted again."""
    found = e.known.get(id(expr))
    if found is not None:
        return found[1]
    value = TABLE[type(expr)](e, expr)
    e.known[id(expr)] = (expr, value)
    return value


def buffer(e: Emitter, buf: n.Buf) -> Pointer:
    found = e.scope[buf.name]
    return found if isinstance(found, Pointer) else refuse(NativeError, f"{buf.name!r} is not a buffer")


def const(e: Emitter, node: n.Const) -> Value:
    return Value(literal(node.value, node.type), node.type)


def var(e: Emitter, node: n.Var) -> Value:
    found = e.scope[node.name]
    match found:
        case Value():
            return found
        case Slot():
            return e.value(f"load {spell(found.type)}, ptr {found.pointer}", found.type)
        case Pointer():
            raise NativeError(f"{node.name!r} is a buffer, not a variable")
        case _:
            assert_never(found)


_FLOAT = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv", "rem": "frem"}
_SIGNED = {"div": "sdiv", "rem": "srem", "shr": "ashr"}
_UNSIGNED = {"div": "udiv", "rem": "urem", "shr": "lshr"}


def combine(e: Emitter, op: str, a: Value, b: Value) -> Value:
    """Lane-wise ``a op b`` for every binary operation."""
    dtype = a.type.dtype
    if op in ("min", "max"):
        cond = relate(e, "lt" if op == "min" else "gt", a, b)
        return choose(e, cond, a, b)
    if dtype in HALVES:
        wide = combine(e, op, widen(e, a), widen(e, b))
        return narrow(e, wide, dtype)
    if dtype.is_float:
        name = _FLOAT[op]
    else:
        name = (_SIGNED if dtype.is_signed else _UNSIGNED).get(op, op)
    return e.value(f"{name} {spell(a.type)} {a.ref}, {b.ref}", a.type)


def relate(e: Emitter, op: str, a: Value, b: Value) -> Value:
    """Lane-wise comparison; false where a float is NaN, but for ``ne``."""
    dtype = a.type.dtype
    lanes = lanes_of(a.type)
    bool_type = n.Vec(DType.BOOL, lanes) if lanes else n.BOOL
    if dtype in HALVES:
        return relate(e, op, widen(e, a), widen(e, b))
    if dtype.is_float:
        name = "fcmp une" if op == "ne" else f"fcmp o{op}"
    elif op in ("eq", "ne"):
        name = f"icmp {op}"
    else:
        name = f"icmp {'s' if dtype.is_signed else 'u'}{op}"
    return e.value(f"{name} {spell(a.type)} {a.ref}, {b.ref}", bool_type)


def choose(e: Emitter, cond: Value, a: Value, b: Value) -> Value:
    kind = spell(a.type)
    return e.value(f"select {spell(cond.type)} {cond.ref}, {kind} {a.ref}, {kind} {b.ref}", a.type)


def binary(e: Emitter, node: n.Binary) -> Value:
    return combine(e, node.op, emit(e, node.a), emit(e, node.b))


def compare(e: Emitter, node: n.Compare) -> Value:
    return relate(e, node.op, emit(e, node.a), emit(e, node.b))


def select(e: Emitter, node: n.Select) -> Value:
    return choose(e, emit(e, node.cond), emit(e, node.a), emit(e, node.b))


def unary(e: Emitter, node: n.Unary) -> Value:
    a = emit(e, node.a)
    dtype, kind, name = a.type.dtype, spell(a.type), suffix(a.type)
    match node.op:
        case "not":
            return e.value(f"xor {kind} {a.ref}, {'true' if kind == 'i1' else _all_ones(a)}", a.type)
        case "popcount":
            return e.value(f"call {kind} @llvm.ctpop.{name}({kind} {a.ref})", a.type)
        case "ctz":
            return e.value(f"call {kind} @llvm.cttz.{name}({kind} {a.ref}, i1 false)", a.type)
        case "neg":
            if dtype in HALVES:
                return e.value(f"xor {kind} {a.ref}, {_repeat('-32768', a)}", a.type)
            if dtype.is_float:
                return e.value(f"fneg {kind} {a.ref}", a.type)
            return e.value(f"sub {kind} zeroinitializer, {a.ref}", a.type)
        case "abs":
            if dtype in HALVES:
                return e.value(f"and {kind} {a.ref}, {_repeat('32767', a)}", a.type)
            if dtype.is_float:
                return e.value(f"call {kind} @llvm.fabs.{name}({kind} {a.ref})", a.type)
            if not dtype.is_signed:
                return a
            return e.value(f"call {kind} @llvm.abs.{name}({kind} {a.ref}, i1 false)", a.type)
        case "sqrt":
            if dtype in HALVES:
                wide = widen(e, a)
                return narrow(e, _sqrt(e, wide), dtype)
            return _sqrt(e, a)
        case _:
            assert_never(node.op)


def _sqrt(e: Emitter, a: Value) -> Value:
    return e.value(f"call {spell(a.type)} @llvm.sqrt.{suffix(a.type)}({spell(a.type)} {a.ref})", a.type)


def _repeat(number: str, like: Value) -> str:
    element = spell(n.Scalar(like.type.dtype))
    return f"splat ({element} {number})" if lanes_of(like.type) else number


def _all_ones(like: Value) -> str:
    return _repeat("true" if like.type.dtype is DType.BOOL else "-1", like)


def widen(e: Emitter, a: Value) -> Value:
    """f16 or bf16 to f32."""
    if not _converts(e, a.type.dtype):
        return emit(e, halves.widen(e.hold(a)))
    half, to = with_lanes("half", lanes_of(a.type)), halves.like(a.type, DType.F32)
    value = e.register(f"bitcast {spell(a.type)} {a.ref} to {half}")
    return e.value(f"fpext {half} {value} to {spell(to)}", to)


def narrow(e: Emitter, a: Value, dtype: DType) -> Value:
    """f32 to f16 or bf16."""
    if not _converts(e, dtype):
        return emit(e, halves.narrow(e.hold(a), dtype))
    half, to = with_lanes("half", lanes_of(a.type)), halves.like(a.type, dtype)
    value = e.register(f"fptrunc {spell(a.type)} {a.ref} to {half}")
    return e.value(f"bitcast {half} {value} to {spell(to)}", to)


def _converts(e: Emitter, dtype: DType) -> bool:
    """Whether the CPU converts to and from f32 by itself."""
    return dtype is DType.F16 and (e.target.arch != "x86_64" or e.target.has("f16c"))


def cast(e: Emitter, node: n.Cast) -> Value:
    return convert(e, emit(e, node.a), node.type)


def convert(e: Emitter, a: Value, to: n.Type) -> Value:
    """``a`` as dtype ``to``: floats to integers truncate, anything to bool asks whether it is not 0."""
    source, goal = a.type.dtype, to.dtype
    if source is goal:
        return Value(a.ref, to)
    if source in HALVES:
        return convert(e, widen(e, a), to)
    if goal in HALVES:
        wide = a if source is DType.F32 else convert(e, a, halves.like(to, DType.F32))
        return narrow(e, wide, goal)
    if goal is DType.BOOL:
        ask = "fcmp une" if source.is_float else "icmp ne"
        return e.value(f"{ask} {spell(a.type)} {a.ref}, zeroinitializer", to)
    if source.is_float and goal.is_float:
        name = "fpext" if goal.bits > source.bits else "fptrunc"
    elif source.is_float:
        name = "fptosi" if goal.is_signed else "fptoui"
    elif goal.is_float:
        name = "sitofp" if source.is_signed else "uitofp"
    elif source is DType.BOOL or goal.bits > source.bits:
        name = "sext" if source.is_signed else "zext"
    elif goal.bits < source.bits:
        name = "trunc"
    else:
        return Value(a.ref, to)
    return e.value(f"{name} {spell(a.type)} {a.ref} to {spell(to)}", to)


def bitcast(e: Emitter, node: n.Bitcast) -> Value:
    a = emit(e, node.a)
    if spell(a.type) == spell(node.type):
        return Value(a.ref, node.type)
    return e.value(f"bitcast {spell(a.type)} {a.ref} to {spell(node.type)}", node.type)


def load(e: Emitter, node: n.Load) -> Value:
    pointer = buffer(e, node.buf)
    return e.load(e.address(pointer, emit(e, node.index)), pointer.type.dtype)


def vload(e: Emitter, node: n.VLoad) -> Value:
    pointer = buffer(e, node.buf)
    dtype, lanes = pointer.type.dtype, node.lanes
    index = emit(e, node.index)
    if node.mask is None:
        return e.load(e.address(pointer, index), dtype, lanes)
    mask = emit(e, node.mask)
    address = e.address(pointer, index, inside=False)
    memory = n.Vec(DType.U8 if dtype is DType.BOOL else dtype, lanes)
    kind = spell(memory)
    where = aligned_pointer(address, dtype.itemsize)
    ref = e.register(
        f"call {kind} @llvm.masked.load.{suffix(memory)}.p0({where}, "
        f"{spell(mask.type)} {mask.ref}, {kind} zeroinitializer)"
    )
    return e.from_memory(ref, n.Vec(dtype, lanes))


def broadcast(e: Emitter, node: n.Broadcast) -> Value:
    a = emit(e, node.a)
    to = n.Vec(a.type.dtype, node.lanes)
    one = e.register(f"insertelement {spell(to)} poison, {spell(a.type)} {a.ref}, i64 0")
    every = with_lanes("i32", node.lanes)
    return e.value(f"shufflevector {spell(to)} {one}, {spell(to)} poison, {every} zeroinitializer", to)


def iota(e: Emitter, node: n.Iota) -> Value:
    element = spell(n.Scalar(node.type.dtype))
    return Value(f"<{', '.join(f'{element} {i}' for i in range(node.type.lanes))}>", node.type)


def fma(e: Emitter, node: n.Fma) -> Value:
    a, b, c = emit(e, node.a), emit(e, node.b), emit(e, node.c)
    if not e.target.has("fma") and e.target.arch == "x86_64" and c.type.dtype is DType.F32:
        return emit(e, fallbacks.fma_in_double(e.hold(a), e.hold(b), e.hold(c)))
    kind = spell(c.type)
    return e.value(
        f"call {kind} @llvm.fma.{suffix(c.type)}({kind} {a.ref}, {kind} {b.ref}, {kind} {c.ref})", c.type
    )


def reduce(e: Emitter, node: n.Reduce) -> Value:
    value = emit(e, node.a)
    lanes = lanes_of(value.type)
    while lanes > 1:
        lanes //= 2
        kind = spell(value.type)
        half = n.Vec(value.type.dtype, lanes)
        low = fallbacks.take(e, value, range(lanes))
        high = e.value(
            f"shufflevector {kind} {value.ref}, {kind} poison, {fallbacks.indices(range(lanes, 2 * lanes))}",
            half,
        )
        value = combine(e, node.op, low, high)
    return e.value(f"extractelement {spell(value.type)} {value.ref}, i64 0", n.Scalar(value.type.dtype))


def expand(e: Emitter, node: n.Expand) -> Value:
    bits, values = emit(e, node.bits), node.values
    assert isinstance(node.type, n.Vec)
    memory = None
    if isinstance(values, n.VLoad) and values.mask is None and id(values) not in e.known:
        memory = expanding.in_memory_from(e, buffer(e, values.buf), emit(e, values.index))
    return expanding.expand(e, bits, node.type, lambda: emit(e, values), memory)


def dot4(e: Emitter, node: n.Dot4) -> Value:
    return fallbacks.dot4(e, emit(e, node.acc), emit(e, node.a), emit(e, node.b))


def pair_dot4(e: Emitter, node: n.PairDot4) -> Value:
    return fallbacks.pair_dot4(e, emit(e, node.acc), emit(e, node.a), emit(e, node.b))


def dot2(e: Emitter, node: n.Dot2) -> Value:
    acc, a, b = emit(e, node.acc), emit(e, node.a), emit(e, node.b)
    if fallbacks.has_dot2(e, lanes_of(acc.type)):
        return fallbacks.dot2(e, acc, a, b)
    return emit(e, fallbacks.dot2_in_double(e.hold(acc), e.hold(a), e.hold(b)))


def shuffle(e: Emitter, node: n.Shuffle) -> Value:
    a, b = emit(e, node.a), emit(e, node.b)
    kind = spell(a.type)
    to = n.Vec(a.type.dtype, len(node.lanes))
    return e.value(f"shufflevector {kind} {a.ref}, {kind} {b.ref}, {fallbacks.indices(node.lanes)}", to)


def permute(e: Emitter, node: n.Permute) -> Value:
    return permuting.permute(e, emit(e, node.a), emit(e, node.b), emit(e, node.at))


def thread_id(e: Emitter, node: n.ThreadId) -> Value:
    return Value("%thread", n.I64)


def thread_count(e: Emitter, node: n.ThreadCount) -> Value:
    return Value("%threads", n.I64)


# The key is the class of the second argument, which a dict's type cannot say.
TABLE: dict[type, Callable[[Emitter, Any], Value]] = {
    n.Const: const,
    n.Var: var,
    n.Binary: binary,
    n.Unary: unary,
    n.Compare: compare,
    n.Select: select,
    n.Cast: cast,
    n.Bitcast: bitcast,
    n.Load: load,
    n.VLoad: vload,
    n.Broadcast: broadcast,
    n.Iota: iota,
    n.Fma: fma,
    n.Reduce: reduce,
    n.Expand: expand,
    n.Dot4: dot4,
    n.PairDot4: pair_dot4,
    n.Dot2: dot2,
    n.Shuffle: shuffle,
    n.Permute: permute,
    n.ThreadId: thread_id,
    n.ThreadCount: thread_count,
}
