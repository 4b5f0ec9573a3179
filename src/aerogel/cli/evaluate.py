"""``aerogel evaluate``: an assignment in index notation on tensors in files."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.cli.command import OK, Command, add_threads, show
from aerogel.core.errors import InputError, require
from aerogel.core.files import replace_file
from aerogel.einsum.semiring import SEMIRINGS
from aerogel.tensor.entry import evaluate, explain
from aerogel.tensor.files import read, write
from aerogel.tensor.make import tensor
from aerogel.tensor.tensor import Tensor

_WRITTEN = (".npy", ".npz", ".mtx", ".mtx.gz", ".tns", ".tns.gz")
_SPREAD = 1 << 28
"""Elements that a sparse result may have to be written as a .npy, which holds every one."""


def _options(parser: argparse.ArgumentParser) -> None:
    about = 'what to compute, such as "y(i) = A(i,j) * x(j) + b(i)"'
    parser.add_argument("text", metavar="ASSIGNMENT", help=about)
    about = "an operand: a file .mtx, .tns (both also .gz), .npz or .npy, or a number"
    parser.add_argument("operands", nargs="*", metavar="NAME=FILE", type=_operand, help=about)
    about = f"where to write the result, by its name: {', '.join(_WRITTEN)}"
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help=about)
    about = f"what + and * mean: {', '.join(SEMIRINGS)} (default: plus_times)"
    parser.add_argument("--semiring", default="plus_times", metavar="S", help=about)
    about = "store an operand as csr, csc, coo, dcsr, csf, dense, bsr:4x4, or levels: dense,compressed@1,0"
    parser.add_argument("--format", action="append", default=[], metavar="NAME=F", type=_operand, help=about)
    parser.add_argument(
        "--out-format", metavar="F", help="store the result so (default: as the loops make it)"
    )
    parser.add_argument("--explain", action="store_true", help="show the loops and formats that were chosen")
    add_threads(parser)


def _operand(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE, such as A=a.mtx")
    return name, value


@dataclass(frozen=True, slots=True)
class _Done:
    """A result, and how long it took: with its kernel to be made, and once that was there."""

    result: Any
    first_s: float
    run_s: float


def _run(args: argparse.Namespace) -> int:
    _check_output(args.output)
    operands = _operands(args)
    options = {"semiring": args.semiring, "out_format": args.out_format}
    loops = explain(args.text, **options, **operands) if args.explain else None
    done = _computed(args.text, {**options, "threads": args.threads}, operands)
    if args.output is not None:
        _write(args.output, done.result)
    found = _described(done.result)
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


# --- operands -------------------------------------------------------------------------------------


def _operands(args: argparse.Namespace) -> dict[str, Any]:
    given: dict[str, str] = {}
    for name, value in args.operands:
        twice = f"operand {name} is given twice: {given.get(name)} and {value}"
        require(name not in given, InputError, twice)
        given[name] = value
    formats = dict(args.format)
    for name, form in formats.items():
        unknown = f"--format {name}={form}: there is no operand {name}: given are {', '.join(given)}"
        require(name in given, InputError, unknown)
    return {name: _loaded(name, value, formats.get(name)) for name, value in given.items()}


def _loaded(name: str, value: str, form: str | None) -> Any:
    number = _number(value)
    if number is not None:
        require(form is None, InputError, f"operand {name} is the number {value}: it has no format")
        return number
    held = read(value)
    return held if form is None else tensor(held, form)


def _number(text: str) -> float | int | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


# --- the result -----------------------------------------------------------------------------------


def _described(result: Any) -> dict[str, Any]:
    if isinstance(result, Tensor):
        form, stored = result.format.short, result.nnz
    else:
        form, stored = "dense", int(np.size(result))
    value = _plain(result) if np.ndim(result) == 0 else None
    return {
        "shape": list(np.shape(result)),
        "dtype": str(result.dtype),
        "format": form,
        "stored": stored,
        "value": value,
    }


def _plain(result: Any) -> float | int | bool | str:
    """A number as JSON has it: what is not finite as its name."""
    value = np.asarray(result).item()
    return value if np.isfinite(value) else str(value)


def _lines(found: dict[str, Any], document: dict[str, Any]) -> list[str]:
    shape = " x ".join(map(str, found["shape"])) or "a number"
    value = "" if found["value"] is None else f": {found['value']}"
    lines = [f"result   {shape}, {found['dtype']}, {found['format']}, {found['stored']} stored{value}"]
    lines.append(f"compile  {document['compile_s']:.4f} s, with what was converted")
    lines.append(f"run      {document['run_s']:.6f} s")
    if document["written"] is not None:
        lines.append(f"wrote    {document['written']}")
    return lines


def _check_output(path: Path | None) -> None:
    """What is wrong with ``-o``, said before anything takes time."""
    if path is None:
        return
    known = path.name.endswith(_WRITTEN)
    require(known, InputError, f"{path}: the name tells what to write, and ends in {', '.join(_WRITTEN)}")
    require(path.parent.is_dir(), InputError, f"{path} cannot be written: there is no folder {path.parent}")


def _write(path: Path, result: Any) -> None:
    if path.suffix != ".npy":
        write(path, result)
        return
    if isinstance(result, Tensor):
        large = f"{path}: a .npy holds all {result.size} elements, not the {result.nnz} stored: write a .npz"
        require(result.size <= _SPREAD, InputError, large)
    array: NDArray[Any] = np.asarray(result)
    replace_file(path, lambda file: np.save(file, array, allow_pickle=False))


COMMAND = Command(
    about="Compute an assignment in index notation on tensors in files, sparse or dense: compiled for their\n"
    "formats, then run. Prints the result's shape, format and times, and writes it with -o.",
    example='aerogel evaluate "y(i) = A(i,j) * x(j)" A=a.mtx x=x.npy -o y.npy\n'
    '  aerogel evaluate "d(i) = G(j,i) * s(j)" G=graph.mtx s=d.npy --semiring min_plus --explain',
    options=_options,
    run=_run,
    usage='"y(i) = A(i,j) * x(j)" A=a.mtx x=x.npy [-o y.npy] [options]',
)
