"""The code of every opcode, by its number."""

from __future__ import annotations

from collections.abc import Callable

from aerogel.chip.machine.netlist import Opcode
from aerogel.chip.machine.sim.bits import bit_expand, bit_merge, scan_bits
from aerogel.chip.machine.sim.dense import DENSE
from aerogel.chip.machine.sim.joining import join, split
from aerogel.chip.machine.sim.lanes import parallelize, serialize
from aerogel.chip.machine.sim.matrix import matrix_reduce
from aerogel.chip.machine.sim.merging import merge
from aerogel.chip.machine.sim.plumbing import buffer, fork, repeat, root
from aerogel.chip.machine.sim.results import drop, write_level, write_values
from aerogel.chip.machine.sim.scanners import locate, scan_compressed, scan_dense
from aerogel.chip.machine.sim.sifting import sift
from aerogel.chip.machine.sim.skips import scan_skip
from aerogel.chip.machine.sim.values import alu, alu_constant, alu_function, array, fill, reduce_
from aerogel.chip.machine.sim.visit import Visit
from aerogel.chip.machine.sim.workspaces import vector_reduce

CODE: dict[Opcode, Callable[[Visit], None]] = {
    Opcode.ROOT: root,
    Opcode.SCAN_COMPRESSED: scan_compressed,
    Opcode.SCAN_DENSE: scan_dense,
    Opcode.SCAN_BITS: scan_bits,
    Opcode.REPEAT: repeat,
    Opcode.INTERSECT: lambda v: merge(v, union=False),
    Opcode.UNION: lambda v: merge(v, union=True),
    Opcode.BIT_INTERSECT: lambda v: bit_merge(v, both=True),
    Opcode.BIT_UNION: lambda v: bit_merge(v, both=False),
    Opcode.BIT_EXPAND: bit_expand,
    Opcode.LOCATE: locate,
    Opcode.ARRAY: array,
    Opcode.ALU: alu,
    Opcode.ALU_CONSTANT: alu_constant,
    Opcode.ALU_FUNCTION: alu_function,
    Opcode.REDUCE: reduce_,
    Opcode.VECTOR_REDUCE: vector_reduce,
    Opcode.MATRIX_REDUCE: matrix_reduce,
    Opcode.DROP: drop,
    Opcode.WRITE_LEVEL: write_level,
    Opcode.WRITE_VALUES: write_values,
    Opcode.FORK: fork,
    Opcode.BUFFER: buffer,
    Opcode.PARALLELIZE: parallelize,
    Opcode.SERIALIZE: serialize,
    Opcode.SCAN_SKIP: scan_skip,
    Opcode.INTERSECT_SKIP: lambda v: merge(v, union=False, skip=True),
    Opcode.FILL: fill,
    Opcode.JOIN: join,
    Opcode.SPLIT: split,
    Opcode.SIFT_INTERSECT: lambda v: sift(v, union=False),
    Opcode.SIFT_UNION: lambda v: sift(v, union=True),
    **DENSE,
}

ATTENTIVE = frozenset({Opcode.BUFFER, Opcode.SCAN_SKIP, Opcode.MULTIPLY_ADD})
"""Those that can move, or move otherwise, with a token in one input or another, or with room in one output
or another: what they wait for is not all that can wake them. The others sleep until they have all of it."""
