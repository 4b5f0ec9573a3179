"""Memory while a model runs: read from outside, of processes that hold a runtime and nothing else."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.model.graphs import Draft, quick

from aerogel.bench import footprint as module
from aerogel.bench.footprint import Footprint, Runner, aerogel_runner, footprint, footprints
from aerogel.core.errors import InputError, MeasureError
from aerogel.measure.resident import Resident

MB = 1 << 20
linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")

# 40 MB are imported, 80 MB more loaded of which half goes again, 20 MB more are made by a call at 2x3.
PLAIN = Runner(
    "plain",
    "print('a library says hello')\nimported = bytearray(b'x') * (40 << 20)",
    "loaded = [bytearray(b'x') * (40 << 20) for _ in range(2)]\nloaded.pop()\nmade = {}\n"
    "def call(ids, mask):\n"
    "    assert ids.shape == mask.shape and ids.min() >= 5 and ids.max() < 10 and mask.all(), ids\n"
    "    if ids.shape == (2, 3) and not made: made[given['word']] = bytearray(b'x') * (20 << 20)\n",
    {"word": "here"},
    disk_bytes=7,
    vocabulary=10,
)


def grown(found: Footprint, phase: str, before: str) -> int:
    late, early = found.phases[phase].anonymous_bytes, found.phases[before].anonymous_bytes
    return (late or 0) - (early or 0)


@linux
def test_each_phase_is_read_when_it_is_done() -> None:
    found = footprint(PLAIN, ["1x4", "2x3"])
    assert list(found.phases) == ["python", "numpy", "imports", "loaded", "1x4", "2x3"]
    for (phase, before), size in {
        ("imports", "numpy"): 40, ("loaded", "imports"): 40, ("1x4", "loaded"): 0, ("2x3", "1x4"): 20,
    }.items():  # fmt: skip
        assert abs(grown(found, phase, before) - size * MB) < 8 * MB, phase
    assert (found.phases["loaded"].peak_bytes or 0) > (found.phases["loaded"].resident_bytes or 0) + 30 * MB
    assert found.peak_bytes == found.steady.peak_bytes and found.steady == found.phases["2x3"]
    assert json.loads(json.dumps(found.to_json()))["phases"]["loaded"]["file_bytes"] > 0


def test_an_aero_file_is_run_without_torch_llvm_or_a_comparison(tmp_path: Path) -> None:
    d = Draft()
    path = tmp_path / "m.aero"
    quick(d.graph(d.pool(d.attend(d.embedding(8))))).save(path)
    first = aerogel_runner("ours", path, 50, tmp_path / "cache")
    check = "\nheavy = {'torch', 'llvmlite.binding', 'aerogel.bench', 'aerogel.model.emit'}"
    heard: list[str] = []
    again = replace(first, name="again", load=f"{first.load}{check}\nassert not heavy & set(sys.modules)")
    found = footprints([first, again], ["2x5"], heard.append)
    assert heard == ["ours", "again"] == [f.name for f in found]
    assert found[0].disk_bytes == path.stat().st_size
    if sys.platform == "linux":
        # Without LLVM there is less in the second.
        assert (found[1].peak_bytes or 0) < (found[0].peak_bytes or 0) - 20 * MB


def test_a_system_that_tells_nothing_makes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "resident", lambda process: Resident())
    assert footprint(PLAIN, ["1x4"]).peak_bytes is None


def test_a_process_that_fails_or_hangs_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MeasureError, match=r"(?s)'plain' failed.*ZeroDivisionError"):
        footprint(replace(PLAIN, load="1 / 0"))
    monkeypatch.setattr(module, "_TIMEOUT_S", 1.0)
    with pytest.raises(MeasureError, match="'plain' failed or took too long"):
        footprint(replace(PLAIN, load="import time; time.sleep(60)"))


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="there is no shape to run"):
        footprint(PLAIN, [])
    with pytest.raises(InputError, match="not of the form"):
        footprint(PLAIN, ["8"])
