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
_ANSWERS = 5
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

# All that a user of a file waits for but Python itself: NumPy too is not there before.
_ANSWER = """
import sys, time
started = time.perf_counter()
import aerogel
program = aerogel.load(sys.argv[1])
if sys.argv[2] == "text":
    program.encode(["A short text, as somebody might look for."])
else:
    import numpy as np
    ids, mask = np.ones((2, 16), np.int64), np.ones((2, 16), np.int64)
    mask[1, 9:] = 0
    program(**dict(zip(program.token_inputs(), (ids, mask))))
answered = time.perf_counter()
if "torch" in sys.modules:
    sys.exit("torch was imported")
print(answered - started)
"""


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """Seconds from before ``import aerogel`` to the first answer of a ``.aero`` file, without torch, each in
    a fresh process. ``first_s``: the first time ever, with an empty cache; ``cached_s``: every later time,
    files warm; ``median_s``: their median."""

    first_s: float
    cached_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        return statistics.median(self.cached_s)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "median_s": self.median_s}


def first_answer(path: Path, cache: Path, *, text: bool = False, times: int = _ANSWERS) -> FirstAnswer:
    """Measure it for an encoder. ``cache``: an empty folder, or one to go on with; ``text``: the answer is
    that to a text, tokenizing included, else to token ids. MeasureError if a process fails or imports torch.
    """
    words = str(path.absolute()), "text" if text else "ids"
    environment = {"AEROGEL_CACHE_DIR": str(cache)}
    first, *later = (float(_python(_ANSWER, *words, **environment)) for _ in range(1 + times))
    return FirstAnswer(first, tuple(later))


@dataclass(frozen=True, slots=True)
class Startup:
    """Seconds, each in a fresh process. ``first``: with an empty code cache; ``cached``: with a full one.

    import_s: ``import aerogel``, files warm, median of 7. trace_s: torch.export and reading its graph.
    first_compile_s, cached_compile_s: all of ``compile`` (tracing, timing candidates, building).
    cached_load_s: building a traced graph by a kept plan, in a process that has built nothing before.
    artefact_load_s: from before ``import aerogel`` to the first answer of a saved file, without torch, code
    cached, files warm; the median of 5. idle_cpu_share: CPU time over time, from half a second after a
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
        answered = first_answer(Path(folder, "model.aero"), Path(folder, "cache"))
    return Startup(
        import_s=statistics.median(imports),
        trace_s=second["trace_s"],
        first_compile_s=first["trace_s"] + first["build_s"],
        cached_compile_s=second["trace_s"] + second["build_s"],
        cached_load_s=loaded,
        artefact_load_s=answered.median_s,
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
