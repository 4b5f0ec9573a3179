"""What a model is fed to look at its activations: sample texts, or the example inputs it came with."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.corpus import docstrings
from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.find.subject import Subject
from aerogel.model.graph import Graph
from aerogel.model.text_files import read_texts

PACKAGE, COUNT = "logging", 32
"""The built-in texts: so many docstrings of this package of the standard library. Reading one is quick."""
_MOST_TEXTS = 256
# What the activations of one pass may take; and no more positions than tell a share to a per cent.
_MOST_BYTES, _MOST_POSITIONS = 512 << 20, 1024
# Without a mask a batch has texts of one length: one text each.
_MOST_BATCHES = 8

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Sample:
    """``batches``: inputs by name; None where only the torch module's own example inputs fit.
    ``about``: what they are, in words; ``texts``: how many, None where they are none."""

    batches: tuple[Arrays, ...] | None
    about: str
    texts: int | None


def sample(subject: Subject, data: Path | Sequence[str] | None) -> Sample:
    """Texts for a model with a tokenizer: ``data`` (a file of texts, or a list), else built-in ones; for
    others its example inputs. UnsupportedError, saying why, where there is neither; InputError for unusable
    data."""
    if subject.graph is None and subject.module is None:
        raise UnsupportedError("compile refuses the model, and only its weights can be read")
    if subject.texts is None:
        lacking = f"{subject.name} has no tokenizer, so it takes no texts: leave data= or --data out"
        require(data is None, InputError, lacking)
        if subject.graph is None and subject.example is not None:
            return Sample(None, "its example inputs (it has no tokenizer)", None)
        if subject.example is not None:
            return Sample((subject.example,), "its example inputs (it has no tokenizer)", None)
        raise UnsupportedError("it has neither a tokenizer nor example inputs")
    texts, about = _texts(data)
    batches = _batches(subject, texts)
    used = sum(len(next(iter(batch.values()))) for batch in batches)
    return Sample(batches, f"{used} {about}", used)


def _texts(data: Path | Sequence[str] | None) -> tuple[list[str], str]:
    if data is None:
        found = docstrings(COUNT, Path(sysconfig.get_path("stdlib")) / PACKAGE)
        return [p.text for p in found], f"docstrings of Python's {PACKAGE}"
    if isinstance(data, Path):
        return read_texts(data, _MOST_TEXTS), f"texts of {data}"
    usable = not isinstance(data, str) and all(isinstance(text, str) for text in data)
    require(usable, InputError, "data is a list of texts, or the path of a file of them")
    texts = [text for text in data if text.strip()][:_MOST_TEXTS]
    require(texts, InputError, "data holds no text: give at least one")
    return texts, "of the texts given"


def _batches(subject: Subject, texts: Sequence[str]) -> tuple[Arrays, ...]:
    """As many of ``texts``, in order, as the bounds allow, at least one."""
    assert subject.texts is not None
    ids, mask = subject.texts.tokenize(texts)
    lengths = mask.sum(axis=1)
    names, bounds = _token_inputs(subject), _positions(subject)
    if len(names) == 1:
        return tuple({names[0]: ids[i : i + 1, : lengths[i]]} for i in range(min(len(texts), _MOST_BATCHES)))
    count = 1
    while count < len(texts) and (count + 1) * lengths[: count + 1].max() <= bounds:
        count += 1
    longest = int(lengths[:count].max())
    return (dict(zip(names, (ids[:count, :longest], mask[:count, :longest]), strict=True)),)


def _positions(subject: Subject) -> int:
    """How many positions the activations of one pass may cover."""
    if subject.graph is None:
        return _MOST_POSITIONS
    each = sum(4 * op.out.features for op in subject.graph.ops)
    return max(1, min(_MOST_POSITIONS, _MOST_BYTES // max(1, each)))


def _token_inputs(subject: Subject) -> tuple[str, ...]:
    """The names of the inputs for token ids and, where there is one, their mask."""
    if subject.graph is None:
        return "input_ids", "attention_mask"
    inputs = subject.graph.inputs
    ids = [i.name for i in inputs if i.kind == "ids" and not i.optional]
    if len(ids) != 1:
        raise UnsupportedError(f"texts need one input of token ids, it has {len(ids)}")
    return (*ids, *(i.name for i in inputs if i.kind == "mask"))


def random_inputs(graph: Graph, columns: int) -> dict[str, NDArray[Any]]:
    """One sequence of ``columns`` random tokens, or ``columns`` rows of random features: for timing only."""
    rng = np.random.default_rng(0)
    draw: dict[str, Callable[[int], NDArray[Any]]] = {
        "ids": lambda limit: rng.integers(0, limit, (1, columns)),
        "mask": lambda _: np.ones((1, columns), np.int64),
        "features": lambda limit: rng.standard_normal((columns, limit), dtype=np.float32),
    }
    return {spec.name: draw[spec.kind](spec.limit) for spec in graph.inputs}
