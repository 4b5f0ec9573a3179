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
_COMPILE = """
import json, sys, time
import torch
from aerogel.bench.cases import token_batch
from aerogel.bench.hugging_face import ModelFolder
from aerogel.model.compile import build
from aerogel.model.from_torch import from_torch

folder = ModelFolder.open(sys.argv[1])
module = folder.torch_module()
batch = token_batch({"lengths": [16, 9]}, folder.vocabulary)
inputs = torch.from_numpy(batch.ids), torch.from_numpy(batch.mask)
started = time.perf_counter()
graph = from_torch(module, inputs, None)
traced = time.perf_counter()
program = build(graph)
built = time.perf_counter()
again = build(graph, plan=program.plan)
loaded = time.perf_counter()
again(batch.ids, batch.mask)
time.sleep(0.5)
before, clock = time.process_time(), time.perf_counter()
time.sleep(3)
idle = (time.process_time() - before) / (time.perf_counter() - clock)
print(json.dumps({"trace_s": traced - started, "build_s": built - traced, "load_s": loaded - built,
                  "idle_cpu_share": idle}))
"""


@dataclass(frozen=True, slots=True)
class Startup:
    """Seconds, each in a fresh process. ``first``: with an empty code cache; ``cached``: with a full one.

    import_s: ``import aerogel``, files warm, median of 7. first_compile_s, cached_compile_s: all of
    ``compile`` (tracing, timing candidates, building). cached_load_s: building again with a kept plan and
    the code in the cache. idle_cpu_share: CPU time over time, from half a second after a call.
    """

    import_s: float
    trace_s: float
    first_compile_s: float
    cached_compile_s: float
    cached_load_s: float
    idle_cpu_share: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def startup(model: Path) -> Startup:
    """Measure all of it for a Hugging Face directory; MeasureError if a process fails."""
    imports = [float(_python(_IMPORT)) for _ in range(_IMPORTS + 1)][1:]
    with tempfile.TemporaryDirectory() as cache:
        environment = {"AEROGEL_CACHE_DIR": cache}
        first = json.loads(_python(_COMPILE, str(model), **environment))
        second = json.loads(_python(_COMPILE, str(model), **environment))
    return Startup(
        statistics.median(imports),
        second["trace_s"],
        first["trace_s"] + first["build_s"],
        second["trace_s"] + second["build_s"],
        second["load_s"],
        second["idle_cpu_share"],
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
