"""How far outputs moved, against its formula, and where it cannot be said."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from aerogel.core.errors import InputError
from aerogel.prune.batches import calls_of
from aerogel.prune.output_change import OutputChange, output_of, quality_of


def test_the_sums_are_over_all_batches() -> None:
    change = OutputChange()
    change.add(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
    change.add(torch.tensor([[0.0, 9.0]]), torch.tensor([[0.0, 5.0]]))
    assert change.relative == pytest.approx((25 / 25) ** 0.5) and change.rows == 2


def test_without_a_dense_output_there_is_no_share_of_it() -> None:
    change = OutputChange()
    assert change.relative is None
    change.add(torch.zeros(1, 2), torch.zeros(1, 2))
    assert change.relative == 0.0
    change.add(torch.ones(1, 2), torch.zeros(1, 2))
    assert change.relative is None


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(InputError, match="NaN or infinite"):
        OutputChange().add(torch.tensor([[torch.nan]]), torch.zeros(1, 1))
    for found in (float("nan"), None, "0.5"):
        with pytest.raises(InputError, match="give a function from the model to a number"):
            quality_of(nn.Identity(), lambda _, found=found: found)


class Masked(nn.Module):
    def forward(self, x: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return x * 2 + 0 * attention_mask.sum()


def test_padding_is_left_out() -> None:
    batch = {"x": torch.arange(6.0).reshape(1, 3, 2), "attention_mask": torch.tensor([[1, 0, 1]])}
    model = Masked()
    assert output_of(model, calls_of(model, [batch])[0]).tolist() == [[0.0, 2.0], [8.0, 10.0]]
