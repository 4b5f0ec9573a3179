"""Permute: lanes of two vectors by indices that are known only at run time.

AVX-512 does it in one instruction for each size of element (bytes: with VBMI). Elsewhere both vectors go to
the stack, and each lane is loaded from there.
"""

from __future__ import annotations

from aerogel.loop.nodes import Vec
from aerogel.native.emitter import Emitter
from aerogel.native.spelling import Value, in_memory, lanes_of, spell, with_lanes

# Bits of an element: its kind in the instruction's name, and what the CPU must have.
_INSTRUCTIONS = {
    8: ("qi", "avx512vbmi"),
    16: ("hi", "avx512bw"),
    32: ("d", "avx512f"),
    64: ("q", "avx512f"),
}


def permute(e: Emitter, a: Value, b: Value, at: Value) -> Value:
    """Lane i: element ``at[i]``, modulo twice the lanes, of ``a`` followed by ``b``."""
    bits = a.type.dtype.bits
    kind, wanted = _INSTRUCTIONS[bits]
    total = lanes_of(a.type) * bits
    fits = total == 512 or (total in (128, 256) and e.target.has("avx512vl"))
    if fits and e.target.has(wanted):
        return _by_instruction(e, f"{kind}.{total}", a, b, at)
    return _by_lane(e, a, b, at)


def _by_instruction(e: Emitter, name: str, a: Value, b: Value, at: Value) -> Value:
    words, kind = spell(at.type), spell(a.type)
    low, high = (v.ref if kind == words else e.register(f"bitcast {kind} {v.ref} to {words}") for v in (a, b))
    moved = e.register(
        f"call {words} @llvm.x86.avx512.vpermi2var.{name}({words} {low}, {words} {at.ref}, {words} {high})"
    )
    return Value(moved if kind == words else e.register(f"bitcast {words} {moved} to {kind}"), a.type)


def _by_lane(e: Emitter, a: Value, b: Value, at: Value) -> Value:
    dtype, lanes = a.type.dtype, lanes_of(a.type)
    element = in_memory(dtype)
    slot = e.stack(with_lanes(element, 2 * lanes), 64)
    e.store(slot, a)
    e.store(e.register(f"getelementptr {element}, ptr {slot}, i64 {lanes}"), b)
    kind, word, words = spell(a.type), f"i{at.type.dtype.bits}", spell(at.type)
    held = e.register(f"and {words} {at.ref}, splat ({word} {2 * lanes - 1})")
    result = "poison"
    for lane in range(lanes):
        index = e.register(f"extractelement {words} {held}, i64 {lane}")
        wide = index if word == "i64" else e.register(f"zext {word} {index} to i64")
        found = e.load(e.register(f"getelementptr {element}, ptr {slot}, i64 {wide}"), dtype, 0)
        result = e.register(f"insertelement {kind} {result}, {element} {found.ref}, i64 {lane}")
    return Value(result, Vec(dtype, lanes))
