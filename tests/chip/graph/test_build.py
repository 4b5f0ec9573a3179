"""Graphs against the interpreter of expressions: every expression, order, format and way to build one."""

from __future__ import annotations

import numpy as np
import pytest
from tests.chip.graph import cases

from aerogel.chip.graph.blocks import (
    Buffer,
    Drop,
    Join,
    Locate,
    MatrixReduce,
    Sift,
    Split,
    VectorReduce,
)
from aerogel.chip.graph.build import DEFAULT, Options, build, run
from aerogel.core.errors import ChipError, InputError
from aerogel.einsum.parse import parse

VARIANTS = {
    "plain": DEFAULT,
    "undropped": Options(drop=False),
    "skips": Options(skips=True),
    "bits": Options(bits=True),
    "lanes": Options(lanes=2),
}
# What lanes cannot do: deal out an index that is summed, or a result that comes by itself.
REFUSED = ("is not over an index of the result", "cannot be dealt out")


def differ(text: str, order: tuple[str, ...] | None, rng: np.random.Generator, options: Options) -> bool:
    """Whether there is a graph; its result is asserted."""
    arrays = cases.operands(text, rng, rng.choice([0.0, 0.3, 0.6, 1.0]))
    formats = cases.any_formats(arrays, rng)
    try:
        plan, result = cases.planned(text, cases.stored(arrays, formats), order, options)
    except ChipError as error:
        if options.lanes == 1 or not any(words in str(error) for words in REFUSED):
            raise
        return False
    assert result.format == plan.form
    np.testing.assert_allclose(
        cases.dense(result), cases.wanted(text, arrays), rtol=1e-12, err_msg=f"{text} {order} {formats}"
    )
    return True


@pytest.mark.parametrize("name", cases.EXPRESSIONS)
def test_expressions_of_the_evaluation(name: str) -> None:
    """In every order of loops, or in six of many."""
    text, rng = cases.EXPRESSIONS[name], np.random.default_rng(5)
    orders = cases.orders(text)
    some = [orders[at] for at in rng.permutation(len(orders))[:6]]
    assert all(differ(text, order, rng, DEFAULT) for order in some)


@pytest.mark.parametrize("text", cases.MORE)
def test_other_expressions(text: str) -> None:
    rng = np.random.default_rng(6)
    assert differ(text, None, rng, DEFAULT)
    for order in cases.orders(text)[:3]:
        differ(text, order, rng, DEFAULT)


@pytest.mark.parametrize("variant", VARIANTS)
def test_ways_to_build(variant: str) -> None:
    rng = np.random.default_rng(7)
    for text in (*cases.EXPRESSIONS.values(), *cases.MORE[:4]):
        for order in cases.orders(text)[:1]:
            differ(text, order, rng, VARIANTS[variant])


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("text", [*cases.EXPRESSIONS.values(), *cases.MORE])
def test_everything(text: str, variant: str) -> None:
    rng = np.random.default_rng(8)
    for order in cases.orders(text):
        for _ in range(3):
            differ(text, order, rng, VARIANTS[variant])


def test_all_six_orders_of_a_product() -> None:
    """Each has its reducer: a scalar one where the sum is innermost, one of a vector, one of a matrix."""
    text, rng = cases.EXPRESSIONS["SpM*SpM"], np.random.default_rng(1)
    tensors = cases.stored(cases.operands(text, rng), {})
    kinds = {
        "".join(order): {"Reduce", "VectorReduce", "MatrixReduce"}
        & set(build(text, tensors, order).graph.counts())
        for order in cases.orders(text)
    }
    assert kinds == {
        "ijk": {"Reduce"},
        "jik": {"Reduce"},
        "ikj": {"VectorReduce"},
        "jki": {"VectorReduce"},
        "kij": {"MatrixReduce"},
        "kji": {"MatrixReduce"},
    }


def test_workspaces_have_the_extents_of_their_indices() -> None:
    tensors = cases.stored(cases.operands("X(i,l) = B(i,k) * C(k,l)", np.random.default_rng(1)), {})
    blocks = [node.block for node in build("X(i,l) = B(i,k) * C(k,l)", tensors, ("i", "k", "l")).graph.nodes]
    assert [b.extent for b in blocks if isinstance(b, VectorReduce)] == [2]
    blocks = [node.block for node in build("X(i,l) = B(i,k) * C(k,l)", tensors, ("k", "i", "l")).graph.nodes]
    assert [b.extents for b in blocks if isinstance(b, MatrixReduce)] == [(4, 2)]


