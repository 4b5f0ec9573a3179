"""Expand: the packed values of a bitmap to their lanes, in one instruction or in what comes closest to it.

Without an instruction, a few lanes at a time are a shuffle of bytes, whose indices are a row of a table: the
mask of those lanes is the number of the row. Where their values begin is the count of the bits before.
"""

from __future__ import annotations

from collections.abc import Callable

from aerogel.core.dtypes import DType
from aerogel.loop.nodes import Scalar, Vec
from aerogel.native.emitter import Emitter, Pointer
from aerogel.native.fallbacks import concat
from aerogel.native.spelling import Value, in_memory, lanes_of, literal, spell, suffix, with_lanes

# From a position among the values (an i64) on, that many of them.
Source = Callable[[str, int], Value]


def expand(e: Emitter, bits: Value, vector: Vec, whole: Callable[[], Value], memory: Source | None) -> Value:
    """Lane i: the next unused value where bit i of ``bits`` is set, else 0.

    ``whole`` emits the vector of values; where they are read for this alone, ``memory`` reads parts of them.
    """
    total = vector.lanes * vector.dtype.bits
    wanted = "avx512vbmi2" if vector.dtype.bits < 32 else "avx512f"
    if vector.dtype is not DType.BOOL and e.target.has(wanted) and total in (128, 256, 512):
        return _by_instruction(e, bits, whole())
    source = memory or _from_stack(e, whole)
    if e.target.has("avx2") and vector.dtype.bits == 32 and vector.lanes % 8 == 0:
        return _by_permutation(e, bits, vector, source)
    unit = _unit(e, vector)
    if unit and vector.lanes * vector.dtype.itemsize % 16 == 0:
        return _by_shuffle(e, bits, vector, unit, source)
    return _by_lane(e, bits, vector, source)


def in_memory_from(e: Emitter, pointer: Pointer, index: Value) -> Source:
    """The values are the elements of a buffer from ``index`` on."""
    first = e.as_i64(index)

    def read(position: str, lanes: int) -> Value:
        at = first if position == "0" else e.register(f"add i64 {first}, {position}")
        return e.load(_address(e, pointer.ref, pointer.type.dtype, at), pointer.type.dtype, lanes)

    return read


def _from_stack(e: Emitter, whole: Callable[[], Value]) -> Source:
    values = whole()
    dtype, lanes = values.type.dtype, lanes_of(values.type)
    slot = e.stack(with_lanes(in_memory(dtype), lanes), 64)
    e.store(slot, values)
    return lambda position, count: e.load(_address(e, slot, dtype, position), dtype, count)


def _address(e: Emitter, pointer: str, dtype: DType, index: str) -> str:
    return e.register(f"getelementptr {in_memory(dtype)}, ptr {pointer}, i64 {index}")


# --- one instruction ------------------------------------------------------------------------


def _by_instruction(e: Emitter, bits: Value, values: Value) -> Value:
    mask = lane_mask(e, bits, lanes_of(values.type))
    values = _in_register(e, values)
    kind, name = spell(values.type), suffix(values.type)
    return e.value(
        f"call {kind} @llvm.x86.avx512.mask.expand.{name}"
        f"({kind} {values.ref}, {kind} zeroinitializer, {spell(mask.type)} {mask.ref})",
        values.type,
    )


def _in_register(e: Emitter, value: Value) -> Value:
    """The same vector, loaded before its use: expanding straight from memory is slow on some CPUs."""
    kind, bits = spell(value.type), lanes_of(value.type) * value.type.dtype.bits
    floats = f"<{bits // 32} x float>"
    ref = value.ref if kind == floats else e.register(f"bitcast {kind} {value.ref} to {floats}")
    ref = e.register(f"call {floats} @llvm.arithmetic.fence.v{bits // 32}f32({floats} {ref})")
    return Value(ref if kind == floats else e.register(f"bitcast {floats} {ref} to {kind}"), value.type)


def lane_mask(e: Emitter, bits: Value, lanes: int) -> Value:
    """The low ``lanes`` bits of an unsigned integer as a lane mask."""
    word = f"i{lanes}"
    ref = bits.ref
    if bits.type.dtype.bits > lanes:
        ref = e.register(f"trunc {spell(bits.type)} {ref} to {word}")
    return e.value(f"bitcast {word} {ref} to <{lanes} x i1>", Vec(DType.BOOL, lanes))


# --- a table and a shuffle ------------------------------------------------------------------

# In a row of a table: this lane takes nothing. Shuffles of bytes give 0 for it, with a few bits added too.
_NOTHING = 0x80


def _table(e: Emitter, lanes: int, size: int) -> str:
    """For each mask of ``lanes`` bits, the bytes that each lane of ``size`` bytes takes; its name."""
    name = f"@expand.{lanes}x{size}"
    rows: list[str] = []
    for mask in range(1 << lanes):
        used, row = 0, 0
        for lane in range(lanes):
            for byte in range(size):
                taken = used * size + byte if mask >> lane & 1 else _NOTHING
                row |= taken << 8 * (lane * size + byte)
            used += mask >> lane & 1
        rows.append(f"i{8 * lanes * size} {row}")
    row_type = f"i{8 * lanes * size}"
    e.tables.setdefault(
        name,
        f"{name} = private unnamed_addr constant [{len(rows)} x {row_type}] [{', '.join(rows)}], align 64",
    )
    return name


