"""The demo's own models: dense and with more and more zeros, each a file. Imports torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from aerogel.bench.corpus import Passage, paragraphs
from aerogel.bench.encoder import DENSE, Variant
from aerogel.model.aero_file import write_file
from aerogel.model.loaded import Source
from aerogel.model.source import load_model
from aerogel.prune import PruneResult
from aerogel.prune.gradual import Gradual, Stage
from aerogel.prune.provenance import provenance

CALIBRATION = 512
STAGES = (Stage(0.5, 20.0), Stage(0.8, 40.0), Stage(0.9, 30.0))
"""At most 90 s of recovery in all."""


def make_models(
    model: Path, judged: tuple[Passage, ...], folder: Path, tell: Callable[[str, float], None]
) -> tuple[Variant, ...]:
    """Files in ``folder`` of the model as it is and after each of ``STAGES``; none of ``judged`` is seen by
    calibration or recovery. ``tell``: words on what is being done, and how much of it is over, 0 to 1."""
    tell("loading the model", 0.0)
    source = load_model(str(model))
    others = paragraphs(judged)
    found = [_variant(DENSE, source, None, folder)]
    gradual = Gradual(source, others[:: max(1, len(others) // CALIBRATION)][:CALIBRATION], others, tell)
    for stage, result in gradual.stages(STAGES):
        found.append(_variant(Variant(stage.sparsity), source, result, folder))
    return tuple(found)


def _variant(variant: Variant, source: Source, result: PruneResult | None, folder: Path) -> Variant:
    file = folder / f"{variant.name.replace(' ', '-').replace('%', 'percent')}.aero"
    module = source.module if result is None else result.model
    write_file(source, module, file, provenance(source, result and result.report))
    return replace(variant, file=file)
