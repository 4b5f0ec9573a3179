"""``aerogel evaluate``: an assignment in index notation on tensors in files."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from aerogel.cli.command import OK, Command, add_threads, show
from aerogel.cli.operands import (
    add_assignment,
    add_output,
    check_output,
    described,
    operands,
    result_line,
    write_result,
)
from aerogel.einsum.semiring import SEMIRINGS
from aerogel.tensor.entry import evaluate, explain


def _options(parser: argparse.ArgumentParser) -> None:
    add_assignment(parser)
    add_output(parser)
    about = f"what + and * mean: {', '.join(SEMIRINGS)} (default: plus_times)"
    parser.add_argument("--semiring", default="plus_times", metavar="S", help=about)
    parser.add_argument(
        "--out-format", metavar="F", help="store the result so (default: as the loops make it)"
    )
    parser.add_argument("--explain", action="store_true", help="show the loops and formats that were chosen")
    add_threads(parser)


@dataclass(frozen=True, slots=True)
class _Done:
    """A result, and how long it took: with its kernel to be made, and once that was there."""

    result: Any
    first_s: float
    run_s: float


def _run(args: argparse.Namespace) -> int:
    check_output(args.output)
    given = operands(args)
    options = {"semiring": args.semiring, "out_format": args.out_format}
    loops = explain(args.text, **options, **given) if args.explain else None
    done = _computed(args.text, {**options, "threads": args.threads}, given)
    if args.output is not None:
        write_result(args.output, done.result)
    found = described(done.result)
    document = {
        "assignment": args.text,
        "result": found,
        "compile_s": max(0.0, done.first_s - done.run_s),
        "run_s": done.run_s,
        "explained": loops,
        "written": None if args.output is None else str(args.output),
    }
    lines = [loops] if loops else []
    lines += _lines(found, document)
    show(args, document, "\n".join(lines))
    return OK


def _computed(text: str, options: dict[str, Any], operands: dict[str, Any]) -> _Done:
    """Twice: the first call makes the kernel and brings the operands into its formats."""
    seconds: list[float] = []
    result: Any = None
    for _ in range(2):
        began = perf_counter()
        result = evaluate(text, **options, **operands)
        seconds.append(perf_counter() - began)
    return _Done(result, *seconds)


# --- the result -----------------------------------------------------------------------------------


def _lines(found: dict[str, Any], document: dict[str, Any]) -> list[str]:
    lines = [result_line(found)]
    lines.append(f"compile  {document['compile_s']:.4f} s, with what was converted")
    lines.append(f"run      {document['run_s']:.6f} s")
    if document["written"] is not None:
        lines.append(f"wrote    {document['written']}")
    return lines


COMMAND = Command(
    about="Compute an assignment in index notation on tensors in files, sparse or dense: compiled for their\n"
    "formats, then run. Prints the result's shape, format and times, and writes it with -o.",
    example='aerogel evaluate "y(i) = A(i,j) * x(j)" A=a.mtx x=x.npy -o y.npy\n'
    '  aerogel evaluate "d(i) = G(j,i) * s(j)" G=graph.mtx s=d.npy --semiring min_plus --explain',
    options=_options,
    run=_run,
    usage='"y(i) = A(i,j) * x(j)" A=a.mtx x=x.npy [-o y.npy] [options]',
)
