"""Where a model came from: what a saved file says of it."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import aerogel
from aerogel.model.loaded import Source
from aerogel.model.sentence_settings import RECORDED
from aerogel.prune.report import PruneReport


def provenance(source: Source, report: PruneReport | None, **more: Any) -> dict[str, Any]:
    """The model's name, how it was pruned, by which versions, a sentence encoder's settings, and ``more``."""
    pruning = None
    if report is not None:
        pruning = {key: value for key, value in report.to_json().items() if key != "layers"}
    versions = {"aerogel": aerogel.__version__, "torch": metadata.version("torch")}
    settings = {} if source.settings is None else {RECORDED: source.settings.to_json()}
    return {"source": source.name, "pruning": pruning, "versions": versions, **settings, **more}
