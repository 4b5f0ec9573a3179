"""``aerogel chip sweep``: the same work on many fabrics."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from aerogel.chip.fabric.read import load
from aerogel.chip.sweep.outcome import Outcome, front
from aerogel.chip.sweep.run import Work, sweep
from aerogel.chip.sweep.variations import Variation, points
from aerogel.cli.command import FAILED, OK, Command, note, positive, show
from aerogel.cli.operands import add_assignment, operands
from aerogel.report.chip_sweep import sweep_report
from aerogel.report.page import require_target, write


def _options(parser: argparse.ArgumentParser) -> None:
    add_assignment(parser)
    about = "a field of the fabric and its values: tracks=3,5 or dram.bytes_per_second=1e10,5e10; repeatable"
    parser.add_argument("--vary", action="append", default=[], metavar="FIELD=A,B", help=about)
    about = "another assignment on the same operands, done as well at every point; repeatable"
    parser.add_argument("--also", action="append", default=[], metavar="ASSIGNMENT", help=about)
    about = "what is varied: onyx-like, onyx-small, onyx-large, or a file of your own (default: onyx-like)"
    parser.add_argument("--fabric", default="onyx-like", metavar="F", help=about)
    about = "a file with energies of your own"
    parser.add_argument("--energy", type=Path, metavar="TABLE.toml", help=about)
    about = "keep every point in this file as it is done; a sweep that was stopped goes on from there"
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.jsonl", help=about)
    parser.add_argument("--html", type=Path, metavar="FILE.html", help="write a page with the Pareto plot")
    about = "processes at a time (default: one for each core)"
    parser.add_argument("--processes", type=positive, metavar="N", help=about)


def _run(args: argparse.Namespace) -> int:
    if args.html is not None:
        require_target(args.html)
    base = load(args.fabric)
    wanted = points(base, [Variation.parse(text) for text in args.vary])
    texts = [args.text, *args.also]
    work = Work.of(texts, operands(args), args.energy)

    def tell(done: int, count: int, last: str) -> None:
        if last:
            note(f"[{done}/{count}] {last}")

    found = sweep(work, base, wanted, record=args.output, processes=args.processes, progress=tell)
    if args.html is not None:
        write(sweep_report(texts, base.name, found), args.html)
    show(args, _document(texts, base.name, found), _text(found))
    return OK if any(one.measures is not None for one in found) else FAILED


def _document(texts: list[str], base: str, found: tuple[Outcome, ...]) -> dict[str, Any]:
    return {
        "work": texts,
        "base": base,
        "points": [one.to_json() for one in found],
        "front": [one.point for one in front(found)],
    }


def _text(found: tuple[Outcome, ...]) -> str:
    best = {one.point for one in front(found)}
    wide = max(len(one.point) for one in found)
    lines = [f"{'fabric':<{wide}}  {'time us':>9}  {'energy uJ':>9}  {'between':>17}  {'mm2':>6}"]
    able = [one for one in found if one.measures is not None]
    for one in sorted(able, key=lambda one: one.measures or ()):
        assert one.seconds is not None and one.joules is not None
        assert one.low is not None and one.high is not None
        between = f"{one.low * 1e6:.3g} to {one.high * 1e6:.3g}"
        mark = "  nothing beats it" if one.point in best else ""
        lines.append(
            f"{one.point:<{wide}}  {one.seconds * 1e6:9.4g}  {one.joules * 1e6:9.4g}  {between:>17}  "
            f"{one.mm2:6.2f}{mark}"
        )
    lines += [f"{one.point:<{wide}}  {one.obstacle}" for one in found if one.measures is None]
    return "\n".join([*lines, *sorted({f"energy: {one.boundary}" for one in able})])


COMMAND = Command(
    about="The same work on many fabrics: each is compiled, placed, routed and simulated, one process for\n"
    "each core. Shown are time, energy and area of each, and which nothing else beats in all three.",
    example='aerogel chip sweep "X(i,j) = A(i,k) * B(k,j)" A=west0479.mtx B=west0479.mtx \\\n'
    "      --vary memory_words=1024,2048 --vary links=8,16 -o sweep.jsonl --html sweep.html",
    options=_options,
    run=_run,
)
