"""What a user waits for, and what an idle program costs: import, compile and idle, in fresh processes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aerogel.core.errors import MeasureError

_IMPORTS = 7
_TIMEOUT_S = 600

_IMPORT = """
import time
started = time.perf_counter()
import aerogel
print(time.perf_counter() - started)
"""

# Tracing (torch.export) is timed apart from building the native program from the traced graph.
_TRACE = """
import json, sys, time
from pathlib import Path
import torch
from aerogel.bench.cases import token_batch
from aerogel.bench.hugging_face import ModelFolder
from aerogel.model.compile import build
from aerogel.model.from_torch import from_torch
from aerogel.tune.plan import Plan

folder = ModelFolder.open(sys.argv[1])
plan, artefact = Path(sys.argv[2], "plan.json"), Path(sys.argv[2], "model.aero")
module = folder.torch_module()
batch = token_batch({"lengths": [16, 9]}, folder.vocabulary)
inputs = torch.from_numpy(batch.ids), torch.from_numpy(batch.mask)
started = time.perf_counter()
graph = from_torch(module, inputs, None)
traced = time.perf_counter()
"""

_COMPILE = f"""{_TRACE}
program = build(graph)
built = time.perf_counter()
program(batch.ids, batch.mask)
time.sleep(0.5)
before, clock = time.process_time(), time.perf_counter()
time.sleep(3)
idle = (time.process_time() - before) / (time.perf_counter() - clock)
plan.write_text(json.dumps(program.plan.to_json()))
program.save(artefact)
print(json.dumps({{"trace_s": traced - started, "build_s": built - traced, "idle_cpu_share": idle}}))
"""

_LOAD = f"""{_TRACE}
program = build(graph, plan=Plan.from_json(json.loads(plan.read_text())))
loaded = time.perf_counter()
program(batch.ids, batch.mask)
print(loaded - traced)
"""

_ARTEFACT = """
import sys, time
started = time.perf_counter()
import aerogel
import json
from pathlib import Path
import numpy as np

plan = aerogel.Plan.from_json(json.loads(Path(sys.argv[1], "plan.json").read_text()))
program = aerogel.load(Path(sys.argv[1], "model.aero"), plan=plan)
ids, mask = np.ones((2, 16), np.int64), np.ones((2, 16), np.int64)
mask[1, 9:] = 0
program(ids, mask)
answered = time.perf_counter()
if "torch" in sys.modules:
    sys.exit("torch was imported")
print(answered - started)
"""


@dataclass(frozen=True, slots=True)
class Startup:
    """Seconds, each in a fresh process. ``first``: with an empty code cache; ``cached``: with a full one.

    import_s: ``import aerogel``, files warm, median of 7. trace_s: torch.export and reading its graph.
    first_compile_s, cached_compile_s: all of ``compile`` (tracing, timing candidates, building).
    cached_load_s: building a traced graph by a kept plan, in a process that has built nothing before.
    artefact_load_s: from before ``import aerogel`` to the first answer of a saved file, by a kept plan and
    without torch; code cached, files warm. idle_cpu_share: CPU time over time, from half a second after a
    call.
    """

    import_s: float
    trace_s: float
    first_compile_s: float
    cached_compile_s: float
    cached_load_s: float
    artefact_load_s: float
    idle_cpu_share: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def startup(model: Path) -> Startup:
    """Measure all of it for a Hugging Face directory; MeasureError if a process fails."""
    imports = [float(_python(_IMPORT)) for _ in range(_IMPORTS + 1)][1:]
    with tempfile.TemporaryDirectory() as folder:
        environment = {"AEROGEL_CACHE_DIR": str(Path(folder, "cache"))}
        words = str(model), folder
        first = json.loads(_python(_COMPILE, *words, **environment))
        second = json.loads(_python(_COMPILE, *words, **environment))
        loaded = float(_python(_LOAD, *words, **environment))
        # The file holds its embeddings as bytes, so it has code of its own: cached by the first of two.
        _python(_ARTEFACT, folder, **environment)
        answered = float(_python(_ARTEFACT, folder, **environment))
    return Startup(
        import_s=statistics.median(imports),
        trace_s=second["trace_s"],
        first_compile_s=first["trace_s"] + first["build_s"],
        cached_compile_s=second["trace_s"] + second["build_s"],
        cached_load_s=loaded,
        artefact_load_s=answered,
        idle_cpu_share=second["idle_cpu_share"],
    )


def _python(code: str, *arguments: str, **environment: str) -> str:
    """The last line that ``code`` prints in a fresh interpreter."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            env={**os.environ, **environment},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MeasureError(f"a process that measures start-up did not end within {_TIMEOUT_S} s") from error
    if done.returncode != 0 or not done.stdout.strip():
        raise MeasureError(f"a process that measures start-up failed:\n{done.stderr[-2000:]}")
    return done.stdout.strip().splitlines()[-1]
