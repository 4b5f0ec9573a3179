"""A file loaded while others load it, while the process forks, and while someone presses Ctrl-C."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.model.graphs import rows_of

from aerogel.model.compile import build
from aerogel.model.quantised import quantised

START = """
import os, shutil, signal, sys, threading, time
from pathlib import Path
import numpy as np
import aerogel
from aerogel.tune import choose
file, cache = Path(sys.argv[1]), Path(os.environ["AEROGEL_CACHE_DIR"])
x = np.ones((3, 24), np.float32)
want = aerogel.load(file, plan="quick")(x)
def right(program):
    return np.allclose(program(x), want, rtol=1e-4, atol=1e-5)
def forget():
    shutil.rmtree(cache, ignore_errors=True)
    choose.kernel_module.cache_clear()
def left():
    return [path.name for path in cache.rglob("*.part")]
"""

FORK = """
forget()
found = []
loading = threading.Thread(target=lambda: found.append(aerogel.load(file)))
loading.start()
worst = forks = 0
while loading.is_alive() or not forks:
    time.sleep(0.02)
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a child that waits for a lock nobody holds any more
        ok = right(aerogel.load(file, plan="quick"))
        os._exit(0 if ok else 3)
    worst = max(worst, abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
    forks += 1
loading.join()
assert right(found[0])
sys.exit(worst)
"""

TOGETHER = """
forget()
children = []
for number in range(3):
    children.append(os.fork())
    if children[-1] == 0:
        signal.alarm(60)
        os._exit(0 if right(aerogel.load(file)) else 3)
worst = max(abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) for child in children)
assert len(list(cache.rglob("*.pack"))) == 1 and not left(), left()
sys.exit(worst)
"""

INTERRUPT = """
# A background shell hands down SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
forget()
began = time.perf_counter()
aerogel.load(file)
whole, stops, before = time.perf_counter() - began, 0, threading.active_count()
for round in range(3):
    forget()
    timer = threading.Timer(0.01 + whole * (round + 0.5) / 4, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        while True:
            aerogel.load(file)(x)
    except KeyboardInterrupt:
        stops += 1
    timer.join()
    assert not left(), left()
    assert right(aerogel.load(file))
assert stops == 3
assert threading.active_count() <= before + 1, threading.enumerate()
"""


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    draft = rows_of(24)
    graph = draft.graph(draft.linear(draft.linear("x", 40), 9))
    for name, weight in graph.weights.items():
        if weight.ndim == 2:
            weight[np.random.default_rng(len(name)).random(weight.shape) < 0.7] = 0
    build(quantised(graph), plan="quick").save(tmp_path / "m.aero")
    return tmp_path / "m.aero"


def python(text: str, artefact: Path) -> None:
    environment = os.environ | {"AEROGEL_CACHE_DIR": str(artefact.parent / "cache")}
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", START + text, str(artefact)],
        capture_output=True, text=True, timeout=280, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_amid_loading_loads_too(artefact: Path) -> None:
    python(FORK, artefact)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_processes_that_load_at_once_keep_one_whole_file(artefact: Path) -> None:
    python(TOGETHER, artefact)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_interrupt_amid_loading_leaves_nothing_half_done(artefact: Path) -> None:
    python(INTERRUPT, artefact)
