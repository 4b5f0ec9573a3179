"""Is a graph sound? Native code trusts what is checked here: shapes, sizes of tables, order of operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import assert_never

from aerogel.core.errors import UnsupportedError, require
from aerogel.model.graph import (
    Activation,
    Add,
    Attention,
    Columns,
    Embedding,
    FromConstant,
    FromInput,
    FromPosition,
    FromUnpadded,
    Graph,
    LayerNorm,
    Linear,
    Mul,
    Normalize,
    Op,
    Pool,
    Value,
    operands,
)

_LARGEST = 3.4028234663852886e38  # of float32


def check(graph: Graph) -> None:
    """Every operand is made before it is read, shapes agree, weights exist, no lookup can leave its table;
    UnsupportedError, naming the operation, otherwise."""
    checker = _Checker(graph)
    for op in graph.ops:
        checker.op(op)
    for output in graph.outputs:
        known = output.value in checker.made
        require(known, UnsupportedError, f"output {output.name!r} needs {output.value!r}, never made")
        single = not output.squeezed or checker.made[output.value].features == 1
        require(single, UnsupportedError, f"output {output.name!r} leaves out a dimension that is not 1")
    _ranges(graph, checker.made)
    kinds = {i.kind == "features" for i in graph.inputs}
    require(len(kinds) <= 1, UnsupportedError, "inputs are token ids and masks, or features, not both")


def _ranges(graph: Graph, made: Mapping[str, Value]) -> None:
    values = [r.value for r in graph.ranges]
    twice = sorted({value for value in values if values.count(value) > 1})
    require(not twice, UnsupportedError, f"the graph has two ranges of {twice}")
    for r in graph.ranges:
        require(r.value in made, UnsupportedError, f"the graph has a range of {r.value!r}, never made")
        told = f"the range of {r.value!r} is {r.low} to {r.high}: float32 numbers on either side of 0"
        require(-_LARGEST <= r.low <= 0 <= r.high <= _LARGEST and r.low < r.high, UnsupportedError, told)


@dataclass
class _Checker:
    graph: Graph
    made: dict[str, Value] = field(default_factory=dict[str, Value])

    def __post_init__(self) -> None:
        for things in (self.graph.inputs, self.graph.outputs):
            names = [thing.name for thing in things]
            twice = sorted({name for name in names if names.count(name) > 1})
            require(not twice, UnsupportedError, f"inputs or outputs share the name {twice}")
        for given in self.graph.inputs:
            if given.kind == "features":
                self.made[given.name] = Value(given.name, given.limit, "rows")

    def op(self, op: Op) -> None:
        for name in operands(op):
            _require(op, name in self.made, f"reads {name!r}, not made yet")
        _require(op, op.out.name not in self.made, "is made twice")
        match op:
            case Embedding():
                self._embedding(op)
            case Linear():
                _require(
                    op, op.out.features > 0, f"has no outputs (weight {op.weight!r}): give it at least one"
                )
                fed = self.made[op.x].features > 0
                _require(op, fed, f"has no inputs (weight {op.weight!r}): give it at least one")
                self._weight(op, op.weight, (op.out.features, self.made[op.x].features))
                self._columns(op, self.made[op.x].columns)
                if op.bias is not None:
                    self._weight(op, op.bias, (op.out.features,))
            case LayerNorm():
                self._alike(op, op.x)
                self._weight(op, op.weight, (op.out.features,))
                self._weight(op, op.bias, (op.out.features,))
            case Attention():
                self._attention(op)
            case Pool():
                source = self.made[op.x]
                fits = source.columns == "tokens" and source.features == op.out.features
                _require(op, fits, f"pools {source} into {op.out}")
                self._columns(op, "rows")
            case Activation() | Normalize():
                self._alike(op, op.x)
            case Add() | Mul():
                self._alike(op, op.a, op.b)
            case _:
                assert_never(op)
        self.made[op.out.name] = op.out

    def _columns(self, op: Op, columns: Columns) -> None:
        _require(op, op.out.columns == columns, f"is over {op.out.columns}, but must be over {columns}")

    def _alike(self, op: Op, *names: str) -> None:
        for name in names:
            source = self.made[name]
            same = (source.features, source.columns) == (op.out.features, op.out.columns)
            _require(op, same, f"makes {op.out} of {source}")

    def _weight(self, op: Op, name: str, shape: tuple[int | None, ...]) -> tuple[int, ...]:
        _require(op, name in self.graph.weights, f"has no weight {name!r}")
        got = self.graph.weights[name].shape
        fits = len(got) == len(shape) and all(w in (None, g) for w, g in zip(shape, got, strict=True))
        _require(op, fits, f"has weight {name!r} of shape {got}, needs {shape}")
        return got

    def _embedding(self, op: Embedding) -> None:
        _require(op, op.out.features > 0, f"has no features (table {op.table!r}): give it at least one")
        rows = self._weight(op, op.table, (None, op.out.features))[0]
        self._columns(op, "tokens")
        longest = self.graph.max_length
        limits = {i.name: i.limit for i in self.graph.inputs if i.kind == "ids"}
        low = 0
        match op.lookup:
            case FromInput(name):
                need = limits.get(name)
            case FromPosition(offset):
                low, need = offset, None if longest is None else offset + longest
            case FromUnpadded(name, padding):
                low, need = padding, None if longest is None or name not in limits else padding + 1 + longest
            case FromConstant(row):
                low, need = row, row + 1
            case _:
                assert_never(op.lookup)
        bounded = need is not None and low >= 0 and 0 < need <= rows
        _require(
            op, bounded, f"may look up {op.lookup} in row {need} of table {op.table!r}, which has {rows}"
        )

    def _attention(self, op: Attention) -> None:
        self._alike(op, op.q, op.k, op.v)
        self._columns(op, "tokens")
        whole = op.heads > 0 and op.out.features % op.heads == 0
        _require(op, whole, f"has {op.heads} heads for {op.out.features} features")
        if op.bias is not None:
            width = self._weight(op, op.bias, (op.heads, None))[1]
            longest = self.graph.max_length
            covers = width % 2 == 1 and longest is not None and (width + 1) // 2 >= longest
            _require(op, covers, f"has a bias of {width} distances for sequences up to {longest}")


def _require(op: Op, condition: bool, problem: str) -> None:  # noqa: FBT001 (reads as a sentence)
    where = f" ({op.origin})" if op.origin else ""
    require(condition, UnsupportedError, f"{type(op).__name__} {op.out.name!r}{where} {problem}")
