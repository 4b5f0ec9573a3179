"""The colours of drawings: a block's by what it is for, a wire's by what its stream carries."""

from __future__ import annotations

from aerogel.chip.graph.blocks import (
    Alu,
    AluConstant,
    AluFunction,
    Array,
    BitScan,
    Block,
    Buffer,
    Drop,
    Fill,
    Join,
    MatrixReduce,
    Reduce,
    Scan,
    Split,
    VectorReduce,
    WriteLevel,
    WriteValues,
)
from aerogel.chip.graph.streams import Kind

EDGES = {
    Kind.COORDINATE: "#1f6fb4",
    Kind.REFERENCE: "#c2571a",
    Kind.VALUE: "#2e8540",
    Kind.REPEAT: "#8a4fae",
    Kind.BITS: "#6b5b2e",
}
NAMES = {
    Kind.COORDINATE: "coordinates",
    Kind.REFERENCE: "references",
    Kind.VALUE: "values",
    Kind.REPEAT: "repeat signals",
    Kind.BITS: "words of bits",
}


def fill(block: Block) -> str:
    """Reading, computing, writing, or steering."""
    match block:
        case Scan() | BitScan() | Array() | Buffer():
            return "#cfe0f1"
        case (
            Alu()
            | AluConstant()
            | AluFunction()
            | Reduce()
            | VectorReduce()
            | MatrixReduce()
            | Join()
            | Split()
            | Fill()
        ):
            return "#d6ecd9"
        case Drop() | WriteLevel() | WriteValues():
            return "#f3e3cf"
        case _:
            return "#f2f2f2"
