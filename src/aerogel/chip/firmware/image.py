"""Arrays as the bytes they are in memory: words lowest byte first, values in the machine's type."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.chip.fabric.fabric import Fabric
from aerogel.core.errors import ChipError, require

Role = Literal["pos", "crd", "vals", "bits"]
_VALUE_BYTES = {"bf16": 2, "int16": 2, "f32": 4, "f64": 8}


def element_bytes(role: Role, fabric: Fabric) -> int:
    """Bytes of a value, or of a word of coordinates, positions or bits."""
    if role == "vals":
        return _VALUE_BYTES[fabric.values]
    return 1 if fabric.word_bits <= 8 else 2 if fabric.word_bits <= 16 else 4


def packed(array: NDArray[Any], role: Role, fabric: Fabric, name: str) -> bytes:
    """The bytes of an array; values are rounded to what the machine has. ChipError for what does not fit."""
    if role != "vals":
        most = (1 << fabric.word_bits) - 1
        fits = not len(array) or (array.min() >= 0 and array.max() <= most)
        require(
            fits, ChipError, f"{name} has a {role} beyond {most}, the most that {fabric.word_bits} bits hold"
        )
        return array.astype(f"<u{element_bytes(role, fabric)}").tobytes()
    numbers = array.astype(np.float64)
    match fabric.values:
        case "f64":
            return numbers.astype("<f8").tobytes()
        case "f32":
            with np.errstate(over="ignore"):
                return numbers.astype("<f4").tobytes()
        case "int16":
            whole = np.rint(numbers)
            sound = bool(np.all((whole >= -32768) & (whole <= 32767)))
            require(sound, ChipError, f"{name} has values that int16 does not hold: scale them, or use bf16")
            return whole.astype("<i2").tobytes()
        case "bf16":
            return _brain(numbers).astype("<u2").tobytes()


def unpacked(raw: bytes | memoryview, role: Role, fabric: Fabric) -> NDArray[Any]:
    """The array of bytes: values as float64, all else as int64."""
    if role != "vals":
        return np.frombuffer(raw, f"<u{element_bytes(role, fabric)}").astype(np.int64)
    match fabric.values:
        case "f64":
            return np.frombuffer(raw, "<f8").astype(np.float64)
        case "f32":
            return np.frombuffer(raw, "<f4").astype(np.float64)
        case "int16":
            return np.frombuffer(raw, "<i2").astype(np.float64)
        case "bf16":
            wide = np.frombuffer(raw, "<u2").astype(np.uint32) << 16
            return wide.view(np.float32).astype(np.float64)


def _brain(numbers: NDArray[np.float64]) -> NDArray[np.uint16]:
    """bfloat16, rounded once, ties to even.

    float32 comes between: rounded towards 0 with the last bit set wherever something was lost, so that the
    second rounding sees on which side of a tie the number was.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        near = numbers.astype(np.float32)
        near = np.where(
            np.abs(near.astype(np.float64)) > np.abs(numbers), np.nextafter(near, np.float32(0)), near
        )
        lost = np.isfinite(numbers) & (near.astype(np.float64) != numbers)
    bits = near.astype(np.float32).view(np.uint32) | lost.astype(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(numbers), 0x7FC0, rounded).astype(np.uint16)
