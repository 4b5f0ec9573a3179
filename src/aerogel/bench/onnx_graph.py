"""A graph as an ONNX model, so that the same weights run on other runtimes.

Tokens are (B, S, features), both free; padding is computed, and hidden from attention and pools by the mask.
LayerNorm, GELU and attention are spelt out as BERT's exports have always done, which is what the runtimes
look for when they fuse.
"""

from __future__ import annotations

import math
from typing import assert_never

import numpy as np

from aerogel.bench.onnx_writer import OnnxWriter
from aerogel.core.errors import UnsupportedError, require
from aerogel.model.graph import (
    Activation,
    Add,
    Attention,
    Embedding,
    FromConstant,
    FromInput,
    FromPosition,
    FromUnpadded,
    Graph,
    Input,
    LayerNorm,
    Linear,
    Lookup,
    Mul,
    Normalize,
    Op,
    Pool,
)

# Added to the scores of keys that are padding: the lowest float32, as BERT's exports have it.
_HIDDEN = float(np.finfo(np.float32).min)


def given_inputs(graph: Graph) -> tuple[Input, ...]:
    """What a caller must pass, and the mask: inputs that may be left out are, as their documentation says."""
    return tuple(i for i in graph.inputs if i.kind == "mask" or not i.optional)


def onnx_model(graph: Graph) -> bytes:
    """The graph as a serialised ONNX model with ``given_inputs`` and the graph's outputs, by their names.
    Features are taken as (rows, features). UnsupportedError for more than fits in one file."""
    return _Export(graph).model()


