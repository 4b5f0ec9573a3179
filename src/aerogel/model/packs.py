"""What loading a file worked out for this CPU, kept for the next time: the plan and the packed weights.

One file per artefact and target in the user's cache folder, in safetensors layout, with a checksum: native
code trusts the streams in it. It is never needed: absent, damaged or unwritable only costs time.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from aerogel.core.errors import AerogelError, FormatError, require
from aerogel.core.target import Target
from aerogel.formats import canonical, container, panel
from aerogel.formats.panel import Packed
from aerogel.model.emit import Packings
from aerogel.native import private_folder
from aerogel.tune import choose
from aerogel.tune.plan import Plan

STREAMS = ("values", "indices", "runs", "starts", "work")
DTYPES = {"values": "float32", "indices": "uint16", "runs": "uint16", "starts": "int64", "work": "int64"}
FACTS = ("kind", "rows", "columns", "block", "nonzeros")

_log = logging.getLogger("aerogel")


@dataclass(frozen=True)
class Kept:
    """A plan and what it made of every linear step's weight."""

    plan: Plan
    packed: Mapping[str, Packings]


def restore(checksum: str, target: Target) -> Kept | None:
    """What was kept for the artefact of that checksum; None if nothing whole was."""
    try:
        path = _path(checksum, target)
        if not path.exists():
            return None
        return _read(container.read(path))
    except AerogelError as error:
        _log.warning("packed weights not read, packing anew: %s", error)
        return None


def keep(checksum: str, target: Target, kept: Kept) -> None:
    """Keep it for the next time, if the cache folder allows."""
    arrays: dict[str, NDArray[Any]] = {}
    layers: dict[str, Any] = {}
    for number, (name, packings) in enumerate(kept.packed.items()):
        distinct = {"many": packings.many} if packings.few is packings.many else _roles(packings)
        for role, packed in distinct.items():
            arrays |= {f"{number}/{role}/{stream}": getattr(packed, stream) for stream in STREAMS}
        facts = {role: {fact: getattr(p, fact) for fact in FACTS} for role, p in distinct.items()}
        layers[name] = {"number": number, "packings": facts}
    head = json.dumps({"plan": kept.plan.to_json(), "layers": layers})
    try:
        container.write(
            _path(checksum, target),
            arrays,
            {"head": head, "sha256": container.checksum(arrays, head.encode())},
        )
    except AerogelError as error:
        _log.warning("packed weights not kept: %s", error)


def _roles(packings: Packings) -> dict[str, Packed]:
    """Both packings by role."""
    return {"many": packings.many, "few": packings.few}


def _path(checksum: str, target: Target) -> Path:
    key = hashlib.sha256(f"{_layout()} {checksum} {target.fingerprint}".encode()).hexdigest()
    return private_folder("packs") / f"{key}.pack"


@cache
def _layout() -> str:
    """Changes with the code that packs and chooses: native code must never read another version's streams."""
    sources = (panel.__file__, choose.__file__, canonical.__file__)
    return hashlib.sha256(b"".join(Path(source).read_bytes() for source in sources)).hexdigest()


def _read(contents: container.Contents) -> Kept:
    arrays, head = contents.arrays, contents.metadata.get("head", "")
    whole = contents.metadata.get("sha256") == container.checksum(arrays, head.encode())
    require(whole, FormatError, "a kept file is damaged: its checksum does not fit")
    try:
        document = json.loads(head)
        packed = {name: _packings(layer, arrays) for name, layer in document["layers"].items()}
        return Kept(Plan.from_json(document["plan"]), packed)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"a kept file is damaged ({error!r})") from error


def _packings(layer: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Packings:
    found = {
        role: _packed(facts, {s: arrays[f"{layer['number']}/{role}/{s}"] for s in STREAMS})
        for role, facts in layer["packings"].items()
    }
    return Packings(found["many"], found.get("few", found["many"]))


def _packed(facts: Mapping[str, Any], streams: Mapping[str, NDArray[Any]]) -> Packed:
    kinds = {name: stream.dtype.name for name, stream in streams.items()}
    require(kinds == DTYPES, FormatError, f"a kept file has streams of {kinds}")
    kind, rows, columns, block, nonzeros = (facts[fact] for fact in FACTS)
    values, indices, runs, starts, work = (streams[name] for name in STREAMS)
    return Packed(kind, rows, columns, block, nonzeros, values, indices, runs, starts, work)
