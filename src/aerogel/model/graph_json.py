"""A graph without its weights as JSON, and back. What comes back has been checked field by field, and has the
types its classes declare; whether the graph makes sense, ``check`` decides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from aerogel.core.errors import FormatError, require
from aerogel.model import graph as g

MOST = 1 << 31
CLASSES: dict[str, type[Any]] = {
    c.__name__: c
    for c in (
        g.Activation, g.Add, g.Attention, g.Embedding, g.FromConstant, g.FromInput, g.FromPosition,
        g.FromUnpadded, g.Input, g.LayerNorm, g.Linear, g.Mul, g.Normalize, g.Output, g.Pool, g.Range,
        g.Value,
    )
}  # fmt: skip


def to_json(graph: g.Graph) -> dict[str, Any]:
    """Everything but the weights."""
    ranges = {"ranges": [_plain(r) for r in graph.ranges]} if graph.ranges else {}
    return {
        "inputs": [_plain(i) for i in graph.inputs],
        "ops": [_plain(o) for o in graph.ops],
        "outputs": [_plain(o) for o in graph.outputs],
        "max_length": graph.max_length,
        "origin": graph.origin,
        **ranges,
    }


def from_json(data: Any, weights: Mapping[str, g.Weight]) -> g.Graph:
    """The graph again, with ``weights``; FormatError, saying where, if ``data`` is anything else."""
    keys = {"inputs", "ops", "outputs", "max_length", "origin"}
    known = isinstance(data, dict) and set(data) in (keys, keys | {"ranges"})
    require(known, FormatError, f"a graph has the entries {sorted(keys)}, and may have ranges")
    ranges = data.get("ranges", [])
    lists = all(isinstance(found, list) for found in (data["inputs"], data["ops"], data["outputs"], ranges))
    require(lists, FormatError, "inputs, ops, outputs and ranges of a graph are lists")
    return g.Graph(
        tuple(_node(i, g.Input, f"inputs[{n}]") for n, i in enumerate(data["inputs"])),
        tuple(_node(o, g.Op, f"ops[{n}]") for n, o in enumerate(data["ops"])),
        tuple(_node(o, g.Output, f"outputs[{n}]") for n, o in enumerate(data["outputs"])),
        weights,
        _node(data["max_length"], int | None, "max_length"),
        _node(data["origin"], str, "origin"),
        tuple(_node(r, g.Range, f"ranges[{n}]") for n, r in enumerate(ranges)),
    )


def _plain(node: Any) -> Any:
    if is_dataclass(node) and not isinstance(node, type):
        return {"is": type(node).__name__, **{f.name: _plain(getattr(node, f.name)) for f in fields(node)}}
    return node


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _node(data: Any, expected: Any, where: str) -> Any:
    """``data`` as a value of the type ``expected``."""
    if get_origin(expected) in (Union, UnionType):
        return _choice(data, get_args(expected), where)
    if get_origin(expected) is Literal:
        known = isinstance(data, str) and data in get_args(expected)
        require(known, FormatError, f"{where} is {_short(data)}, not one of {get_args(expected)}")
        return data
    if is_dataclass(expected):
        return _record(data, expected, where)
    if expected is type(None):
        require(data is None, FormatError, f"{where} is {_short(data)}, not null")
        return None
    require(
        _fits(data, expected), FormatError, f"{where} is {_short(data)}, not a usable {expected.__name__}"
    )
    return float(data) if expected is float else data


def _fits(data: Any, expected: Any) -> bool:
    match data:
        case bool():
            return expected is bool
        case int():
            # Every number of a graph is a count or an index.
            return expected in (int, float) and 0 <= data < MOST
        case float():
            return expected is float and math.isfinite(data)
        case str():
            # JSON can spell half a surrogate pair, which is no text.
            return expected is str and not any("\ud800" <= c <= "\udfff" for c in data)
        case _:
            return False


def _short(data: Any) -> str:
    text = repr(data)
    return text if len(text) <= 80 else text[:77] + "..."


def _choice(data: Any, options: tuple[Any, ...], where: str) -> Any:
    if isinstance(data, dict):
        named = CLASSES.get(str(data.get("is")))
        require(
            named in options, FormatError, f"{where} is a {_short(data.get('is'))}, which cannot stand there"
        )
        return _record(data, named, where)
    for option in options:
        if not is_dataclass(option) and (data is None) == (option is type(None)):
            return _node(data, option, where)
    raise FormatError(f"{where} is {_short(data)}, which cannot stand there")


def _record(data: Any, kind: Any, where: str) -> Any:
    wanted = {"is", *(f.name for f in fields(kind))}
    named = isinstance(data, dict) and data.get("is") == kind.__name__ and set(data) == wanted
    require(named, FormatError, f"{where} is not a {kind.__name__} with the entries {sorted(wanted)}")
    hints = _hints(kind)
    return kind(**{f.name: _node(data[f.name], hints[f.name], f"{where}.{f.name}") for f in fields(kind)})
