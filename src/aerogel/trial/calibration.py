"""Which data a model is calibrated, trained and judged on: no text serves for judging and anything else."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from aerogel.bench.corpus import docstrings, paragraphs
from aerogel.core.errors import InputError, require
from aerogel.trial.accuracy import LEAST_TEXTS

MOST_HELD_OUT = 500
"""More texts would make the numbers steadier by little, and take long."""
MOST_TRAINING = 20_000
"""Recovery seldom gets through more, and each is held in memory as token ids."""
FEW_TEXTS = 64
"""With fewer to calibrate on, what is found out about each layer is shaky."""
_SEED = 0
DOCSTRINGS = "docstrings of Python's standard library"


@dataclass(frozen=True, slots=True)
class TextShares:
    """``calibration``: some of ``training``, which is all but ``held_out``, on which the models are judged.
    ``origin``: what the texts are, in words; ``given``: as many as there were, equal ones counted once."""

    origin: str
    given: int
    calibration: tuple[str, ...]
    training: tuple[str, ...]
    held_out: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "origin": self.origin,
            "texts": self.given,
            "calibration": len(self.calibration),
            "training": len(self.training),
            "held_out": len(self.held_out),
        }


def from_docstrings(calibrate: int, *, judge: bool, train: bool) -> TextShares:
    """Texts that every machine has. InputError where its Python has too few."""
    wanted = calibrate + (MOST_HELD_OUT if judge else 0)
    try:
        passages = docstrings(wanted)
    except InputError as error:
        raise InputError(f"{error}, or fewer --texts, or your own texts with --data") from error
    found = share_out([passage.text for passage in passages], DOCSTRINGS, calibrate, judge=judge)
    return replace(found, training=found.training + paragraphs(passages)) if train else found


def share_out(texts: Sequence[str], origin: str, calibrate: int, *, judge: bool) -> TextShares:
    """``calibrate`` texts, at most, to calibrate on. Where ``judge``, those beyond them are held out, or a
    fifth of all if that is more, but ``LEAST_TEXTS`` to ``MOST_HELD_OUT``; none if less than as many would
    be left. The order is shuffled, always the same way, since files come sorted by all kinds of things."""
    require(calibrate > 0, InputError, f"{calibrate} texts to calibrate on are none: give 1 or more")
    known = list(dict.fromkeys(texts))
    random.Random(_SEED).shuffle(known)
    held = max(LEAST_TEXTS, min(MOST_HELD_OUT, max(len(known) - calibrate, len(known) // 5)))
    if not judge or len(known) < 2 * LEAST_TEXTS:
        held = 0
    training = tuple(known[held : held + MOST_TRAINING])
    return TextShares(origin, len(known), training[:calibrate], training, tuple(known[:held]))
