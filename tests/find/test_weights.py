"""The zeros of hand-made weights, exactly: per layer, in all, tied, in patterns, as stored."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.find.networks import encoder, mlp, tied

from aerogel.core.errors import InputError
from aerogel.find.held import Held
from aerogel.find.subject import weights_of
from aerogel.find.weights import SPARSE, WeightReport, measure_weights, pattern_of
from aerogel.formats.canonical import encode


def report(*held: Held) -> WeightReport:
    return measure_weights(held, lambda _: None)


def held(name: str, weight: np.ndarray, role: str = "linear") -> Held:
    return Held(name, role, weight.shape, (name,), lambda: weight)  # type: ignore[arg-type]


def test_zeros_of_every_layer_and_of_all() -> None:
    found = report(*weights_of(mlp()))
    rows = {row.name: row for row in found.rows}
    up = rows["up.weight"]
    assert (up.shape, up.role, up.zeros.count, up.zeros.zeros) == ((6, 8), "linear", 48, 9)
    assert rows["down.weight"].zeros.zeros == 0
    assert rows["up.bias"].role == "other"
    assert found.total("linear").count == 48 + 24
    assert found.total("linear").zeros == 9 == found.total().zeros
    assert found.total("embedding").count == 0


def test_layers_that_are_sparse_already() -> None:
    found = report(*weights_of(mlp()))
    assert 9 / 48 > SPARSE
    assert [row.name for row in found.sparse] == ["up.weight"]
    assert found.sparse[0].pattern == "unstructured"


def test_a_sparse_table_or_bias_is_no_sparse_layer() -> None:
    nothing = np.zeros((4, 4), np.float32)
    assert report(held("table", nothing, "embedding"), held("bias", nothing, "other")).sparse == ()


def test_tied_weights_are_counted_once_and_named() -> None:
    found = report(*weights_of(tied()))
    assert [row.name for row in found.tied] == ["same.weight", "same.bias"]
    assert len(found.tied[0].readers) == 2
    assert found.total("linear").count == 64


def test_roles_of_an_encoder() -> None:
    found = report(*weights_of(encoder()))
    assert [row.name for row in found.of("embedding")] == ["table0"]
    assert {row.name for row in found.of("linear")} == {f"layer{i}.weight" for i in (1, 2, 3)} | {
        "up.weight",
        "head.weight",
    }


def test_stored_bytes_are_those_of_the_smallest_encoding() -> None:
    weight = np.zeros((64, 64), np.float32)
    weight[::9] = 1
    row = report(held("a", weight)).rows[0]
    assert row.stored_bytes == encode(weight).nbytes < weight.nbytes / 3
    assert report(held("b", np.ones((5, 3), np.float32))).rows[0].stored_bytes == 60


def test_nan_names_its_layer() -> None:
    weight = np.ones((2, 2), np.float32)
    weight[0, 1] = np.nan
    with pytest.raises(InputError, match=r"weight 'block\.3\.weight' holds 1 NaN"):
        report(held("fine", np.ones((2, 2), np.float32)), held("block.3.weight", weight))


@pytest.mark.parametrize(("rows", "wanted"), [(4, "block4x1"), (2, "block2x1"), (1, "unstructured")])
def test_the_coarsest_pattern_that_holds(rows: int, wanted: str) -> None:
    units = np.random.default_rng(rows).random((24 // rows, 5)) < 0.5
    assert pattern_of(np.where(np.repeat(units, rows, axis=0), 0, 1).astype(np.float32)) == wanted


def test_a_last_smaller_block_is_a_unit_of_its_own() -> None:
    weight = np.ones((6, 2), np.float32)
    weight[4:, 0] = 0
    assert pattern_of(weight) == "block4x1"


def test_json_has_the_counts_and_the_definition() -> None:
    found = json.loads(json.dumps(report(*weights_of(mlp())).to_json(), allow_nan=False))
    assert found["by_role"]["linear"]["zeros"] == 9
    assert found["sparse"] == ["up.weight"] and found["tied"] == []
    assert "Near zero" in found["definition"]
    assert found["layers"][0]["shape"] == [6, 8]
