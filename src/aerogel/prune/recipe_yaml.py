"""The YAML that recipes are written in: that of version 1.2, plain data only. Imports PyYAML.

PyYAML reads version 1.1, in which ``2:4`` is a time, the number 124, and ``no`` is false; here the first is a
pattern and both are texts. Refused: a key that stands twice (PyYAML keeps the last), references, by which a
short text can stand for an endless one, and tags.
"""

from __future__ import annotations

import re
from typing import Any

from aerogel.core.errors import InputError, MissingDependencyError

try:
    import yaml
except ModuleNotFoundError as error:
    raise MissingDependencyError('recipes in YAML need PyYAML: pip install "aerogel[torch]"') from error

_DEEPEST = 8
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_PLAIN = (
    ("null", re.compile(r"~|null|Null|NULL|")),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE")),
    ("int", re.compile(r"[-+]?\d+")),
    ("float", re.compile(_NUMBER)),
)
"""How a scalar without quotes is read: the first that matches all of it; else it is a text."""


def parse(text: str) -> Any:
    """The map, list or scalar that ``text`` holds; InputError, with the line, where it cannot be read."""
    try:
        _check(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise InputError(f"it is no YAML: {' '.join(str(error).split())}") from error
    return None if node is None else _value(node)


def _check(text: str) -> None:
    """Look at it piece by piece, which is cheap however deep it is, before it is put together."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        starts = isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent)
        depth += starts - isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent)
        if depth > _DEEPEST:
            raise InputError(f"{_line(event)} is nested too deeply to be a recipe")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InputError(f"{_line(event)} has a reference (& or *): write the value out")
        if getattr(event, "tag", None):
            raise InputError(f"{_line(event)} has a tag ({event.tag}): leave it out")


def _value(node: Any) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise InputError(f"{_line(key_node)} has a key that is no text")
        # A layer's name is a text even where it looks like a number.
        key = key_node.value
        if key in found:
            raise InputError(f"{_line(key_node)} has {key!r} a second time: leave one out")
        found[key] = _value(value_node)
    return found


def _scalar(node: Any) -> Any:
    text = str(node.value)
    if node.style is not None:  # in quotes, or a block
        return text
    kind = next((kind for kind, pattern in _PLAIN if pattern.fullmatch(text)), "text")
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            # Python refuses to read integers of thousands of digits.
            return int(text) if len(text) < 20 else float(text)
        case "float":
            return float(text)
        case _:
            return text


def _line(where: Any) -> str:
    return f"line {where.start_mark.line + 1}"
