"""What is written for the LLVM at hand is what it reads; older ones want other forms."""

from __future__ import annotations

import pytest

from aerogel.native import versions
from aerogel.native.codegen import build, triple


def masked_load() -> str:
    where = versions.aligned_pointer("%p", 4)
    call = f"call <4 x float> @llvm.masked.load.v4f32.p0({where}, <4 x i1> %m, <4 x float> zeroinitializer)"
    return (
        f'target triple = "{triple()}"\n'
        f"define <4 x float> @f(ptr %p, <4 x i1> %m) {{\n  %v = {call}\n  ret <4 x float> %v\n}}\n"
    )


def test_a_masked_load_is_read_and_its_alignment_is_kept() -> None:
    assert "align 4" in build(masked_load(), show=True).optimised.replace("i32 4", "align 4")


@pytest.mark.parametrize(("major", "text"), [(20, "ptr %p, i32 4"), (22, "ptr align 4 %p")])
def test_alignment_is_an_argument_or_an_attribute(
    major: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "_MAJOR", major)
    assert versions.aligned_pointer("%p", 4) == text
