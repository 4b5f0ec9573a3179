"""What metering costs a CPU-bound run of ten seconds.

    .venv/bin/python benchmarks/meter_overhead.py            # about 7 minutes
    .venv/bin/python benchmarks/meter_overhead.py --quick    # to see that it works

Two processes do the same work, one of them under a meter, in turns of some milliseconds (A B B A ...) on one
CPU, so that whatever else the machine does slows both. Compared is all CPU time of either, which counts the
meter's own thread, its start and its end; a round is one such pair of runs, and the interval is that of the
rounds. What the meter uses by itself is seen more sharply in a process that sleeps for as long. Meters are
read where they cost most: simulated counters of two packages with memory and a sensor that is looked at twice
a second, laid out as files. The command's row is what `aerogel measure` itself uses while a command runs,
which is looking at all processes of the machine.

Writes benchmarks/results/meter_overhead.json. Exit status 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aerogel.bench.claims import Claim, write
from aerogel.energy import meter
from aerogel.energy.command import run_metered
from aerogel.energy.training import TrainingEnergy
from aerogel.measure import machine
from aerogel.measure.intervals import median, median_interval, ratio_interval

RESULTS = Path(__file__).parent / "results" / "meter_overhead.json"
MOST = 0.01
UNITS = 5
"""Of work in a slice: a unit takes a millisecond or two."""
BUFFER = bytes(1 << 20)
EPOCH_S = 2.5
ROUNDS, CONFIDENCE = 6, 0.95


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="runs of one second: the numbers mean little")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return worker(*options.worker)
    seconds = 1.0 if options.quick else 10.0
    with tempfile.TemporaryDirectory(prefix="aerogel-meters-") as folder:
        counters(Path(folder))
        block = in_turns("meter", folder, seconds, options.rounds)
        training = in_turns("training", folder, seconds, options.rounds)
        alone = asleep(folder, seconds, options.rounds)
    watching = command(seconds, options.rounds)
    claims = [
        claim(f"meter() around a CPU-bound run of {seconds:g} s", block),
        claim(f"TrainingEnergy of a run of {seconds:g} s, an epoch every {EPOCH_S:g} s", training),
        share_claim(f"meter() by itself in {seconds:g} s", alone),
        share_claim(f"aerogel measure by itself while a command runs for {seconds:g} s", watching),
    ]
    for one in claims:
        print(one)
    evidence: dict[str, Any] = {
        "quick": options.quick,
        "machine": machine().to_json(),
        "rounds": {"meter": block, "training": training, "asleep": alone, "command": watching},
    }
    write(options.output, claims, evidence)
    return 0 if all(one.holds for one in claims) else 1


def claim(about: str, rounds: list[dict[str, float]]) -> Claim:
    """The share by which CPU time rises."""
    ratio, low, high = ratio_interval(
        [one["metered_s"] for one in rounds], [one["plain_s"] for one in rounds], CONFIDENCE
    )
    return Claim(f"{about}: CPU time more", ratio - 1, MOST, "", "at most", low - 1, high - 1)


def share_claim(about: str, shares: list[float]) -> Claim:
    low, high = median_interval(shares, CONFIDENCE)
    return Claim(f"{about}: CPU time, of one CPU", median(shares), MOST, "", "at most", low, high)


def in_turns(kind: str, folder: str, seconds: float, rounds: int) -> list[dict[str, float]]:
    """CPU seconds of both in every round, for the same work."""
    began_s = time.perf_counter()
    for _ in range(UNITS):
        work()
    slices = max(2, round(seconds / (time.perf_counter() - began_s)))
    found: list[dict[str, float]] = []
    for number in range(rounds):
        # Every other round the other way about: which was started first makes a difference of its own.
        kinds = ("plain", kind) if number % 2 == 0 else (kind, "plain")
        workers = {one: start(one, folder) for one in kinds}
        for turn in range(slices):
            for one in kinds if turn % 2 == 0 else reversed(kinds):  # A B B A
                ask(workers[one], "go")
        spent = {one: float(ask(workers[one], "end")) for one in kinds}
        for one in workers.values():
            one.communicate()  # waits, and closes both pipes
        plain, metered = spent["plain"], spent[kind]
        found.append({"plain_s": plain, "metered_s": metered})
        print(f"{kind}, round {number + 1} of {rounds}: {metered / plain - 1:+.3%}", flush=True)
    return found


def start(kind: str, folder: str) -> subprocess.Popen[str]:
    words = [sys.executable, __file__, "--worker", kind, folder]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert answer(process) == "ready"
    return process


def ask(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdin is not None
    process.stdin.write(f"{word}\n")
    process.stdin.flush()
    return answer(process)


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def worker(kind: str, folder: str) -> int:
    """Do a slice of work for every "go"; tell all CPU time at "end"."""
    if hasattr(os, "sched_setaffinity"):
        # Both on one CPU, since no two CPUs are alike: they never run at the same time.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print("ready", flush=True)
    first = sys.stdin.readline()
    began_s = time.process_time()
    step, end = begun(kind, folder)
    while first == "go\n":
        for _ in range(UNITS):
            work()
        step()
        print("done", flush=True)
        first = sys.stdin.readline()
    end()
    print(time.process_time() - began_s, flush=True)
    return 0


def begun(kind: str, folder: str) -> tuple[Callable[[], None], Callable[[], None]]:
    """What to call after every slice, and at the end."""
    if kind == "meter":
        metered = meter(root=folder)
        metered.__enter__()
        return lambda: None, lambda: metered.__exit__(None, None, None)
    if kind == "training":
        training = TrainingEnergy(make_meter=lambda: meter(root=folder))
        training.begin()
        epoch_began = [time.process_time()]

        def step() -> None:
            training.step(items=8)
            if time.process_time() - epoch_began[0] > EPOCH_S:
                training.end_epoch()
                epoch_began[0] = time.process_time()

        return step, training.end
    return lambda: None, lambda: None


def work() -> bytes:
    """In C, and on a buffer of its own: a loop in Python is several percent faster or slower by where the
    system happens to put a process's stack."""
    return hashlib.blake2b(BUFFER).digest()


