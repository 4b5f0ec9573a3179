"""Element types, the same names in every floor of the house."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

from aerogel.core.errors import InputError


class DType(Enum):
    """An element type. ``kind`` is ``bool``, ``int`` (signed), ``uint`` or ``float``; ``bits`` its width."""

    BOOL = ("bool", 8)
    I8 = ("int", 8)
    I16 = ("int", 16)
    I32 = ("int", 32)
    I64 = ("int", 64)
    U8 = ("uint", 8)
    U16 = ("uint", 16)
    U32 = ("uint", 32)
    U64 = ("uint", 64)
    F16 = ("float", 16)
    BF16 = ("bfloat", 16)
    F32 = ("float", 32)
    F64 = ("float", 64)

    @property
    def kind(self) -> str:
        return "float" if self.value[0] == "bfloat" else self.value[0]

    @property
    def bits(self) -> int:
        return self.value[1]

    @property
    def itemsize(self) -> int:
        """Bytes of one element in memory."""
        return self.bits // 8

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    @property
    def is_integer(self) -> bool:
        return self.kind in ("int", "uint")

    @property
    def is_signed(self) -> bool:
        return self.kind in ("int", "float")

    @property
    def short(self) -> str:
        """The name used in printed IR: ``f32``, ``u16``, ``bool`` ..."""
        return self.name.lower()

    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype that stores it. bf16 has none of its own and is stored as uint16."""
        return _NUMPY[self]

    @staticmethod
    def of(dtype: object) -> DType:
        """The DType of a NumPy dtype, or InputError."""
        try:
            found = np.dtype(dtype)  # type: ignore[call-overload]
        except TypeError as error:
            raise InputError(f"{dtype!r} is not a dtype: give a NumPy dtype such as float32") from error
        member = _MEMBER.get(found)
        if member is None:
            raise InputError(f"dtype {found} is not supported: cast to float32, float64 or an integer type")
        return member


_NAMES: dict[DType, str] = {
    DType.BOOL: "bool",
    DType.I8: "int8",
    DType.I16: "int16",
    DType.I32: "int32",
    DType.I64: "int64",
    DType.U8: "uint8",
    DType.U16: "uint16",
    DType.U32: "uint32",
    DType.U64: "uint64",
    DType.F16: "float16",
    DType.BF16: "uint16",
    DType.F32: "float32",
    DType.F64: "float64",
}
_NUMPY: dict[DType, np.dtype[Any]] = {member: np.dtype(name) for member, name in _NAMES.items()}
_MEMBER: dict[np.dtype[Any], DType] = {
    dtype: member for member, dtype in _NUMPY.items() if member is not DType.BF16
}