def _row(e: Emitter, bits: Value, first: int, lanes: int, size: int) -> Value:
    """The row for the ``lanes`` bits from ``first`` on."""
    word, ref = spell(bits.type), bits.ref
    if first:
        ref = e.register(f"lshr {word} {ref}, {first}")
    if bits.type.dtype.bits > lanes:
        ref = e.register(f"and {word} {ref}, {(1 << lanes) - 1}")
    at, row = e.as_i64(Value(ref, bits.type)), f"i{8 * lanes * size}"
    address = e.register(f"getelementptr inbounds {row}, ptr {_table(e, lanes, size)}, i64 {at}")
    return e.load(address, DType.U8, lanes * size)


def _before(e: Emitter, bits: Value, lane: int) -> str:
    """How many values the lanes before ``lane`` take, as i64."""
    if lane == 0:
        return "0"
    word = spell(bits.type)
    low = e.register(f"and {word} {bits.ref}, {(1 << lane) - 1}")
    return e.as_i64(e.value(f"call {word} @llvm.ctpop.{word}({word} {low})", bits.type))


def _by_permutation(e: Emitter, bits: Value, vector: Vec, source: Source) -> Value:
    """AVX2, 8 lanes of 32 bits at a time."""
    parts: list[Value] = []
    for first in range(0, vector.lanes, 8):
        values, row = source(_before(e, bits, first), 8), _row(e, bits, first, 8, 1)
        chosen = e.register(f"sext <8 x i8> {row.ref} to <8 x i32>")
        kind = spell(values.type)
        words = values.ref if kind == "<8 x i32>" else e.register(f"bitcast {kind} {values.ref} to <8 x i32>")
        moved = e.register(f"call <8 x i32> @llvm.x86.avx2.permd(<8 x i32> {words}, <8 x i32> {chosen})")
        # A lane that takes nothing has a negative index: its sign, spread out, clears it.
        off = e.register(f"ashr <8 x i32> {chosen}, splat (i32 31)")
        on = e.register(f"xor <8 x i32> {off}, splat (i32 -1)")
        kept = e.register(f"and <8 x i32> {moved}, {on}")
        ref = kept if kind == "<8 x i32>" else e.register(f"bitcast <8 x i32> {kept} to {kind}")
        parts.append(Value(ref, values.type))
    return concat(e, parts)


def _unit(e: Emitter, vector: Vec) -> int:
    """How many lanes one row of a table is for; 0 where the CPU has no shuffle for this."""
    units = {8: 8, 16: 8} if e.target.has("avx2") else {}
    if e.target.arch == "aarch64":
        units = {8: 8, 16: 8, 32: 4}
    return 0 if vector.dtype is DType.BOOL else units.get(vector.dtype.bits, 0)


def _by_shuffle(e: Emitter, bits: Value, vector: Vec, unit: int, source: Source) -> Value:
    """Units of 8 or 16 bytes, as many as fit a register shuffled at once."""
    size = vector.dtype.itemsize
    register = 32 if e.target.has("avx2") and vector.lanes * size % 32 == 0 else 16
    done: list[Value] = []
    for start in range(0, vector.lanes, register // size):
        firsts = range(start, start + register // size, unit)
        rows = concat(e, [_row(e, bits, first, unit, size) for first in firsts])
        values = concat(e, [source(_before(e, bits, first), unit) for first in firsts])
        if unit * size == 8:
            # Of every two units the second lies in the upper half of its 16 bytes.
            up = ", ".join(f"i8 {at & 8}" for at in range(register))
            rows = e.value(f"add <{register} x i8> {rows.ref}, <{up}>", rows.type)
        done.append(_shuffled(e, values, rows, register))
    return concat(e, done)


def _shuffled(e: Emitter, values: Value, rows: Value, register: int) -> Value:
    """Bytes of every 16 by the indices of the same 16; 0 for _NOTHING."""
    kind, bytes_ = spell(values.type), f"<{register} x i8>"
    name = {32: "x86.avx2.pshuf.b", 16: "x86.ssse3.pshuf.b.128"}[register]
    if e.target.arch == "aarch64":
        name = "aarch64.neon.tbl1.v16i8"
    ref = values.ref if kind == bytes_ else e.register(f"bitcast {kind} {values.ref} to {bytes_}")
    ref = e.register(f"call {bytes_} @llvm.{name}({bytes_} {ref}, {bytes_} {rows.ref})")
    return Value(ref if kind == bytes_ else e.register(f"bitcast {bytes_} {ref} to {kind}"), values.type)


# --- lane by lane ---------------------------------------------------------------------------


def _by_lane(e: Emitter, bits: Value, vector: Vec, source: Source) -> Value:
    element, word, kind = Scalar(vector.dtype), spell(bits.type), spell(vector)
    used, result = "0", "zeroinitializer"
    for lane in range(vector.lanes):
        shifted = e.register(f"lshr {word} {bits.ref}, {lane}")
        bit = e.register(f"and {word} {shifted}, 1")
        on = e.register(f"icmp ne {word} {bit}, 0")
        step = e.as_i64(Value(bit, bits.type))
        found = source(used, 0)
        one = e.register(
            f"select i1 {on}, {spell(element)} {found.ref}, {spell(element)} {literal(0, element)}"
        )
        result = e.register(f"insertelement {kind} {result}, {spell(element)} {one}, i64 {lane}")
        if lane + 1 < vector.lanes:
            used = e.register(f"add i64 {used}, {step}")
    return Value(result, vector)
