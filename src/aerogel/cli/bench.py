"""``aerogel bench``: time an encoder on several runtimes, and with zeros."""

from __future__ import annotations

import argparse
from pathlib import Path

from aerogel.bench.encoder import RUNTIMES, SHAPES, EncoderBench, Variant, compare_encoder
from aerogel.cli.command import OK, Command, add_pattern, add_threads, fraction, show
from aerogel.cli.progress import bar
from aerogel.cli.reported import add_report, require_reportable, write_report
from aerogel.cli.tables import table_text
from aerogel.core.errors import InputError
from aerogel.report.encoder import encoder_report


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a Hugging Face directory of an encoder")
    known, shapes = ",".join(RUNTIMES), ",".join(SHAPES)
    parser.add_argument("--against", default=known, metavar="A,B", help=f"runtimes, by default {known}")
    parser.add_argument(
        "--shapes", default=shapes, metavar="BxS,...", help=f"sequences x tokens, by default {shapes}"
    )
    about = "shares of zeros to prune to by magnitude, besides dense"
    parser.add_argument("--sparsity", type=_fractions, default=(), metavar="S,...", help=about)
    add_pattern(parser)
    add_threads(parser, default="each runtime's own")
    add_report(parser)


def _fractions(text: str) -> tuple[float, ...]:
    return tuple(fraction(part) for part in _parts(text))


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _folder(model: str) -> Path:
    file, _, _ = model.rpartition(":")
    if model.endswith(".aero"):
        raise InputError(
            f"{model!r} is compiled already, but bench needs the Hugging Face directory it came from, which "
            f"the other runtimes read. See the time of every layer with: aerogel compile {model}"
        )
    if model.endswith(".py") or file.endswith(".py"):
        raise InputError(
            f"{model!r} is a factory, but bench needs a Hugging Face directory: it gives every runtime the "
            f"same token ids. Give a directory, or see the time of every layer with: aerogel compile {model}"
        )
    return Path(model)


def _run(args: argparse.Namespace) -> int:
    require_reportable(args)
    pruned = (Variant(sparsity, args.pattern) for sparsity in args.sparsity)
    wanted = EncoderBench(
        _folder(args.model),
        against=_parts(args.against),
        variants=(Variant(), *pruned),
        shapes=_parts(args.shapes),
        threads=args.threads,
    )
    with bar("loading the first runtime") as tell:
        table = compare_encoder(wanted, progress=tell)
    show(args, table.to_json(), table_text(table))
    write_report(args, lambda: encoder_report(table, f"{wanted.model.resolve().name} on several runtimes"))
    return OK


COMMAND = Command(
    about="Time a model against other runtimes: each in its own process, in alternating blocks.",
    example="aerogel bench ./all-MiniLM-L6-v2 --against onnxruntime --shapes 1x128 --sparsity 0.8,0.9",
    options=_options,
    run=_run,
)
