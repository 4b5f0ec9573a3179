"""``aerogel bench``: time a model on several runtimes, and with zeros."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from aerogel.bench.cases import shape_case
from aerogel.bench.encoder import SHAPES, EncoderBench, Variant, compare_encoder, require_comparable
from aerogel.bench.energy import metered, table_energy
from aerogel.bench.energy_records import row_totals
from aerogel.bench.environments import ENVIRONMENTS, announcement, environment, prepare
from aerogel.bench.native_program import SUFFIX
from aerogel.bench.peers import PEERS, USUAL
from aerogel.bench.step_profile import profiles, profiles_text
from aerogel.bench.table import Table
from aerogel.bench.variant import Precision
from aerogel.cli.command import OK, Command, add_pattern, add_threads, fraction, note, positive, show
from aerogel.cli.progress import bar
from aerogel.cli.recorded import add_ledger, record_readings, recorded, require_recordable
from aerogel.cli.reported import add_report, require_reportable, write_report
from aerogel.cli.tables import table_text
from aerogel.core.errors import InputError, require
from aerogel.measure import Progress, Settings
from aerogel.model.text_files import read_texts
from aerogel.report.encoder import encoder_report

_Hears = Callable[[Progress], None]
_MOST_TEXTS = 256
_PRECISIONS: dict[str, Precision] = {"fp32": "fp32", "int8": "int8"}


def _options(parser: argparse.ArgumentParser) -> None:
    about = "a Hugging Face directory (its encoder is timed); or an .aero file or FILE.py:FUNCTION, as it is"
    parser.add_argument("model", metavar="MODEL", nargs="?", help=about)
    usual, shapes = ",".join(USUAL), ",".join(SHAPES)
    about = f"runtimes, by default {usual}; there are {', '.join(PEERS)}"
    parser.add_argument("--against", metavar="A,B", help=about)
    about = (
        "sequences x tokens (rows, for a model of features, are their product); by default those of "
        f"{shapes} that the model takes"
    )
    parser.add_argument("--shapes", metavar="BxS,...", help=about)
    about = "shares of zeros to prune to by magnitude, besides dense"
    parser.add_argument("--sparsity", type=_fractions, default=(), metavar="S,...", help=about)
    add_pattern(parser)
    about = "fp32, int8 or both: what our own rows compute linear layers in, by default fp32"
    parser.add_argument("--precision", type=_precisions, default=("fp32",), metavar="P,...", help=about)
    about = "what MODEL was before it was pruned: timed too, so that the gain of its zeros is seen by itself"
    parser.add_argument("--dense", type=Path, metavar="MODEL", help=about)
    about = "also meter every block, and say what the zeros save; without a meter, between what bounds"
    parser.add_argument("--energy", action="store_true", help=about)
    about = "also show where the time of our own rows goes at this shape, step by step"
    parser.add_argument("--profile", metavar="BxS", help=about)
    _add_care(parser)
    about = (
        "install a runtime that needs an environment of its own, into aerogel's cache, from the package index"
    )
    parser.add_argument("--prepare", choices=list(ENVIRONMENTS), metavar="RUNTIME", help=about)
    add_report(parser)
    add_ledger(parser, role="cost")


def _add_care(parser: argparse.ArgumentParser) -> None:
    """How it is judged and timed."""
    about = (
        f"judge every row by these texts, too, {_MOST_TEXTS} at most: .txt, .jsonl, .csv or .tsv, for a "
        "directory with a tokenizer"
    )
    parser.add_argument("--data", type=Path, metavar="FILE", help=about)
    usual = Settings().rounds
    about = f"blocks of each runtime, 6 or more: fewer are quicker, more are surer (default: {usual})"
    parser.add_argument("--rounds", type=positive, default=usual, metavar="N", help=about)
    add_threads(parser, default="each runtime's own")


def _fractions(text: str) -> tuple[float, ...]:
    return tuple(fraction(part) for part in _parts(text))


def _precisions(text: str) -> tuple[Precision, ...]:
    parts = _parts(text)
    if not parts or any(part not in _PRECISIONS for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not fp32, int8 or fp32,int8")
    return tuple(_PRECISIONS[part] for part in dict.fromkeys(parts))


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _against(args: argparse.Namespace) -> tuple[str, ...]:
    if args.against is not None:
        return _parts(args.against)
    # A file holds no torch module to compare with.
    return tuple(name for name in USUAL if name != "torch" or not args.model.endswith(SUFFIX))


def _variants(args: argparse.Namespace) -> tuple[Variant, ...]:
    zeros = (None, *args.sparsity)
    return tuple(
        Variant(share, "unstructured" if share is None else args.pattern, precision=precision)
        for share in zeros
        for precision in args.precision
    )


def _run(args: argparse.Namespace) -> int:
    if args.prepare is not None:
        return _prepare(args)
    require(args.model, InputError, "there is no model to time: give MODEL, as in aerogel bench ./my-model")
    require_reportable(args)
    if args.profile is not None:
        shape_case(args.profile)  # what is wrong with it is said before anything is timed
    wanted = EncoderBench(
        Path(args.model),
        against=_against(args),
        variants=_variants(args),
        shapes=None if args.shapes is None else _parts(args.shapes),
        threads=args.threads,
        dense=args.dense,
        profile=args.profile,
        energy=args.energy,
    )
    settings = Settings(rounds=args.rounds)
    if args.energy:
        settings = metered(settings)
    texts = () if args.data is None else read_texts(args.data, _MOST_TEXTS)
    require_comparable(wanted, texts)
    name = wanted.model.resolve().name
    table = _compared(args, name, lambda tell: compare_encoder(wanted, texts, settings, tell))
    steps = profiles(table, args.profile, _tell, energy=args.energy) if args.profile is not None else ()
    energy = table_energy(table) if args.energy else None
    text = "\n\n".join(
        [
            table_text(table),
            *(["\n".join(energy.lines())] if energy else []),
            *([profiles_text(steps)] if steps else []),
        ]
    )
    document = table.to_json() | ({"profiles": [profile.to_json() for profile in steps]} if steps else {})
    document |= {"energy": energy.to_json()} if energy else {}
    show(args, document, text)
    write_report(args, lambda: encoder_report(table, f"{name} on several runtimes"))
    return OK


def _compared(args: argparse.Namespace, name: str, compare: Callable[[_Hears], Table]) -> Table:
    """What ``compare`` finds. On record, if a ledger was asked for: all it took, or, of a pair, the metered
    blocks of the row without zeros and of the one with them."""
    if args.pair is None or not args.energy:
        with recorded(args, "usage", f"bench {name}", model=name), bar("loading the first runtime") as tell:
            return compare(tell)
    one = len(args.sparsity) + (args.dense is not None) == 1 and len(args.precision) == 1
    require(one, InputError, "a pair is a model without zeros and one with: give one --sparsity, or --dense")
    require_recordable(args)
    with bar("loading the first runtime") as tell:
        table = compare(tell)
    for row in row_totals(table):
        label = f"bench {name} {row.case} {row.row}"
        # Work of different sizes is not compared: each shape is a pair of its own.
        pair = args.pair if len(table.timed) == 1 else f"{args.pair} {row.case}"
        fields = {"model": name, "pair": pair, "role": row.role, "units": row.inferences, "unit": "inference"}
        fields |= {"flops_gross": row.flops_gross, "flops_effective": row.flops_effective}
        record_readings(args, [row.reading], "inference", label, **fields)
    return table


def _prepare(args: argparse.Namespace) -> int:
    require(args.model is None, InputError, "--prepare installs a runtime and times nothing: leave MODEL out")
    wanted = environment(args.prepare)
    note(announcement(wanted))
    made = prepare(wanted, note)
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    show(args, made, f"{wanted.name} is ready in {made['folder']}: {versions}")
    return OK


def _tell(words: str, share: float) -> None:
    note(f"[{100 * share:3.0f}%] {words}")


COMMAND = Command(
    about="Time a model against other runtimes: each in its own process, in alternating blocks.",
    example="aerogel bench ./all-MiniLM-L6-v2 --against onnxruntime --shapes 1x128 --sparsity 0.8,0.9\n"
    "  aerogel bench ./pruned --dense ./all-MiniLM-L6-v2 --against onnxruntime,openvino,deepsparse\n"
    "  aerogel bench ./all-MiniLM-L6-v2 --sparsity 0.8 --energy\n"
    "  aerogel bench --prepare deepsparse",
    options=_options,
    run=_run,
)