def test_a_workspace_of_three_dimensions_is_one_of_two_between_a_joiner_and_a_splitter() -> None:
    text, rng = cases.EXPRESSIONS["TTM"], np.random.default_rng(1)
    plan = build(text, cases.stored(cases.operands(text, rng), {}), ("l", "k", "i", "j"))
    blocks = [node.block for node in plan.graph.nodes]
    # k, i and j have 3, 4 and 4 coordinates.
    assert [b.extents for b in blocks if isinstance(b, MatrixReduce)] == [(3, 16)]
    assert [b.size for b in blocks if isinstance(b, Join | Split)] == [4, 4]
    assert plan.workspaces == (("k", "i", "j"),)


@pytest.mark.parametrize(
    ("text", "ops"),
    [
        ("X(i,j) = B(i,j) - C(i,k) * D(k,j)", {"union"}),
        ("X(i,j) = relu(C(i,k) * D(k,j)) * B(i,j)", {"intersect"}),
    ],
)
def test_an_intermediate_result_that_meets_another_operand_is_sifted(text: str, ops: set[str]) -> None:
    tensors = cases.stored(cases.operands(text, np.random.default_rng(1)), {})
    for order, wanted in (("kij", ops), ("ijk", set())):
        nodes = build(text, tensors, tuple(order)).graph.nodes
        assert {node.block.op for node in nodes if isinstance(node.block, Sift)} == wanted


def test_dense_operands_are_located_and_dense_results_need_no_writer() -> None:
    text, rng = cases.EXPRESSIONS["SpMV"], np.random.default_rng(2)
    plan = build(text, cases.stored(cases.operands(text, rng), {"B": "csr", "c": "dense"}), ("i", "j"))
    assert plan.form.short == "dense"
    assert [b.block.size for b in plan.graph.nodes if isinstance(b.block, Locate)] == [4]
    assert "WriteLevel" not in plan.graph.counts()


def test_operands_come_in_the_order_of_loops() -> None:
    text, rng = cases.EXPRESSIONS["SpM*SpM"], np.random.default_rng(3)
    tensors = cases.stored(cases.operands(text, rng), {"B": "csr", "C": "csr"})
    plan = build(text, tensors, ("j", "i", "k"))
    assert {name: operand.format.short for name, operand in plan.operands.items()} == {"B": "csr", "C": "csc"}
    assert plan.form.order == (1, 0)
    assert {name: s.format.short for name, s in plan.stored(tensors).items()} == {"B": "csr", "C": "csc"}


def test_the_same_operand_in_two_orders_is_kept_twice_and_in_one_once() -> None:
    rng = np.random.default_rng(3)
    b = cases.stored({"B": rng.random((4, 4))}, {})
    twice = build("X(i,j) = B(i,j) * B(j,i)", b, ("i", "j")).operands
    assert sorted(op.format.order for op in twice.values()) == [(0, 1), (1, 0)]
    assert len(build("X(i,j) = B(i,j) * B(i,j)", b, ("i", "j")).operands) == 1


def test_drops_only_where_something_may_be_empty() -> None:
    rng = np.random.default_rng(4)
    drops = {}
    for name in ("MMAdd", "ElemMult", "SpM*SpM"):
        text = cases.EXPRESSIONS[name]
        blocks = build(text, cases.stored(cases.operands(text, rng), {}), cases.orders(text)[0]).graph.nodes
        drops[name] = [node.block.inner.name for node in blocks if isinstance(node.block, Drop)]
    assert drops == {"MMAdd": [], "ElemMult": ["COORDINATE"], "SpM*SpM": ["VALUE", "COORDINATE"]}


def test_dropped_results_store_nothing_that_is_empty() -> None:
    b, c = np.zeros((4, 3)), np.zeros((3, 4))
    b[0, 1] = b[2, 0] = c[0, 3] = 2.0
    for order in cases.orders(cases.EXPRESSIONS["SpM*SpM"]):
        for text in (cases.EXPRESSIONS["SpM*SpM"], "X(i,j) = relu(B(i,k) * C(k,j))"):
            _, result = cases.planned(text, cases.stored({"B": b, "C": c}, {}), order)
            assert result.counts() == (1, 1)


