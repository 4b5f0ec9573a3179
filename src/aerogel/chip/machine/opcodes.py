"""What each opcode is set to, and which tiles can be it: one table for mapping, words and simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aerogel.chip.machine.affine import LOOPS, STRIDE_BITS
from aerogel.chip.machine.netlist import Opcode

Host = Literal["processing", "memory", "switch"]
"""Where a cell lives. ``switch``: in the interconnect beside a tile, which it does not use up."""

OPERATIONS = (
    "add",
    "sub",
    "mul",
    "div",
    "min",
    "max",
    "or",
    "and",
    "pair",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
)
FUNCTIONS = ("neg", "abs", "sqrt", "square", "relu", "sign", "not", "exp", "reciprocal")
"""Parameters name operations and functions by their place here: append, never reorder."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """``bits`` wide in the configuration. ``segment``: the number of a segment."""

    name: str
    bits: int = 16
    segment: bool = False


@dataclass(frozen=True, slots=True)
class Spec:
    host: Host
    parameters: tuple[Parameter, ...] = ()


def _segment(name: str) -> Parameter:
    return Parameter(name, 8, segment=True)


_OP, _SIZE = Parameter("op", 4), Parameter("size", 32)
_SIDES = (Parameter("left", 2), Parameter("right", 2))
_LEVELS = Parameter("levels", 4)
_WAYS = (Parameter("ways", 4), Parameter("level", 4))
_EXTENTS = tuple(Parameter(f"extent{loop}", 16) for loop in range(LOOPS))
_STRIDES = tuple(Parameter(f"stride{loop}", STRIDE_BITS) for loop in range(LOOPS))

OPCODES: dict[Opcode, Spec] = {
    Opcode.ROOT: Spec("processing"),
    Opcode.SCAN_COMPRESSED: Spec("memory", (_segment("pos"), _segment("crd"))),
    Opcode.SCAN_DENSE: Spec("processing", (_SIZE,)),
    Opcode.SCAN_BITS: Spec("memory", (_segment("bits"), Parameter("words", 32))),
    Opcode.REPEAT: Spec("processing"),
    Opcode.INTERSECT: Spec("processing", _SIDES),
    Opcode.UNION: Spec("processing", _SIDES),
    Opcode.BIT_INTERSECT: Spec("processing"),
    Opcode.BIT_UNION: Spec("processing"),
    Opcode.BIT_EXPAND: Spec("processing", (Parameter("references", 2),)),
    Opcode.LOCATE: Spec("processing", (_SIZE,)),
    Opcode.ARRAY: Spec("memory", (_segment("vals"),)),
    Opcode.ALU: Spec("processing", (_OP,)),
    Opcode.ALU_CONSTANT: Spec("processing", (_OP, Parameter("f32", 32), Parameter("reverse", 1))),
    Opcode.ALU_FUNCTION: Spec("processing", (_OP,)),
    Opcode.REDUCE: Spec("processing", (_OP, Parameter("sparse", 1))),
    Opcode.VECTOR_REDUCE: Spec("memory", (_OP, _SIZE)),
    Opcode.MATRIX_REDUCE: Spec("memory", (_OP, Parameter("outer", 32), Parameter("inner", 32))),
    Opcode.DROP: Spec("processing", (Parameter("values", 1),)),
    Opcode.WRITE_LEVEL: Spec("memory", (_segment("pos"), _segment("crd"))),
    Opcode.WRITE_VALUES: Spec("memory", (_segment("vals"),)),
    Opcode.FORK: Spec("switch", (Parameter("ways", 4),)),
    Opcode.BUFFER: Spec("memory", (_SIZE,)),
    Opcode.PARALLELIZE: Spec("processing", _WAYS),
    Opcode.SERIALIZE: Spec("processing", _WAYS),
    Opcode.SCAN_SKIP: Spec("memory", (_segment("pos"), _segment("crd"))),
    Opcode.INTERSECT_SKIP: Spec("processing", _SIDES),
    Opcode.ADDRESS: Spec("memory", (_segment("vals"), Parameter("base", 32), *_EXTENTS, *_STRIDES)),
    Opcode.MULTIPLY_ADD: Spec("processing", (Parameter("count", 32), Parameter("chain", 16))),
    Opcode.JOIN: Spec("processing", (_SIZE,)),
    Opcode.SPLIT: Spec("processing", (_SIZE,)),
    Opcode.SIFT_INTERSECT: Spec("processing", (_LEVELS,)),
    Opcode.SIFT_UNION: Spec("processing", (_LEVELS,)),
    Opcode.FILL: Spec("processing", (Parameter("f32", 32),)),
}
