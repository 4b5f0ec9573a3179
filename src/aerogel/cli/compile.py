"""``aerogel compile``: a model becomes a native program, and a file; shows what each layer became."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from aerogel.cli.command import OK, Command, add_model, add_pruning, add_threads, note, show
from aerogel.cli.pruned import ARTEFACT, Ready, load_program
from aerogel.cli.stages import stages
from aerogel.core.errors import InputError, require
from aerogel.model.text_files import read_texts
from aerogel.tune.energy_fit import machine_roofline, require_meter


def _options(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    about = "write the program to a file that runs without torch on any CPU: graph, weights, tokenizer"
    parser.add_argument("-o", "--output", type=Path, metavar="MODEL.aero", help=about)
    about = "embedding tables in the file as 8-bit integers with a scale per row (default), or exactly"
    parser.add_argument("--embeddings", choices=("int8", "fp32"), help=about)
    about = "compute linear layers in float32 (default), or in 8-bit integers: faster, a quarter of the size"
    parser.add_argument("--precision", choices=("fp32", "int8"), default="fp32", help=about)
    about = (
        "with --precision int8: texts like those to come, .txt, .jsonl, .csv or .tsv, a few hundred; layers "
        "that feed such layers alone then have one range for all tokens, which is faster and rounds more"
    )
    parser.add_argument("--calibrate", type=Path, metavar="TEXTS", help=about)
    about = (
        "also the joules of every step, where energy is metered here; the first time that takes half a "
        "minute more, in which nothing else should run"
    )
    parser.add_argument("--energy", action="store_true", help=about)
    add_pruning(parser)
    add_threads(parser)


def _run(args: argparse.Namespace) -> int:
    _check_output(args)
    if args.energy:
        note("energy is metered by " + require_meter().source)
    ready = load_program(args, args.precision, _calibration(args))
    written = _write(args, ready)
    if args.energy:
        _fit_energy(ready)
    explained = ready.program.explain(energy=args.energy)
    document = {
        "model": ready.name,
        "pruned": ready.report and ready.report.to_json(),
        "provenance": ready.program.provenance,
        "program": explained.to_json(),
        "written": written,
    }
    lines = [str(explained), *_origin(ready)]
    if written is not None:
        lines.append(
            f"wrote {args.output}: {written['bytes'] / 1e6:.1f} MB, {written['share']:.2f} of the dense "
            f"checkpoint's {ready.dense_bytes / 1e6:.1f} MB (embeddings {written['embeddings']})"
        )
    show(args, document, "\n".join(lines))
    return OK


def _fit_energy(ready: Ready) -> None:
    """The energy roofline that ``explain`` looks for: made now where there is none, with progress shown."""
    with stages() as told:
        machine_roofline(ready.program.built.target, ready.program.threads, tell=told.stage)


def _check_output(args: argparse.Namespace) -> None:
    """What is wrong with ``-o``, said before anything takes time."""
    path: Path | None = args.output
    if path is None:
        require(args.embeddings is None, InputError, f"--embeddings is for a file: add -o MODEL{ARTEFACT}")
        return
    require(path.suffix == ARTEFACT, InputError, f"{path} must end in {ARTEFACT}, so that it is known again")
    require(path.parent.is_dir(), InputError, f"{path} cannot be written: there is no folder {path.parent}")


def _calibration(args: argparse.Namespace) -> list[str] | None:
    path: Path | None = args.calibrate
    if path is None:
        return None
    told = f"{args.model!r} is compiled already: calibrate the model it was made from"
    require(not args.model.endswith(ARTEFACT), InputError, told)
    told = f"--calibrate {path} is for programs of 8-bit integers: add --precision int8"
    require(args.precision == "int8", InputError, told)
    return read_texts(path)


def _write(args: argparse.Namespace, ready: Ready) -> dict[str, Any] | None:
    if args.output is None:
        return None
    embeddings = args.embeddings or "int8"
    ready.program.save(args.output, embeddings=embeddings)
    size = args.output.stat().st_size
    return {
        "path": str(args.output),
        "bytes": size,
        "dense_bytes": ready.dense_bytes,
        "share": size / max(1, ready.dense_bytes),
        "embeddings": embeddings,
    }


def _origin(ready: Ready) -> list[str]:
    """Where the program came from, if that is recorded."""
    recorded = ready.program.provenance
    parts = [f"{key}: {value}" for key, value in recorded.items() if isinstance(value, str | int | float)]
    return ["; ".join(parts)] if parts else []


COMMAND = Command(
    about="Compile a model to one native program for this CPU, and show each layer: zeros, kernel,\n"
    "operations, bytes, time; with --energy its joules. With -o, write it to a file that `aerogel run`\n"
    "and `aerogel.load` run without torch.",
    example="aerogel compile ./all-MiniLM-L6-v2 --precision int8 -o minilm.aero\n"
    "  aerogel compile ./all-MiniLM-L6-v2 --precision int8 --calibrate texts.txt -o minilm.aero\n"
    "  aerogel compile minilm.aero --energy",
    options=_options,
    run=_run,
)
