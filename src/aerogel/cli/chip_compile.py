"""``aerogel chip compile``: from index notation to configuration words and pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from aerogel.chip.configure.layout import table
from aerogel.chip.entry import numbered
from aerogel.chip.graph.build import Plan
from aerogel.chip.graph.dot import dot
from aerogel.chip.graph.printer import text as printed
from aerogel.chip.graph.svg import svg
from aerogel.cli.chip_compiled import add_compiling, compiled, facts
from aerogel.cli.command import OK, Command, show
from aerogel.core.errors import InputError, require
from aerogel.core.files import write_file

_GRAPHS = (".svg", ".dot", ".txt")


def _options(parser: argparse.ArgumentParser) -> None:
    add_compiling(parser)
    about = "write the configuration: 32-bit words, lowest byte first"
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.bin", help=about)
    about = "draw the placed and routed fabric"
    parser.add_argument("--draw", type=Path, metavar="FILE.svg", help=about)
    about = f"write the dataflow graph, by its name: {', '.join(_GRAPHS)}"
    parser.add_argument("--graph", type=Path, metavar="FILE", help=about)
    parser.add_argument("--layout", action="store_true", help="show which bits say what, opcode by opcode")


def _run(args: argparse.Namespace) -> int:
    if args.graph is not None:
        named = args.graph.suffix in _GRAPHS
        require(named, InputError, f"{args.graph}: the name tells what to write: {', '.join(_GRAPHS)}")
    chip = compiled(args)
    lines = [chip.explain()]
    if args.output is not None:
        write_file(args.output, np.asarray(chip.configuration(), "<u4").tobytes())
    written = [] if args.output is None else [args.output]
    if args.draw is not None:
        written += chip.draw(args.draw)
    if args.graph is not None:
        paths = numbered(args.graph, len(chip.parts))
        for path, part in zip(paths, chip.parts, strict=True):
            write_file(path, _graph(part.translated.plan, path.suffix).encode())
        written += paths
    lines += [f"wrote {path}" for path in written]
    if args.layout:
        lines += ["", table()]
    files = [str(path) for path in written]
    show(args, {"assignment": args.text, **facts(chip), "written": files}, "\n".join(lines))
    return OK


def _graph(plan: Plan, suffix: str) -> str:
    return {".svg": svg, ".dot": dot, ".txt": printed}[suffix](plan.graph)


COMMAND = Command(
    about="Compile an assignment in index notation for a sparse accelerator: its dataflow graph, placed and\n"
    "routed on a fabric, as configuration words.",
    example='aerogel chip compile "y(i) = A(i,j) * x(j)" A=a.mtx x=x.npy --draw fabric.svg -o words.bin',
    options=_options,
    run=_run,
    usage='"y(i) = A(i,j) * x(j)" A=a.mtx x=x.npy [-o words.bin] [--draw fabric.svg] [options]',
)
