"""``aerogel carbon plan batch``: energy per item against latency, measured for each batch size."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from aerogel.bench.arrays import Signature
from aerogel.bench.given_model import signature_of
from aerogel.carbon.plan.batch import Limits, measure_batches
from aerogel.carbon.plan.render import batch_text
from aerogel.cli.command import (
    FAILED,
    OK,
    Command,
    add_model,
    add_pruning,
    add_threads,
    note,
    positive,
    show,
)
from aerogel.cli.pruned import load_program
from aerogel.core.errors import InputError, require

_SIZES = (1, 2, 4, 8, 16, 32)
_TOKENS = 128


def _options(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    usual = ",".join(map(str, _SIZES))
    about = f"batch sizes to measure (default: {usual})"
    parser.add_argument("--sizes", type=_sizes, default=_SIZES, metavar="N,...", help=about)
    about = f"tokens of each item, for a model of texts (default: {_TOKENS}, or as many as it takes)"
    parser.add_argument("--tokens", type=positive, metavar="T", help=about)
    about = "the longest that an item may take, but for 1 in 20, in milliseconds"
    parser.add_argument("--latency-ms", type=float, metavar="MS", help=about)
    about = "items that come one by one in a second: waiting until a batch is full then counts as well"
    parser.add_argument("--arrivals", type=float, metavar="R", help=about)
    about = "how long each size is measured (default: 2)"
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help=about)
    add_pruning(parser)
    add_threads(parser)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(positive(part.strip()) for part in text.split(","))


def _tokens(asked: int | None, signature: Signature) -> int:
    """Of one item; a model of features takes a row for each."""
    if not any(item.kind == "ids" for item in signature.inputs):
        require(
            asked is None, InputError, "the model takes no tokens but rows of features: leave --tokens out"
        )
        return 1
    most = signature.longest
    said = f"the model takes {most} tokens at most: give --tokens up to that"
    require(asked is None or most is None or asked <= most, InputError, said)
    return asked or min(_TOKENS, most or _TOKENS)


def _run(args: argparse.Namespace) -> int:
    latency = None if args.latency_ms is None else args.latency_ms / 1e3
    limits = Limits(args.seconds, latency, args.arrivals)
    ready = load_program(args)
    signature = signature_of(ready.program.built.graph)
    tokens = _tokens(args.tokens, signature)

    def prepare(size: int) -> Callable[[], object]:
        inputs: dict[str, Any] = dict(signature.arrays({"lengths": [tokens] * size}))
        return lambda: ready.program(**inputs)

    note(f"measuring {ready.name} at {len(args.sizes)} batch sizes, {args.seconds:g} s each")
    study = measure_batches(prepare, args.sizes, limits)
    show(args, {"model": ready.name, "tokens": tokens, **study.to_json()}, batch_text(study))
    return OK if study.chosen is not None else FAILED


COMMAND = Command(
    about="Energy per item against the time a request takes, for each batch size, measured here; and the\n"
    "size to take within a limit of latency. Without a meter sizes are compared by time, and joules\n"
    "have the bounds of a power model. Exit status 1 where no size keeps within the limit.",
    example="aerogel carbon plan batch minilm.aero --tokens 64 --latency-ms 100\n"
    "  aerogel carbon plan batch ./all-MiniLM-L6-v2 --sizes 1,8,64 --arrivals 200",
    options=_options,
    run=_run,
)
