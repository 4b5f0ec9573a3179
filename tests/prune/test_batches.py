"""Calibration data that cannot be used is refused before anything is done."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.prune.encoder import batches, encoder

from aerogel.core.errors import InputError
from aerogel.prune import prune
from aerogel.prune.batches import calls_of


def layer() -> torch.nn.Linear:
    return torch.nn.Linear(3, 2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "data is empty"),
        (iter(()), "data is empty"),
        (torch.ones(2, 3), r"data is one Tensor: give an iterable of batches, such as \[batch\]"),
        ({"x": torch.ones(2, 3)}, "data is one dict"),
        ("some text", "data is one str"),
        (7, "data is one int"),
        (["some text"], "batch 0 of data is a str: give a tensor"),
        ([torch.ones(2, 3), None], "batch 1 of data is a NoneType"),
        ([torch.ones(2, 3), torch.full((2, 3), float("nan"))], "batch 1 of data holds NaN"),
        ([(torch.full((2, 3), float("inf")),)], "batch 0 of data holds NaN or infinity"),
    ],
)
def test_data_that_is_none(data: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prune(layer(), 0.5, method="sparsegpt", data=data)


@pytest.mark.parametrize(
    "options", [{"method": "sparsegpt"}, {"method": "wanda"}, {"repair": True}, {"budget": "owl"},
                {"recovery": "distill:1steps"}],
)  # fmt: skip
def test_what_needs_data_says_so(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="needs data: give data=batches"):
        prune(layer(), 0.5, **options)


def test_a_batch_of_padding_alone_is_refused() -> None:
    (batch,) = batches(1)
    batch["attention_mask"] = torch.zeros_like(batch["attention_mask"])
    with pytest.raises(InputError, match="batch 0 of data is all padding"):
        prune(encoder(), 0.5, method="wanda", data=[batch])


def test_one_text_is_enough() -> None:
    (batch,) = batches(1)
    one = {name: value[:1] for name, value in batch.items()}
    for method in ("wanda", "sparsegpt"):
        result = prune(encoder(), 0.5, method=method, data=[one], repair=True)
        assert result.report.sparsity == 0.5
        assert all(bool(torch.isfinite(p).all()) for p in result.model.parameters())


def test_the_mask_is_found_by_name_or_place() -> None:
    model, (batch,) = encoder(), batches(1)
    for data in (batch, (batch["input_ids"], batch["attention_mask"]), list(batch.values())):
        (call,) = calls_of(model, [data])
        assert call.mask is not None and torch.equal(call.mask, batch["attention_mask"].bool())
    (call,) = calls_of(layer(), [torch.ones(2, 3)])
    assert call.mask is None


def test_global_scope_is_a_budget() -> None:
    with pytest.raises(InputError, match="a map of sparsities is a budget"):
        prune(layer(), {".*": 0.5}, scope="global")
    with pytest.raises(InputError, match="scope='global' is a budget, as is 'owl'"):
        prune(layer(), 0.5, scope="global", budget="owl", data=[torch.ones(2, 3)])