class _Export:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.w = graph, OnnxWriter()
        self.names: dict[str, str] = {}
        self.ids: list[str] = []
        self.mask: str | None = None
        self._bias: str | None = None
        for item in given_inputs(graph):
            self._take(item)

    def model(self) -> bytes:
        for op in self.graph.ops:
            self.names[op.out.name] = self._op(op)
        for output in self.graph.outputs:
            width: tuple[int, ...] = (self._width(output.value),)
            x = self.names[output.value]
            if output.squeezed:
                x, width = self.w.call("Squeeze", x, self.w.integers([-1])), ()
            self.w.output(output.name, x, (*self._leading(output.value), *width))
        return self.w.model()

    def _take(self, item: Input) -> None:
        match item.kind:
            case "ids":
                self.ids.append(self.w.input(item.name, np.int64, ("batch", "sequence")))
            case "mask":
                self.mask = self.w.input(item.name, np.int64, ("batch", "sequence"))
            case "features":
                self.names[item.name] = self.w.input(item.name, np.float32, ("rows", item.limit))
            case _:
                assert_never(item.kind)

    def _width(self, value: str) -> int:
        item = next((i for i in self.graph.inputs if i.name == value), None)
        return self.graph.value(value).features if item is None else item.limit

    def _leading(self, value: str) -> tuple[str, ...]:
        if any(i.name == value for i in self.graph.inputs):
            return ("rows",)
        over_tokens = self.graph.value(value).columns == "tokens"
        return ("batch", "sequence") if over_tokens else ("batch" if self.ids else "rows",)

    def _weight(self, name: str) -> str:
        return self.w.constant(name, self.graph.weight(name).astype(np.float32))

    def _op(self, op: Op) -> str:
        w = self.w
        match op:
            case Embedding():
                return self._embedding(op)
            case Linear():
                transposed = self.graph.weight(op.weight).astype(np.float32).T
                product = w.call(
                    "MatMul", self.names[op.x], w.constant(f"{op.weight} transposed", transposed)
                )
                return product if op.bias is None else w.call("Add", product, self._weight(op.bias))
            case Activation():
                return self._activation(op)
            case LayerNorm():
                return self._layer_norm(op)
            case Add():
                return w.call("Add", self.names[op.a], self.names[op.b])
            case Mul():
                return w.call("Mul", self.names[op.a], self.names[op.b])
            case Attention():
                return self._attention(op)
            case Pool():
                return self._pool(op)
            case Normalize():
                x = self.names[op.x]
                length = w.call("ReduceL2", x, axes=[-1], keepdims=1)
                return w.call("Div", x, w.call("Max", length, w.number(op.eps)))
            case _:
                assert_never(op)

    def _embedding(self, op: Embedding) -> str:
        table = self._weight(op.table)
        if isinstance(op.lookup, FromPosition):
            # All sequences have the same positions: one slice, which is added to each.
            rows = len(self.graph.weight(op.table))
            length = self._length()
            end = self.w.call("Add", length, self.w.integers([op.lookup.offset]))
            require(op.lookup.offset < rows, UnsupportedError, f"{op.table} has no row {op.lookup.offset}")
            part = self.w.call("Slice", table, self.w.integers([op.lookup.offset]), end, self.w.integers([0]))
            return self.w.call("Unsqueeze", part, self.w.integers([0]))
        return self.w.call("Gather", table, self._rows(op.lookup))

    def _length(self) -> str:
        shape = self.w.call("Shape", self.ids[0])
        return self.w.call("Gather", shape, self.w.integers([1]))

    def _rows(self, lookup: Lookup) -> str:
        w = self.w
        match lookup:
            case FromInput():
                return lookup.name if lookup.name in self.ids else self._row(0)
            case FromConstant():
                return self._row(lookup.row)
            case FromUnpadded():
                padding = w.constant(f"padding {lookup.padding}", np.array(lookup.padding, np.int64))
                real = w.cast(w.call("Not", w.call("Equal", lookup.name, padding)), np.int64)
                axis = w.constant("axis 1", np.array(1, np.int64))
                return w.call("Add", w.call("Mul", w.call("CumSum", real, axis), real), padding)
            case FromPosition():
                raise AssertionError("positions are sliced, not gathered")
            case _:
                assert_never(lookup)

    def _row(self, row: int) -> str:
        """The same row for every token of every sequence."""
        return self.w.constant(f"row {row}", np.array([[row]], np.int64))

    def _activation(self, op: Activation) -> str:
        w, x = self.w, self.names[op.x]
        match op.fn:
            case "gelu":
                raised = w.call("Erf", w.call("Div", x, w.number(math.sqrt(2))))
                return w.call("Mul", w.call("Mul", x, w.call("Add", raised, w.number(1.0))), w.number(0.5))
            case "gelu_tanh":
                cube = w.call("Mul", w.call("Pow", x, w.number(3.0)), w.number(0.044715))
                inner = w.call("Mul", w.call("Add", x, cube), w.number(math.sqrt(2 / math.pi)))
                raised = w.call("Add", w.call("Tanh", inner), w.number(1.0))
                return w.call("Mul", w.call("Mul", x, raised), w.number(0.5))
            case "silu":
                return w.call("Mul", x, w.call("Sigmoid", x))
            case "relu" | "tanh" | "sigmoid":
                return w.call(op.fn.capitalize(), x)
            case _:
                assert_never(op.fn)

    def _layer_norm(self, op: LayerNorm) -> str:
        w, x = self.w, self.names[op.x]
        centred = w.call("Sub", x, w.call("ReduceMean", x, axes=[-1]))
        variance = w.call("ReduceMean", w.call("Pow", centred, w.number(2.0)), axes=[-1])
        scaled = w.call("Div", centred, w.call("Sqrt", w.call("Add", variance, w.number(op.eps))))
        return w.call("Add", w.call("Mul", scaled, self._weight(op.weight)), self._weight(op.bias))

    def _attention(self, op: Attention) -> str:
        w = self.w
        size = op.out.features // op.heads
        split = w.integers([0, 0, op.heads, size])

        def heads(name: str, order: list[int]) -> str:
            return w.call("Transpose", w.call("Reshape", self.names[name], split), perm=order)

        q, k, v = heads(op.q, [0, 2, 1, 3]), heads(op.k, [0, 2, 3, 1]), heads(op.v, [0, 2, 1, 3])
        scores = w.call("Div", w.call("MatMul", q, k), w.number(1 / op.scale))
        if op.bias is not None:
            scores = w.call("Add", scores, self._relative(op.bias))
        if (hidden := self._hidden()) is not None:
            scores = w.call("Add", scores, hidden)
        mixed = w.call("MatMul", w.call("Softmax", scores, axis=-1), v)
        joined = w.call("Transpose", mixed, perm=[0, 2, 1, 3])
        return w.call("Reshape", joined, w.integers([0, 0, op.out.features]))

    def _hidden(self) -> str | None:
        """(B, 1, 1, S): 0 for a token, the lowest number for padding; None where there is no mask."""
        if self.mask is not None and self._bias is None:
            w = self.w
            wide = w.cast(w.call("Unsqueeze", self.mask, w.integers([1, 2])), np.float32)
            self._bias = w.call("Mul", w.call("Sub", w.number(1.0), wide), w.number(_HIDDEN))
        return self._bias

    def _relative(self, name: str) -> str:
        """(1, heads, S, S): from [heads, 2 limit - 1], at key - query + limit - 1."""
        w = self.w
        table = self.graph.weight(name)
        limit = (table.shape[1] + 1) // 2
        positions = w.constant(f"positions {limit}", np.arange(limit, dtype=np.int64))
        index = w.call("Slice", positions, w.integers([0]), self._length(), w.integers([0]))
        row, column = (w.call("Unsqueeze", index, w.integers([axis])) for axis in (0, 1))
        apart = w.call("Add", w.call("Sub", row, column), w.integers([limit - 1]))
        return w.call("Unsqueeze", w.call("Gather", self._weight(name), apart, axis=1), w.integers([0]))

    def _pool(self, op: Pool) -> str:
        w, x = self.w, self.names[op.x]
        if op.kind == "first":
            return w.call("Gather", x, w.constant("first", np.array(0, np.int64)), axis=1)
        if self.mask is None:
            return w.call("ReduceMean" if op.kind == "mean" else "ReduceMax", x, axes=[1], keepdims=0)
        wide = w.cast(w.call("Unsqueeze", self.mask, w.integers([2])), np.float32)
        if op.kind == "max":
            lowered = w.call("Mul", w.call("Sub", w.number(1.0), wide), w.number(_HIDDEN))
            return w.call("ReduceMax", w.call("Add", w.call("Mul", x, wide), lowered), axes=[1], keepdims=0)
        total = w.call("ReduceSum", w.call("Mul", x, wide), w.integers([1]), keepdims=0)
        count = w.call("ReduceSum", wide, w.integers([1]), keepdims=0)
        return w.call("Div", total, w.call("Max", count, w.number(1e-9)))
