"""What a program and its maker refuse, and how they say so."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from tests.model import zoo
from tests.model.graphs import Draft, quick, rows_of, tokens

import aerogel
from aerogel.core.errors import AerogelError, FormatError, InputError, UnsupportedError
from aerogel.core.target import current
from aerogel.model import batch as batch_module
from aerogel.model.compile import build
from aerogel.model.graph import Input
from aerogel.model.program import Program
from aerogel.tune.plan import Plan

IDS = np.array([[3, 4, 5], [6, 7, 8]])
ROWS = np.ones((2, 4), np.float32)


@cache
def encoder() -> Program:
    d = Draft((Input("ids", "ids", 50), Input("mask", "mask", 2), Input("kinds", "ids", 2, optional=True)))
    x = d.add(d.embedding(), d.embedding())
    return quick(d.graph(d.attend(x)))


@cache
def rows() -> Program:
    d = rows_of(4)
    return quick(d.graph(d.linear("x", 3)))


def refused(error: type[AerogelError], message: str, call: Callable[[], object]) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()


# --- arguments of a call ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "named", "message"),
    [
        ((), {}, "input 'ids' is missing: the program takes ids, mask, kinds"),
        ((None,), {}, "input 'ids' is missing"),
        ((), {"mask": IDS}, "input 'ids' is missing"),
        ((IDS,), {"ids": IDS}, "input 'ids' is given twice"),
        ((IDS,), {"token_type_ids": IDS}, "no input 'token_type_ids': the program takes ids, mask, kinds"),
        ((IDS, None, None, IDS), {}, "the program takes 3 inputs (ids, mask, kinds), got 4"),
        ((IDS[0],), {}, "integers of shape (batch, sequence)"),
        ((IDS * 1.0,), {}, "'ids' is float64"),
        ((torch.tensor(IDS) * 1.0,), {}, "'ids' is float32"),
        ((IDS * 10,), {}, "they must lie in 0 to 49"),
        ((-IDS,), {}, "they must lie in 0 to 49"),
        ((IDS, IDS), {}, "other numbers than 0 and 1"),
        ((IDS, IDS[:1] > 0), {}, "it needs 0 and 1 of shape (2, 3)"),
        ((IDS, IDS * 0), {}, "all zero in row 0"),
        (("some text",), {}, "integers of shape (batch, sequence)"),
        ((object(),), {}, "integers of shape (batch, sequence)"),
        ((np.zeros((1, 41), int),), {}, "takes at most 40"),
    ],
)
def test_calls_with_unusable_arrays(args: tuple[Any, ...], named: dict[str, Any], message: str) -> None:
    refused(InputError, message, lambda: encoder()(*args, **named))


def test_a_refused_call_spoils_nothing() -> None:
    given = tokens((3, 2))
    before = encoder()(**given)
    refused(InputError, "lie in 0 to 49", lambda: encoder()(given["ids"] + 50, given["mask"]))
    np.testing.assert_array_equal(encoder()(**given), before)


@pytest.mark.parametrize("threads", [0, -1, True, False, 1.0, "2", np.nan])
def test_impossible_thread_counts(threads: Any) -> None:
    message = f"threads={threads!r}: give a whole number from 1 on, or None for all cores"
    refused(InputError, message, lambda: rows()(ROWS, threads=threads))
    refused(InputError, message, lambda: build(rows().built.graph, threads=threads, plan="quick"))
    refused(InputError, message, lambda: rows().explain(ROWS, threads=threads))


def test_a_thread_count_may_come_from_numpy_and_be_beyond_all_cores() -> None:
    wanted = rows()(ROWS)
    for threads in (np.int64(1), np.uint8(2), 10**9):
        np.testing.assert_array_equal(rows()(ROWS, threads=threads), wanted)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (ROWS.astype(int), "'x' is int64"),
        (ROWS[:, :3], "needs floats with 4 features last"),
        (ROWS.T[0], "needs floats with 4 features last"),
        (np.float32(1), "needs floats with 4 features last"),
        ("abc", "needs floats"),
        (torch.ones(2, 4, dtype=torch.int32), "'x' is int32"),
        (torch.ones(2, 4, dtype=torch.complex64), "'x' is complex64"),
    ],
)
def test_rows_that_are_unusable(x: Any, message: str) -> None:
    refused(InputError, message, lambda: rows()(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_rows_of_other_floats_are_converted(dtype: torch.dtype) -> None:
    x = torch.full((2, 4), 1.5)
    np.testing.assert_array_equal(rows()(x.to(dtype)), rows()(x))


# --- making a program ------------------------------------------------------------------------------


def module_with(name: str, number: float) -> torch.nn.Module:
    module = zoo.hugging("BertModel")
    with torch.no_grad():
        module.get_parameter(name).view(-1)[3] = number
    return module


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize(
    "name",
    [
        "encoder.layer.0.output.dense.weight",
        "encoder.layer.1.attention.self.value.bias",
        "embeddings.word_embeddings.weight",
        "encoder.layer.0.output.LayerNorm.weight",
    ],
)
def test_weights_that_are_not_finite(name: str, number: float) -> None:
    module, ids = module_with(name, number), torch.ones(2, 3, dtype=torch.int64)
    refused(InputError, f"weight {name!r} holds 1 NaN", lambda: aerogel.compile(module, (ids,), plan="quick"))


def test_weights_of_a_graph_that_are_not_finite() -> None:
    d = rows_of(4)
    graph = d.graph(d.linear("x", 3))
    d.weights["layer0.weight"][1, 2] = np.nan
    for plan in ("quick", "timed"):
        refused(InputError, "NaN or infinity", lambda: build(graph, plan=plan))  # noqa: B023


@pytest.mark.parametrize("plan", ["fast", None, 3, {"layers": []}, ("quick",)])
def test_plans_that_are_none(plan: Any) -> None:
    refused(
        InputError, "is unknown: 'timed', 'quick' or a Plan", lambda: build(rows().built.graph, plan=plan)
    )


def test_a_plan_for_another_machine() -> None:
    plan = Plan("sse9/x86_64/128x16/sse9", 0, rows().plan.layers)
    message = f"plan is for sse9, the program for {current().name}: make a new one"
    refused(UnsupportedError, message, lambda: build(rows().built.graph, plan=plan))


def test_a_plan_for_another_model() -> None:
    refused(FormatError, "the plan has no layer", lambda: build(encoder().built.graph, plan=rows().plan))


def test_an_unknown_precision() -> None:
    module, x = torch.nn.Linear(4, 4), torch.ones(2, 4)
    message = "precision 'int4' is unknown: did you mean 'int8'?"
    refused(InputError, message, lambda: aerogel.compile(module, (x,), precision="int4"))  # type: ignore[arg-type]


@pytest.mark.parametrize("example", [None, (), (1,), "text", [[1]]])
def test_example_inputs_that_are_none(example: Any) -> None:
    with pytest.raises(AerogelError):
        aerogel.compile(torch.nn.Linear(4, 4), example, plan="quick")


def test_a_module_that_is_none() -> None:
    with pytest.raises(AerogelError):
        aerogel.compile("model.pt", (torch.ones(1),), plan="quick")  # type: ignore[arg-type]


# --- names in the user's model that look like ours ------------------------------------------------


class BorrowedBias(torch.nn.Module):
    """Normalises with the bias of a layer whose product has none."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(5, width)
        self.gamma = torch.nn.Parameter(torch.randn(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.linear(x, self.fc.weight)
        return torch.nn.functional.layer_norm(y, (y.shape[-1],), self.gamma, self.fc.bias)


class Namesakes(torch.nn.Module):
    """Uses one layer twice, and another whose name is what we would call the second use."""

    def __init__(self) -> None:
        super().__init__()
        self.l = torch.nn.Linear(6, 6)
        self.add_module("l (2)", torch.nn.Linear(6, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        once = torch.tanh(self.l(x))
        return self.get_submodule("l (2)")(torch.tanh(self.l(once)))


@pytest.mark.parametrize("model", [BorrowedBias(8), BorrowedBias(64), Namesakes()], ids=["8", "64", "names"])
def test_constants_and_layers_that_are_called_alike_are_kept_apart(model: torch.nn.Module) -> None:
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    inputs = torch.randn(7, 6 if isinstance(model, Namesakes) else 5)
    program = aerogel.compile(model.eval(), (inputs,), plan="quick")
    torch.testing.assert_close(program(inputs), model(inputs).detach(), rtol=1e-4, atol=1e-4)


def test_ids_changed_by_another_thread_after_the_check_are_not_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is checked is a copy: the caller's array may change at any time."""
    ids = IDS.copy()
    pack = batch_module._pack

    def interrupted(*args: Any, **named: Any) -> Any:
        ids[:] = 1_000_000
        return pack(*args, **named)

    monkeypatch.setattr(batch_module, "_pack", interrupted)
    work = encoder().batch(ids)
    assert work.ids[0].tolist() == IDS.ravel().tolist()
