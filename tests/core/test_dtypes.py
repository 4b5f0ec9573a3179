"""Element types and their NumPy twins."""

from __future__ import annotations

import numpy as np
import pytest

from aerogel.core.dtypes import DType
from aerogel.core.errors import InputError


@pytest.mark.parametrize("dtype", DType, ids=lambda d: d.name)
def test_sizes_and_kinds_agree_with_numpy(dtype: DType) -> None:
    twin = dtype.numpy()
    assert twin.itemsize == dtype.itemsize == dtype.bits // 8
    if dtype is not DType.BF16:
        assert DType.of(twin) is dtype
        assert dtype.is_float == (twin.kind == "f") and dtype.is_integer == (twin.kind in "iu")
        assert dtype.is_signed == (twin.kind in "if")
    assert dtype.short == dtype.name.lower()
    assert sum((dtype.is_float, dtype.is_integer, dtype is DType.BOOL)) == 1


def test_bfloat16_is_a_float_stored_as_bits() -> None:
    assert DType.BF16.is_float and DType.BF16.numpy() == np.uint16
    assert DType.of(np.uint16) is DType.U16


@pytest.mark.parametrize(
    "given", ["float32", np.float32, np.dtype("f4"), "<f4", np.ones(1, np.float32).dtype]
)
def test_a_dtype_by_any_name(given: object) -> None:
    assert DType.of(given) is DType.F32


@pytest.mark.parametrize("given", [complex, "U3", object, "M8[s]", np.longdouble])
def test_types_without_a_twin_are_refused(given: object) -> None:
    with pytest.raises(InputError, match="is not supported: cast to"):
        DType.of(given)


@pytest.mark.parametrize("given", ["no such type", 3, [1]])
def test_what_is_no_type_is_refused(given: object) -> None:
    with pytest.raises(InputError, match="is not a dtype"):
        DType.of(given)


def test_the_other_byte_order_is_refused() -> None:
    with pytest.raises(InputError, match="not supported"):
        DType.of(">f4")
