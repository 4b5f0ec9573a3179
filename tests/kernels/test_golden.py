"""Kernels as text: a change of the generated code shows in review. What they compute is tested elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aerogel.kernels import linear
from aerogel.kernels.layout import Layout
from aerogel.loop import Function, Module
from aerogel.loop.printer import show

NARROW = Layout(lanes=4, width=2)


@pytest.mark.parametrize(
    "function",
    [
        linear.kernel(NARROW, "quad", 1),
        linear.kernel(NARROW, "quad", 2),
        linear.finish(NARROW, "gelu"),
        linear.finish(NARROW, "relu"),
    ],
    ids=lambda f: f.name,
)
def test_the_generated_kernel_is_the_one_in_the_golden_file(
    function: Function, golden: Callable[[str, str], None]
) -> None:
    golden(f"kernels/{function.name}.txt", show(Module("golden", (function,))))


def test_the_same_request_gives_the_same_text() -> None:
    """No counter outside the function: the order of compilation does not matter."""
    once = show(Module("m", linear.kernels(NARROW, "panel")))
    linear.kernels(Layout(lanes=8, width=3), "quad")
    assert show(Module("m", linear.kernels(NARROW, "panel"))) == once
