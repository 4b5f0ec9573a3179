"""Arrays as bytes, and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerogel.chip.fabric.fabric import Fabric
from aerogel.chip.firmware.image import element_bytes, packed, unpacked
from aerogel.chip.machine.arithmetic import rounded
from aerogel.chip.machine.netlist import Values
from aerogel.core.errors import ChipError

FLOATS = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=20)
TIES = [1.0 + k * 2.0**-9 for k in range(9)] + [1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-8 - 2.0**-40, 3.4e38, 1e-45]


def _through(numbers: list[float], values: Values) -> list[float]:
    fabric = Fabric("f", values=values)
    raw = packed(np.asarray(numbers, np.float64), "vals", fabric, "A")
    assert len(raw) == len(numbers) * element_bytes("vals", fabric)
    return unpacked(raw, "vals", fabric).tolist()


@pytest.mark.parametrize("values", ["bf16", "f32", "f64"])
@settings(max_examples=40)
@given(FLOATS)
def test_values_are_rounded_as_the_machine_rounds(values: Values, numbers: list[float]) -> None:
    for numbers_ in (numbers, TIES):
        for found, number in zip(_through(numbers_, values), numbers_, strict=True):
            wanted = rounded(number, values)
            same = math.isnan(found) if math.isnan(wanted) else found == wanted
            assert same, (number, found, wanted)


def test_whole_numbers_that_do_not_fit_are_refused() -> None:
    assert _through([-32768.0, 1.5, 2.5, 32767.0], "int16") == [-32768.0, 2.0, 2.0, 32767.0]
    with pytest.raises(ChipError, match="A has values that int16 does not hold"):
        _through([40000.0], "int16")
    with pytest.raises(ChipError, match="A has a crd beyond 65535"):
        packed(np.asarray([65536]), "crd", Fabric("f"), "A")


@pytest.mark.parametrize(("bits", "size"), [(8, 1), (16, 2), (32, 4)])
def test_words_are_as_wide_as_the_fabric_says(bits: int, size: int) -> None:
    fabric = Fabric("f", word_bits=bits)
    most = (1 << bits) - 1
    raw = packed(np.asarray([0, 1, most]), "pos", fabric, "A")
    assert len(raw) == 3 * size
    assert unpacked(raw, "pos", fabric).tolist() == [0, 1, most]
