"""What a step of each block takes, as parts that the table prices: a line for each opcode.

Arithmetic on values, words of memories and hops of tokens are counted by themselves and are not in here.
Derived from what the block has to do: heads of its streams are held in registers, coordinates are compared,
positions are counted by an adder of a word.
"""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.chip.machine.netlist import Opcode


@dataclass(frozen=True, slots=True)
class Parts:
    """How many of each a step uses; all are a word wide, but ``value_registers``, which hold a value."""

    registers: float = 0
    comparators: float = 0
    adders: float = 0
    multipliers: float = 0
    value_registers: float = 0


_SCAN = Parts(registers=2, adders=1, comparators=1)
_JOIN = Parts(registers=2, comparators=1)
_COUNT = Parts(registers=1, adders=1)
_WORKSPACE = Parts(registers=1, adders=1, comparators=1, value_registers=1)

BLOCKS: dict[Opcode, Parts] = {
    Opcode.ROOT: Parts(registers=1),
    Opcode.SCAN_COMPRESSED: _SCAN,
    Opcode.SCAN_DENSE: _SCAN,
    Opcode.SCAN_BITS: _SCAN,
    Opcode.SCAN_SKIP: Parts(registers=3, adders=1, comparators=2),
    Opcode.REPEAT: Parts(registers=2),
    Opcode.INTERSECT: _JOIN,
    Opcode.INTERSECT_SKIP: _JOIN,
    Opcode.UNION: _JOIN,
    Opcode.BIT_INTERSECT: Parts(registers=2, adders=1),
    Opcode.BIT_UNION: Parts(registers=2, adders=1),
    Opcode.BIT_EXPAND: Parts(registers=2, adders=1),
    Opcode.LOCATE: Parts(registers=1, adders=1, multipliers=1),
    Opcode.ARRAY: _COUNT,
    Opcode.ALU: Parts(value_registers=1),
    Opcode.ALU_CONSTANT: Parts(value_registers=1),
    Opcode.ALU_FUNCTION: Parts(value_registers=1),
    Opcode.REDUCE: Parts(value_registers=2),
    Opcode.VECTOR_REDUCE: _WORKSPACE,
    Opcode.MATRIX_REDUCE: Parts(registers=1, adders=1, comparators=1, multipliers=1, value_registers=1),
    Opcode.JOIN: Parts(registers=1, adders=1, multipliers=1),
    # Division by a number that does not change: a product with its reciprocal.
    Opcode.SPLIT: Parts(registers=1, adders=1, comparators=1, multipliers=1),
    Opcode.SIFT_INTERSECT: Parts(registers=1),
    Opcode.SIFT_UNION: Parts(registers=1),
    Opcode.FILL: Parts(value_registers=1),
    Opcode.DROP: Parts(registers=1, comparators=1),
    Opcode.WRITE_LEVEL: _COUNT,
    Opcode.WRITE_VALUES: _COUNT,
    # In a switch: what it copies is counted as tokens and hops of the channels behind it.
    Opcode.FORK: Parts(),
    Opcode.BUFFER: Parts(registers=1, adders=2),
    Opcode.PARALLELIZE: Parts(registers=1),
    Opcode.SERIALIZE: Parts(registers=1),
    # The innermost loop that goes on: a count and an address, each added to, the count compared.
    Opcode.ADDRESS: Parts(registers=2, adders=2, comparators=1),
    # Two operands, a product's sum and one that waits, and a count.
    Opcode.MULTIPLY_ADD: Parts(registers=1, adders=1, comparators=1, value_registers=4),
}

OPERATION_CLASS: dict[str, str] = {
    "add": "add",
    "sub": "add",
    "mul": "mul",
    "div": "div",
    **dict.fromkeys(("min", "max", "or", "and", "pair", "eq", "ne", "lt", "le", "gt", "ge"), "compare"),
    **dict.fromkeys(("neg", "abs", "relu", "sign", "not"), "compare"),
    "square": "mul",
    **dict.fromkeys(("sqrt", "exp", "reciprocal"), "function"),
}
"""Which entry of ``arithmetic/<values>/`` an operation or function takes."""
