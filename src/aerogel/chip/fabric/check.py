"""What a fabric's numbers may be: each in its range, and all of them together something that can be built."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, get_args, get_type_hints

from aerogel.chip.fabric.fabric import Dram, Fabric
from aerogel.core.errors import ChipError, require

WHOLE = {
    "rows": (1, 255),
    "columns": (1, 256),
    "processing_columns": (1, 64),
    "tracks": (1, 32),
    "fifo_depth": (1, 64),
    "input_queue": (0, 64),
    "word_bits": (8, 32),
    "memory_words": (16, 1 << 20),
    "line_words": (1, 1024),
    "buffer_bytes": (1024, 1 << 34),
    "buffer_banks": (1, 4096),
    "buffer_latency": (1, 1024),
    "links": (1, 4096),
}
"""Least and most of the whole numbers: what the configuration's words have room for, or what is plausible."""

REAL = {
    "clock_hertz": (1e6, 10e9),
    "volts": (0.3, 1.5),
    "bytes_per_second": (1e6, 1e14),
    "latency_seconds": (1e-9, 1e-4),
}
"""Least and most of the others, each in its unit."""


def check(fabric: Fabric, source: str | None = None) -> Fabric:
    """The same fabric; ChipError unless every number is in its range and they fit each other."""
    where = source or f"fabric {fabric.name!r}"
    _ranges(fabric, where)
    _ranges(fabric.dram, f"[dram] of {where}")
    memories, processors = fabric.memory_tiles, fabric.processing_tiles
    require(
        memories and processors,
        ChipError,
        f"{where} has {processors} processing and {memories} memory tiles: both are needed, "
        f"so columns must be more than processing_columns ({fabric.processing_columns})",
    )
    require(
        fabric.line_words <= fabric.memory_words,
        ChipError,
        f"line_words of {where} is {fabric.line_words}, more than memory_words, {fabric.memory_words}",
    )
    require(
        fabric.buffer_bytes % fabric.buffer_banks == 0,
        ChipError,
        f"buffer_bytes of {where} is {fabric.buffer_bytes}: {fabric.buffer_banks} banks do not divide it",
    )
    return fabric


def _ranges(part: Fabric | Dram, where: str) -> None:
    hints = get_type_hints(type(part))
    for field in fields(part):
        name, value = field.name, getattr(part, field.name)
        if name in WHOLE:
            _number(where, name, value, WHOLE[name], int)
        elif name in REAL:
            _number(where, name, value, REAL[name], float)
        elif name == "name":
            require(isinstance(value, str) and value, ChipError, f"{where} has no name")
        elif name in {"values", "kind"}:
            known = get_args(hints[name])
            told = f"{name} of {where} is {value!r}: there are {', '.join(known)}"
            require(value in known, ChipError, told)


def _number(where: str, name: str, value: Any, bounds: tuple[float, float], kind: type) -> None:
    least, most = bounds
    fine = isinstance(value, int) or (kind is float and isinstance(value, float) and math.isfinite(value))
    wanted = "a whole number" if kind is int else "a number"
    told = f"{name} of {where} is {value!r}: it takes {wanted} from {least:,} to {most:,}"
    require(fine and not isinstance(value, bool) and least <= value <= most, ChipError, told)