def test_a_softmax_of_rows_over_what_is_stored() -> None:
    rng = np.random.default_rng(9)
    q, k = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
    mask = (rng.random((4, 4)) < 0.5) * 1.0
    mask[2] = 0
    text = "X(i,j) = M(i,j) * Q(i,k) * K(j,k)"
    tensors = cases.stored({"M": mask, "Q": q, "K": k}, {"M": "csr", "Q": "dense", "K": "dense"})
    plan, result = cases.planned(text, tensors, ("i", "j", "k"), Options(softmax=True))
    powers = np.where(mask, np.exp(q @ k.T), 0)
    np.testing.assert_allclose(
        cases.dense(result), powers / np.maximum(powers.sum(axis=1, keepdims=True), 1e-300), rtol=1e-12
    )
    depths = {node.block.depth for node in plan.graph.nodes if isinstance(node.block, Buffer)}
    assert depths == {6}, "a row, its stop, and the next row's first"


def test_a_softmax_as_an_expression() -> None:
    rng = np.random.default_rng(9)
    scores = rng.standard_normal((4, 4))
    text = "X(i,j) = exp(S(i,j) - reduce_max(k, S(i,k))) / sum(l, exp(S(i,l) - reduce_max(k, S(i,k))))"
    plan, result = cases.planned(text, {"S": scores})
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    np.testing.assert_allclose(cases.dense(result), powers / powers.sum(axis=1, keepdims=True), rtol=1e-12)
    assert plan.form.dense


def test_a_semiring_of_shortest_paths() -> None:
    rng = np.random.default_rng(10)
    steps, dist = rng.integers(1, 9, (4, 4)) * (rng.random((4, 4)) < 0.6) * 1.0, rng.integers(1, 9, 4) * 1.0
    text, tensors = "d(j) = D(i) * A(i,j)", cases.stored({"D": dist, "A": steps}, {"D": "sv"})
    plan = build(text, tensors, ("j", "i"), semiring="min_plus")
    reached = np.where(steps > 0, dist[:, None] + steps, np.inf).min(axis=0)
    np.testing.assert_allclose(cases.dense(run(plan, tensors)), reached)


def test_scheduled_einsums_and_trees_are_taken_too() -> None:
    text, rng = cases.EXPRESSIONS["SpMV"], np.random.default_rng(11)
    tensors = cases.stored(cases.operands(text, rng), {})
    assert build(parse(text), tensors, ("i", "j")).graph == build(text, tensors, ("i", "j")).graph


def test_an_operand_that_is_added_to_is_not_what_is_written() -> None:
    rng = np.random.default_rng(12)
    arrays = {"X": rng.random((4, 4)), "B": rng.random((4, 3)), "C": rng.random((3, 4))}
    plan, result = cases.planned("X(i,j) += B(i,k) * C(k,j)", cases.stored(arrays, {}), ("i", "k", "j"))
    assert plan.out == "X_out"
    np.testing.assert_allclose(cases.dense(result), arrays["X"] + arrays["B"] @ arrays["C"], rtol=1e-12)


def test_the_same_request_gives_the_same_graph() -> None:
    text, rng = cases.EXPRESSIONS["MTTKRP"], np.random.default_rng(13)
    tensors = cases.stored(cases.operands(text, rng), {})
    assert build(text, tensors) == build(text, tensors)


@pytest.mark.parametrize(
    ("text", "order", "options", "error", "words"),
    [
        ("x(i) = sin(b(i))", "i", {}, ChipError, "no block computes sin"),
        ("x(i) = b(i) ** 2.5", "i", {}, ChipError, "power of 2.5"),
        ("x(i) = B(i,j) * c(j)", "ji", {"lanes": 2}, ChipError, "not over an index of the result"),
        ("x(i) = B(i,j) * c(j)", "ik", {}, InputError, "must name each index once: i, j"),
        ("x = B(i,j)", "ij", {"softmax": True}, ChipError, "this is a scalar"),
    ],
)
def test_refusals(text: str, order: str, options: dict[str, int], error: type[Exception], words: str) -> None:
    tensors = cases.stored(cases.operands(text, np.random.default_rng(1)), {})
    with pytest.raises(error, match=words):
        build(text, tensors, tuple(order), options=Options(**options))


