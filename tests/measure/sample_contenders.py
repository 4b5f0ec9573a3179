"""Contenders for the tests, imported by worker processes: well-behaved ones, and each kind of trouble."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np


class Sleeper:
    """Takes ``seconds`` times the case's ``factor``; says how it was prepared."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.factor, self.runs = seconds, 1.0, 0

    def prepare(self, case: dict) -> None:
        self.factor = case.get("factor", 1.0)

    def run(self) -> None:
        self.runs += 1
        time.sleep(self.seconds * self.factor)

    def result(self) -> np.ndarray:
        return np.array([[self.seconds, self.factor]], np.float32)

    def facts(self) -> dict:
        return {"runs": self.runs, "setting": os.environ.get("SAMPLE_SETTING")}


class Product:
    """Real work on one core."""

    def __init__(self, size: int) -> None:
        self.a = np.ones((size, size), np.float32)

    def run(self) -> np.ndarray:
        return (self.a * self.a).sum(axis=0)


class Talker:
    """Prints where the messages must not go."""

    def run(self) -> None:
        sys.stdout.write("to standard output\n")
        sys.stdout.flush()
        time.sleep(0.001)


class Spinner:
    """Burns a core in the background, as the thread pool of a runtime may; says when it last did."""

    def __init__(self, stamp: str) -> None:
        self.stamp = stamp
        threading.Thread(target=self._spin, daemon=True).start()

    def _spin(self) -> None:
        while True:
            Path(self.stamp).write_text(str(time.monotonic()))
            time.sleep(0.002)

    def run(self) -> None:
        time.sleep(0.001)


class Watcher:
    """In its runs, notes how fresh the spinner's stamp is: its result is the least age seen, in seconds."""

    def __init__(self, stamp: str) -> None:
        self.stamp, self.least = stamp, np.inf

    def run(self) -> None:
        time.sleep(0.05)
        text = Path(self.stamp).read_text()
        if text:
            self.least = min(self.least, time.monotonic() - float(text))

    def facts(self) -> dict:
        return {"least_age_s": self.least}


class Failing:
    """Does ``how`` at its ``at``-th run."""

    def __init__(self, how: str, at: int = 3) -> None:
        self.how, self.at, self.runs = how, at, 0

    def run(self) -> None:
        self.runs += 1
        time.sleep(0.001)
        if self.runs < self.at:
            return
        sys.stderr.write("last words\n")
        sys.stderr.flush()
        if self.how == "raise":
            raise ValueError("cannot multiply")
        if self.how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "exit":
            os._exit(7)
        if self.how == "hang":
            time.sleep(60)


def refuses() -> None:
    raise RuntimeError("no such model")


class Burner:
    """Uses the CPU for so long in every run."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def run(self) -> None:
        end = time.process_time() + self.seconds
        while time.process_time() < end:
            pass
