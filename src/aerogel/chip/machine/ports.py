"""How many inputs and outputs a cell has, by its opcode and parameters: as ``graph.blocks`` has them."""

from __future__ import annotations

from aerogel.chip.machine.netlist import Opcode

_FIXED: dict[Opcode, tuple[int, int]] = {
    Opcode.ROOT: (0, 1),
    Opcode.SCAN_COMPRESSED: (1, 2),
    Opcode.SCAN_DENSE: (1, 2),
    Opcode.SCAN_BITS: (1, 2),
    Opcode.REPEAT: (2, 1),
    Opcode.BIT_INTERSECT: (4, 3),
    Opcode.BIT_UNION: (4, 3),
    Opcode.LOCATE: (2, 2),
    Opcode.ARRAY: (1, 1),
    Opcode.ALU: (2, 1),
    Opcode.ALU_CONSTANT: (1, 1),
    Opcode.ALU_FUNCTION: (1, 1),
    Opcode.REDUCE: (1, 1),
    Opcode.VECTOR_REDUCE: (2, 2),
    Opcode.MATRIX_REDUCE: (3, 3),
    Opcode.DROP: (2, 2),
    Opcode.WRITE_LEVEL: (1, 0),
    Opcode.WRITE_VALUES: (1, 0),
    Opcode.BUFFER: (1, 1),
    Opcode.SCAN_SKIP: (2, 2),
    Opcode.ADDRESS: (0, 1),
    Opcode.FILL: (1, 1),
    Opcode.JOIN: (3, 2),
    Opcode.SPLIT: (2, 3),
    Opcode.SIFT_INTERSECT: (3, 1),
    Opcode.SIFT_UNION: (2, 1),
}


def fixed_counts(opcode: Opcode) -> tuple[int, int] | tuple[None, None]:
    """(inputs, outputs) of every cell of an opcode; Nones where its parameters say so."""
    return _FIXED.get(opcode, (None, None))


def port_counts(opcode: Opcode, params: tuple[int, ...]) -> tuple[int, int]:
    """(inputs, outputs) of a cell."""
    match opcode:
        case Opcode.INTERSECT | Opcode.UNION:
            return 2 + params[0] + params[1], 1 + params[0] + params[1]
        case Opcode.INTERSECT_SKIP:
            return 2 + params[0] + params[1], 3 + params[0] + params[1]
        case Opcode.BIT_EXPAND:
            return 1 + params[0], 1 + params[0]
        case Opcode.FORK | Opcode.PARALLELIZE:
            return 1, params[0]
        case Opcode.MULTIPLY_ADD:
            # Operands a and b, and sums of the cells before it, if any; sums, and the operands passed on.
            return (3 if params[1] else 2), 3
        case Opcode.SERIALIZE:
            return params[0], 1
        case _:
            return _FIXED[opcode]
