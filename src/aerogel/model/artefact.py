"""The ``.aero`` file: a graph, its weights in their smallest encoding, a tokenizer, and where it came from.

Data only, never code: a file from a stranger can be wrong, but cannot run anything. A checksum over all
arrays tells damage from content; what the checksum vouches for is then checked all the same, because whoever
wrote the file may have meant harm.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import FormatError, InputError, UnsupportedError, require
from aerogel.formats import canonical, container
from aerogel.formats.canonical import PARTS, Encoded
from aerogel.model.check import check
from aerogel.model.graph import Embedding, Graph, Weight, weight_names
from aerogel.model.graph_json import from_json, to_json

VERSION = "1"
CHECKSUM = "aerogel_sha256"
FORMAT = "aerogel_format"
HEAD, TOKENIZER, WEIGHT = "head", "tokenizer", "weight/"


@dataclass(frozen=True)
class Artefact:
    """What a file holds. ``tokenizer``: the text of a tokenizer.json; ``max_tokens``: where texts are cut;
    ``provenance``: source, recipe, accuracy, versions, as the writer states them; ``checksum``: over all
    that a file held which was read. The weights of such a file stay in it: ``let_go`` takes what was read of
    them out of memory, until it is read again."""

    graph: Graph
    tokenizer: bytes | None = None
    max_tokens: int | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    checksum: str = ""
    let_go: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)


def save(path: Path, artefact: Artefact, *, embeddings: Literal["int8", "fp32"] = "int8") -> None:
    """Write ``artefact`` to ``path`` by renaming. ``embeddings``: int8 rows with a scale each (within half a
    127th of the row's largest number), or as they are. All other weights are kept exactly, tables that serve
    as one too. InputError for what cannot be stored or written."""
    known = embeddings in ("int8", "fp32")
    require(known, InputError, f"embeddings={embeddings!r} is unknown: 'int8' or 'fp32'")
    graph = artefact.graph
    tables = {op.table for op in graph.ops if isinstance(op, Embedding)}
    tables -= {name for op in graph.ops if not isinstance(op, Embedding) for name in weight_names(op)}
    encoded: dict[str, Encoded] = {}
    for name in dict.fromkeys(name for op in graph.ops for name in weight_names(op)):
        weight = graph.weights[name]
        small = name in tables and embeddings == "int8"
        if isinstance(weight, Encoded) and (weight.encoding == "rows8" or not small):
            encoded[name] = weight
        else:
            encoded[name] = (canonical.encode_rows8 if small else canonical.encode)(graph.weight(name))
    head = {
        "graph": to_json(graph),
        "weights": {name: {"encoding": e.encoding, "shape": list(e.shape)} for name, e in encoded.items()},
        "max_tokens": artefact.max_tokens,
        "provenance": dict(artefact.provenance),
    }
    try:
        text = json.dumps(head, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InputError(f"provenance must be plain data, as JSON has it: {error}") from error
    arrays: dict[str, NDArray[Any]] = {HEAD: _bytes(text)}
    if artefact.tokenizer is not None:
        arrays[TOKENIZER] = _bytes(artefact.tokenizer)
    for name, e in encoded.items():
        arrays |= {f"{WEIGHT}{name}/{part}": array for part, array in e.parts.items()}
    container.write(path, arrays, {FORMAT: VERSION, CHECKSUM: container.checksum(arrays)})


def load(path: Path) -> Artefact:
    """Read and check ``path`` in full; FormatError, saying what is wrong, unless it is an intact artefact."""
    contents = container.read(path)
    arrays = contents.arrays
    version = contents.metadata.get(FORMAT)
    require(
        version is not None,
        FormatError,
        f"{path} is no aerogel artefact (a safetensors file of another kind)",
    )
    require(
        version == VERSION, FormatError, f"{path} has format {version}, this aerogel reads {VERSION}: upgrade"
    )
    checksum = container.checksum(arrays, let_go=contents.let_go)
    intact = contents.metadata.get(CHECKSUM) == checksum
    require(intact, FormatError, f"{path} is damaged: its checksum does not fit. Copy or make it again")
    head = _head(path, arrays)
    weights: dict[str, Weight] = {}
    for name, entry in head["weights"].items():
        # Left encoded, as views of the mapped file: whoever needs the numbers decodes one weight at a time.
        weights[name] = _encoded(path, name, entry, arrays)
        contents.let_go()
    try:
        graph = from_json(head["graph"], weights)
        check(graph)
    except (FormatError, UnsupportedError) as error:
        raise FormatError(f"{path}: {error}") from error
    tokenizer = arrays.get(TOKENIZER)
    text = None if tokenizer is None else tokenizer.tobytes()
    return Artefact(graph, text, head["max_tokens"], head["provenance"], checksum, contents.let_go)


def _bytes(text: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(text, np.uint8)


def _head(path: Path, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    raw = arrays.get(HEAD)
    require(raw is not None and raw.dtype == np.uint8, FormatError, f"{path} has no head: it is no artefact")
    assert raw is not None
    try:
        head = json.loads(raw.tobytes())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is damaged: its head cannot be read ({error})") from error
    keys = {"graph", "weights", "max_tokens", "provenance"}
    require(
        isinstance(head, dict) and set(head) == keys,
        FormatError,
        f"{path}: the head must hold {sorted(keys)}",
    )
    tables = isinstance(head["weights"], dict) and isinstance(head["provenance"], dict)
    require(tables, FormatError, f"{path}: weights and provenance must be tables")
    cut = head["max_tokens"]
    require(cut is None or (type(cut) is int and cut > 0), FormatError, f"{path}: max_tokens is {cut!r}")
    return head


def _encoded(path: Path, name: str, entry: Any, arrays: Mapping[str, NDArray[Any]]) -> Encoded:
    known = isinstance(entry, dict) and set(entry) == {"encoding", "shape"}
    known = known and entry["encoding"] in tuple(PARTS)
    require(known, FormatError, f"{path}: weight {name!r} is stored in no way known here ({entry!r})")
    shape = entry["shape"]
    whole = isinstance(shape, list) and all(type(n) is int and 0 <= n < 1 << 40 for n in shape)
    require(whole, FormatError, f"{path}: weight {name!r} has the impossible shape {shape!r}")
    parts: dict[str, NDArray[Any]] = {}
    for part in PARTS[entry["encoding"]]:
        array = arrays.get(f"{WEIGHT}{name}/{part}")
        require(array is not None, FormatError, f"{path}: the {part} of weight {name!r} are missing")
        assert array is not None
        parts[part] = array
    encoded = Encoded(entry["encoding"], tuple(shape), parts)
    try:
        canonical.check(encoded)
    except FormatError as error:
        raise FormatError(f"{path}: weight {name!r}: {error}") from error
    return encoded
