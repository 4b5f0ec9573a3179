"""``aerogel prune``: set the weights to zero that a model can do without; show what that costs and buys."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from aerogel.bench.encoder import SHAPES
from aerogel.cli.command import (
    FAILED,
    OK,
    Command,
    Options,
    add_pattern,
    add_threads,
    fraction,
    positive,
    show,
)
from aerogel.cli.prune_beyond import WEIGHTS, add_beyond, require_of_weights, run_beyond
from aerogel.cli.recorded import Record, add_ledger, recorded
from aerogel.cli.reported import add_report, require_reportable, write_report
from aerogel.cli.stages import stages
from aerogel.core.errors import InputError, MissingDependencyError
from aerogel.prune.pattern import pattern_named, wanted_sparsity
from aerogel.prune.recipe_file import PruneRecipe
from aerogel.report.prune import prune_report
from aerogel.trial.accuracy import Bounds
from aerogel.trial.outcome import Outcome
from aerogel.trial.outcome_text import outcome_text
from aerogel.trial.prune_job import PruneJob
from aerogel.trial.trade import NEEDS

METHODS = ("sparsegpt", "wanda", "magnitude")
IMPORTANCES = ("magnitude", "wanda", "obs", "gradient", "taylor")
BUDGETS = ("uniform", "global", "erk", "owl", "sensitivity")
_CHOICES = (
    "sparsity", "method", "importance", "pattern", "budget", "recovery", "repair", "layers", "precision",
    "recover",
)  # fmt: skip
RECOVERIES = ("none", "obs", "admm", "least_squares", "batch_norm")
_JUDGED = """\
FUNCTION(model), or FUNCTION(model, tokenizer), returns a number, or a dict of numbers by name, the higher the
better (return minus a loss). model is the torch module in eval mode, tokenizer(texts) its inputs as a dict of
tensors: model(**tokenizer(texts)) is its output. Called with the dense model before anything is pruned, then
with the pruned one. Without --eval, texts that were held out judge: do their vectors have the same neighbours
as the dense model's ("rank correlation" of similarities, "top-10 overlap"); of a classifier, how often is the
answer the same? --keep and --floor look at every number of --eval, else at the rank correlation or at how
often the answer is the same. Below them nothing is written and the exit status is 1."""


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a Hugging Face directory, or FILE.py:FUNCTION")
    about = "the share of weights to set to zero in the linear layers, 0 to 1; needless with --pattern N:M"
    parser.add_argument("--sparsity", type=fraction, metavar="S", help=about)
    about = (
        "what to write: a Hugging Face directory, a FILE.aero, which runs without torch, or a "
        "FILE.safetensors of the weights alone, without zeros (load_sparse); or give several"
    )
    parser.add_argument(
        "-o", "--output", type=Path, action="append", required=True, metavar="OUT", help=about
    )
    _text_options(parser.add_argument_group("texts and recovery, which decide how good the model is"))
    _how_options(parser.add_argument_group("which weights go"))
    _judging_options(parser.add_argument_group("how the result is judged", _JUDGED))
    _measuring_options(parser.add_argument_group("what is measured, beside the dense model"))
    add_beyond(parser)
    add_report(parser)
    add_ledger(parser, role="cost")


def _text_options(group: Options) -> None:
    about = "texts to calibrate on, like those it is for: .txt, .jsonl, .csv, .tsv (default: docstrings)"
    group.add_argument("--data", type=Path, metavar="FILE", help=about)
    about = "how many of them (default: 512)"
    group.add_argument("--texts", type=positive, default=512, metavar="N", help=about)
    about = (
        "train the kept weights for so long to do as the dense model: 90s, 10m, 1h, 200steps (default: not); "
        "some minutes at least, for what makes texts it did not see worse is undone"
    )
    group.add_argument("--recover", metavar="TIME", help=about)
    about = (
        "where training is saved, and beside it, in FILE.layers, each layer that is pruned with texts: a run "
        "that was interrupted goes on from there"
    )
    group.add_argument("--checkpoint", type=Path, metavar="FILE", help=about)


def _how_options(group: Options) -> None:
    about = (
        "a recipe in YAML or JSON, which has all of these choices, and recovery; what else is given here "
        "replaces what it says"
    )
    group.add_argument("--recipe", type=Path, metavar="FILE", help=about)
    about = "how weights are chosen; magnitude needs no texts (default: sparsegpt)"
    group.add_argument("--method", choices=METHODS, help=about)
    about = "which weights matter, in place of the method's own choice; all but magnitude need texts"
    group.add_argument("--importance", choices=IMPORTANCES, help=about)
    add_pattern(group, default=None)
    about = (
        "how much of each layer: as much (uniform), the least important of all (global), less of small "
        "layers (erk), of those with outliers (owl), of those that matter most (sensitivity); or, without "
        "--sparsity, as much as brings the linear layers down to latency:3ms, or to latency:0.5 of "
        "their dense time, on one thread of this CPU (default: uniform)"
    )
    group.add_argument("--budget", type=_budget, metavar="B", help=about)
    about = (
        f"what makes up for what went, after the method's own, in order: of {', '.join(RECOVERIES)} "
        "(default: least_squares where there are texts)"
    )
    group.add_argument("--recovery", type=_recovery, metavar="A,B", help=about)
    about = "refit the kept weights by least squares (default: where there are texts and no --recovery)"
    group.add_argument("--repair", action=argparse.BooleanOptionalAction, default=None, help=about)
    about = (
        "int8: what is kept is rounded to 8 bits with a scale per output, which the zeros and the texts are "
        "made to make up for, and a FILE.aero multiplies integers (default: fp32)"
    )
    group.add_argument("--precision", choices=("fp32", "int8"), help=about)
    about = "only layers in whose name this regular expression is found (default: all linear but heads)"
    group.add_argument("--layers", metavar="REGEX", help=about)


def _judging_options(group: Options) -> None:
    group.add_argument("--eval", metavar="FILE.py:FUNCTION", help="your own measure of a model")
    about = "the least share of the dense number to accept, such as 0.99"
    group.add_argument("--keep", type=_number, metavar="SHARE", help=about)
    group.add_argument("--floor", type=_number, metavar="X", help="the least number to accept")
    about = "write also below --keep and --floor, and over another model's directory"
    group.add_argument("--force", action="store_true", help=about)


def _measuring_options(group: Options) -> None:
    known = ", ".join(NEEDS)
    about = f"other runtimes to time the dense model on: {known} (default: torch)"
    group.add_argument("--against", type=_parts, metavar="A,B", help=about)
    about = f"sequences x tokens to time (default: those of {','.join(SHAPES)} that the model takes)"
    group.add_argument("--shapes", type=_parts, metavar="BxS,...", help=about)
    about = "do not measure time and memory, which takes half a minute and more"
    group.add_argument("--no-measure", dest="measure", action="store_false", help=about)
    add_threads(group)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _budget(text: str) -> str:
    if text in BUDGETS or text.startswith("latency:"):
        return text
    known = ", ".join(BUDGETS)
    raise argparse.ArgumentTypeError(f"{text!r} is none of {known}, latency:3ms, latency:0.5")


def _recovery(text: str) -> tuple[str, ...]:
    parts = _parts(text)
    odd = [part for part in parts if part not in RECOVERIES]
    if odd or not parts:
        raise argparse.ArgumentTypeError(f"{', '.join(odd) or text!r} is none of {', '.join(RECOVERIES)}")
    return parts


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, such as 0.99") from None


def _job(args: argparse.Namespace) -> PruneJob:
    """What is asked for: the recipe's choices, if there is one, and over them what is given by itself."""
    job = PruneJob(
        model=args.model,
        sparsity=None,
        outputs=tuple(args.output),
        data=args.data,
        texts=args.texts,
        evaluate=args.eval,
        bounds=Bounds(args.keep, args.floor),
        checkpoint=args.checkpoint,
        force=args.force,
        measure=args.measure,
        against=("torch",) if args.against is None else args.against,
        shapes=args.shapes,
        threads=args.threads,
    )
    if args.recipe is not None:
        job = job.following(PruneRecipe.read(args.recipe))
    given: dict[str, Any] = {name: getattr(args, name) for name in _CHOICES}
    job = replace(job, **{name: value for name, value in given.items() if value is not None})
    if job.budget.startswith("latency:") and args.sparsity is None:
        # In a recipe, or with a pattern that says how much, prune itself tells that this is one too many.
        return job
    if isinstance(job.sparsity, int | float | None):
        job = replace(job, sparsity=wanted_sparsity(pattern_named(job.pattern), job.sparsity))
    if job.sparsity is None:
        raise InputError("how many weights shall go? Give --sparsity, such as 0.8, or --pattern N:M")
    return job


