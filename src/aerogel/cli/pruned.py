"""The model of a command line: loaded, pruned where ``--sparsity`` says so, and made a program."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import aerogel
from aerogel.cli.command import sparsity_of
from aerogel.core.errors import InputError
from aerogel.model.compile import Precision
from aerogel.model.program import Program
from aerogel.model.source import Source, load_model
from aerogel.prune import PruneReport, prune
from aerogel.prune.provenance import provenance

ARTEFACT = ".aero"


@dataclass(frozen=True)
class Ready:
    """A program, the name to show for it, what pruning did (None: nothing), and the bytes of the dense
    checkpoint it came from: of its files, or of its weights as fp32 where it has none."""

    program: Program
    name: str
    report: PruneReport | None
    dense_bytes: int


def load_pruned(args: argparse.Namespace) -> tuple[Source, PruneReport | None]:
    """The model that ``MODEL`` names, and what pruning did to it, None where it was not asked for."""
    source = load_model(args.model)
    sparsity = sparsity_of(args)
    if sparsity is None:
        return source, None
    result = prune(source.module, sparsity, pattern=args.pattern, inplace=True)
    return replace(source, module=result.model), result.report


def load_program(
    args: argparse.Namespace, precision: Precision = "fp32", calibration: Sequence[str] | None = None
) -> Ready:
    """The program of ``MODEL``: loaded from an .aero file, which needs no torch, or compiled."""
    if args.model.endswith(ARTEFACT):
        if sparsity_of(args) is not None:
            raise InputError(f"{args.model!r} is compiled already: prune the model it was made from")
        if precision != "fp32":
            raise InputError(f"{args.model!r} has the precision it was compiled with: leave out --precision")
        program = aerogel.load(args.model, threads=args.threads)
        return Ready(program, Path(args.model).name, None, _weight_bytes(program))
    source, report = load_pruned(args)
    program = aerogel.compile(
        source.module,
        source.example_inputs,
        precision=precision,
        calibration=calibration,
        threads=args.threads,
        texts=source.texts(),
        provenance=provenance(source, report),
    )
    files = list(Path(args.model).glob("model*.safetensors"))
    dense = sum(file.stat().st_size for file in files) if files else _weight_bytes(program)
    return Ready(program, source.name, report, dense)


def _weight_bytes(program: Program) -> int:
    return sum(4 * prod(weight.shape) for weight in program.built.graph.weights.values())
