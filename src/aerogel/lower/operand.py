"""Operands as a kernel sees them: which level an index visits, and the buffers that hold it."""

from __future__ import annotations

from dataclasses import dataclass

from aerogel.core.dtypes import DType
from aerogel.einsum.nodes import Access
from aerogel.formats.levels import Level, View
from aerogel.formats.tensor_format import Format
from aerogel.loop.nodes import I64, Buf, BufferType, Param, Var


@dataclass(frozen=True, slots=True)
class OperandType:
    """What code depends on of one operand: how it is stored, and the types of its arrays."""

    name: str
    format: Format
    dtype: DType
    index: DType

    @property
    def values(self) -> Buf:
        return Buf(f"{self.name}.values", BufferType(self.dtype, const=True))

    def buffers(self) -> tuple[Param, ...]:
        """Its parameters: the arrays of each level, then the values."""
        found: list[Param] = []
        for at, level in enumerate(self.format.levels):
            view = View(f"{self.name}.{at}", SIZE, self.index)
            found.extend(view.buffer(name, element) for name, element in level.arrays)
        return (*found, self.values)


SIZE = Var("size", I64)


def size_of(index: str) -> Var:
    """The parameter that holds the extent of an index."""
    return Var(f"n.{index}", I64)


@dataclass(frozen=True, slots=True)
class Stored:
    """An access and the operand behind it: its indices in the order of levels."""

    access: Access
    operand: OperandType
    indices: tuple[str, ...]

    @staticmethod
    def of(access: Access, operand: OperandType) -> Stored:
        return Stored(access, operand, tuple(access.indices[mode] for mode in operand.format.order))

    @property
    def dense(self) -> bool:
        return self.operand.format.dense

    def level(self, at: int) -> Level:
        return self.operand.format.levels[at]

    def view(self, at: int) -> View:
        return View(f"{self.operand.name}.{at}", size_of(self.indices[at]), self.operand.index)

    def streams(self, index: str) -> bool:
        """Whether consecutive values of ``index`` lie side by side: its last level is dense and is this
        one's."""
        return bool(self.indices) and self.indices[-1] == index and self.level(-1).full

    @property
    def walked(self) -> tuple[str, ...]:
        """The indices whose order matters: of an operand that is not all dense, every one."""
        return () if self.dense else self.indices
