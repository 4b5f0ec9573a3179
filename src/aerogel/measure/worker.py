"""The process of one contender: ``python -m aerogel.measure.worker SOCKET module:function JSON-ARGS``.

It makes the contender, then obeys commands that come through the socket until that closes:

    prepare {case}                        -> {}
    block {seconds, warm_s, min_runs}     -> {ns: [...]}     the time of each run
    warm {seconds}                        -> {}              untimed runs alone
    timed {seconds, min_runs}             -> {ns: [...], cpu_ns}     timed runs alone, and the CPU time of all
    result                                -> {} + .npy bytes
    facts                                 -> {facts: {...}}

A failure is answered with {error: "..."}; its traceback goes to stderr, and the process ends.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import io
import json
import platform
import signal
import socket
import sys
import time
import traceback
from typing import Any

import numpy as np

from aerogel.measure import wire
from aerogel.measure.resident import resident

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> int:
    descriptor, factory, arguments = argv
    _die_with_parent()
    with socket.socket(fileno=int(descriptor)) as connection:
        try:
            started = time.perf_counter()
            subject = _make(factory, json.loads(arguments))
            load_s = time.perf_counter() - started
            wire.send(connection, {"load_s": load_s})
            while True:
                try:
                    command, _ = wire.receive(connection)
                except EOFError:
                    return 0
                header, payload = _obey(subject, command)
                wire.send(connection, header, payload)
        except Exception as error:
            traceback.print_exc()
            sys.stderr.flush()
            wire.send(connection, {"error": f"{type(error).__name__}: {error}"})
            return 1


def _make(factory: str, arguments: dict[str, Any]) -> Any:
    module, _, function = factory.partition(":")
    return getattr(importlib.import_module(module), function)(**arguments)


def _obey(subject: Any, command: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    match command["op"]:
        case "prepare":
            if hasattr(subject, "prepare"):
                subject.prepare(command["case"])
            return {}, b""
        case "block":
            return {"ns": block(subject.run, command["seconds"], command["warm_s"], command["min_runs"])}, b""
        case "warm":
            warm(subject.run, command["seconds"])
            return {}, b""
        case "timed":
            before = time.process_time_ns()
            taken = timed(subject.run, command["seconds"], command["min_runs"])
            return {"ns": taken, "cpu_ns": time.process_time_ns() - before}, b""
        case "result":
            return {}, _npy(subject.result())
        case "facts":
            facts = dict(subject.facts()) if hasattr(subject, "facts") else {}
            return {"facts": facts, "process": _process_facts()}, b""
        case unknown:
            raise ValueError(f"unknown command {unknown!r}")


def block(run: Any, seconds: float, warm_s: float, min_runs: int) -> list[int]:
    """Nanoseconds of each run, for at least ``seconds`` and ``min_runs``, after at least one untimed run."""
    warm(run, warm_s)
    return timed(run, seconds, min_runs)


def warm(run: Any, seconds: float) -> None:
    """Untimed runs, at least one; then nothing is left to collect."""
    clock = time.perf_counter_ns
    warm_until = clock() + int(seconds * 1e9)
    run()
    while clock() < warm_until:
        run()
    gc.collect()


def timed(run: Any, seconds: float, min_runs: int) -> list[int]:
    """Nanoseconds of each run, for at least ``seconds`` and ``min_runs``."""
    clock = time.perf_counter_ns
    taken: list[int] = []
    gc.disable()
    try:
        now = clock()
        end = now + int(seconds * 1e9)
        while now < end or len(taken) < min_runs:
            run()
            after = clock()
            taken.append(after - now)
            now = after
    finally:
        gc.enable()
    return taken


def _npy(output: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(output), allow_pickle=False)
    return stream.getvalue()


def _process_facts() -> dict[str, Any]:
    return {"python": platform.python_version(), "peak_rss_bytes": resident().peak_bytes}


def _die_with_parent() -> None:
    # A stopped process does not see its socket close: without this it would stay for ever if the
    # comparison is killed.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
