"""Prompts and the like: from files and from provenance, and every way they can be wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aerogel.core.errors import FormatError, InputError
from aerogel.model.sentence_settings import RECORDED, Settings, checked, recorded

FULL = Settings({"query": "query: ", "document": ""}, "query", "euclidean", 64, include_prompt=False)


def test_settings_survive_a_file() -> None:
    assert recorded({RECORDED: json.loads(json.dumps(FULL.to_json()))}) == FULL
    assert recorded({}) == recorded({RECORDED: {}}) == Settings()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"prompts": ["a"]}, "prompts must be texts by name"),
        ({"prompts": {"a": 3}}, "prompts must be texts by name"),
        ({"default_prompt_name": "absent"}, "there is no prompt 'absent' to be the default"),
        ({"default_prompt_name": ["query"]}, "there is no prompt"),
        ({"similarity_fn_name": "angle"}, "similarity 'angle' is not one of cosine, dot"),
        ({"similarity_fn_name": ["dot"]}, "is not one of"),
        ({"truncate_dim": 0}, "truncate_dim is 0"),
        ({"truncate_dim": True}, "truncate_dim is True"),
        ({"truncate_dim": 2.5}, r"truncate_dim is 2\.5"),
        ({"include_prompt": "no"}, "include_prompt is 'no'"),
    ],
)
def test_what_cannot_be_is_named(entry: dict[str, Any], message: str) -> None:
    found = FULL.to_json() | entry
    with pytest.raises(InputError, match=f"here: .*{message}"):
        checked(found, "here", InputError)
    with pytest.raises(FormatError, match=message):
        recorded({RECORDED: found})


def test_settings_that_are_no_table_are_damage() -> None:
    with pytest.raises(FormatError, match="no table"):
        recorded({RECORDED: [1]})
