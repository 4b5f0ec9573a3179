"""Blocks of each kind beside those of the published graphs; what differs, and why, is in ADR 0026.

Published: counted in the graphs in Graphviz's language that the abstract machine's authors give
(github.com/weiya711/sam, compiler/sam-outputs), as their own script counts them for their table of graph
properties: repeat signal generators and forks aside, additions and multiplications together.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests.chip.graph import cases

from aerogel.chip.graph.blocks import (
    Alu,
    AluConstant,
    Array,
    Block,
    Drop,
    MatrixReduce,
    Merge,
    Reduce,
    Repeat,
    Scan,
    VectorReduce,
    WriteLevel,
    WriteValues,
)
from aerogel.chip.graph.build import build

COLUMNS = ("scan", "repeat", "intersect", "union", "alu", "reduce", "drop", "write", "array")
PUBLISHED = {
    "SpMV": (3, 1, 1, 0, 1, 1, 0, 2, 2),
    "SpM*SpM": (4, 2, 1, 0, 1, 1, 2, 3, 2),
    "SDDMM": (6, 3, 3, 0, 2, 1, 1, 3, 3),
    "InnerProd": (6, 0, 3, 0, 1, 3, 0, 1, 2),
    "TTV": (4, 2, 1, 0, 1, 1, 0, 3, 2),
    "TTM": (5, 3, 1, 0, 1, 1, 0, 4, 2),
    "MTTKRP": (7, 5, 3, 0, 2, 2, 0, 3, 3),
    "Residual": (4, 1, 1, 1, 2, 1, 0, 2, 3),
    "MatTransMul": (4, 4, 1, 1, 4, 1, 1, 2, 5),
    "Plus3": (6, 0, 0, 2, 2, 0, 0, 3, 3),
    "Plus2": (6, 0, 0, 3, 1, 0, 0, 4, 2),
}
"""In the order of loops i, j, k, l; every level compressed, but for the two dense matrices of SDDMM."""
OURS: dict[str, dict[str, int]] = {
    "SpMV": {"drop": 1},
    "SDDMM": {"scan": 3, "repeat": 5, "intersect": 0, "drop": 2},
    "TTV": {"drop": 2},
    "TTM": {"drop": 3},
    "MTTKRP": {"repeat": 4, "drop": 2},
    "Residual": {"drop": 1},
    "MatTransMul": {"repeat": 3},
    "Plus3": {"union": 4},
}
"""What differs, by column."""
DENSE = {"SDDMM": ("C", "D")}


def column(block: Block) -> str:
    match block:
        case Merge(op=op):
            return op
        case Scan() | Repeat() | Drop() | Array():
            return type(block).__name__.lower()
        case Alu() | AluConstant():
            return "alu"
        case Reduce() | VectorReduce() | MatrixReduce():
            return "reduce"
        case WriteLevel() | WriteValues():
            return "write"
        case _:
            return "none of them"


def counted(name: str) -> dict[str, int]:
    text = cases.EXPRESSIONS[name]
    arrays = cases.operands(text, np.random.default_rng(1))
    tensors = cases.stored(arrays, dict.fromkeys(DENSE.get(name, ()), "dense"))
    order = tuple(sorted(cases.orders(text)[0]))
    columns = [column(node.block) for node in build(text, tensors, order).graph.nodes]
    return {name: columns.count(name) for name in COLUMNS}


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_beside_the_published(name: str) -> None:
    published = dict(zip(COLUMNS, PUBLISHED[name], strict=True))
    assert counted(name) == published | OURS.get(name, {})
