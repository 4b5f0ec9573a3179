"""The dot product of bytes is exact on 64-bit ARM, with and without an instruction for it."""

from __future__ import annotations

import numpy as np
import pytest
from tests.emulated.arm import Emulated
from tests.emulated.conftest import KINDS
from tests.native.dot4_cases import DEEP, EXTREMES, each, every_pair, expected, summed

from aerogel.core.target import Target, named


@pytest.fixture(params=[*KINDS.values(), ("asimddp", "i8mm")], ids="+".join)
def arm(request: pytest.FixtureRequest) -> Target:
    """One kind more than elsewhere: with i8mm, whose one instruction is played."""
    return named("neon", request.param)


@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_every_pair_of_bytes_at_every_place(arm: Target, lanes: int) -> None:
    x, w = every_pair()
    acc = np.arange(len(x) // 4, dtype=np.int32) * np.int32(65521)
    want = expected(acc, x, w)
    Emulated(each(lanes), arm)(acc, x, w, len(acc))
    np.testing.assert_array_equal(acc, want)


@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_the_extremes_8192_deep(arm: Target, lanes: int) -> None:
    run = Emulated(summed(lanes), arm)
    for high, low in EXTREMES:
        x, w = np.full(DEEP * lanes * 4, high, np.uint8), np.full(DEEP * lanes * 4, low, np.int8)
        acc = np.zeros(lanes, np.int32)
        run(acc, x, w, DEEP)
        assert set(acc.tolist()) == {high * low * 8192}
