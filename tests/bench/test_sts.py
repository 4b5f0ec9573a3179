from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from aerogel.bench.sts import ScoredPairs
from aerogel.core.errors import InputError

HEAD = "score\tsentence1\tsentence2\tgenre"


def written(folder: Path, *lines: str) -> Path:
    path = folder / "dev.tsv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def pairs(count: int, seed: int = 0) -> ScoredPairs:
    # To halves, so that some are equal.
    scores = np.random.default_rng(seed).integers(0, 11, count) / 2
    texts = tuple(f"text {i}" for i in range(count))
    return ScoredPairs(texts, texts, tuple(scores.tolist()), "")


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "genre\tsentence2\tscore\tsentence1",
        "news\tEin Hund.\t2.5\tA dog.",
        "news\tb\t0\ta",
        'news\td "quoted\t5\tc\tand a fifth column',
    )
    found = ScoredPairs.read(path)
    assert found.first == ("A dog.", "a", "c")
    assert found.second == ("Ein Hund.", "b", 'd "quoted')
    assert found.scores == (2.5, 0.0, 5.0)
    assert found.texts == [*found.first, *found.second]
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ((), "names no column score, sentence1, sentence2"),
        (("score\tsentence1",), "names no column sentence2"),
        ((HEAD, "1\ta\tb", "2\ta"), r"dev.tsv, line 3 has 2 columns"),
        ((HEAD, "one\ta\tb"), "line 2: score 'one' is no number"),
        ((HEAD, "1\ta\tb", "nan\ta\tb"), "line 3: score 'nan' is no number"),
        ((HEAD, "1\ta\tb", "2\ta\tb"), "has 2 pairs: give 3 or more"),
    ],
)
def test_a_file_of_another_kind_is_told(tmp_path: Path, lines: tuple[str, ...], told: str) -> None:
    with pytest.raises(InputError, match=told):
        ScoredPairs.read(written(tmp_path, *lines))


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        ScoredPairs.read(tmp_path / "none.tsv")
    with pytest.raises(InputError, match="cannot be read"):
        ScoredPairs.read(tmp_path)
    binary = tmp_path / "binary.tsv"
    binary.write_bytes(b"score\xff")
    with pytest.raises(InputError, match="is not UTF-8 at byte 5"):
        ScoredPairs.read(binary)


def test_cosines_are_of_the_pairs_at_any_length() -> None:
    x = np.random.default_rng(0).normal(size=(10, 7)).astype(np.float32)
    wide = x.astype(np.float64)
    wanted = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(wide[:5], wide[5:], strict=True)]
    np.testing.assert_allclose(pairs(5).cosines(x), wanted, rtol=1e-12)
    np.testing.assert_allclose(pairs(5).cosines(x * np.arange(1, 11)[:, None]), wanted, rtol=1e-6)
    x[2] = 0
    assert pairs(5).cosines(x)[2] == 0


def test_vectors_that_do_not_fit_are_told() -> None:
    with pytest.raises(InputError, match="are not those of 5 pairs"):
        pairs(5).cosines(np.zeros((9, 4), np.float32))
    with pytest.raises(InputError, match="NaN"):
        pairs(5).cosines(np.full((10, 4), np.nan, np.float32))


def test_correlation_is_spearmans() -> None:
    known = pairs(50)
    cosines = np.random.default_rng(1).normal(size=50).round(1)
    wanted = spearmanr(cosines, known.scores).statistic
    assert known.correlation(cosines) == pytest.approx(wanted)


def test_distance_is_below_dense_within_its_interval() -> None:
    known = pairs(300)
    noise = np.random.default_rng(2).normal(size=(2, 300))
    dense = np.array(known.scores) + noise[0]
    worse = dense + 3 * noise[1]
    found = known.distance(worse, dense, seed=0)
    assert found.value == pytest.approx(known.correlation(dense) - known.correlation(worse))
    assert 0 < found.low < found.value < found.high
    back = known.distance(dense, worse, seed=0)
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low))


def test_a_model_is_at_no_distance_from_itself() -> None:
    known = pairs(40)
    cosines = np.random.default_rng(3).normal(size=40)
    found = known.distance(cosines, cosines, seed=0)
    assert (found.value, found.low, found.high) == (0, 0, 0)


@pytest.mark.slow
def test_the_interval_holds_what_other_pairs_give() -> None:
    """Of 40 samples of one population, its distance lies in at least 34 intervals of 95 %."""
    rng = np.random.default_rng(4)

    def sample(count: int) -> tuple[ScoredPairs, np.ndarray, np.ndarray]:
        scores = rng.normal(size=count)
        dense = scores + rng.normal(size=count)
        texts = ("",) * count
        return ScoredPairs(texts, texts, tuple(scores), ""), dense + rng.normal(size=count), dense

    many, worse, dense = sample(200_000)
    truth = many.correlation(dense) - many.correlation(worse)
    found = [known.distance(w, d, seed=i) for i, (known, w, d) in enumerate(sample(200) for _ in range(40))]
    assert sum(f.low <= truth <= f.high for f in found) >= 34
