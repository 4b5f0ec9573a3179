"""``aerogel prune --what``: activations and experts, with the options that mean something for them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from aerogel.cli.command import FAILED, OK, Options, show
from aerogel.cli.recorded import recorded
from aerogel.cli.stages import stages
from aerogel.core.errors import InputError, MissingDependencyError, require
from aerogel.trial.accuracy import Bounds
from aerogel.trial.beyond import Allocation, BeyondJob, What

WEIGHTS = "weights"
_ABOUT = """\
Besides weights, what a layer is fed, or what an activation function gives, can be made zero where it is
small: the thresholds are written to FILE.json, for aerogel.prune.activation.apply_thresholds, and no speed
is claimed, for no kernel leaves such zeros out. Of a mixture of experts, those that add least are removed:
OUT is a smaller model's directory. Both need a model's directory with its tokenizer; no recipe has them."""
_OF_WEIGHTS = (
    "method", "importance", "pattern", "budget", "recovery", "repair", "precision", "recover", "recipe",
    "checkpoint", "against", "shapes", "report",
)  # fmt: skip


def add_beyond(parser: argparse.ArgumentParser) -> None:
    """``--what W`` and ``--allocation A``."""
    group: Options = parser.add_argument_group("activations and experts", _ABOUT)
    about = (
        "what goes: weights (default); the smallest inputs of linear layers; of gates, the outputs of "
        "activation functions; or experts"
    )
    group.add_argument("--what", choices=(WEIGHTS, *get_args(What)), default=WEIGHTS, help=about)
    about = (
        "of inputs and gates: the same share everywhere (uniform), or within each block more where its "
        "output moves least (greedy; default: uniform)"
    )
    group.add_argument("--allocation", choices=get_args(Allocation), help=about)


def require_of_weights(args: argparse.Namespace) -> None:
    """InputError for an option that weights do not have."""
    told = "--allocation is of activations: add --what inputs or --what gates, or take --budget"
    require(args.allocation is None, InputError, told)


def run_beyond(args: argparse.Namespace) -> int:
    """The command for all but weights."""
    job = _job(args)
    job.check()
    try:
        from aerogel.trial.beyond_run import carry_out
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f'pruning needs {error.name}: pip install "aerogel[bench]"') from error
    name = Path(args.model).name
    with recorded(args, "pruning", f"prune {job.what} of {name}", model=name), stages() as told:
        found = carry_out(job, told)
    show(args, found.to_json(), str(found))
    return OK if found.ok else FAILED


def _job(args: argparse.Namespace) -> BeyondJob:
    given = [name for name in _OF_WEIGHTS if getattr(args, name) is not None]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise InputError(f"{options}: of weights alone, not of {args.what}: leave it out")
    require(args.sparsity is not None, InputError, f"how many {args.what} shall go? Give --sparsity 0.5, say")
    told = f"--what {args.what} writes one output: give -o once"
    require(len(args.output) == 1, InputError, told)
    return BeyondJob(
        model=args.model,
        what=args.what,
        sparsity=args.sparsity,
        output=args.output[0],
        allocation=args.allocation,
        layers=args.layers,
        data=args.data,
        texts=args.texts,
        evaluate=args.eval,
        bounds=Bounds(args.keep, args.floor),
        force=args.force,
        threads=args.threads,
    )
