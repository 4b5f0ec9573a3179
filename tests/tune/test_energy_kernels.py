"""Loops that spend energy: natively what the interpreter says, and never settling to one number."""

from __future__ import annotations

import numpy as np
import pytest

from aerogel.core.dtypes import DType
from aerogel.core.memory import aligned
from aerogel.core.target import current
from aerogel.loop.interpret import interpret
from aerogel.loop.nodes import Dot4, Function, Module, PairDot4
from aerogel.native import compile
from aerogel.tune.energy_kernels import SUMS, dotting, streaming, turning


def both(function: Function, *args: object) -> tuple[np.ndarray, np.ndarray]:
    """The arrays that the interpreter and machine code leave behind; the output is the last array."""
    module = Module("energy", (function,))
    found: list[np.ndarray] = []
    for run in (lambda *a: interpret(module, a), compile(module)):
        own = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
        run(*own)
        found.append([a for a in own if isinstance(a, np.ndarray)][-1])
    return found[0], found[1]


@pytest.mark.parametrize(("dtype", "kind"), [(DType.F32, np.float32), (DType.F64, np.float64)])
@pytest.mark.parametrize(("wide", "pairs"), [(True, 6), (False, 1)])
def test_planes_turn_for_ever(dtype: DType, kind: type, wide: bool, pairs: int) -> None:
    lanes = current().lanes(dtype) if wide else 1
    function = turning(lanes, dtype, pairs)
    code = compile(Module("energy", (function,)))
    slow, fast = both(function, np.zeros(4, kind), 7)
    assert slow[0] == fast[0] != 0
    seen: list[float] = []
    for count in range(100_000, 100_020):
        out = np.zeros(4, kind)
        code(out, count)
        seen.append(float(out[0]))
    # After so many turns still as large as at the start, and different every time.
    assert max(map(abs, seen)) < 100 * pairs * lanes and len(set(seen)) == 20


@pytest.mark.parametrize("kind", [Dot4, PairDot4])
def test_bytes_keep_changing(kind: type[Dot4 | PairDot4]) -> None:
    lanes = current().lanes(DType.F32)
    slow, fast = both(dotting(lanes, kind), np.zeros(4, np.int32), 5)
    assert slow[0] == fast[0]
    code = compile(Module("energy", (dotting(lanes, kind),)))
    seen: set[int] = set()
    for count in range(50_000, 50_020):
        out = np.zeros(4, np.int32)
        code(out, count)
        seen.add(int(out[0]))
    assert len(seen) == 20


@pytest.mark.parametrize("extra", [0, 4])
def test_a_stream_reads_every_number_of_its_part(extra: int) -> None:
    lanes = current().lanes(DType.F32)
    data = aligned(2 * SUMS * lanes)
    data[:] = np.random.default_rng(0).standard_normal(data.size, dtype=np.float32)
    slow, fast = both(streaming(lanes, extra), data, np.zeros(4, np.float32), data.size, 3)
    assert slow[0] == fast[0] and np.isfinite(slow[0])
    for at in (0, data.size - 1):
        changed = data.copy()
        changed[at] += 64
        other, _ = both(streaming(lanes, extra), changed, np.zeros(4, np.float32), data.size, 3)
        assert other[0] != slow[0]
