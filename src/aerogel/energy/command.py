"""A command under the meter: its whole tree of processes, with its own exit status and untouched output."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aerogel.core.errors import InputError, require
from aerogel.energy.attribution import Attribution, Span, attribute, by_processor, machine_busy_s
from aerogel.energy.block import Meter, meter
from aerogel.energy.process_tree import Process, ProcessTree
from aerogel.energy.reading import Reading

_LOOK_S = 1.0
"""How often the tree is looked at; ``_CARE`` times as long as a look takes where that is more, for 0.3 %."""
_CARE = 300.0
_QUIET = 0.1
"""A machine that is busier than this, of all its threads, is not idle."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a command. status: its exit status, 128 + N where signal N ended it, as shells have it.
    reading: ``cpu_seconds`` are those of the tree. running: how many of its processes were left running.
    """

    status: int
    reading: Reading
    attribution: Attribution | None
    processes: tuple[Process, ...]
    detailed: bool
    running: int

    def to_json(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "reading": self.reading.to_json(),
            "attribution": None if self.attribution is None else self.attribution.to_json(),
            "processes_told_apart": self.detailed,
            "left_running": self.running,
        }


@dataclass(frozen=True, slots=True)
class Idle:
    """``watts`` of the machine without load, and where they come from."""

    watts: Span
    source: str


def run_metered(
    words: Sequence[str],
    *,
    idle: Idle | None = None,
    stdout: Any = None,
    make_meter: Callable[..., Meter] = meter,
    root: Path = Path("/"),
) -> Ran:
    """Run ``words`` to their end under a meter. InputError where there is no such command.

    idle: of the machine, to tell idling from load; with a power model it is known without. stdout: as for
    subprocess.Popen. make_meter: is given ``cpu_time`` and ``root``. While the command runs, SIGINT is left
    to it (a terminal sends that to both) and SIGTERM and SIGHUP are passed on.
    """
    require(words, InputError, "there is no command to measure: give one, as in -- python train.py")
    with ProcessTree() as tree:
        busy_s = machine_busy_s(root)
        with make_meter(cpu_time=tree.cpu_s, root=root) as metered:
            process = _start(words, stdout)
            with _signals(process):
                status = _follow(process, tree)
    reading = metered.reading
    machine_s = None if busy_s is None else (machine_busy_s(root) or busy_s) - busy_s
    processes = tree.processes()
    return Ran(
        status=128 - status if status < 0 else status,
        reading=reading,
        attribution=_attributed(metered, processes, machine_s, idle),
        processes=processes,
        detailed=tree.detailed,
        running=tree.living,
    )


def watch_idle(seconds: float, *, make_meter: Callable[..., Meter] = meter, root: Path = Path("/")) -> Idle:
    """What this machine draws while nothing is asked of it: sleeps for ``seconds`` under a meter.

    InputError without a meter, since a power model knows already what idling is to it. A machine that is
    busy meanwhile gives an upper bound alone.
    """
    require(seconds > 0, InputError, f"{seconds:g} s cannot be watched: give more than 0, such as 10")
    before_s = machine_busy_s(root)
    with make_meter(root=root) as metered:
        time.sleep(seconds)
    reading = metered.reading
    if reading.method != "measured" or reading.joules is None or reading.low is None or reading.high is None:
        raise InputError(
            f"idle power cannot be watched without a meter: {reading.obstacle}; the power model "
            f"{reading.model} tells idling from load by itself"
        )
    after_s = machine_busy_s(root)
    busy = None if before_s is None or after_s is None else (after_s - before_s) / reading.seconds
    busy = None if busy is None else busy / (os.cpu_count() or 1)
    # What GPUs draw is told apart from the rest everywhere: it is no part of this.
    watts = by_processor(reading)[0].times(1 / reading.seconds)
    load = "" if busy is None else f", {100 * busy:.0f} % busy meanwhile"
    source = f"watched for {reading.seconds:.3g} s by {reading.source}{load}"
    if busy is None or busy > _QUIET:
        return Idle(Span(None, 0.0, watts.high), f"{source}: not idle, so an upper bound")
    return Idle(watts, source)


def _attributed(
    metered: Meter, processes: tuple[Process, ...], machine_s: float | None, idle: Idle | None
) -> Attribution | None:
    reading = metered.reading
    if reading.model is None:
        watts = None if idle is None else idle.watts
        return attribute(
            reading, processes, tree_s=reading.cpu_seconds, machine_s=machine_s, idle_watts=watts
        )
    found = metered.idle
    joules = None if found is None else Span(found.joules, found.low, found.high)
    return attribute(reading, processes, tree_s=reading.cpu_seconds, machine_s=None, idle_joules=joules)


def _start(words: Sequence[str], stdout: Any) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(list(words), stdout=stdout)
    except OSError as error:
        raise InputError(f"{words[0]!r} cannot be run: {error.strerror or error}") from error


def _follow(process: subprocess.Popen[bytes], tree: ProcessTree) -> int:
    """Look at the tree now and then until ``process`` has ended; returns its status as Popen has it."""
    over = threading.Event()

    def watch() -> None:
        pause_s = _LOOK_S / 10  # much is started at the start
        while not over.wait(pause_s):
            began_s = time.perf_counter()
            tree.look(process.pid)
            pause_s = max(min(_LOOK_S, 2 * pause_s), _CARE * (time.perf_counter() - began_s))

    watcher = threading.Thread(target=watch, name="aerogel-tree", daemon=True)
    if tree.detailed:
        watcher.start()
    try:
        _await_end(process)
    except BaseException:
        process.terminate()
        raise
    finally:
        over.set()
        if tree.detailed:
            watcher.join()
    tree.look(process.pid)  # it has ended, and still shows its time
    return process.wait()


def _await_end(process: subprocess.Popen[bytes]) -> None:
    """Until it has ended, and is still there to be looked at where the system can do that."""
    if sys.platform == "linux":
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    else:
        process.wait()


@contextlib.contextmanager
def _signals(process: subprocess.Popen[bytes]) -> Generator[None]:
    """What asks us to end asks the command, whose end is ours."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def pass_on(number: int, _: object) -> None:
        process.send_signal(number)

    def leave_it(_: int, __: object) -> None:
        """The terminal has sent it to the command as well."""

    handlers: dict[int, Any] = {signal.SIGINT: leave_it, signal.SIGTERM: pass_on}
    if hasattr(signal, "SIGHUP"):
        handlers[signal.SIGHUP] = pass_on
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
