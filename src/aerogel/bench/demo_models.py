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
STAGES = (Stage(0.5, 30.0), Stage(0.8, 60.0))
"""At most 90 s of recovery in all."""
PATTERN = "block1x4"
"""What the kernels of 8-bit integers skip."""
INTEGERS = replace(DENSE, precision="int8")


def make_models(
    model: Path, judged: tuple[Passage, ...], folder: Path, tell: Callable[[str, float], None]
) -> tuple[Variant, ...]:
    """Files in ``folder`` of the model as it is, in 8-bit integers, and so after each of ``STAGES``; none of
    ``judged`` is seen by calibration or recovery. ``tell``: words on what is being done, and how much of it
    is over, 0 to 1."""
    tell("loading the model", 0.0)
    source = load_model(str(model))
    others = paragraphs(judged)
    found = [_variant(variant, source, None, folder) for variant in (DENSE, INTEGERS)]
    calibration = others[:: max(1, len(others) // CALIBRATION)][:CALIBRATION]
    gradual = Gradual(source, calibration, others, tell, pattern=PATTERN, precision=INTEGERS.precision)
    for stage, result in gradual.stages(STAGES):
        variant = Variant(stage.sparsity, PATTERN, precision=INTEGERS.precision)
        found.append(_variant(variant, source, result, folder))
    return tuple(found)


def _variant(variant: Variant, source: Source, result: PruneResult | None, folder: Path) -> Variant:
    file = folder / f"{variant.name.replace(' ', '-').replace('%', 'percent')}.aero"
    module = source.module if result is None else result.model
    record = provenance(source, result and result.report)
    write_file(source, module, file, record, precision=variant.precision)
    return replace(variant, file=file)
