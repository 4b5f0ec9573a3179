"""What the system says of this process's memory."""

from __future__ import annotations

import json
import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aerogel.measure import resident as module
from aerogel.measure.resident import Resident, resident

MB = 1 << 20
linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@linux
def test_what_is_touched_is_resident_and_anonymous_and_what_is_freed_stays_in_the_peak() -> None:
    before = resident()
    block = np.ones(64 * MB, np.uint8)
    held = resident()
    assert block[-1] == 1
    del block
    after = resident()
    for name in ("resident_bytes", "anonymous_bytes", "proportional_bytes"):
        grown = getattr(held, name) - getattr(before, name)
        assert 60 * MB < grown < 80 * MB, name
        assert getattr(after, name) < getattr(held, name) - 60 * MB
    assert held.peak_bytes is not None and after.peak_bytes is not None
    # The kernel adds its counters up lazily.
    assert after.peak_bytes > held.peak_bytes - MB > held.resident_bytes - 2 * MB


@linux
def test_pages_of_a_mapped_file_count_as_the_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(32 * MB))
    before = resident()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert np.frombuffer(mapped[:], np.uint8).sum() == 0
        held = resident()
    assert held.file_bytes - before.file_bytes > 30 * MB


@linux
def test_another_process_is_told_apart() -> None:
    code = "block = bytearray(b'x') * (48 << 20); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = resident(process.pid)
        process.communicate(b"\n")
    assert 48 * MB < (found.anonymous_bytes or 0) < 80 * MB
    # It has ended: nothing is known of it, and this process's memory is not put in its place.
    assert resident(process.pid) == Resident()


def test_a_system_without_proc_tells_its_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PROCESSES", tmp_path)
    found = resident()
    assert found == Resident(peak_bytes=found.peak_bytes)
    assert found.peak_bytes is None or found.peak_bytes > MB


@pytest.mark.parametrize("text", ["", "VmHWM:\t12 kB\nVmRSS: lots kB\n", "VmHWM 3\nx: 4 kB"])
def test_what_is_missing_or_odd_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "status").write_text(text)
    monkeypatch.setattr(module, "_PROCESSES", tmp_path)
    found = resident()
    assert found.resident_bytes is found.anonymous_bytes is found.proportional_bytes is None
    assert (found.peak_bytes == 12 * 1024) == ("12" in text)


def test_it_is_plain_data() -> None:
    assert json.loads(json.dumps(resident().to_json())).keys() == Resident.__dataclass_fields__.keys()
