"""How much memory a model takes while it runs: each runtime in a fresh process that imports nothing else.

The process says when it has done something and waits; its memory is then read from outside, by the same
measure for all (see ``measure.resident``). Nothing of aerogel's comparisons is loaded beside a runtime.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aerogel.bench.cases import shape_case
from aerogel.bench.hugging_face import ModelFolder
from aerogel.bench.onnx_export import INPUTS, Precision, onnx_file
from aerogel.core.errors import InputError, MeasureError, require
from aerogel.measure.resident import Resident, resident

SHAPES = ("8x128", "1x16")
LOADED = "loaded"
_RUNS = 5
_TIMEOUT_S = 600

# What every process does: ``load`` makes ``call(ids, mask)``.
_SCRIPT = """
import json, sys
given = json.loads(sys.argv[1])
def done(phase):
    print("phase", phase, flush=True)
    sys.stdin.readline()
done("python")
import numpy as np
done("numpy")
{imports}
done("imports")
{load}
done("loaded")
for shape in given["shapes"]:
    sequences, tokens = map(int, shape.split("x"))
    ids = np.random.default_rng(0).integers(given["first"], given["vocabulary"], (sequences, tokens))
    mask = np.ones_like(ids)
    for _ in range(given["runs"]):
        call(ids, mask)
    done(shape)
"""

_TORCH = """
from transformers.utils import logging
logging.set_verbosity_error()
logging.disable_progress_bar()
module = AutoModel.from_pretrained(given["path"], dtype=torch.float32, **given["options"]).eval()
def call(ids, mask):
    with torch.inference_mode():
        return module(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))[0]
"""

_ONNX = """
session = onnxruntime.InferenceSession(given["path"], providers=["CPUExecutionProvider"])
def call(ids, mask):
    return session.run(None, dict(zip(given["inputs"], (ids, mask))))[0]
"""

_AEROGEL = """
program = aerogel.load(given["path"])
names = program.token_inputs()
def call(ids, mask):
    return program(**dict(zip(names, (ids, mask))))
"""


@dataclass(frozen=True, slots=True)
class Runner:
    """A way to run an encoder in a process of its own. ``imports`` and ``load`` are Python; ``given`` reaches
    them under that name."""

    name: str
    imports: str
    load: str
    given: Mapping[str, Any]
    disk_bytes: int
    vocabulary: int
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Footprint:
    """The memory of one process after each phase, in order: ``python`` (nothing imported), ``numpy``,
    ``imports`` (the runtime), ``loaded``, and each shape after some calls. ``disk_bytes``: of the model."""

    name: str
    disk_bytes: int
    phases: Mapping[str, Resident]

    @property
    def peak_bytes(self) -> int | None:
        """The most that was ever resident, loading included."""
        return list(self.phases.values())[-1].peak_bytes

    @property
    def steady(self) -> Resident:
        """After the last call."""
        return list(self.phases.values())[-1]

    def to_json(self) -> dict[str, Any]:
        phases = {name: found.to_json() for name, found in self.phases.items()}
        return {**asdict(self), "phases": phases, "peak_bytes": self.peak_bytes}


def torch_runner(folder: ModelFolder) -> Runner:
    """PyTorch in eager mode, loaded by transformers."""
    given = {"path": str(folder.path), "options": folder.options}
    imports = "import torch\nfrom transformers import AutoModel"
    return Runner("torch eager", imports, _TORCH, given, folder.weight_bytes, folder.vocabulary)


def onnx_runner(folder: ModelFolder, precision: Precision, cache: Path | None = None) -> Runner:
    """onnxruntime with its default settings, on the export that the comparisons use."""
    path = onnx_file(folder, precision, cache)
    given = {"path": str(path), "inputs": list(INPUTS)}
    name, size = f"onnxruntime {precision}", path.stat().st_size
    return Runner(name, "import onnxruntime", _ONNX, given, size, folder.vocabulary)


def aerogel_runner(name: str, path: Path, vocabulary: int, cache: Path | None = None) -> Runner:
    """A ``.aero`` file of an encoder. ``cache``: aerogel's cache folder, None for the user's own."""
    environment = {} if cache is None else {"AEROGEL_CACHE_DIR": str(cache)}
    given = {"path": str(path)}
    return Runner(name, "import aerogel", _AEROGEL, given, path.stat().st_size, vocabulary, environment)


def footprint(runner: Runner, shapes: Sequence[str] = SHAPES) -> Footprint:
    """Load the model from disk, run it a few times at each shape, and read its memory after each step.
    MeasureError if the process fails."""
    require(shapes, InputError, "there is no shape to run: give at least one, such as 8x128")
    for shape in shapes:
        shape_case(shape)  # a wrong shape is said here, not by the process
    given = {
        **runner.given,
        "shapes": [shape.strip() for shape in shapes],
        "runs": _RUNS,
        "first": min(1000, runner.vocabulary // 2),
        "vocabulary": runner.vocabulary,
    }
    code = _SCRIPT.format(imports=runner.imports, load=runner.load)
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", code, json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **runner.environment},
        )
        with process:
            phases = _phases(process)
        if process.returncode != 0:
            errors.seek(0)
            tail = errors.read().decode(errors="replace")[-2000:]
            raise MeasureError(f"the process of {runner.name!r} failed or took too long:\n{tail}")
    return Footprint(runner.name, runner.disk_bytes, phases)


def _phases(process: subprocess.Popen[bytes]) -> dict[str, Resident]:
    """The memory after each phase, until the process ends, which it does within _TIMEOUT_S."""
    assert process.stdin is not None and process.stdout is not None
    found: dict[str, Resident] = {}
    alarm = threading.Timer(_TIMEOUT_S, process.kill)
    alarm.start()
    try:
        for line in process.stdout:
            word, _, phase = line.decode(errors="replace").strip().partition(" ")
            if word != "phase":
                continue  # what libraries print
            found[phase] = resident(process.pid)
            process.stdin.write(b"\n")
            process.stdin.flush()
    except BaseException:
        process.kill()
        raise
    finally:
        alarm.cancel()
    return found


Tell = Callable[[str], None]


def footprints(
    runners: Sequence[Runner], shapes: Sequence[str] = SHAPES, tell: Tell = lambda _: None
) -> tuple[Footprint, ...]:
    """Each runner's, one after the other; ``tell`` hears the name of each that begins."""
    found: list[Footprint] = []
    for runner in runners:
        tell(runner.name)
        found.append(footprint(runner, shapes))
    return tuple(found)
