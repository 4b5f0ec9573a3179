"""``aerogel chip simulate``: an expression on the emulated chip, in full, cycle by cycle."""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from aerogel.chip.energy.model import load_model
from aerogel.chip.run import ChipRun
from aerogel.cli.chip_compiled import add_compiling, compiled, facts
from aerogel.cli.command import FAILED, OK, Command, show
from aerogel.cli.operands import add_output, check_output, described, operands, result_line, write_result
from aerogel.cli.stages import stages
from aerogel.core.errors import InputError, require
from aerogel.core.files import write_file
from aerogel.tensor.entry import evaluate

_TRACED = 10_000
"""Cycles that a trace has at the most, unless it is said how many."""
_COMPARED = 1 << 27
"""Elements of a result, stored or not, that are compared with this CPU's."""


def _options(parser: argparse.ArgumentParser) -> None:
    add_compiling(parser)
    add_output(parser)
    about = "a file with energies of your own, or a fabric's file with [energy] in it"
    parser.add_argument("--energy", type=Path, metavar="TABLE.toml", help=about)
    parser.add_argument("--cells", action="store_true", help="show what each cell did, and the bottleneck")
    parser.add_argument("--check", action="store_true", help="compute it on this CPU too, and compare")
    about = f"write the tokens of the first run as a trace (its first {_TRACED} cycles)"
    parser.add_argument("--vcd", type=Path, metavar="FILE.vcd", help=about)
    about = "of which cycles, such as 0:500"
    parser.add_argument("--cycles", type=_span, metavar="A:B", help=about)


def _span(text: str) -> tuple[int, int]:
    first, colon, last = text.partition(":")
    if not (colon and first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise argparse.ArgumentTypeError(f"{text!r} are no cycles from A to before B, such as 0:500")
    return int(first), int(last)


def _run(args: argparse.Namespace) -> int:
    check_output(args.output)
    _check_files(args)
    require(
        args.cycles is None or args.vcd, InputError, "--cycles is of a trace: give --vcd FILE.vcd as well"
    )
    with stages() as told:
        told.stage("compiling for the fabric")
        chip = compiled(args)

        def progress(done: int, total: int) -> None:
            told.stage(f"simulating: {done} of {total} pieces", done / total if total else None)

        began = perf_counter()
        trace = (args.cycles or (0, _TRACED)) if args.vcd else None
        run = chip.simulate(progress, trace=trace)
        took = perf_counter() - began
        wrong = _difference(args, run) if args.check else None
    if args.output is not None:
        write_result(args.output, run.output)
    if args.vcd is not None:
        write_file(args.vcd, run.trace().encode())
    document = {"assignment": args.text, **facts(chip), **_document(args, run, took), "difference": wrong}
    show(args, document, "\n".join(_lines(args, run, document)))
    return OK if wrong is None or wrong <= _tolerance(run) else FAILED


def _check_files(args: argparse.Namespace) -> None:
    """What is wrong with the other files, said before anything takes time."""
    load_model(args.energy)
    if args.vcd is not None:
        folder = args.vcd.parent
        require(folder.is_dir(), InputError, f"{args.vcd} cannot be written: there is no folder {folder}")


def _document(args: argparse.Namespace, run: ChipRun, took: float) -> dict[str, Any]:
    return {
        "result": described(run.output),
        "cycles": run.cycles,
        "seconds": run.seconds,
        "array_cycles": run.array_cycles,
        "transfer_cycles": run.transfer_cycles,
        "pieces_run": run.work.run,
        "pieces_skipped": run.work.skipped,
        "runs": run.work.batches,
        "earlier_cycles": [one.cycles for one in run.earlier],
        "host_additions": run.host_additions,
        "energy": run.energy(args.energy).to_json(),
        "simulated_in_s": took,
        "written": None if args.output is None else str(args.output),
    }


def _lines(args: argparse.Namespace, run: ChipRun, document: dict[str, Any]) -> list[str]:
    energy = run.energy(args.energy)
    lines = [result_line(document["result"]), run.text()]
    lines.append(f"{energy.joules:.3e} J ({energy.low:.3e} to {energy.high:.3e}): {energy.boundary}")
    lines.append(f"simulated in {document['simulated_in_s']:.2f} s")
    if document["difference"] is not None:
        lines.append(
            f"differs from this CPU's result by {document['difference']:.2g} of its largest value; "
            f"{run.fabric.values} allows {_tolerance(run):.2g}"
        )
    if args.cells:
        lines += ["", run.utilisation(), "", str(energy)]
    lines += [f"wrote {path}" for path in (args.output, args.vcd) if path is not None]
    return lines


def _difference(args: argparse.Namespace, run: ChipRun) -> float:
    """The largest error over the largest value of the result."""
    large = f"the result has {np.size(run.output)} elements, stored or not: too many to compare one by one"
    require(np.size(run.output) <= _COMPARED, InputError, large)
    wanted = np.asarray(evaluate(args.text, semiring=args.semiring, **operands(args)), np.float64)
    found = np.asarray(run.output, np.float64)
    finite = np.isfinite(wanted)
    if not np.array_equal(wanted[~finite], found[~finite], equal_nan=True):
        return float("inf")
    scale = float(np.abs(wanted[finite]).max(initial=0.0)) or 1.0
    return float(np.abs(wanted[finite] - found[finite]).max(initial=0.0)) / scale


def _tolerance(run: ChipRun) -> float:
    """What rounding after every operation may come to, for sums of a few hundred terms."""
    return {"bf16": 0.1, "int16": 0.0, "f32": 1e-4, "f64": 1e-10}[run.fabric.values]


COMMAND = Command(
    about="Run an assignment in index notation on an emulated sparse accelerator, in full, cycle by cycle:\n"
    "what its configuration words say. Prints the result's shape, cycles, time and energy.",
    example='aerogel chip simulate "y(i) = A(i,j) * x(j)" A=a.mtx x=x.npy -o y.npy --cells',
    options=_options,
    run=_run,
    usage='"y(i) = A(i,j) * x(j)" A=a.mtx x=x.npy [-o y.npy] [--cells] [options]',
)
