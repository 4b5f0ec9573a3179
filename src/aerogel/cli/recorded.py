"""``--ledger``: what a command used, put on record; only where that option or AEROGEL_LEDGER asks for it."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast, get_args

from aerogel.carbon.ledger import Ledger
from aerogel.carbon.places import place_named
from aerogel.carbon.run import Kind, Role, Run, Scope, utc
from aerogel.cli.command import Options, note
from aerogel.core.errors import InputError, require
from aerogel.energy import Reading, meter


def add_ledger(parser: argparse.ArgumentParser, role: Role | None = None) -> None:
    """``--ledger`` and what a record needs; ``role``: of runs of this command in a pair, unless ``--role`` is
    given."""
    about = "energy on record for aerogel carbon report; only if --ledger or AEROGEL_LEDGER is given"
    group = parser.add_argument_group("the ledger", about)
    add_ledger_path(group)
    about = "where this computer is: a country as FRA, or a region as aws/eu-west-1 (default: AEROGEL_PLACE)"
    group.add_argument("--place", metavar="PLACE", help=about)
    about = "2: own hardware, 3.1: computing that was bought (default: by the place, 3.1 in a cloud)"
    group.add_argument("--scope", choices=get_args(Scope), help=about)
    about = "the name of a before and after, for projected savings, as minilm"
    group.add_argument("--pair", metavar="NAME", help=about)
    default = "" if role is None else f" (default: {role})"
    about = f"in that pair: the model before, the one after, or what it took to get there{default}"
    group.add_argument("--role", choices=get_args(Role), help=about)
    parser.set_defaults(default_role=role)


def add_ledger_path(parser: Options) -> None:
    """``--ledger FILE``."""
    about = "the ledger's file (default: AEROGEL_LEDGER)"
    parser.add_argument("--ledger", type=Path, metavar="FILE", help=about)


@dataclass
class Record:
    """What a command says about itself while it runs; with no ledger asked for, nothing comes of it."""

    more: dict[str, Any]
    parts: list[tuple[Kind, str, Reading]] = field(default_factory=list[tuple[Kind, str, Reading]])

    def part(self, kind: Kind, label: str, reading: Reading) -> None:
        """A part of the block that was metered by itself. Where there are any, these are put on record in
        place of the whole, which they must make up together."""
        self.parts.append((kind, label, reading))

    def did(self, units: float, unit: str) -> None:
        """``units`` functional units: inferences, tokens, images."""
        self.more |= {"units": units, "unit": unit}

    def computed(self, flops_gross: int, flops_effective: int) -> None:
        """Operations: of the dense network, and without those on zero weights."""
        self.more |= {"flops_gross": flops_gross, "flops_effective": flops_effective}


def recording(args: argparse.Namespace) -> bool:
    """Whether a ledger was asked for."""
    return args.ledger is not None or bool(os.environ.get("AEROGEL_LEDGER"))


@contextlib.contextmanager
def recorded(args: argparse.Namespace, kind: Kind, label: str, **more: Any) -> Generator[Record]:
    """Meter the block and add it to the ledger that ``args`` name, if any; also where the block fails, for
    what failed used energy as well. ``more``: further fields of the run.

    InputError or FormatError before the block where the ledger cannot be used."""
    record = Record(more)
    if not recording(args):
        yield record
        return
    scope, place = _where(args)
    pair = _pair(args)
    ledger = _usable(args)
    metered = meter()
    try:
        with metered:
            yield record
    finally:
        fields = pair | record.more
        parts = record.parts or [(kind, label, metered.reading)]
        began = datetime.now(UTC) - timedelta(seconds=metered.reading.seconds)
        runs: list[Run] = []
        for of, name, reading in parts:
            where: dict[str, Any] = {"scope": scope, "place": place, "began": utc(began)}
            runs.append(Run.from_reading(reading, kind=of, label=name, **where, **fields))
            began += timedelta(seconds=reading.seconds)
        _keep(ledger, runs)


def require_recordable(args: argparse.Namespace) -> None:
    """InputError or FormatError, before hours of work, where a ledger that was asked for cannot be used."""
    if recording(args):
        _where(args)
        _pair(args)
        _usable(args)


def record_readings(
    args: argparse.Namespace, readings: Sequence[Reading], kind: Kind, label: str, **more: Any
) -> None:
    """Add what was metered already, if a ledger was asked for: ``readings`` one after the other until now."""
    if not recording(args):
        return
    scope, place = _where(args)
    fields = _pair(args) | more
    moment = datetime.now(UTC)
    runs: list[Run] = []
    for reading in reversed(readings):
        moment -= timedelta(seconds=reading.seconds)
        began = utc(moment)
        runs.append(
            Run.from_reading(reading, kind=kind, label=label, scope=scope, place=place, began=began, **fields)
        )
    _keep(Ledger(args.ledger), runs[::-1])


def _usable(args: argparse.Namespace) -> Ledger:
    """The ledger of ``args``; an error where it cannot be added to."""
    ledger = Ledger(args.ledger)
    ledger.add(())
    return ledger


def _keep(ledger: Ledger, runs: list[Run]) -> None:
    """Add ``runs``, and say so."""
    ledger.add(runs)
    nowhere = (
        "" if all(run.place for run in runs) else "; no place is known, which a report needs: give --place"
    )
    what = "run" if len(runs) == 1 else f"{len(runs)} runs"
    note(f"{what} recorded in {ledger.path}{nowhere}")


def _where(args: argparse.Namespace) -> tuple[Scope, str | None]:
    said = args.place or os.environ.get("AEROGEL_PLACE")
    place = None if said is None else place_named(said)
    default: Scope = "3.1" if place is not None and "/" in place else "2"
    return cast("Scope | None", args.scope) or default, place


def _pair(args: argparse.Namespace) -> dict[str, Any]:
    said = "--role says what a run is in a pair: give its name with --pair"
    require(args.pair is not None or args.role is None, InputError, said)
    if args.pair is None:
        return {}
    role: Role | None = args.role or args.default_role
    require(role is not None, InputError, "--pair needs --role: dense, sparse or cost")
    return {"pair": args.pair, "role": role}
