"""How long the first call of an operation takes: ``python -m aerogel.bench.einsum.first_call FOLDER FILE``.

The process imports, makes the operands, then times one call and the next. With an empty cache the first
compiles; in a process after that it finds machine code on the disk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from aerogel.core.errors import MeasureError, require

_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class FirstCall:
    """Seconds. ``compile_s``: the first call ever, cache empty, less a later call; ``cached_s``: the first
    call of a process that finds the code in the cache, less a later call; ``later_s``: a later call, its
    work and all."""

    operation: str
    compile_s: float
    cached_s: float
    later_s: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def first_call(folder: Path, operation: str, file: str, threads: int) -> FirstCall:
    """Measure it, on the operands in one file of ``folder``; MeasureError if a process fails."""
    with tempfile.TemporaryDirectory(prefix="aerogel-first-") as cache:
        cold, cold_later = _measured(folder, file, threads, cache)
        warm, warm_later = _measured(folder, file, threads, cache)
    return FirstCall(operation, cold - cold_later, warm - warm_later, warm_later)


def _measured(folder: Path, file: str, threads: int, cache: str) -> tuple[float, float]:
    command = [sys.executable, "-m", __name__, str(folder), file, str(threads)]
    environment = {**os.environ, "AEROGEL_CACHE_DIR": cache}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, env=environment, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise MeasureError(f"the first call of {file} did not end within {_TIMEOUT_S} s") from error
    failed = f"the first call of {file} failed:\n{done.stderr[-2000:]}"
    require(done.returncode == 0 and done.stdout.strip(), MeasureError, failed)
    first, later = json.loads(done.stdout.strip().splitlines()[-1])
    return first, later


def main(arguments: list[str]) -> int:
    import aerogel
    from aerogel.bench.einsum.own_side import make
    from aerogel.bench.einsum.problem import load

    # Names load when touched: importing belongs to no call.
    _ = aerogel.einsum, aerogel.evaluate, aerogel.tensor
    folder, file, threads = arguments
    problem, _ = load(Path(folder, file))
    call = make(folder, int(threads)).work(problem).call
    times: list[float] = []
    for _ in range(4):
        started = perf_counter()
        call()
        times.append(perf_counter() - started)
    print(json.dumps([times[0], min(times[1:])]))  # noqa: T201  this is its result
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
