"""``aerogel run``: a model on arrays or on text."""

from __future__ import annotations

import argparse
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.cli.command import OK, Command, add_model, add_pruning, add_threads, show
from aerogel.cli.pruned import Ready, load_program
from aerogel.cli.recorded import add_ledger, recorded
from aerogel.core.errors import InputError, require
from aerogel.core.files import replace_file

Arrays = Mapping[str, NDArray[Any]]


def _options(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--input", type=Path, metavar="X.npz", help="inputs by name, as numpy.savez writes them"
    )
    given.add_argument("--text", action="append", metavar="TEXT", help="a text; more than once makes a batch")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="Y.npz", help="where to write the outputs, by name"
    )
    add_pruning(parser)
    add_threads(parser)
    add_ledger(parser)


def _run(args: argparse.Namespace) -> int:
    given = None if args.input is None else _read(args.input)
    # The energy of loading is part of what the command took.
    with recorded(args, "inference", f"run {Path(args.model).name}", model=Path(args.model).name) as record:
        ready = load_program(args)
        program = ready.program
        inputs = _tokenized(args, ready) if given is None else given
        _check_names(args, inputs, [i.name for i in program.built.graph.inputs])
        outputs: Arrays = program.run(program.batch(**inputs), program.threads)
        record.did(_batch(inputs), "inference")
        work = program.work(**inputs)
        record.computed(work.flops_gross, work.flops_effective)
    if args.output is not None:
        _write(args.output, outputs)
    facts = {name: {"shape": list(v.shape), "dtype": str(v.dtype)} for name, v in outputs.items()}
    written = None if args.output is None else str(args.output)
    text = "\n".join(_described(name, value) for name, value in outputs.items())
    show(args, {"model": ready.name, "outputs": facts, "written": written}, text)
    return OK


def _batch(inputs: Arrays) -> int:
    """How many inputs the arrays hold: the size of their first dimension."""
    return max((len(array) for array in inputs.values() if array.ndim), default=1)


def _tokenized(args: argparse.Namespace, ready: Ready) -> Arrays:
    lacking = f"{ready.name} has no tokenizer, so it takes no text: give arrays with --input"
    require(ready.program.texts is not None, InputError, lacking)
    return ready.program.tokenize(args.text)


def _read(path: Path) -> Arrays:
    try:
        # Never pickled: an input file must not be able to run anything.
        with path.open("rb") as file:
            loaded: Any = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.lib.npyio.NpzFile):
                return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be read as a .npz file: {error}") from error
    raise InputError(f"{path} holds one array without a name: write it with numpy.savez")


def _check_names(args: argparse.Namespace, inputs: Arrays, known: Sequence[str]) -> None:
    """An array of a .npz may have any name, even one that means something else in a Python call."""
    for name in inputs:
        wrong = f"{args.input}: the model has no input {name!r}: it takes {', '.join(known)}"
        require(name in known, InputError, wrong)


def _write(path: Path, outputs: Arrays) -> None:
    replace_file(path, lambda file: np.savez(file, **outputs))  # pyright: ignore[reportArgumentType]


def _described(name: str, value: NDArray[Any]) -> str:
    with np.printoptions(precision=4, threshold=12, edgeitems=3, suppress=True):
        return f"{name}  {value.dtype} {' x '.join(map(str, value.shape))}\n{value}"


COMMAND = Command(
    about="Run a model on arrays or on text; prints the outputs in short, and writes them with -o.",
    example='aerogel run ./all-MiniLM-L6-v2 --text "how do I sort a list?" -o vectors.npz\n'
    '  aerogel run minilm.aero --text "how do I sort a list?"',
    options=_options,
    run=_run,
)
