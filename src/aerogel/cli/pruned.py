"""The model of a command line: loaded, and pruned where ``--sparsity`` says so."""

from __future__ import annotations

import argparse
from dataclasses import replace

from aerogel.model.source import Source, load_model
from aerogel.prune import PruneReport, prune


def load_pruned(args: argparse.Namespace) -> tuple[Source, PruneReport | None]:
    """The model that ``MODEL`` names, and what pruning did to it, None where it was not asked for."""
    source = load_model(args.model)
    if args.sparsity is None:
        return source, None
    result = prune(source.module, args.sparsity, pattern=args.pattern, inplace=True)
    return replace(source, module=result.model), result.report
