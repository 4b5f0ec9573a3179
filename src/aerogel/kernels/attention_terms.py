"""What attention kernels share: the kinds there are, and the names of their parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aerogel.kernels.pack import COLUMNS, integers, sink, source
from aerogel.loop.nodes import F32, I64, Buf, Param, Var

LOG2_E = 1.4426950408889634
STACK_BYTES = 60 * 1024

QKV, KEY_BIAS, RELATIVE, OUT = source("qkv"), source("key_bias"), source("relative"), sink("out")
OFFSETS = integers("offsets")
SEQUENCES, HEADS, LIMIT = Var("sequences", I64), Var("heads", I64), Var("limit", I64)
QKV_FEATURES, OUT_FEATURES = Var("qkv_features", I64), Var("out_features", I64)
Q_ROW, K_ROW, V_ROW, OUT_ROW = (Var(f"{name}_row", I64) for name in ("q", "k", "v", "out"))
BEGIN, END = Var("begin", I64), Var("end", I64)
QUERY, COUNT, TABLE = Var("query", I64), Var("count", I64), Var("table", I64)
SCALE = Var("scale", F32)

Products = Literal["fp32", "int8"]


@dataclass(frozen=True, slots=True)
class Attention:
    """What is baked into the code: the size of a head, which biases scores get, and in which numbers q meets
    k and weights meet v (see ``attention_float`` and ``attention_int8``).

    ``key_bias``: one number per token, added to all scores of that key; -inf makes it no key, but every
    sequence keeps one.
    ``relative``: a table [heads, 2 limit - 1] indexed by the distance from query to key, *reversed*: what is
    added to the score of query i and key j stands at [h, i - j + limit - 1].
    """

    head_size: int
    key_bias: bool = False
    relative: bool = False
    products: Products = "fp32"

    @property
    def name(self) -> str:
        return (
            f"attention{self.head_size}"
            + ("_int8" if self.products == "int8" else "")
            + ("_keys" if self.key_bias else "")
            + ("_relative" if self.relative else "")
        )

    @property
    def biases(self) -> tuple[Buf, ...]:
        """The buffers of biases, in the order kernels take them."""
        return ((KEY_BIAS,) if self.key_bias else ()) + ((RELATIVE,) if self.relative else ())


def task_params(kind: Attention) -> tuple[Param, ...]:
    """What a task takes: queries [query, query + count) of the sequence [begin, end), and the rows of one
    head; ``table``: where the table has distance 0 of this head."""
    rows = (Q_ROW, K_ROW, V_ROW, OUT_ROW)
    table = (TABLE,) if kind.relative else ()
    columns = (COLUMNS, QKV_FEATURES, OUT_FEATURES)
    return (QKV, *kind.biases, OUT, *columns, *rows, BEGIN, END, QUERY, COUNT, *table, SCALE)
