"""What belongs to a sentence encoder beside its network: prompts, how vectors compare, how long they are.

A directory of sentence-transformers says so in JSON files; a saved program in what it records of its origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

from aerogel.core.errors import AerogelError, FormatError, InputError, require
from aerogel.core.files import read_json_object

Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
SIMILARITIES: tuple[Similarity, ...] = get_args(Similarity)
RECORDED = "sentence_transformers"
"""The entry of a program's provenance that holds these settings."""
_FILE = "config_sentence_transformers.json"


@dataclass(frozen=True)
class Settings:
    """``prompts``: texts to put before a text, by name; ``default_prompt_name``: the one that is used where
    a call names none; ``truncate_dim``: how many numbers of a vector are kept (None: all);
    ``include_prompt``: whether a prompt's tokens are pooled."""

    prompts: Mapping[str, str] = field(default_factory=dict[str, str])
    default_prompt_name: str | None = None
    similarity_fn_name: Similarity = "cosine"
    truncate_dim: int | None = None
    include_prompt: bool = True

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def from_folder(path: Path, *, include_prompt: bool) -> Settings:
    """The settings in a model's directory; InputError where its file says what cannot be."""
    found = read_json_object(path / _FILE) if (path / _FILE).is_file() else {}
    return checked({**found, "include_prompt": include_prompt}, str(path / _FILE), InputError)


def recorded(provenance: Mapping[str, Any]) -> Settings:
    """The settings in a program's provenance; FormatError where they are none."""
    found = provenance.get(RECORDED)
    if found is None:
        return Settings()
    require(isinstance(found, dict), FormatError, f"the file's {RECORDED} settings are no table")
    return checked(cast("dict[str, Any]", found), f"the file's {RECORDED} settings", FormatError)


def checked(found: Mapping[str, Any], where: str, error: type[AerogelError]) -> Settings:
    """Settings of plain data, None standing for what is not said; ``error``, naming the entry, for others."""
    given = {key: found[key] for key in Settings.__dataclass_fields__ if found.get(key) is not None}
    prompts = given.get("prompts", {})
    texts = isinstance(prompts, dict) and all(
        isinstance(k, str) and isinstance(v, str) for k, v in cast("dict[Any, Any]", prompts).items()
    )
    require(texts, error, f"{where}: prompts must be texts by name, not {prompts!r}")
    name = given.get("default_prompt_name")
    known = ", ".join(prompts) or "none"
    require(
        name is None or name in tuple(prompts),  # a JSON name may be no text at all
        error,
        f"{where}: there is no prompt {name!r} to be the default: the prompts are {known}",
    )
    similarity = given.get("similarity_fn_name", "cosine")
    told = f"{where}: similarity {similarity!r} is not one of {', '.join(SIMILARITIES)}"
    require(similarity in SIMILARITIES, error, told)
    kept = given.get("truncate_dim")
    require(kept is None or (type(kept) is int and kept > 0), error, f"{where}: truncate_dim is {kept!r}")
    pooled = given.get("include_prompt", True)
    require(isinstance(pooled, bool), error, f"{where}: include_prompt is {pooled!r}")
    return Settings(**given)
