"""macOS: the energy of CPU, GPU and Neural Engine, as Apple's ``powermetrics`` writes it five times a second.

Each sample is a property list with ``elapsed_ns`` and, under ``processor``, the millijoules of that time in
``cpu_energy``, ``gpu_energy`` and ``ane_energy`` (Apple's own chips), or the joules in ``package_joules``
(Intel). Apple calls them estimates, fit for comparing a machine with itself. Memory is not among them.

It runs for the time of a block, and must run as root; so a block starts and ends a moment later than
otherwise. The rule for sudo that is advised allows just this command line: powermetrics with any arguments
could be made to write to any file.
"""

from __future__ import annotations

import getpass
import os
import plistlib
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any
from xml.parsers.expat import ExpatError

from aerogel.core.errors import MeasureError, require
from aerogel.energy.source import CPU, GPU, Awake, Counted, Part, Survey, Where

ABOUT = "energy of CPU, GPU and Neural Engine, by macOS powermetrics"
TOOL, SUDO = "usr/bin/powermetrics", "usr/bin/sudo"
_INTERVAL_MS = 200
_ARGUMENTS = ("--samplers", "cpu_power,gpu_power", "-i", str(_INTERVAL_MS), "-f", "plist")
_PATIENCE_S = 5.0
_MISSING, _LATE_S = 0.01, 0.1
"""The share of a block that may be without samples, and how late one may come: the rest is taken alike."""
_END = b"</plist>"


@dataclass(frozen=True, slots=True)
class Sample:
    """``joules`` by what they are of, from ``since_s`` to ``until_s`` on a monotonic clock."""

    since_s: float
    until_s: float
    joules: Mapping[str, float]

    def share_of(self, began_s: float, ended_s: float) -> float:
        """How much of the sample lies between two times."""
        inside_s = min(self.until_s, ended_s) - max(self.since_s, began_s)
        return max(0.0, inside_s) / (self.until_s - self.since_s)


_GPU = GPU + "apple"
_COVERS = {"CPU": CPU, "CPU package": CPU, "GPU": _GPU, "GPU + Neural Engine": _GPU}


def survey(where: Where) -> Survey:
    """Whether powermetrics is here and may be run."""
    tool, sudo = where.root / TOOL, where.root / SUDO
    covers = (CPU, _GPU)
    if not tool.exists():
        nothing = "no powermetrics here: it is a part of macOS"
        return Survey("powermetrics", ABOUT, covers=(CPU,), obstacle=nothing, present=False)
    command = [str(tool), *_ARGUMENTS]
    if os.geteuid() != 0:
        if not _may(sudo, command):
            return Survey(
                "powermetrics",
                ABOUT,
                covers=(CPU,),
                obstacle="powermetrics must run as root",
                advice=_grant(command),
            )
        command = [str(sudo), "-n", *command]
    return Survey("powermetrics", ABOUT, ("CPU", "GPU"), covers=covers, begin=lambda: Stream(command))


