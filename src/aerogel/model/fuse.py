"""Graph -> steps: fewer, larger kernel calls with the same result.

Each rule looks at one operation and the single reader of its value:

- linear layers that read the same value, and are read by one attention layer only, become one product;
- an activation that is the only reader of a linear layer is applied as that layer stores;
- an addition to a linear layer's value is the residual its sums start from;
- an addition read only by a layer norm is done there;
- a sum of embeddings is one lookup;
- linear layers of integers that read the same value share one quantised copy of it; a layer norm makes it
  beside its numbers; a layer of integers that nothing else reads makes it instead of them, where the range of
  its value is known beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from aerogel.core.errors import UnsupportedError, refuse
from aerogel.kernels.attention_terms import Products
from aerogel.kernels.tile import Element
from aerogel.model.graph import (
    Activation,
    ActivationFn,
    Add,
    Attention,
    Embedding,
    Graph,
    LayerNorm,
    Linear,
    Mul,
    Normalize,
    Op,
    Pool,
    Value,
    in_integers,
    operands,
)
from aerogel.model.steps import (
    ActivationStep,
    AttentionStep,
    EmbedStep,
    FeedStep,
    FetchStep,
    LinearStep,
    NormalizeStep,
    NormStep,
    PairStep,
    Place,
    PoolStep,
    QuantiseStep,
    Rounded,
    Step,
)

MAX_TABLES = 3


def fuse(graph: Graph) -> tuple[Step, ...]:
    """The steps that compute the graph's outputs, in order; what no output needs is dropped."""
    return _Fusion(graph).run()


