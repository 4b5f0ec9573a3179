"""Judging by held-out texts, and the bounds on what was found."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from aerogel.core.errors import InputError, UnsupportedError
from aerogel.trial.accuracy import NEIGHBOURS, RANKS, SAME, Accuracy, Bounds, ByTexts

MADE = torch.Generator().manual_seed(0)
MASK = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]])
HIDDEN = [torch.randn(4, 3, 5, generator=MADE) for _ in range(8)]
BATCHES = [{"input_ids": torch.full((4, 3), i), "attention_mask": MASK} for i in range(8)]


def judged(dense: Any, pruned: Any) -> Accuracy:
    judge, told = ByTexts(BATCHES, "texts of a file"), []
    seen = [judge.look(model, "dense", told.append) for model in (dense, pruned)]
    assert told == [*((i + 1) / 8 for i in range(8))] * 2
    return judge.accuracy(*seen)


def states(noise: float = 0.0) -> Any:
    """A model whose hidden states are known; padding holds what must not count."""

    def run(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        index = int(input_ids[0, 0])
        hidden = HIDDEN[index] + noise * torch.sin(HIDDEN[index] * 99)
        return {"last_hidden_state": torch.where(attention_mask[:, :, None] == 0, noise * 1e6, hidden)}

    return run


def test_equal_models_are_equal_and_unlike_ones_are_not() -> None:
    same = judged(states(), states())
    assert same.pruned == same.dense == {RANKS: pytest.approx(1.0), NEIGHBOURS: 1.0}
    assert same.texts == 32
    assert same.method == (
        "neighbours as the dense model's, on 32 texts of a file that neither calibration nor recovery saw"
    )
    near, far = judged(states(), states(0.1)).pruned, judged(states(), states(3.0)).pruned
    assert far[RANKS] < near[RANKS] < 1
    assert far[NEIGHBOURS] < near[NEIGHBOURS] < 1


def test_a_vector_is_taken_where_there_is_one_and_else_the_mean_of_tokens() -> None:
    def pooled(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = HIDDEN[int(input_ids[0, 0])]
        mean = torch.stack([h[m.bool()].mean(0) for h, m in zip(hidden, attention_mask, strict=True)])
        return {"sentence_embedding": mean, "last_hidden_state": torch.zeros(4, 3, 5)}

    assert judged(states(), pooled).pruned[RANKS] == pytest.approx(1.0)


def answers(shift: int, *, tokens: bool = False) -> Any:
    """A classifier whose every ``shift``-th batch has another answer (0: none)."""

    def run(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        index = int(input_ids[0, 0])
        logits = HIDDEN[index] if tokens else HIDDEN[index][:, 0]
        other = bool(shift) and index % shift == 0
        return {"logits": -logits if other else logits}

    return run


@pytest.mark.parametrize("tokens", [False, True])
def test_a_classifier_is_judged_by_how_often_it_answers_the_same(tokens: bool) -> None:
    assert judged(answers(0, tokens=tokens), answers(0, tokens=tokens)).pruned == {SAME: 1.0}
    found = judged(answers(0, tokens=tokens), answers(4, tokens=tokens))
    assert found.pruned == {SAME: 0.75}
    assert found.judged_by == (SAME,)
    assert found.method.startswith("answers as the dense model's, on 32 texts")


def test_what_is_not_finite_or_not_known_is_refused() -> None:
    judge = ByTexts(BATCHES, "texts")
    with pytest.raises(InputError, match="the pruned model gives NaN or infinity"):
        judge.look(states(float("nan")), "pruned", lambda _: None)
    with pytest.raises(UnsupportedError, match="a model that gives image cannot be judged by texts"):
        judge.look(lambda **_: {"image": HIDDEN[0]}, "dense", lambda _: None)


def found(**numbers: tuple[float, float]) -> Accuracy:
    dense, pruned = ({n: pair[i] for n, pair in numbers.items()} for i in (0, 1))
    return Accuracy("by check.py:f", dense, pruned, tuple(numbers))


def test_bounds_are_met_or_missed_in_words() -> None:
    assert not Bounds()
    assert Bounds().missed(found(f1=(0.9, 0.1))) == ()
    assert Bounds(keep=0.9).missed(found(f1=(0.8, 0.72))) == ()
    assert Bounds(keep=0.9).missed(found(f1=(0.8, 0.71), em=(0.5, 0.5))) == (
        "f1 is 0.71, below 0.9 of the dense 0.8 (0.72)",
    )
    assert Bounds(floor=0.7).missed(found(f1=(0.8, 0.7))) == ()
    assert Bounds(floor=-1.0).missed(found(loss=(-0.8, -1.2))) == (
        "loss is -1.2, below the floor -1 (dense: -0.8)",
    )
    assert len(Bounds(keep=0.99, floor=0.7).missed(found(f1=(0.8, 0.6), em=(0.9, 0.6)))) == 4


def test_only_what_judges_counts() -> None:
    seen = Accuracy("", {"a": 1.0, "b": 1.0}, {"a": 0.99, "b": 0.5}, ("a",))
    assert Bounds(keep=0.9, floor=0.9).missed(seen) == ()


@pytest.mark.parametrize("keep", [0.0, -0.5, 1.01, float("nan"), float("inf")])
def test_a_share_is_above_0_and_at_most_1(keep: float) -> None:
    with pytest.raises(InputError, match=f"keep={keep} is no"):
        Bounds(keep=keep)


def test_a_floor_is_a_number() -> None:
    with pytest.raises(InputError, match="floor=nan is no bound"):
        Bounds(floor=float("nan"))


def test_bounds_that_say_nothing_are_refused_at_once() -> None:
    Bounds(keep=0.9, floor=0.5).check(found(f1=(0.8, 0.0)))
    for dense in (0.0, -2.0):
        with pytest.raises(InputError, match=r"f1 is -?\d, of which a share is no bound: give --floor"):
            Bounds(keep=0.9).check(found(f1=(dense, 0.0)))
        Bounds(floor=-2.0).check(found(f1=(dense, 0.0)))
    with pytest.raises(InputError, match=r"f1 is 0.8, already below the floor 0.9"):
        Bounds(floor=0.9).check(found(f1=(0.8, 0.0)))
