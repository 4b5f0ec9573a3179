"""Sharing texts out: nothing is judged on what was learned from."""

from __future__ import annotations

import pytest
from tests.trial.little import texts

from aerogel.core.errors import InputError
from aerogel.trial import calibration
from aerogel.trial.calibration import MOST_HELD_OUT, from_docstrings, share_out

# texts, wanted, judge -> calibration, training, held out
SHARES = {
    (1, 512, True): (1, 1, 0),
    (39, 512, True): (39, 39, 0),
    (40, 512, True): (20, 20, 20),
    (90, 512, True): (70, 70, 20),
    (200, 512, True): (160, 160, 40),
    (200, 512, False): (200, 200, 0),
    (612, 512, True): (490, 490, 122),
    (900, 512, True): (512, 512, 388),
    (3000, 512, True): (512, 2500, 500),
    (100, 50, True): (50, 50, 50),
    (100, 50, False): (50, 100, 0),
}


@pytest.mark.parametrize(("given", "shares"), SHARES.items())
def test_how_many_go_where(given: tuple[int, int, bool], shares: tuple[int, int, int]) -> None:
    count, wanted, judge = given
    known = texts(count)
    found = share_out([*known, *known[:5]], "texts", wanted, judge=judge)
    assert (len(found.calibration), len(found.training), len(found.held_out)) == shares
    assert found.given == count
    assert set(found.calibration) <= set(found.training)
    assert not set(found.training) & set(found.held_out)
    assert set(found.training) | set(found.held_out) == set(known)


def test_the_order_is_mixed_and_always_the_same() -> None:
    known = sorted(texts(100))
    one, other = (share_out(known, "texts", 512, judge=True) for _ in range(2))
    assert one == other
    assert list(one.training) != sorted(one.training)
    assert one.to_json() == {
        "origin": "texts", "texts": 100, "calibration": 80, "training": 80, "held_out": 20,
    }  # fmt: skip


def test_no_more_is_trained_on_than_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "MOST_TRAINING", 30)
    found = share_out(texts(200), "texts", 10, judge=False)
    assert (len(found.calibration), len(found.training), found.given) == (10, 30, 200)


def test_no_texts_to_calibrate_on_are_refused() -> None:
    with pytest.raises(InputError, match="0 texts to calibrate on are none"):
        share_out(["a"], "texts", 0, judge=False)


def test_docstrings_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Passage:
        def __init__(self, text: str) -> None:
            self.text = text

    def docstrings(count: int) -> list[Passage]:
        asked.append(count)
        if count > 4000:
            raise InputError("this library has 10 docstrings of 9999 wanted: give another Python")
        return [Passage(text) for text in texts(count)]

    monkeypatch.setattr(calibration, "docstrings", docstrings)
    found = from_docstrings(512, judge=True, train=False)
    assert (len(found.calibration), len(found.held_out)) == (512, MOST_HELD_OUT)
    assert found.origin == "docstrings of Python's standard library"
    monkeypatch.setattr(calibration, "paragraphs", lambda passages: ("more", *texts(5000)[len(passages) :]))
    trained = from_docstrings(512, judge=True, train=True)
    assert set(trained.training).isdisjoint(trained.held_out)
    assert len(trained.training) == 512 + 1 + 5000 - 1012
    assert asked == [1012, 1012]
    with pytest.raises(InputError, match=r"give another Python, or fewer --texts, or your own .* --data"):
        from_docstrings(5000, judge=False, train=False)
