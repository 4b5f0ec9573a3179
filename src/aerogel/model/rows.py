"""What a linear step has for every output beside its weights: bias, and where weights are integers their
scales and sums."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from aerogel.formats.canonical import Encoded, decode, integers_of
from aerogel.formats.panel import Matrix, words
from aerogel.kernels import linear_words
from aerogel.model.graph import Weight
from aerogel.model.steps import LinearStep


def matrix(step: LinearStep, weights: Mapping[str, Weight]) -> Matrix:
    """The weight as it is packed: numbers, or words of integers; one matrix, or several stacked by output."""
    if step.element == "i8":
        found: list[Matrix] = [words(integers) for integers, _ in _integers(step, weights)]
    else:
        found = [_numbers(weights[name]) for name in step.weights]
    return found[0] if len(found) == 1 else np.concatenate(found)


def bias(step: LinearStep, weights: Mapping[str, Weight]) -> NDArray[np.float32]:
    """[outputs], 0 where a layer has none."""
    parts = [
        np.zeros(weights[w].shape[0], np.float32) if b is None else _numbers(weights[b])
        for w, b in zip(step.weights, step.biases, strict=True)
    ]
    return np.concatenate(parts)


def scales(step: LinearStep, weights: Mapping[str, Weight]) -> NDArray[np.float32]:
    """[outputs]: what an integer of each row stands for."""
    return np.concatenate([found for _, found in _integers(step, weights)])


def most(step: LinearStep, weights: Mapping[str, Weight]) -> float:
    """The scale of a column's inputs below which all outputs are finite (see ``linear_words.most``)."""
    encoded = [w for w in (weights[name] for name in step.weights) if isinstance(w, Encoded)]
    largest = np.concatenate([w.parts["scales"] for w in encoded])
    return linear_words.most(step.inputs, largest, bias(step, weights))


def sums(step: LinearStep, weights: Mapping[str, Weight]) -> NDArray[np.int32]:
    """[outputs]: the sum of each row's integers."""
    return np.concatenate([found.sum(axis=1, dtype=np.int32) for found, _ in _integers(step, weights)])


def _integers(
    step: LinearStep, weights: Mapping[str, Weight]
) -> list[tuple[NDArray[np.int8], NDArray[np.float32]]]:
    return [integers_of(w) for w in (weights[name] for name in step.weights) if isinstance(w, Encoded)]


def _numbers(weight: Weight) -> NDArray[np.float32]:
    return np.asarray(decode(weight) if isinstance(weight, Encoded) else weight, np.float32)
