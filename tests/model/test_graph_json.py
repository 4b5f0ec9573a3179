"""Graphs as JSON: every network of the zoo comes back the same, and nothing else comes back at all."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, get_args

import pytest
from tests.model import zoo
from tests.model.agreement import imported
from tests.model.graphs import Draft
from tests.model.networks import HUGGING, graph_of

from aerogel.core.errors import AerogelError, FormatError, UnsupportedError
from aerogel.model import graph as g
from aerogel.model.check import check
from aerogel.model.graph_json import CLASSES, from_json, to_json


def every_operation() -> g.Graph:
    d = Draft()
    x = d.add(d.embedding(8), d.embedding(8, g.FromPosition(2)))
    x = d.add(x, d.embedding(8, g.FromUnpadded("ids", 3)))
    x = d.norm(d.add(x, d.embedding(8, g.FromConstant(1))))
    x = d.mul(x, d.activation(d.linear(d.attend(x), bias=False), "silu"))
    return replace(d.graph(x, d.normalize(d.pool(x, "max"))), ranges=(g.Range(x, -0.25, 1.5),))


def again(graph: g.Graph) -> g.Graph:
    return from_json(json.loads(json.dumps(to_json(graph), allow_nan=False)), graph.weights)


@pytest.mark.parametrize("name", [*HUGGING, "mlp", "gated"])
def test_every_network_comes_back(name: str) -> None:
    graph = graph_of(name)
    found = again(graph)
    assert found == graph
    check(found)


@pytest.mark.parametrize("pool", zoo.POOLS)
def test_every_way_to_pool_comes_back(pool: str) -> None:
    graph = imported(zoo.randomized(zoo.Over(zoo.POOLS[pool])))
    assert [type(op) for op in graph.ops] == [g.Embedding, g.Pool]
    found = again(graph)
    assert found == graph
    check(found)


def test_every_operation_comes_back() -> None:
    graph = every_operation()
    assert again(graph) == graph
    kinds = {type(op) for op in graph.ops} | {
        type(op.lookup) for op in graph.ops if isinstance(op, g.Embedding)
    }
    assert kinds == {*get_args(g.Op), *get_args(g.Lookup)}


def test_every_class_of_a_graph_is_known() -> None:
    assert {*get_args(g.Op), *get_args(g.Lookup), g.Input, g.Output, g.Range, g.Value} == {*CLASSES.values()}


# --- anything else -----------------------------------------------------------------------------


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to everything in ``data``."""
    if path:
        yield path
    for key in data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ():
        yield from places(data[key], (*path, key))


