from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from aerogel.bench.quality import quality
from aerogel.core.errors import InputError


def vectors(seed: int, count: int = 40, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def cosine(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    return np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in x] for a in x])


def test_the_same_vectors_are_perfect_at_any_length() -> None:
    x = vectors(0)
    found = quality(x * np.linspace(1, 9, len(x))[:, None], x)
    assert found.top_overlap == 1.0
    assert found.spearman == pytest.approx(1.0)
    assert found.texts == 40


@given(st.integers(0, 1000), st.sampled_from([3, 11, 12, 40]))
def test_against_the_definitions(seed: int, count: int) -> None:
    x = vectors(seed, count)
    y = x + 0.5 * vectors(seed + 1, count)
    found = quality(y, x)
    ours, theirs = cosine(y), cosine(x)
    k = min(10, count - 1)
    shared = []
    for i in range(count):
        others = [j for j in range(count) if j != i]
        near = [set(sorted(others, key=lambda j, s=s, i=i: -s[i, j])[:k]) for s in (ours, theirs)]
        shared.append(len(near[0] & near[1]) / k)
    assert found.top_overlap == pytest.approx(np.mean(shared))
    upper = np.triu_indices(count, 1)
    assert found.spearman == pytest.approx(spearmanr(ours[upper], theirs[upper]).statistic)


def test_ties_share_their_rank() -> None:
    # Three pairs of equal vectors: many similarities are exactly equal.
    x = np.repeat(np.eye(3, dtype=np.float32), 2, axis=0)
    y = x + 0.1 * vectors(3, 6, 3)
    upper = np.triu_indices(6, 1)
    wanted = spearmanr(cosine(y)[upper], cosine(x)[upper]).statistic
    assert quality(y, x).spearman == pytest.approx(wanted)


def test_a_collapsed_model_scores_low_rather_than_failing() -> None:
    found = quality(np.zeros((20, 8), np.float32), vectors(0, 20))
    assert found.spearman == 0.0
    assert 0 <= found.top_overlap < 0.9


@pytest.mark.parametrize(
    ("ours", "dense", "said"),
    [
        (np.ones((2, 4)), np.ones((2, 4)), "3 or more"),
        (np.ones((4, 4)), np.ones((5, 4)), "cannot be compared"),
        (np.ones(4), np.ones(4), "cannot be compared"),
        (np.array([[1.0, np.nan]] * 4), np.ones((4, 2)), "NaN"),
    ],
)
def test_unusable_vectors_are_refused(ours: np.ndarray, dense: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        quality(ours, dense)
