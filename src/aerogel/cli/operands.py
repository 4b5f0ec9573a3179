"""What commands on index notation share: operands from files, formats, and the result to a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.cli.command import Options
from aerogel.core.errors import InputError, require
from aerogel.core.files import replace_file
from aerogel.tensor.files import read, write
from aerogel.tensor.make import tensor
from aerogel.tensor.tensor import Tensor

WRITTEN = (".npy", ".npz", ".mtx", ".mtx.gz", ".tns", ".tns.gz")
_SPREAD = 1 << 28
"""Elements that a sparse result may have to be written as a .npy, which holds every one."""


def add_assignment(parser: Options) -> None:
    """``ASSIGNMENT [NAME=FILE ...] [--format NAME=F ...]``."""
    about = 'what to compute, such as "y(i) = A(i,j) * x(j) + b(i)"'
    parser.add_argument("text", metavar="ASSIGNMENT", help=about)
    about = "an operand: a file .mtx, .tns (both also .gz), .npz or .npy, or a number"
    parser.add_argument("operands", nargs="*", metavar="NAME=FILE", type=_operand, help=about)
    about = "store an operand as csr, csc, coo, dcsr, csf, dense, bsr:4x4, or levels: dense,compressed@1,0"
    parser.add_argument("--format", action="append", default=[], metavar="NAME=F", type=_operand, help=about)


def add_output(parser: Options) -> None:
    """``-o FILE``, for the result."""
    about = f"where to write the result, by its name: {', '.join(WRITTEN)}"
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help=about)


def _operand(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE, such as A=a.mtx")
    return name, value


def operands(args: argparse.Namespace) -> dict[str, Any]:
    """The operands of ``add_assignment``, read; InputError for what is named twice or not at all."""
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


def described(result: Any) -> dict[str, Any]:
    """A result's shape, type, format and, of a number, its value."""
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


def result_line(found: dict[str, Any]) -> str:
    """What ``described`` found, in a line."""
    shape = " x ".join(map(str, found["shape"])) or "a number"
    value = "" if found["value"] is None else f": {found['value']}"
    return f"result   {shape}, {found['dtype']}, {found['format']}, {found['stored']} stored{value}"


def check_output(path: Path | None) -> None:
    """What is wrong with ``-o``, said before anything takes time."""
    if path is None:
        return
    known = path.name.endswith(WRITTEN)
    require(known, InputError, f"{path}: the name tells what to write, and ends in {', '.join(WRITTEN)}")
    require(path.parent.is_dir(), InputError, f"{path} cannot be written: there is no folder {path.parent}")


def write_result(path: Path, result: Any) -> None:
    """The result to ``-o``."""
    if path.suffix != ".npy":
        write(path, result)
        return
    if isinstance(result, Tensor):
        large = f"{path}: a .npy holds all {result.size} elements, not the {result.nnz} stored: write a .npz"
        require(result.size <= _SPREAD, InputError, large)
    array: NDArray[Any] = np.asarray(result)
    replace_file(path, lambda file: np.save(file, array, allow_pickle=False))