@pytest.mark.parametrize(
    "text", ["x(i) = b(i) + c(i)", "x(j) = d(j) + e(i) * A(i,j)", "X(i,j) = C(i,j) + A(i,k) * B(k,j)"]
)
def test_unions_where_what_is_not_stored_is_infinity(text: str) -> None:
    rng = np.random.default_rng(1)
    for order in cases.orders(text):
        arrays = cases.operands(text, rng, 0.5)
        tensors = cases.stored(arrays, {})
        plan = build(text, tensors, order, semiring="min_plus")
        wanted = cases.wanted(text, arrays, semiring="min_plus")
        np.testing.assert_array_equal(cases.dense(run(plan, tensors)), wanted)


def test_options_that_do_not_go_together() -> None:
    with pytest.raises(InputError, match="choose one"):
        Options(skips=True, bits=True)
    with pytest.raises(InputError, match="give 1 to 15"):
        Options(lanes=16)
    with pytest.raises(InputError, match="formats names 'Z'"):
        build("x(i) = b(i)", {"b": np.ones(3)}, formats={"Z": "csr"})


@pytest.mark.parametrize(
    "text",
    [
        "x(i) = sum(j, A(i,j) * c(j)) / sum(k, A(i,k))",
        "X(i,j) = (A(i,k) * B(k,j) + C(i,j)) / D(i,j)",
        "x(i) = -sqrt(sum(j, A(i,j) * c(j))) / f(i)",
        "x(i) = (sum(j, A(i,j) * c(j)) > 0.5) / f(i)",
        "x(i) = sum(j, A(i,j) * c(j) / d(j))",
        "X(i,k) = sum(j, sqrt(sum(l, A(i,l) * B(l,j))) * C(j,k)) / D(i,k)",
        "X(i,j) = pair(B(i,j), C(i,j)) + D(i,j)",
        "x(i) = reduce_min(j, pair(B(i,j), C(i,j)))",
        "x(i) = sum(j, pair(A(i,j), sum(k, B(i,k) * C(k,j))))",
    ],
)
def test_what_is_not_there_is_not_taken_for_0(text: str) -> None:
    """Nothing divided by 0 is nothing, and no pair is made of it; rows are dense, so all are asked about."""
    rng = np.random.default_rng(2)
    for order in cases.orders(text):
        arrays = {
            name: array if array.shape == () else rng.integers(0, 3, (4,) * array.ndim) * 1.0
            for name, array in cases.operands(text.replace("sum(k, A(i,k))", "g(i)"), rng, 0.3).items()
        }
        arrays.pop("g", None)
        for array in arrays.values():
            array[rng.integers(4)] = 0.0
        tensors = cases.stored(arrays, {"A": "csr", "B": "csr", "C": "csr", "D": "csr"})
        with np.errstate(all="ignore"):
            wanted = cases.wanted(text, arrays)
        np.testing.assert_allclose(cases.dense(run(build(text, tensors, order), tensors)), wanted, rtol=1e-12)


@pytest.mark.parametrize(
    "text", ["X(i,j) = B(i,k) * C(k,j)", "x = B(i,j) * B(j,k) * B(i,k)", "X(i,j) = B(i,j) * C(i,j)"]
)
def test_pairs_that_are_sure(text: str) -> None:
    rng = np.random.default_rng(4)
    arrays = {name: rng.random((4, 4)) * (rng.random((4, 4)) < 0.5) for name in "BC" if f"{name}(" in text}
    for order in cases.orders(text):
        plan = build(text, cases.stored(arrays, {}), order, semiring="plus_pair")
        found = cases.dense(run(plan, cases.stored(arrays, {})))
        np.testing.assert_array_equal(found, cases.wanted(text, arrays, semiring="plus_pair"))


@pytest.mark.parametrize("op", ["max", "min", "mul"])
@pytest.mark.parametrize("text", ["x(i) = reduce_{}(j, B(i,j))", "X(i,k) = reduce_{}(j, B(i,j) * C(j,k))"])
def test_folds_that_count_what_is_not_stored(text: str, op: str) -> None:
    """The greatest of a row of negative numbers is 0 where one is not stored, in a workspace too."""
    text, rng = text.format(op), np.random.default_rng(5)
    for order in cases.orders(text):
        for sign in (-1, 1):
            arrays = cases.operands(text, rng, 0.7)
            arrays["B"] *= sign
            for formats in ({"B": "csf"}, {"B": "dense", "C": "csr"}):
                _, found = cases.planned(text, cases.stored(arrays, formats), order)
                np.testing.assert_array_equal(cases.dense(found), cases.wanted(text, arrays))