@dataclass
class _Fusion:
    graph: Graph

    def __post_init__(self) -> None:
        self.ops: dict[str, Op] = {op.out.name: op for op in _needed(self.graph)}
        self.readers: dict[str, list[str]] = {}
        for op in self.ops.values():
            for name in operands(op):
                self.readers.setdefault(name, []).append(op.out.name)
        for output in self.graph.outputs:
            self.readers.setdefault(output.value, []).append(f"output {output.name}")
        self.places: dict[str, Place] = {}
        self.quantised: dict[str, Rounded] = {}
        self.steps: list[Step] = []
        self.done: set[str] = set()
        self.layers: set[str] = set()

    def run(self) -> tuple[Step, ...]:
        for given in self.graph.inputs:
            if given.kind == "features":
                place = self._own(Value(given.name, given.limit, "rows"))
                self.steps.append(FeedStep(f"feed {given.name}", place, given.name))
        for name, op in self.ops.items():
            if name not in self.done:
                self._emit(op)
        for output in self.graph.outputs:
            self.steps.append(FetchStep(f"fetch {output.name}", self.places[output.value], output.name))
        return tuple(self.steps)

    # --- what reads what ---

    def _only_reader(self, name: str) -> Op | None:
        """The operation that reads ``name``, if it is the only one and reads it once."""
        readers = self.readers.get(name, [])
        return self.ops.get(readers[0]) if len(readers) == 1 else None

    def _own(self, value: Value) -> Place:
        place = Place(value.name, 0, value.features, value.features, value.columns)
        self.places[value.name] = place
        return place

    # --- one operation, with what it swallows ---

    def _emit(self, op: Op) -> None:
        match op:
            case Embedding():
                self._embedding(op)
            case Linear():
                self._linear(op)
            case Add():
                self._add(op)
            case LayerNorm():
                self._norm(op, self._plain(op.x), None, op.origin)
            case Activation():
                self._push(
                    ActivationStep(op.out.name, self._own(op.out), self._plain(op.x), op.fn, op.origin)
                )
            case Mul():
                a, b = self._plain(op.a), self._plain(op.b)
                self._push(PairStep(op.out.name, self._own(op.out), a, b, "mul", op.origin))
            case Attention():
                q, k, v = (self.places[n] for n in (op.q, op.k, op.v))
                out = self._own(op.out)
                products = self._products(op)
                self._push(
                    AttentionStep(op.out.name, out, q, k, v, op.heads, op.scale, op.bias, products, op.origin)
                )
            case Pool():
                self._push(PoolStep(op.out.name, self._own(op.out), self._plain(op.x), op.kind, op.origin))
            case Normalize():
                self._push(
                    NormalizeStep(op.out.name, self._own(op.out), self._plain(op.x), op.eps, op.origin)
                )
            case _:
                assert_never(op)

    def _push(self, step: Step) -> None:
        self.steps.append(step)

    def _embedding(self, op: Embedding) -> None:
        """Follow additions of further embeddings as far as they go."""
        found = [op]
        out = op.out
        while len(found) < MAX_TABLES:
            reader = self._only_reader(out.name)
            if not isinstance(reader, Add):
                break
            other = self.ops.get(reader.b if reader.a == out.name else reader.a)
            if not isinstance(other, Embedding) or self._only_reader(other.out.name) is not reader:
                break
            found.append(other)
            self.done |= {other.out.name, reader.out.name}
            out = reader.out
        tables, lookups = tuple(e.table for e in found), tuple(e.lookup for e in found)
        self._push(EmbedStep(out.name, self._own(out), tables, lookups, op.origin))

    def _linear(self, op: Linear) -> None:
        siblings = self._siblings(op)
        if len(siblings) > 1:
            self._stacked(siblings)
            return
        out, residual, activation = op.out, None, None
        reader = self._only_reader(out.name)
        if isinstance(reader, Add) and reader.a != reader.b:
            other = reader.b if reader.a == out.name else reader.a
            # Only a value that exists by now can be what the sums start from.
            if other in self.places and self._whole(other):
                residual, out = self.places[other], reader.out
                self.done.add(out.name)
                reader = self._only_reader(out.name)
        if isinstance(reader, Activation):
            activation, out = reader.fn, reader.out
            self.done.add(out.name)
        self._multiply((op,), out, residual, activation)

    def _multiply(
        self,
        ops: tuple[Linear, ...],
        out: Value | Place,
        residual: Place | None = None,
        activation: ActivationFn | None = None,
    ) -> None:
        """One product for ``ops``, which read the same value."""
        first, name = ops[0], self._layer_name(*ops)
        x, element = self._plain(first.x), self._element(first)
        read = self._quantised(first.x, first.origin).place if element == "i8" else x
        rounded = None
        if isinstance(out, Place):
            made = out
        else:
            made = self._own(out)
            rounded = self._stored(out.name) if element == "i8" and residual is None else None
        weights, biases = tuple(o.weight for o in ops), tuple(o.bias for o in ops)
        step = LinearStep(
            name,
            made,
            read,
            x.features,
            element,
            weights,
            biases,
            residual,
            activation,
            rounded,
            first.origin,
        )
        self._push(step)

    def _products(self, op: Attention) -> Products:
        """In integers where its queries, keys and values come from layers that are."""
        makers = [self.ops[name] for name in (op.q, op.k, op.v) if name in self.ops]
        integers = all(isinstance(m, Linear) and self._element(m) == "i8" for m in makers)
        return "int8" if integers else "fp32"

    def _element(self, op: Linear) -> Element:
        return "i8" if in_integers(self.graph.weights[op.weight]) else "f32"

    def _quantised(self, name: str, origin: str) -> Rounded:
        """The value as integers, made when it is first read so, if it was not made so."""
        if name not in self.quantised:
            rounded = self._rounded(name)
            self._push(QuantiseStep(rounded.place.buffer, rounded, self._plain(name), origin))
        return self.quantised[name]

    def _rounded(self, name: str) -> Rounded:
        """The value as integers, which the step that is about to be emitted makes."""
        self.quantised[name] = Rounded.of(name, self._plain(name), self.graph.range_of(name))
        return self.quantised[name]

    def _read_as_integers(self, name: str) -> list[bool]:
        """For each reader of a value, whether it is a linear layer of integers."""
        readers = (self.ops.get(reader) for reader in self.readers.get(name, []))
        return [isinstance(op, Linear) and self._element(op) == "i8" for op in readers]

    def _stored(self, name: str) -> Rounded | None:
        """The output of a linear layer as integers, where nothing needs its numbers."""
        known = self.graph.range_of(name) is not None
        return self._rounded(name) if known and all(self._read_as_integers(name)) else None

    def _norm(self, op: LayerNorm, x: Place, residual: Place | None, origin: str) -> None:
        name, out = op.out.name, self._own(op.out)
        rounded = self._rounded(name) if any(self._read_as_integers(name)) else None
        self._push(NormStep(name, out, x, residual, op.weight, op.bias, op.eps, rounded, origin))

    def _whole(self, name: str) -> bool:
        place = self.places[name]
        return place.row == 0 and place.features == place.total

    def _plain(self, name: str) -> Place:
        """A value that fills its buffer, as every kernel but attention needs it."""
        if not self._whole(name):
            refuse(UnsupportedError, f"value {name!r} is part of a stacked product and cannot be read alone")
        return self.places[name]

    def _siblings(self, op: Linear) -> list[Linear]:
        """Linear layers that read what ``op`` reads and feed the same attention layer, and nothing else."""
        reader = self._only_reader(op.out.name)
        if not isinstance(reader, Attention):
            return [op]
        found: list[Linear] = []
        for name in dict.fromkeys((reader.q, reader.k, reader.v)):
            other = self.ops.get(name)
            if not isinstance(other, Linear) or self._only_reader(name) is not reader:
                continue
            if other.x == op.x and self._element(other) == self._element(op):
                found.append(other)
        return found

    def _stacked(self, ops: list[Linear]) -> None:
        total = sum(o.out.features for o in ops)
        name = ops[0].out.name
        row = 0
        for o in ops:
            self.places[o.out.name] = Place(name, row, o.out.features, total, o.out.columns)
            self.done.add(o.out.name)
            row += o.out.features
        out = Place(name, 0, total, total, ops[0].out.columns)
        self._multiply(tuple(ops), out)

    def _layer_name(self, *ops: Linear) -> str:
        """The modules' names in the user's model; a number tells layers apart that would be called alike."""
        name = " + ".join(op.weight.removesuffix(".weight") for op in ops)
        unique, number = name, 1
        while unique in self.layers:
            number += 1
            unique = f"{name} ({number})"
        self.layers.add(unique)
        return unique

    def _add(self, op: Add) -> None:
        a, b = self._plain(op.a), self._plain(op.b)
        reader = self._only_reader(op.out.name)
        if isinstance(reader, LayerNorm):
            self.done.add(reader.out.name)
            self._norm(reader, a, b, op.origin)
            return
        self._push(PairStep(op.out.name, self._own(op.out), a, b, "add", op.origin))


def _needed(graph: Graph) -> list[Op]:
    wanted = {output.value for output in graph.outputs}
    kept: list[Op] = []
    for op in reversed(graph.ops):
        if op.out.name in wanted:
            kept.append(op)
            wanted.update(operands(op))
    return kept[::-1]
