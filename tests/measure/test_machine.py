from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from aerogel.measure import machine


def test_machine_tells_what_a_reader_needs_and_nothing_private() -> None:
    found = machine()
    text = json.dumps(found.to_json())
    assert found.python == platform.python_version()
    assert 1 <= found.usable_cores <= (os.cpu_count() or 1)
    assert found.memory_bytes is None or found.memory_bytes > 1 << 28
    assert "numpy" in found.versions
    assert platform.node() not in (found.cpu, found.system, found.kernel)
    assert str(Path.home()) not in text or str(Path.home()) == "/"


def test_measuring_needs_no_heavy_library() -> None:
    code = (
        "import sys, aerogel.measure, aerogel.measure.worker;"
        "print([m for m in ('torch', 'transformers', 'onnxruntime', 'onnx') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