def _run(args: argparse.Namespace) -> int:
    if args.what != WEIGHTS:
        return run_beyond(args)
    require_of_weights(args)
    job = _job(args)
    # Said before torch is loaded, which takes seconds.
    job.check()
    require_reportable(args)
    try:
        from aerogel.trial.pruning import carry_out
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f'pruning needs {error.name}: pip install "aerogel[bench]"') from error
    name = Path(args.model).name
    with recorded(args, "pruning", f"prune {name}", model=name) as record, stages() as told:
        found = carry_out(job, told)
        _split(record, found, name)
    show(args, found.to_json(), outcome_text(found))
    write_report(args, lambda: prune_report(found))
    return OK if found.ok else FAILED


def _split(record: Record, found: Outcome, name: str) -> None:
    """On the ledger, pruning, recovery and the rest each by itself."""
    if found.spent is None:
        return
    record.part("pruning", f"prune {name}", found.spent.pruning)
    if found.spent.recovery is not None:
        record.part("training", f"recover {name}", found.spent.recovery)
    if found.spent.other is not None:
        record.part("pruning", f"judge and measure {name}", found.spent.other)


COMMAND = Command(
    about="Prune a model: choose the weights it can do without, set them to exact zero, make up for them, and"
    "\nshow accuracy, size, memory and time beside the dense model's.",
    usage="MODEL --sparsity S -o OUT [options]",
    example="aerogel prune ./all-MiniLM-L6-v2 --sparsity 0.5 --data texts.jsonl --recover 10m -o ./pruned\n"
    "  aerogel prune ./all-MiniLM-L6-v2 --sparsity 0.5 --eval check.py:accuracy --keep 0.99 -o minilm.aero\n"
    "  aerogel prune ./all-MiniLM-L6-v2 --what inputs --sparsity 0.4 --data texts.jsonl -o thresholds.json",
    options=_options,
    run=_run,
)
