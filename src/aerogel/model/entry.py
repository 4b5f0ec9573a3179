"""What the entry of a program takes: constants, working memory, the numbers and arrays of a call."""

from __future__ import annotations

from collections.abc import Sequence

from aerogel.core.dtypes import DType
from aerogel.loop.nodes import I64, Buf, BufferType, Expr, Param, Var
from aerogel.model.blob import BLOB
from aerogel.model.steps import FeedStep, FetchStep, Step

# What the module of a program is called.
NAME = "model"

ARENA = Buf("arena", BufferType(DType.U8, align=64))
# What a call brings, one after the other: see ``CALL_PARTS``.
CALL = Buf("call", BufferType(DType.U8, const=True, align=64))
NUMBERS = Buf("numbers", BufferType(DType.I64, const=True, align=8))
PARAMS: tuple[Param, ...] = (BLOB, ARENA, CALL, NUMBERS)

TOKENS, SEQUENCES, ROWS, PADDED = (Var(n, I64) for n in ("tokens", "sequences", "rows", "padded"))
HOLES, BEGIN, END = (Var(n, I64) for n in ("holes", "begin", "end"))
# The order of the numbers in NUMBERS.
CALL_NUMBERS = (TOKENS, SEQUENCES, ROWS, PADDED, HOLES, BEGIN, END)
TOKEN_VECTORS, ROW_VECTORS = Var("token_vectors", I64), Var("row_vectors", I64)

OFFSETS = Buf("offsets", BufferType(DType.I32, const=True, align=4))
DESTINATION = Buf("destination", BufferType(DType.I32, const=True, align=4))
KEPT = Buf("kept", BufferType(DType.F32, const=True, align=4))
KEY_BIAS = Buf("key_bias", BufferType(DType.F32, const=True, align=4))
# The order in CALL, after ``ids`` (i32 [lookups, tokens]); every entry has 4 bytes.
CALL_PARTS: tuple[tuple[Buf, Expr], ...] = (
    (OFFSETS, SEQUENCES + 1),
    (DESTINATION, TOKENS),
    (KEPT, TOKENS),
    (KEY_BIAS, TOKENS),
)


def feature_buffer(name: str) -> Buf:
    """The entry's parameter for the caller's row-major features ``name``."""
    return Buf(f"in_{name}", BufferType(DType.F32, const=True, align=4))


def output_buffer(name: str) -> Buf:
    """The entry's parameter for the caller's output ``name``."""
    return Buf(f"out_{name}", BufferType(DType.F32, align=4))


def params(steps: Sequence[Step]) -> tuple[Param, ...]:
    """The parameters of the entry of a program of ``steps``."""
    fed = (feature_buffer(s.input) for s in steps if isinstance(s, FeedStep))
    return (*PARAMS, *fed, *(output_buffer(s.output) for s in steps if isinstance(s, FetchStep)))
