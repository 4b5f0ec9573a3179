"""A layer by itself: it computes the product, in floats and in integers, and its weights come from afar."""

from __future__ import annotations

import numpy as np
import pytest

from aerogel.core.target import current
from aerogel.formats.canonical import encode_rows8, integers_of
from aerogel.kernels.layout import Layout
from aerogel.tune import layer_call as module
from aerogel.tune.choose import DENSE, pack_as
from aerogel.tune.layer_call import LayerCall, Precision, in_precision
from aerogel.tune.plan import Candidate


def scattered(share: float, rows: int = 64, columns: int = 96) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.where(rng.random((rows, columns)) < share, 0, rng.standard_normal((rows, columns))).astype("f4")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("candidate", [DENSE, Candidate("panel", 0), Candidate("quad", 16)])
def test_a_call_computes_the_product(precision: Precision, candidate: Candidate) -> None:
    weight, columns = scattered(0.5), 20
    call = LayerCall(
        pack_as(in_precision(weight, precision), candidate, pairs=current().pairs), current(), columns
    )
    call()
    layout = Layout.of(current())
    x, y = layout.unpack(call.x, 96, columns), layout.unpack(call.y, 64, columns)
    if precision == "fp32":
        np.testing.assert_allclose(y, weight @ x, rtol=1e-4, atol=1e-4)
        return
    integers = integers_of(encode_rows8(weight))[0].astype(np.float64)
    # Rows are taken to sum to 0: the zero point of a column is still in its product.
    scale = (np.maximum(x.max(0), 0) - np.minimum(x.min(0), 0)) / 255
    zero = np.rint(-np.minimum(x.min(0), 0) / scale)
    wanted = integers @ x + integers.sum(1, keepdims=True) * (zero * scale)
    # Half a step of the grid in every input, and one in the zero point.
    off = (
        np.abs(integers).sum(1, keepdims=True) * scale * 0.51 + np.abs(integers.sum(1, keepdims=True)) * scale
    )
    assert (np.abs(y - wanted) <= off).all()


def test_every_call_takes_another_copy_of_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack_as(scattered(0.9), Candidate("panel", 0), pairs=current().pairs)
    copies: list[object] = []
    kept = module.copied
    monkeypatch.setattr(module, "copied", lambda p: copies.append(p) or kept(p))
    LayerCall(packed, current(), 16)()
    assert len(copies) == min(module._MOST_COPIES, -(-module._COLD_BYTES // packed.nbytes))
