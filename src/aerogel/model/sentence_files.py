"""How a sentence-transformers directory pools, and where it cuts texts: as versions up to 5 of that library
write it, and as version 6 does. Only JSON is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.core.files import read_json, read_json_object

# The names of version 6, and those of the versions before it.
_NEW, _OLD = ("mean", "cls", "max"), ("mean_tokens", "cls_token", "max_tokens")
_MODES = dict(zip(_NEW + _OLD, ("mean", "first", "max") * 2, strict=True))
# Positions of these start behind the padding index.
_OFFSET = (
    *("roberta", "xlm-roberta", "camembert", "mpnet"),
    *("data2vec-text", "roberta-prelayernorm", "xlm-roberta-xl"),
)


@dataclass(frozen=True)
class Pooling:
    """``kind``: ``mean``, ``first`` or ``max``; ``normalized``: whether vectors are of length 1;
    ``include_prompt``: whether a prompt's tokens are pooled."""

    kind: str
    normalized: bool
    include_prompt: bool


def pooling(path: Path) -> Pooling | None:
    """As ``modules.json`` says; None without that file."""
    if not (path / "modules.json").is_file():
        return None
    modules = read_json(path / "modules.json")
    listed = isinstance(modules, list) and all(
        isinstance(m, dict) and isinstance(m.get("type"), str) and isinstance(m.get("path"), str)
        for m in modules
    )
    require(
        listed, InputError, f"{path / 'modules.json'} must hold a list of modules, each with type and path"
    )
    kinds = [m["type"].rpartition(".")[2] for m in modules]
    fits = kinds[:2] == ["Transformer", "Pooling"] and kinds[2:] in ([], ["Normalize"])
    require(fits, UnsupportedError, f"{path}: modules.json lists {', '.join(kinds)}: only pooling is known")
    config = read_json_object(path / modules[1]["path"] / "config.json")
    modes = list(_modes(config))
    known = len(modes) == 1 and modes[0] in _MODES
    told = f"{path}: pooling {' and '.join(modes) or 'of no kind'}: give one of mean, cls, max"
    require(known, UnsupportedError, told)
    return Pooling(_MODES[modes[0]], kinds[2:] == ["Normalize"], config.get("include_prompt") is not False)


def _modes(config: dict[str, Any]) -> Iterator[str]:
    given = config.get("pooling_mode")
    if given is not None:
        many = cast("list[object]", given if isinstance(given, list) else [given])
        yield from (str(mode) for mode in many)
        return
    prefix = "pooling_mode_"
    yield from (name.removeprefix(prefix) for name, on in config.items() if on is True and prefix in name)


def max_tokens(path: Path, config: dict[str, Any]) -> int | None:
    """The least of what the position table allows and what the directory says: its
    ``sentence_bert_config.json``, or its tokenizer's configuration where that says nothing."""
    positions = config.get("max_position_embeddings")
    if config.get("model_type") in _OFFSET and isinstance(positions, int):
        padding = config.get("pad_token_id")
        positions -= (padding if isinstance(padding, int) else 1) + 1
    told = _entry(path / "sentence_bert_config.json", "max_seq_length")
    if told is None:
        told = _entry(path / "tokenizer_config.json", "model_max_length")
    return min((n for n in (positions, told) if isinstance(n, int)), default=None)


def _entry(file: Path, name: str) -> int | None:
    """A length from a JSON file; None where it has none, or one beyond any text, which stands for none."""
    found = read_json_object(file).get(name) if file.is_file() else None
    return found if type(found) is int and 0 < found < 1 << 31 else None


def require_case_kept(path: Path, tokenizer: Path) -> None:
    """UnsupportedError where texts should be put into lower case that the tokenizer leaves as they are."""
    file = path / "sentence_bert_config.json"
    if (
        not file.is_file()
        or not tokenizer.is_file()
        or read_json_object(file).get("do_lower_case") is not True
    ):
        return
    lowered = _lowers(read_json_object(tokenizer).get("normalizer"))
    told = f"{file}: do_lower_case, but {tokenizer.name} keeps capitals: add a Lowercase normalizer to it"
    require(lowered, UnsupportedError, told)


def _lowers(normalizer: object) -> bool:
    match normalizer:
        case {"type": "Lowercase"} | {"type": "BertNormalizer", "lowercase": True}:
            return True
        case {"type": "Sequence", "normalizers": [*parts]}:
            return any(_lowers(part) for part in parts)
        case _:
            return False
