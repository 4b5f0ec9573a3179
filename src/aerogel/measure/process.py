"""The comparison's side of a contender's process: start, ask, stop, resume, end."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Never, Self

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import MeasureError, require
from aerogel.measure import wire
from aerogel.measure.contender import Case, Contender
from aerogel.measure.settings import Settings

_TAIL_LINES = 18
# How often a wait for an answer looks whether the process is still there.
_GLANCE_S = 0.2


class ContenderProcess:
    """A contender, alive in a process group of its own. A context manager: leaving it ends the process.

    Every failure is a MeasureError that names the contender and shows the end of its stderr.
    """

    def __init__(self, contender: Contender, settings: Settings) -> None:
        require(
            hasattr(signal, "SIGSTOP"),
            MeasureError,
            "this system cannot stop and resume processes, so contenders cannot be timed in turns",
        )
        self.contender = contender
        self.load_s = 0.0
        self.cpu_s = 0.0
        self._settings = settings
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._lent = _lend_package() if contender.python is not None else None
        self._connection, theirs = socket.socketpair()
        try:
            self._process = self._spawn(theirs)
        except OSError as error:
            self._connection.close()
            self._give_up()
            raise MeasureError(f"contender {contender.name!r} cannot be started: {error}") from error
        finally:
            theirs.close()

    def _spawn(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        contender = self.contender
        python = str(contender.python or sys.executable)
        path = _import_path() if self._lent is None else {"PYTHONPATH": self._lent.name}
        arguments = [str(theirs.fileno()), contender.factory, json.dumps(dict(contender.args))]
        return subprocess.Popen(
            [python, "-m", "aerogel.measure.worker", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._stderr,  # what libraries print belongs to no protocol; it shows when they fail
            stderr=self._stderr,
            pass_fds=[theirs.fileno()],
            # Its own group, so that stopping it stops all its processes; and Ctrl-C reaches only us.
            start_new_session=True,
            env={**os.environ, **path, **contender.env},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def load(self) -> None:
        """Wait until the contender is made; ``load_s`` is how long that took it."""
        header, _ = self._answer("to load", self._settings.load_timeout_s)
        self.load_s = header["load_s"]

    def prepare(self, case: Case) -> None:
        self._ask({"op": "prepare", "case": dict(case.params)}, f"to prepare case {case.name!r}")

    def block(self, case: Case) -> tuple[float, ...]:
        """Seconds of each run of one block."""
        s = self._settings
        command = {"op": "block", "seconds": s.block_s, "warm_s": s.warm_s, "min_runs": s.min_runs}
        header, _ = self._ask(command, f"to run case {case.name!r}", extra_s=s.block_s + s.warm_s)
        return tuple(ns * 1e-9 for ns in header["ns"])

    def warm(self, case: Case) -> None:
        """The untimed runs of a block, apart from the timed ones."""
        seconds = self._settings.warm_s
        self._ask({"op": "warm", "seconds": seconds}, f"to run case {case.name!r}", extra_s=seconds)

    def timed(self, case: Case) -> tuple[float, ...]:
        """Seconds of each timed run of one block; ``cpu_s`` grows by the CPU seconds of all its threads."""
        s = self._settings
        command = {"op": "timed", "seconds": s.block_s, "min_runs": s.min_runs}
        header, _ = self._ask(command, f"to run case {case.name!r}", extra_s=s.block_s)
        self.cpu_s += header["cpu_ns"] * 1e-9
        return tuple(ns * 1e-9 for ns in header["ns"])

    def result(self, case: Case) -> NDArray[Any]:
        _, payload = self._ask({"op": "result"}, f"for its result of case {case.name!r}")
        return np.load(io.BytesIO(payload), allow_pickle=False)

    def facts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the contender says of itself, and what its process says of it."""
        header, _ = self._ask({"op": "facts"}, "for its facts")
        return header["facts"], header["process"]

    def stop(self) -> None:
        """Take the process off the CPU, its idle threads too; returns when it is stopped."""
        self._signal(signal.SIGSTOP)
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End the process, stopped or not, and all it started."""
        self._connection.close()
        if self._process.poll() is None:
            self._signal(signal.SIGKILL)
        self._process.wait()
        self._give_up()

    def _give_up(self) -> None:
        self._stderr.close()
        if self._lent is not None:
            self._lent.cleanup()

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            self._fail("has died")

    def _ask(self, command: dict[str, Any], what: str, extra_s: float = 0.0) -> tuple[dict[str, Any], bytes]:
        try:
            wire.send(self._connection, command)
        except OSError:
            self._fail(f"has died when asked {what}{self._status()}")
        return self._answer(what, self._settings.call_timeout_s + extra_s)

    def _answer(self, what: str, timeout_s: float) -> tuple[dict[str, Any], bytes]:
        deadline = time.monotonic() + timeout_s
        while not self._readable(min(_GLANCE_S, max(0.0, deadline - time.monotonic()))):
            if self._process.poll() is not None:
                self._fail(f"has died when asked {what}{self._status()}")
            if time.monotonic() >= deadline:
                self._fail(f"gave no answer within {timeout_s:g} s when asked {what}")
        self._connection.settimeout(max(_GLANCE_S, deadline - time.monotonic()))
        try:
            header, payload = wire.receive(self._connection)
        except EOFError:
            self._fail(f"has died when asked {what}{self._status()}")
        except TimeoutError:
            self._fail(f"gave no whole answer within {timeout_s:g} s when asked {what}")
        if "error" in header:
            self._fail(f"failed when asked {what}: {header['error']}")
        return header, payload

    def _readable(self, seconds: float) -> bool:
        self._connection.settimeout(seconds or 1e-6)
        try:
            self._connection.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True
        return True

    def _status(self) -> str:
        try:
            code = self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            return ""
        return f" (killed by signal {-code})" if code < 0 else f" (exit status {code})"

    def _fail(self, what: str) -> Never:
        tail = self._tail()
        shown = f"\nThe end of its stderr:\n{tail}" if tail else "\nIts stderr is empty."
        raise MeasureError(f"contender {self.contender.name!r} ({self.contender.factory}) {what}.{shown}")

    def _tail(self) -> str:
        end = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, end - 16384))
        lines = self._stderr.read().decode(errors="replace").rstrip().splitlines()
        return "\n".join(f"  | {line}" for line in lines[-_TAIL_LINES:])


def _lend_package() -> tempfile.TemporaryDirectory[str]:
    """A folder with this package in it and nothing else: another interpreter must not meet the libraries
    that lie beside it here, which are built for this one."""
    lent = tempfile.TemporaryDirectory(prefix="aerogel-lent-")
    package = Path(__file__).resolve().parents[1]
    (Path(lent.name) / package.name).symlink_to(package, target_is_directory=True)
    return lent


def _import_path() -> dict[str, str]:
    """Where the process finds aerogel, if it runs from a source tree rather than from an installation."""
    root = Path(__file__).resolve().parents[2]
    if root.name in ("site-packages", "dist-packages"):
        return {}
    have = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": f"{root}{os.pathsep}{have}" if have else str(root)}