def asleep(folder: str, seconds: float, rounds: int) -> list[float]:
    """CPU seconds of this process per second, under a meter, asleep."""
    shares: list[float] = []
    for _ in range(rounds):
        began_s = time.process_time()
        with meter(root=folder):
            time.sleep(seconds)
        shares.append((time.process_time() - began_s) / seconds)
    return shares


def command(seconds: float, rounds: int) -> list[float]:
    """CPU seconds of this process, per second for which it watched a command."""
    busy = f"import time\ne = time.perf_counter() + {seconds}\nwhile time.perf_counter() < e: pass"
    shares: list[float] = []
    for number in range(rounds):
        before_s = time.process_time()
        ran = run_metered([sys.executable, "-S", "-c", busy])
        shares.append((time.process_time() - before_s) / ran.reading.seconds)
        print(f"command, round {number + 1} of {rounds}: {shares[-1]:.3%}", flush=True)
    return shares


def counters(root: Path) -> None:
    """A computer with two packages, their memory, and a power meter of its own."""
    for package in range(2):
        folder = root / f"sys/class/powercap/intel-rapl:{package}"
        files(folder, name=f"package-{package}", energy_uj="5000000", max_energy_range_uj="65712999613")
        below = root / f"sys/class/powercap/intel-rapl:{package}:0"
        files(below, name="dram", energy_uj="3000000", max_energy_range_uj="65712999613")
    sensor = root / "sys/class/hwmon/hwmon0"
    files(sensor, name="power_meter", power1_average="240000000", power1_average_interval="1000")


def files(folder: Path, **holding: str) -> None:
    folder.mkdir(parents=True)
    for name, text in holding.items():
        (folder / name).write_text(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
