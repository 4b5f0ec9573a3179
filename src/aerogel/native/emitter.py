"""The text of one LLVM function while it grows: fresh registers, blocks, memory access."""

from __future__ import annotations

from typing import NamedTuple

from aerogel.core.dtypes import DType
from aerogel.core.target import Target
from aerogel.loop.nodes import BufferType, Expr, Scalar, Type, Var, Vec
from aerogel.native.spelling import Value, in_memory, lanes_of, spell, with_lanes


class Slot(NamedTuple):
    """A variable that may change: its stack slot, which LLVM turns into registers."""

    pointer: str
    type: Type


class Pointer(NamedTuple):
    """A buffer: a pointer to its first element."""

    ref: str
    type: BufferType


class Emitter:
    """Collects the lines of one function; names in scope map to values, slots and pointers.

    ``target`` is what fallbacks ask; ``tables`` gathers the constant tables the module needs.
    """

    def __init__(self, target: Target, tables: dict[str, str]) -> None:
        self.target = target
        self.tables = tables
        self.scope: dict[str, Value | Slot | Pointer] = {}
        # Values of the expressions of the statement at hand, by identity: shared nodes are emitted once.
        self.known: dict[int, tuple[Expr, Value]] = {}
        self.lines: list[str] = []
        self.entry: list[str] = []
        self._registers = 0
        self._labels = 0

    def line(self, text: str) -> None:
        self.lines.append("  " + text)

    def register(self, text: str) -> str:
        """A fresh register that holds the result of instruction ``text``."""
        self._registers += 1
        name = f"%v{self._registers}"
        self.lines.append(f"  {name} = {text}")
        return name

    def value(self, text: str, type_: Type) -> Value:
        return Value(self.register(text), type_)

    def fresh_label(self, stem: str) -> str:
        self._labels += 1
        return f"{stem}{self._labels}"

    def hold(self, value: Value) -> Var:
        """A variable that stands for ``value`` in expressions made while generating code."""
        self._registers += 1
        # No name of a program has a per cent sign.
        name = f"%{self._registers}"
        self.scope[name] = value
        return Var(name, value.type)

    def begin(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.known.clear()

    def stack(self, llvm_type: str, align: int) -> str:
        """A stack slot, made once at the top of the function."""
        self._registers += 1
        name = f"%s{self._registers}"
        self.entry.append(f"  {name} = alloca {llvm_type}, align {align}")
        return name

    def address(self, pointer: Pointer, index: Value, *, inside: bool = True) -> str:
        """Address of an element; ``inside`` says that it surely lies in the buffer."""
        flag = "inbounds " if inside else ""
        element = in_memory(pointer.type.dtype)
        return self.register(f"getelementptr {flag}{element}, ptr {pointer.ref}, i64 {self.as_i64(index)}")

    def as_i64(self, index: Value) -> str:
        dtype = index.type.dtype
        if dtype.bits == 64:
            return index.ref
        return self.register(
            f"{'sext' if dtype.is_signed else 'zext'} {spell(index.type)} {index.ref} to i64"
        )

    def load(self, address: str, dtype: DType, lanes: int = 0) -> Value:
        type_ = Vec(dtype, lanes) if lanes else Scalar(dtype)
        found = self.register(
            f"load {with_lanes(in_memory(dtype), lanes)}, ptr {address}, align {dtype.itemsize}"
        )
        return self.from_memory(found, type_)

    def store(self, address: str, value: Value) -> None:
        dtype, lanes = value.type.dtype, lanes_of(value.type)
        stored = self.to_memory(value)
        self.line(
            f"store {with_lanes(in_memory(dtype), lanes)} {stored}, ptr {address}, align {dtype.itemsize}"
        )

    def from_memory(self, ref: str, type_: Type) -> Value:
        if type_.dtype is not DType.BOOL:
            return Value(ref, type_)
        return self.value(f"icmp ne {with_lanes('i8', lanes_of(type_))} {ref}, zeroinitializer", type_)

    def to_memory(self, value: Value) -> str:
        if value.type.dtype is not DType.BOOL:
            return value.ref
        return self.register(
            f"zext {spell(value.type)} {value.ref} to {with_lanes('i8', lanes_of(value.type))}"
        )
