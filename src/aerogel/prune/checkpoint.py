"""Where recovery stands, in a file: written beside and renamed, so that it is whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file, save_file

from aerogel.core.errors import FormatError, InputError, require


@dataclass(slots=True)
class Standing:
    """``steps`` done in ``seconds``; ``losses``: of the first few steps; ``recent``: a running mean;
    ``best``: its least so far, at step ``best_step``; ``unseen``: the loss on unseen batches at the start."""

    steps: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list[float])
    recent: float = 0.0
    best: float = float("inf")
    best_step: int = 0
    unseen: float | None = None


def save(path: Path, tensors: Mapping[str, torch.Tensor], standing: Standing, run: str) -> None:
    """``run`` says what is trained, and on what: only the same one can go on from here."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    facts = {"standing": json.dumps(asdict(standing)), "run": run}
    try:
        save_file({n: t.detach().contiguous() for n, t in tensors.items()}, beside, metadata=facts)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def load(path: Path, run: str) -> tuple[dict[str, torch.Tensor], Standing] | None:
    """What ``save`` wrote, or None where there is no file. FormatError for a broken file, InputError for one
    of another run."""
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
        tensors = load_file(path)
        standing = Standing(**json.loads(facts["standing"]))
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path} is no checkpoint of a recovery ({error}): delete it") from error
    same = facts.get("run") == run
    require(same, InputError, f"{path} is of another recovery: delete it, or give another checkpoint")
    return tensors, standing
