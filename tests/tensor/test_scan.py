"""Text scanned in machine code: the numbers that ``float`` and ``int`` have, or nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.kernels.machine import Machine, Ready

from aerogel.native.guard import guarded
from aerogel.tensor import scan
from aerogel.tensor.scan import scan_module, scanned

Table = tuple[str, list[list[int]], list[float], list[int]]
BLANK = st.sampled_from([" ", "  ", "\t", " \t "])


@st.composite
def decimals(draw: st.DrawFn) -> str:
    """A decimal number in any spelling."""
    digits = st.text("0123456789", max_size=20)
    whole, part = draw(digits), draw(digits)
    if not whole + part:
        whole = "0"
    point = "." if part or draw(st.booleans()) else ""
    exponent = draw(st.sampled_from(["", "e", "E"]))
    if exponent:
        exponent += draw(st.sampled_from(["", "-", "+"])) + str(draw(st.integers(0, 400)))
    return draw(st.sampled_from(["", "-", "+"])) + whole + point + part + exponent


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """A text, and its coordinates, values and lines."""
    ids: list[list[int]] = []
    values: list[float] = []
    numbers: list[int] = []
    lines: list[str] = []
    for line in range(draw(st.integers(0, 6))):
        if draw(st.integers(0, 4)) == 0:
            lines.append(draw(st.sampled_from(["", " ", "\r", "\t \r"])))
            continue
        row = [draw(st.integers(0, 10**17)) for _ in range(2)]
        value, gap = draw(decimals()), draw(BLANK)
        lines.append(draw(st.sampled_from(["", " "])) + gap.join([str(row[0]), str(row[1]), value]))
        ids.append(row)
        values.append(float(value))
        numbers.append(line)
    text = draw(st.sampled_from(["\n", "\r\n"])).join(lines) + draw(st.sampled_from(["", "\n"]))
    return text, ids, values, numbers


@settings(deadline=None)
@given(tables())
@example(
    (
        "1 2 1.2345678901234567e-01\n3 4 8.98846567431158e307",
        [[1, 2], [3, 4]],
        [0.12345678901234567, 8.98846567431158e307],
        [0, 1],
    )
)
@example(("1 2 -0.0\n1 1 9007199254740993", [[1, 2], [1, 1]], [-0.0, 2.0**53], [0, 1]))
def test_numbers_are_those_of_python(table: Table) -> None:
    text, ids, values, numbers = table
    found = scanned(text.encode(), 2, valued=True)
    assert found is not None
    assert found[0].tolist() == ids
    assert found[1].tobytes() == np.array(values, np.float64).tobytes()
    assert found[2].tolist() == numbers


@pytest.mark.parametrize(
    "text",
    ["1 2 3 4\n", "1 2\n", "-1 2 3\n", "1 2 nan\n", "1 2 1_0\n", "1 2 .\n", "1 2 1e\n", "1.0 2 3\n",
     "1 2 3x\n", "1234567890123456789 2 3\n", "1 2 +-3\n", "% 1 2 3\n", "1 2 " + "1" * 2000],
)  # fmt: skip
def test_anything_else_is_left_to_others(text: str) -> None:
    assert scanned(text.encode(), 2, valued=True) is None


def test_coordinates_without_values() -> None:
    found = scanned(b"1 2\n\n3 4", 2, valued=False)
    assert found is not None
    assert found[0].tolist() == [[1, 2], [3, 4]]
    assert found[2].tolist() == [0, 2]
    assert scanned(b"1 2 3\n", 2, valued=False) is None


@pytest.mark.parametrize("target", ["avx2", "sse2"])
def test_interpreted_it_reads_the_same_and_native_code_nothing_else(target: str) -> None:
    machine = Machine.named(target)
    part = b"1 20 -3.25e2\n\n 3 4 .5\n5 6 0.1234567890123456789\n7 8 26666666.662280001"
    text = np.frombuffer(part + b"\n", np.uint8)
    ready = Ready(scan_module(2, valued=True), machine.target)

    def arguments() -> list[Any]:
        wide = (np.int64, np.float64, np.int64, np.int64, np.int64)
        room = [np.zeros(size, kind) for size, kind in zip((12, 6, 6, 12, 3), wide, strict=True)]
        return [len(part), text, scan._POWERS, scan._SHIFTS, *room]

    slow = arguments()
    ready.program.run(slow, 1, None)
    assert slow[-1].tolist() == [4, 1, 1]
    assert slow[5][[0, 1, 3]].tolist() == [-325.0, 0.5, 26666666.662280001]
    if ready.compiled is None:
        pytest.skip(f"this CPU lacks {target}")
    for edge in ("start", "end"):
        fast = [guarded(a, align=8, at=edge) if isinstance(a, np.ndarray) else a for a in arguments()]
        ready.compiled(*fast, threads=1)
        for one, other in zip(slow[4:], fast[4:], strict=True):
            assert one.tobytes() == other.tobytes()