def put(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with ``value`` at ``path``; what lies beside the path is shared."""
    key, *rest = path
    made = copy.copy(data)
    made[key] = put(made[key], (*rest,), value) if rest else value
    return made


JSON = to_json(every_operation())
VALUES: list[Any] = [
    None, True, -1, 0, 1 << 31, 1 << 64, 10**400, 0.5, float("nan"), float("inf"), "", "text", "\ud800", [],
    {}, [[]], {"is": "Value"}, {"is": "FromConstant", "row": 0}, {"is": None}, {"is": []},
]  # fmt: skip


def test_whatever_stands_anywhere_is_refused_or_a_graph() -> None:
    weights = every_operation().weights
    refused = made = 0
    for path in places(JSON):
        for value in VALUES:
            try:
                graph = from_json(put(JSON, path, value), weights)
            except FormatError:
                refused += 1
                continue
            made += 1
            typed(graph)
            try:
                check(graph)
            except UnsupportedError:
                continue
    assert refused > 2000 and made > 100


FLAGS = ("optional", "squeezed")


def typed(graph: g.Graph) -> None:
    """Every number is a small count, every text can be written down."""
    for node in (*graph.inputs, *graph.ops, *graph.outputs, *graph.ranges):
        for field in fields(node):
            value = getattr(node, field.name)
            assert not isinstance(value, bool | dict | list) or field.name in FLAGS
            assert not (isinstance(value, int) and not 0 <= value < 1 << 31)
            if isinstance(value, str):
                value.encode()


def test_a_missing_or_an_additional_entry_is_refused() -> None:
    for path in places(JSON):
        at = JSON
        for key in path[:-1]:
            at = at[key]
        if isinstance(at, dict):
            spoilt = put(JSON, path, None)
            parent = spoilt
            for key in path[:-1]:
                parent = parent[key]
            del parent[path[-1]]
            if path != ("ranges",):  # files that were written before there were ranges have none
                with pytest.raises(FormatError):
                    from_json(spoilt, {})
            with pytest.raises(FormatError):
                from_json(put(JSON, (*path[:-1], "more"), 1), {})


@pytest.mark.parametrize("data", [None, [], "graph", 3, {}, {"inputs": []}, [JSON]])
def test_what_is_no_graph_is_refused(data: Any) -> None:
    with pytest.raises(FormatError, match="a graph has the entries"):
        from_json(data, {})


def test_lists_must_be_lists() -> None:
    for name in ("inputs", "ops", "outputs", "ranges"):
        with pytest.raises(FormatError, match="are lists"):
            from_json(JSON | {name: {}}, {})
        with pytest.raises(FormatError, match=rf"{name}\[0\] is"):
            from_json(JSON | {name: [3]}, {})


def test_an_error_says_where_in_few_words() -> None:
    with pytest.raises(
        FormatError, match=r"ops\[0\]\.out\.features is 'aaa.*\.\.\., not a usable int"
    ) as caught:
        from_json(put(JSON, ("ops", 0, "out", "features"), "a" * 10_000), {})
    assert len(str(caught.value)) < 300


# --- sound to the eye, and still refused by the check ------------------------------------------


def lookup(number: int, **changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        found = [op for op in data["ops"] if op["is"] == "Embedding"][number]
        found["lookup"] |= changes

    return change


def same_names(kind: str) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data[kind][1]["name"] = data[kind][0]["name"]

    return change


def mixed(data: dict[str, Any]) -> None:
    data["inputs"].append({"is": "Input", "name": "x", "kind": "features", "limit": 4, "optional": False})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lookup(1, offset=11), "may look up"),
        (lookup(2, padding=10), "may look up"),
        (lookup(2, name="mask"), "may look up"),
        (lookup(3, row=50), "may look up"),
        (lambda data: data["inputs"][0].update(limit=51), "may look up"),
        (lambda data: data.update(max_length=49), "may look up"),
        (lambda data: data.update(max_length=None), "may look up"),
        (same_names("inputs"), "share the name"),
        (same_names("outputs"), "share the name"),
        (mixed, "not both"),
        (lambda data: data["ranges"][0].update(value="v99"), "a range of 'v99', never made"),
        (lambda data: data["ranges"].append(data["ranges"][0]), "two ranges of"),
        (lambda data: data["ranges"][0].update(low=0.5), "on either side of 0"),
        (lambda data: data["ranges"][0].update(high=-0.1), "on either side of 0"),
        (lambda data: data["ranges"][0].update(low=-0.0, high=0.0), "on either side of 0"),
        (lambda data: data["ranges"][0].update(high=1e39), "on either side of 0"),
        (lambda data: data["ops"].reverse(), "not made yet"),
    ],
)  # fmt: skip
def test_a_graph_that_would_read_elsewhere_is_refused(
    spoil: Callable[[dict[str, Any]], object], message: str
) -> None:
    data = copy.deepcopy(JSON)
    spoil(data)
    with pytest.raises(AerogelError, match=message):
        check(from_json(data, every_operation().weights))


@pytest.mark.parametrize(
    "lookup", [g.FromPosition(-1), g.FromUnpadded("ids", -2), g.FromConstant(-1), g.FromConstant(-5)]
)
def test_rows_before_a_table_are_refused(lookup: g.Lookup) -> None:
    d = Draft()
    with pytest.raises(UnsupportedError, match="may look up"):
        check(d.graph(d.embedding(8, lookup)))