def _may(sudo: Path, command: list[str]) -> bool:
    """May this user run it as root without a password?"""
    try:
        asked = subprocess.run(
            [str(sudo), "-n", "-l", *command], capture_output=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def _grant(command: list[str]) -> str:
    """The rule for sudo; there, a comma within an argument is written with a backslash before it."""
    allowed = " ".join(word.replace(",", "\\,") for word in command)
    rule = f"{getpass.getuser()} ALL=(root) NOPASSWD: {allowed}"
    file = "/etc/sudoers.d/aerogel"
    return f"echo '{rule}' | sudo tee {file} && sudo chmod 440 {file} && sudo visudo -c"


class Stream:
    """powermetrics running from now to ``finish``, and its samples as they come."""

    pause_s = float("inf")

    def __init__(self, command: list[str]) -> None:
        """MeasureError where it does not start, or gives no sample for some seconds."""
        self._awake = Awake()
        self._samples: list[Sample] = []
        self._trouble, self._over = "", False
        self._news = threading.Condition()
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            raise MeasureError(f"powermetrics cannot be started: {error.strerror or error}") from error
        self._reader = threading.Thread(target=self._read, name="aerogel-powermetrics", daemon=True)
        self._reader.start()
        try:
            self._wait_until(lambda: bool(self._samples))
        except MeasureError:
            self._stop()
            raise
        self._began_s = perf_counter()

    def look(self) -> None:
        """Its samples come by themselves."""

    def finish(self) -> Counted:
        ended_s = perf_counter()
        try:
            self._wait_until(lambda: self._samples[-1].until_s >= ended_s)
        finally:
            self._stop()
        self._awake.check()
        return counted(self._samples, self._began_s, ended_s)

    def _wait_until(self, arrived: Callable[[], bool]) -> None:
        """MeasureError where what is waited for does not come in time."""
        until_s = monotonic() + _PATIENCE_S
        with self._news:
            while not arrived():
                require(not self._trouble, MeasureError, f"powermetrics: {self._trouble}")
                require(
                    self._news.wait(until_s - monotonic()) or arrived(),
                    MeasureError,
                    f"powermetrics gave no sample for {_PATIENCE_S:g} s",
                )

    def _read(self) -> None:
        process = self._process
        assert process.stdout is not None and process.stderr is not None
        with process, process.stdout as stdout, process.stderr as stderr:
            rest = b""
            while not self._over and (chunk := os.read(stdout.fileno(), 1 << 16)):
                now_s = perf_counter()
                *whole, rest = (rest + chunk).split(_END)
                for document in whole:
                    self._take(document.lstrip(b"\0\n") + _END, now_s)
            if not self._over:
                said = stderr.read(400).decode("utf-8", "replace").strip()
                self._fail(said or "it ended by itself")

    def _take(self, document: bytes, now_s: float) -> None:
        try:
            sample = sample_of(plistlib.loads(document), now_s)
        except (MeasureError, ExpatError, plistlib.InvalidFileException, ValueError) as error:
            self._fail(str(error))
            return
        with self._news:
            self._samples.append(sample)
            self._news.notify_all()

    def _fail(self, why: str) -> None:
        with self._news:
            self._trouble = self._trouble or why
            self._news.notify_all()

    def _stop(self) -> None:
        """Run by sudo it may not be signalled; it ends when it writes to a pipe that is read no more."""
        self._over = True
        if os.geteuid() == 0:
            self._process.terminate()
        self._reader.join(_PATIENCE_S)


def sample_of(found: Any, now_s: float) -> Sample:
    """One property list, whose last moment is now. MeasureError where it tells no energy."""
    found = found if isinstance(found, dict) else {}
    elapsed_ns, processor = found.get("elapsed_ns"), found.get("processor")
    require(isinstance(elapsed_ns, int) and elapsed_ns > 0, MeasureError, "a sample without elapsed_ns")
    known = _numbers(processor)
    if "cpu_energy" in known:
        joules = {"CPU": known["cpu_energy"] * 1e-3}
        if {"gpu_energy", "ane_energy"} <= known.keys():
            joules["GPU + Neural Engine"] = (known["gpu_energy"] + known["ane_energy"]) * 1e-3
        elif "gpu_energy" in known:
            joules["GPU"] = known["gpu_energy"] * 1e-3
    elif "package_joules" in known:
        joules = {"CPU package": known["package_joules"]}
    else:
        raise MeasureError("a sample without cpu_energy and package_joules: this macOS writes another format")
    return Sample(now_s - elapsed_ns * 1e-9, now_s, joules)


def _numbers(found: Any) -> dict[str, float]:
    """What is a number, and not below zero."""
    items = found.items() if isinstance(found, dict) else ()
    return {str(key): float(value) for key, value in items if isinstance(value, int | float) and value >= 0}


def counted(samples: list[Sample], began_s: float, ended_s: float) -> Counted:
    """What the samples tell of a block. Of those at its ends the part of the time inside is taken; the bounds
    are none and all of them. MeasureError where too much of the block has no sample, samples are of
    different things, or the CPU took nothing, as in virtual machines."""
    inside = [(sample, sample.share_of(began_s, ended_s)) for sample in samples]
    seconds = ended_s - began_s
    covered_s = sum((sample.until_s - sample.since_s) * share for sample, share in inside)
    require(
        covered_s > 0 and seconds - covered_s <= _MISSING * seconds + _LATE_S,
        MeasureError,
        f"powermetrics left out {seconds - covered_s:.2g} s of {seconds:.3g} s",
    )
    inside = [(sample, share) for sample, share in inside if share > 0]
    kinds = {tuple(sample.joules) for sample, _ in inside}
    told = " and then ".join(sorted(" + ".join(labels) for labels in kinds))
    require(len(kinds) == 1, MeasureError, f"powermetrics told of {told}: what was left out is unknown")
    parts: list[Part] = []
    whole = seconds / covered_s
    for label in inside[0][0].joules:
        shares = [(sample.joules[label], share) for sample, share in inside]
        took = _COVERS[label] != CPU or any(joules for joules, _ in shares)
        require(took, MeasureError, "powermetrics tells 0 J of the CPU, as in a virtual machine")
        parts.append(
            Part(
                source="powermetrics",
                label=label,
                covers=_COVERS[label],
                joules=sum(joules * share for joules, share in shares) * whole,
                low=sum(joules for joules, share in shares if share >= 1.0),
                high=sum(joules for joules, _ in shares) * whole,
            )
        )
    labels = " + ".join(part.label for part in parts)
    about = f"powermetrics {labels} (all of it, other processes included; Apple calls the figures estimates)"
    return Counted(tuple(parts), about)
