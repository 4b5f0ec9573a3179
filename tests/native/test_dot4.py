"""The dot product of bytes is exact on every CPU, whether it has an instruction for it or not."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.native.dot4_cases import DEEP, EXTREMES, each, every_pair, expected, saturated, summed

from aerogel.core.target import Target, available, named
from aerogel.loop.nodes import Dot4, PairDot4
from aerogel.native import compile
from aerogel.native.compiler import generate


def kinds() -> list[Target]:
    """Every target of this CPU as it is, and with what it requires alone."""
    bare = [replace(t, features=named(t.name).features) for t in available()]
    return [*available(), *(t for t in bare if t not in available())]


@pytest.fixture(params=kinds(), ids=lambda t: f"{t.name}/{len(t.features)}")
def kind(request: pytest.FixtureRequest) -> Target:
    return request.param


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_every_pair_of_bytes_at_every_place(kind: Target, lanes: int) -> None:
    x, w = every_pair()
    acc = np.arange(len(x) // 4, dtype=np.int32) * np.int32(65521)
    want = expected(acc, x, w)
    compile(each(lanes), kind)(acc, x, w, len(acc))
    np.testing.assert_array_equal(acc, want)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_pairs_saturate_at_16_bits_on_every_cpu(kind: Target, lanes: int) -> None:
    x, w = every_pair()
    acc = np.arange(len(x) // 4, dtype=np.int32) * np.int32(65521)
    want = saturated(acc, x, w)
    compile(each(lanes, PairDot4), kind)(acc, x, w, len(acc))
    np.testing.assert_array_equal(acc, want)


@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_the_extremes_8192_deep(kind: Target, lanes: int) -> None:
    run = compile(summed(lanes), kind)
    for high, low in EXTREMES:
        x, w = np.full(DEEP * lanes * 4, high, np.uint8), np.full(DEEP * lanes * 4, low, np.int8)
        acc = np.zeros(lanes, np.int32)
        run(acc, x, w, DEEP)
        assert set(acc.tolist()) == {high * low * 8192}


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_any_bytes_of_extremes(data: st.DataObject) -> None:
    lanes, steps = data.draw(st.sampled_from([4, 8, 16])), data.draw(st.integers(0, 40))
    size = steps * lanes * 4
    x = data.draw(arrays.arrays(np.uint8, size, elements=st.sampled_from([0, 1, 127, 128, 254, 255])))
    w = data.draw(arrays.arrays(np.int8, size, elements=st.sampled_from([-128, -127, -1, 0, 1, 126, 127])))
    start = data.draw(arrays.arrays(np.int32, lanes))
    for target in kinds():
        acc = start.copy()
        compile(summed(lanes), target)(acc, x, w, steps)
        np.testing.assert_array_equal(acc, expected(start, x, w), err_msg=target.fingerprint)


def test_which_cpus_multiply_pairs() -> None:
    vnni = {"avx2": "avx_vnni", "avx512": "avx512_vnni"}
    assert all(named(name).pairs and not named(name, {flag}).pairs for name, flag in vnni.items())
    assert not named("sse2").pairs and not named("neon").pairs


# Of each kind of CPU: the instruction that multiplies, how many of them, and how many instructions on
# vectors a loop has in which nothing is shared, its loads among them.
SHAPES = {
    ("avx512", ("avx512_vnni",)): (r"vpdpbusd", 1, 2),
    ("avx512", ()): (r"vpmaddwd", 2, 11),
    ("avx2", ("avx_vnni",)): (r"vpdpbusd", 1, 2),
    ("avx2", ()): (r"vpmaddwd", 2, 11),
    ("sse2", ()): (r"pmaddwd", 2, 14),
    ("neon", ("asimddp", "i8mm")): (r"usdot", 1, 3),
    ("neon", ("asimddp",)): (r"sdot", 2, 7),
    ("neon", ()): (r"sadalp", 2, 11),
}  # fmt: skip


PAIRS = {("avx512", ()): (r"vpmaddubsw", 1, 5), ("avx2", ()): (r"vpmaddubsw", 1, 5)}


@pytest.mark.parametrize(("shape", "want"), PAIRS.items(), ids=lambda item: "-".join(map(str, item)))
def test_the_loop_of_pairs_is_shorter(shape: tuple[str, tuple[str, ...]], want: tuple[str, int, int]) -> None:
    short_loop(named(*shape), PairDot4, *want)


@pytest.mark.parametrize(("shape", "want"), SHAPES.items(), ids=lambda item: "-".join(map(str, item)))
def test_the_loop_is_short(shape: tuple[str, tuple[str, ...]], want: tuple[str, int, int]) -> None:
    short_loop(named(*shape), Dot4, *want)


def short_loop(target: Target, kind: type[Dot4 | PairDot4], multiply: str, times: int, most: int) -> None:
    text = generate(summed(target.vector_bits // 32, kind), target, show=True).assembly
    (loop,) = (part for part in text.split(".LBB0_") if re.search(rf"\b{multiply}\b", part))
    assert len(re.findall(rf"\b{multiply}\b", loop)) == times
    vectors = re.findall(r"^\t.*(?:%[xyz]mm|\b[vq]\d).*$", loop, re.MULTILINE)
    assert times < len(vectors) <= most, loop
