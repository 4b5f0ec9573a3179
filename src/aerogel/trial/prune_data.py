"""What a pruning job has to calibrate, train and judge on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aerogel.core.errors import InputError, require
from aerogel.model.loaded import Source
from aerogel.prune.text_batches import batches
from aerogel.trial import calibration
from aerogel.trial.accuracy import LEAST_TEXTS
from aerogel.trial.calibration import DOCSTRINGS, FEW_TEXTS, TextShares
from aerogel.trial.prune_job import PruneJob

Batches = Sequence[Any]


@dataclass(frozen=True, slots=True)
class PruneData:
    """``calibration``, ``training``: batches as ``prune`` and ``recover`` take them, None where there are
    none; ``held_out``: batches of texts to judge by, empty where there are none, and then why (``missing``).
    ``origin``: what the texts are; ``described``: all of it in numbers, None where there is nothing."""

    calibration: Batches | None
    training: Batches | None
    held_out: Batches
    origin: str
    described: Mapping[str, Any] | None
    missing: str | None


def prepare(
    job: PruneJob, source: Source, texts: Sequence[str] | None, note: Callable[[str], None]
) -> PruneData:
    """``texts``: those of ``job.data``, None without. Docstrings stand in where texts are needed and none
    were given; example inputs where the model takes no texts and was made by a function. InputError where
    there is nothing to calibrate on, or texts are of no use."""
    by_texts = job.evaluate is None
    if source.tokenizer_path is None:
        told = (
            f"{source.name} has no tokenizer.json, so the texts of {job.data} are of no use: leave them out"
        )
        require(texts is None, InputError, told)
        return _without_texts(job, source, note)
    if texts is not None:
        assert job.data is not None
        shares = calibration.share_out(texts, f"texts of {job.data.name}", job.texts, judge=by_texts)
    elif job.needs_data or by_texts:
        train = job.recover is not None
        shares = calibration.from_docstrings(job.texts, judge=by_texts, train=train)
    else:
        return PruneData(None, None, (), "", None, None)
    calibrates = job.needs_data or texts is not None
    if calibrates:
        tell_of(shares, note)
    described = shares.to_json() if calibrates else {**shares.to_json(), "calibration": 0}
    few = f"{shares.given} different texts are too few to hold {LEAST_TEXTS} out: give more, or --eval"
    return PruneData(
        batches(source, shares.calibration) if calibrates else None,
        batches(source, shares.training) if job.recover is not None else None,
        batches(source, shares.held_out),
        shares.origin,
        described if job.recover is not None else {**described, "training": 0},
        None if shares.held_out or not by_texts else few,
    )


def tell_of(shares: TextShares, note: Callable[[str], None]) -> None:
    """Note where texts to calibrate on are few, or none of the user's."""
    count = len(shares.calibration)
    if shares.origin == DOCSTRINGS:
        note(f"calibrated on {count} {DOCSTRINGS}: texts like your own (--data) give a better model")
    elif count < FEW_TEXTS:
        note(f"{count} texts to calibrate on are few: some hundred give a better model")


def _without_texts(job: PruneJob, source: Source, note: Callable[[str], None]) -> PruneData:
    missing = f"{source.name} takes no texts: give --eval" if job.evaluate is None else None
    if not job.needs_data:
        return PruneData(None, None, (), "", None, missing)
    told = (
        f"{source.name} has no tokenizer.json, so there are no texts to calibrate on: prune by --method "
        "magnitude, or give FILE.py:FUNCTION, which returns (module, inputs) with inputs to calibrate on"
    )
    require(job.from_factory, InputError, told)
    note(f"calibrated on the inputs that {source.name} returns: many, and real ones, give a better model")
    given = [source.example_inputs]
    described = {"origin": f"inputs of {source.name}", "batches": 1}
    return PruneData(given, given, (), "", described, missing)
