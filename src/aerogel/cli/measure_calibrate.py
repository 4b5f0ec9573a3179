"""``aerogel measure calibrate``: fit idle and active power to this computer."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from aerogel.cli.command import OK, Command, show
from aerogel.cli.measured import above_zero
from aerogel.core.errors import InputError, require
from aerogel.energy.calibrate import Phase, by_meter, by_reading, calibrate, calibrate_from
from aerogel.energy.calibration import Calibration, calibration_file, forget_calibration, save_calibration
from aerogel.energy.host import this_host


def _options(parser: argparse.ArgumentParser) -> None:
    about = "how long it takes in all: idle, then some and all threads busy (default: 60)"
    parser.add_argument("--seconds", type=above_zero, default=60.0, metavar="S", help=about)
    how = parser.add_mutually_exclusive_group()
    about = "ask for what a meter at the wall shows, while each load runs"
    how.add_argument("--wall", action="store_true", help=about)
    about = "read the log of a wall meter, which goes on being written meanwhile"
    how.add_argument("--wall-log", type=Path, metavar="FILE.csv", help=about)
    about = "what a wall meter shows idle; with --busy-watts, and no load is run"
    how.add_argument("--idle-watts", type=above_zero, metavar="W", help=about)
    about = "forget the calibration of this computer"
    how.add_argument("--forget", action="store_true", help=about)
    about = "what it shows with all threads busy"
    parser.add_argument("--busy-watts", type=above_zero, metavar="W", help=about)
    about = "what it shows with half of the threads busy: narrows the bounds"
    parser.add_argument("--half-watts", type=above_zero, metavar="W", help=about)


def _run(args: argparse.Namespace) -> int:
    told = "--idle-watts, --busy-watts and --half-watts belong together: give the first two at least"
    read = [args.idle_watts is not None, args.busy_watts is not None]
    require(all(read) or not any([*read, args.half_watts is not None]), InputError, told)
    if args.forget:
        gone = forget_calibration(this_host())
        show(args, {"forgotten": gone}, "forgotten" if gone else "there was no calibration of this computer")
        return OK
    calibration = _calibration(args)
    path = save_calibration(calibration)
    document = {**asdict(calibration), "about": calibration.about, "file": str(path)}
    show(args, document, "\n".join(_lines(calibration)))
    return OK


def _calibration(args: argparse.Namespace) -> Calibration:
    if args.idle_watts is not None:
        return calibrate_from(
            idle_watts=args.idle_watts, busy_watts=args.busy_watts, half_watts=args.half_watts
        )
    if args.wall:
        return calibrate(by_reading(_ask), seconds=args.seconds)
    return calibrate(by_meter(wall_log=args.wall_log), seconds=args.seconds)


def _ask(phase: Phase) -> float:
    """The watts that somebody types; what is no power is asked for again. InputError where nobody answers."""
    busy = "1 thread is busy" if phase.busy == 1 else f"{phase.busy} threads are busy"
    what = "idle" if phase.busy == 0 else busy
    while True:
        print(f"{what}: what does the wall meter show, in watts? ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        require(
            line, InputError, "nobody types what the wall meter shows: give --idle-watts and --busy-watts"
        )
        try:
            return above_zero(line.strip().removesuffix("W").strip().replace(",", "."))
        except argparse.ArgumentTypeError:
            print(f"{line.strip()!r} is no power: type watts, such as 21.5", file=sys.stderr)


def _lines(calibration: Calibration) -> list[str]:
    lines = [f"{calibration.machine}: {calibration.covers}, by {calibration.source}"]
    lines += [f"  {point.load:4.0%} of the threads busy  {point.watts:.4g} W" for point in calibration.points]
    return [
        *lines,
        f"kept in {calibration_file()}: where there is no meter, energy is now estimated with it",
        f"bounds: {calibration.about}",
    ]


COMMAND = Command(
    about="Fit idle and active power to this computer in a minute, from any meter or from readings that you "
    "type: where nothing measures energy later, estimates rest on it, with bounds half as wide.",
    example="aerogel measure calibrate                # by a meter that aerogel may read\n"
    "  aerogel measure calibrate --wall         # type what a wall meter shows\n"
    "  aerogel measure calibrate --idle-watts 21.5 --half-watts 55 --busy-watts 84",
    options=_options,
    run=_run,
)
