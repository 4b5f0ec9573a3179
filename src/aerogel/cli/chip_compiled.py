"""What ``aerogel chip compile`` and ``simulate`` share: an expression, a fabric, and how it is mapped."""

from __future__ import annotations

import argparse
from typing import Any

from aerogel.chip.entry import CompiledChip, compile
from aerogel.chip.firmware.turns import Part
from aerogel.chip.graph.build import Options
from aerogel.cli.command import Options as Parser
from aerogel.cli.command import positive
from aerogel.cli.operands import add_assignment, operands


def add_compiling(parser: Parser) -> None:
    """An assignment, its operands, and what is fixed of their way to the fabric."""
    add_assignment(parser)
    about = "onyx-like, onyx-small, onyx-large, or a file of your own (default: onyx-like)"
    parser.add_argument("--fabric", default="onyx-like", metavar="F", help=about)
    about = "loops, outermost first: i,k,j (default: chosen)"
    parser.add_argument("--order", metavar="I,J", help=about)
    about = "how many of the graph stand side by side (default: as many as fit and have work)"
    parser.add_argument("--copies", type=positive, metavar="N", help=about)
    about = "what + and * mean: plus_times, min_plus, max_times, or_and, plus_pair (default: plus_times)"
    parser.add_argument("--semiring", default="plus_times", metavar="S", help=about)
    parser.add_argument(
        "--skips", action="store_true", help="intersecters tell scanners how far to leap ahead"
    )
    parser.add_argument("--bits", action="store_true", help="compressed levels meet as words of bits")


def compiled(args: argparse.Namespace) -> CompiledChip:
    """What ``add_compiling`` asks for."""
    given = operands(args)
    return compile(
        args.text,
        fabric=args.fabric,
        order=args.order,
        semiring=args.semiring,
        copies=args.copies,
        graph=Options(skips=args.skips, bits=args.bits),
        **given,
    )


def facts(chip: CompiledChip) -> dict[str, Any]:
    """What was compiled, for ``--json``. ``earlier``: parts that have their turn before the one that the rest
    is about, where not all fits the fabric at once, for the reason ``turns``."""
    earlier = [{"assignment": part.text, **_facts(part)} for part in chip.parts[:-1]]
    turns = chip.reason or None
    return {"fabric": chip.program.fabric.name, **_facts(chip.parts[-1]), "turns": turns, "earlier": earlier}


def _facts(part: Part) -> dict[str, Any]:
    program, plan = part.translated.program, part.translated.plan
    return {
        "order": list(plan.order),
        "formats": {name: storage.format.short for name, storage in program.tensors.items()},
        "result_format": plan.form.short,
        "blocks": plan.graph.counts(),
        "copies": program.copies,
        "pieces": program.cuts.pieces,
        "cuts": program.cuts.text(),
        "configuration_words": len(program.words),
    }
