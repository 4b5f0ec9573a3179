"""Fabrics by name or from a file of the user's own: read, checked, or refused with what to write instead.

A file is TOML; its keys are the fields of ``Fabric`` and, under ``[dram]``, of ``Dram``, units as there. What
it leaves out it takes from the fabric it is ``based_on``, or from onyx-like: a file of two lines changes one
number. Tables for other readers (``[energy]``) may stand in the same file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, cast

from aerogel.chip.fabric.check import check
from aerogel.chip.fabric.fabric import Dram, Fabric
from aerogel.core.errors import ChipError, InputError, require
from aerogel.core.suggest import meant

NAMES = ("onyx-like", "onyx-small", "onyx-large")
"""The fabrics that come with the package; the first is the default."""

ELSEWHERE = ("energy",)
"""Tables of a fabric's file that others read."""

_LARGEST = 1 << 20


def load(fabric: str | Path | Fabric = NAMES[0]) -> Fabric:
    """The fabric of that name or file (what ends in ``.toml``); one that is made already is checked.

    InputError where there is none, or its file cannot be read; ChipError where it says what cannot be.
    """
    if isinstance(fabric, Fabric):
        return check(fabric)
    if isinstance(fabric, Path) or fabric.endswith(".toml"):
        return parse(_text(Path(fabric)), str(fabric))
    if fabric not in NAMES:
        hint = meant(fabric, NAMES)
        raise InputError(f"there is no fabric {fabric!r}: {hint} (or give a file that ends in .toml)")
    packaged = resources.files("aerogel.chip.fabric") / "data" / f"{fabric}.toml"
    return parse(packaged.read_text(encoding="utf-8"), f"{fabric}.toml")


def parse(text: str, source: str) -> Fabric:
    """The fabric that a file's text describes; ``source`` names the file in messages."""
    try:
        said: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"fabric {source} is no TOML: {error}") from error
    base = said.pop("based_on", None)
    if base is not None and base not in NAMES:
        raise ChipError(f"{source} is based on {base!r}: {meant(str(base), NAMES)}")
    start = Fabric(name="") if base is None else load(cast("str", base))
    dram: object = said.pop("dram", {})
    require(isinstance(dram, dict), ChipError, f"dram of {source} is no table: write [dram] above its keys")
    known = _keys(Fabric) - {"dram"}
    settings = _settings({k: v for k, v in said.items() if k not in ELSEWHERE}, known, source)
    memory = _settings(cast("dict[str, Any]", dram), _keys(Dram), f"[dram] of {source}")
    # Two fabrics of one name would be mistaken for each other in reports.
    require(settings.get("name"), ChipError, f'{source} has no name: write name = "..."')
    return check(replace(start, **settings, dram=replace(start.dram, **memory)), source)


def _settings(said: Mapping[str, Any], known: set[str], where: str) -> dict[str, Any]:
    for key in said:
        if key not in known:
            hint = meant(key, sorted(known))
            raise ChipError(f"{where} has {key!r}, which a fabric has not: {hint}")
    return dict(said)


def _keys(of: type) -> set[str]:
    return {field.name for field in fields(of)}


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        require(len(data) <= _LARGEST, InputError, f"fabric {path} is larger than 1 MB: that is none")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"fabric {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"fabric {path} is no text in UTF-8: {error.reason}") from error
