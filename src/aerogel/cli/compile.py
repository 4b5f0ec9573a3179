"""``aerogel compile``: a model becomes a native program; shows what each layer became."""

from __future__ import annotations

import argparse

import aerogel
from aerogel.cli.command import OK, Command, add_model, add_pruning, add_threads, show
from aerogel.cli.pruned import load_pruned


def _options(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_pruning(parser)
    add_threads(parser)


def _run(args: argparse.Namespace) -> int:
    source, report = load_pruned(args)
    program = aerogel.compile(source.module, source.example_inputs, threads=args.threads)
    explained = program.explain()
    document = {"model": source.name, "pruned": report and report.to_json(), "program": explained.to_json()}
    show(args, document, str(explained))
    return OK


COMMAND = Command(
    about="Compile a model to one native program for this CPU, and show each layer: zeros, kernel, bytes.",
    example="aerogel compile ./all-MiniLM-L6-v2 --sparsity 0.8",
    options=_options,
    run=_run,
)
