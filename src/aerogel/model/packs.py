"""What loading a file worked out for this CPU, kept for the next time: the plan and the program's constants.

One file per artefact and target in the user's cache folder. It is written while a program is built, layer by
layer, and then mapped: its pages are read when a kernel first touches them, and shared by all processes that
run the program. It is never needed: absent, damaged or unwritable only costs time.

A file is the constants, as ``Blob`` laid them out; a JSON tail that says what lies where; the length of the
tail in 8 bytes; and the SHA-256 of all that, for native code trusts the streams.

Beside it is a *recipe* for each graph over these constants (the same one, say, with more outputs): the key of
its machine code. With both, a program is there without anything being generated.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, get_args

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import AerogelError, CacheError, FormatError, require
from aerogel.core.files import write_file
from aerogel.core.memory import CACHE_LINE
from aerogel.core.target import Target
from aerogel.formats.rows import LANES, Form, stored_dtype
from aerogel.kernels.few_tiled import MOST_COLUMNS
from aerogel.model.blob import SLACK, Entry
from aerogel.model.graph import Graph
from aerogel.model.packings import Layer, Outline, Packings, RowsOutline
from aerogel.native import private_folder
from aerogel.native.cache import PART, builder, tidy
from aerogel.tune.plan import FEW_COLUMNS, Plan

# What all files together may take: the oldest go first.
MOST_BYTES = 8 << 30
# The length of the tail, and the digest.
_END = 8 + 32
_PIECE = 1 << 20

if TYPE_CHECKING:
    from aerogel.model.emit import Emitted

_log = logging.getLogger("aerogel")


@dataclass(frozen=True)
class Kept:
    """A plan and what a program made by it has in memory. ``constants``: the mapped file; ``digest``: its
    SHA-256."""

    plan: Plan
    constants: NDArray[np.uint8]
    layout: Mapping[str, Entry]
    layers: Mapping[str, Layer]
    digest: bytes

    def packings(self) -> dict[str, Packings]:
        """The packings of every linear step, as views of the constants."""
        return {name: layer.packings(self.layout, self.constants) for name, layer in self.layers.items()}


def restore(checksum: str, target: Target) -> Kept | None:
    """What was kept for the artefact of that checksum; None if nothing whole was."""
    try:
        path = _path(checksum, target)
        # Never through a link: what it points at may be anyone's.
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
            return _read(file)
    except FileNotFoundError:
        return None
    except (AerogelError, OSError) as error:
        _log.warning("packed weights not read, packing anew: %s", error)
        return None


@dataclass(frozen=True, slots=True)
class Recipe:
    """``code``: the key of a program's machine code; ``constant_bytes``: as in ``Emitted``."""

    code: str
    constant_bytes: tuple[int, ...]


def recipe(kept: Kept, graph: Graph, target: Target) -> Recipe | None:
    """What was remembered for ``graph`` over these constants; None if nothing whole was."""
    try:
        text, _, digest = _recipe_path(kept, graph, target).read_bytes().partition(b"\n")
        require(hashlib.sha256(text).hexdigest().encode() == digest, FormatError, "its checksum does not fit")
        found = json.loads(text)
        return Recipe(str(found["code"]), tuple(int(n) for n in found["constant_bytes"]))
    except FileNotFoundError:
        return None
    except (AerogelError, OSError, KeyError, TypeError, ValueError) as error:
        _log.warning("a kept recipe is not read (%s): the code is found anew", error)
        return None


def remember(kept: Kept, graph: Graph, target: Target, recipe: Recipe) -> None:
    """Keep ``recipe``, if the cache folder allows."""
    text = json.dumps(asdict(recipe)).encode()
    raw = text + b"\n" + hashlib.sha256(text).hexdigest().encode()
    try:
        write_file(_recipe_path(kept, graph, target), raw)
    except AerogelError as error:
        _log.warning("recipe not kept: %s", error)


class Spool:
    """A file being written; ``finish`` gives it its name. CacheError where the disk fails."""

    def __init__(self, file: IO[bytes], beside: Path, path: Path) -> None:
        self._file, self._beside, self._path = file, beside, path
        self._digest, self._size = hashlib.sha256(), 0
        self.kept: Kept | None = None

    def write(self, array: NDArray[Any], offset: int) -> None:
        """The next array; ``offset`` is where it belongs, not before the end of the last."""
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if array.nbytes else b""
        self._append(bytes(offset - self._size))
        self._append(data)

    def finish(self, plan: Plan, emitted: Emitted) -> NDArray[np.uint8]:
        """Keep what was written, of a program built by ``plan``; the constants, mapped and read-only. They
        are what ``kept`` has from now on."""
        size = -(-emitted.blob.nbytes // CACHE_LINE) * CACHE_LINE
        self._append(bytes(size - self._size))
        tail = {
            "plan": plan.to_json(),
            "size": size,
            "layout": {name: [e.offset, e.dtype, e.shape] for name, e in emitted.blob.layout.items()},
            "layers": {name: asdict(layer) for name, layer in emitted.layers.items()},
        }
        text = json.dumps(tail).encode()
        self._append(text)
        self._append(len(text).to_bytes(8, "little"))
        digest = self._digest.digest()
        self._append(digest)
        try:
            self._file.flush()
            constants = _mapped(self._file, size)
            self._beside.replace(self._path)
        except OSError as error:
            raise CacheError(f"{self._path} cannot be written: {error}") from error
        self.kept = Kept(plan, constants, emitted.blob.layout, emitted.layers, digest)
        return constants

    def _append(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        self._size += len(data)
        try:
            self._file.write(data)
        except OSError as error:
            raise CacheError(f"{self._path} cannot be written: {error}") from error


@contextmanager
def spool(checksum: str, target: Target) -> Generator[Spool]:
    """Where to keep what is about to be worked out; nothing stays of it unless it is finished. CacheError
    where the cache folder cannot be used."""
    path = _path(checksum, target)
    try:
        tidy(path.parent, MOST_BYTES, path.name)
        file = tempfile.NamedTemporaryFile(  # noqa: SIM115 (closed below)
            prefix=f"{path.name}.", suffix=PART, dir=path.parent, delete=False
        )
    except OSError as error:
        raise CacheError(f"{path} cannot be written: {error}") from error
    try:
        yield Spool(file, Path(file.name), path)
    finally:
        # On a full disk closing fails as well: it tries once more to write what is not wanted any more.
        with suppress(OSError):
            file.close()
        # After finish it has another name.
        Path(file.name).unlink(missing_ok=True)


def _path(checksum: str, target: Target) -> Path:
    key = hashlib.sha256(f"{_version()} {checksum} {target.fingerprint}".encode()).hexdigest()
    return private_folder("packs") / f"{key}.pack"


def _recipe_path(kept: Kept, graph: Graph, target: Target) -> Path:
    digest = hashlib.sha256(f"{_version()} {builder()} {target.fingerprint} ".encode() + kept.digest)
    digest.update(repr(replace(graph, weights={})).encode())
    return private_folder("packs") / f"{digest.hexdigest()}.recipe"


@cache
def _version() -> str:
    """Changes with all code that plans, packs, lays out and generates: native code must never read another
    version's streams, nor a program find other constants or code than it would have made."""
    digest = hashlib.sha256()
    for folder in ("core", "formats", "kernels", "loop", "model", "native", "tune"):
        for path in sorted((Path(__file__).parents[1] / folder).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(file: BinaryIO) -> Kept:
    end = file.seek(0, os.SEEK_END) - _END
    require(end >= 0, FormatError, "a kept file is damaged: it is too short")
    file.seek(end)
    length, digest = int.from_bytes(file.read(8), "little"), file.read(32)
    intact = length <= end and _digest(file, end + 8) == digest
    require(intact, FormatError, "a kept file is damaged: its checksum does not fit")
    file.seek(end - length)
    try:
        tail = json.loads(file.read(length))
        size = int(tail["size"])
        layout = {name: _entry(found, size) for name, found in tail["layout"].items()}
        layers = {name: _layer(found) for name, found in tail["layers"].items()}
        require(size <= end - length, FormatError, f"a kept file claims {size} bytes of constants")
        kept = Kept(Plan.from_json(tail["plan"]), _mapped(file, size), layout, layers, digest)
        kept.packings()
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise FormatError(f"a kept file is damaged ({error!r})") from error
    return kept


def _digest(file: BinaryIO, size: int) -> bytes:
    """SHA-256 of the first ``size`` bytes. Read rather than mapped: pages that were only hashed are not to
    count as this process's memory."""
    digest, piece = hashlib.sha256(), memoryview(bytearray(_PIECE))
    file.seek(0)
    while size > 0 and (got := file.readinto(piece[: min(size, _PIECE)])):  # type: ignore[attr-defined]
        digest.update(piece[:got])
        size -= got
    return digest.digest()


def _mapped(file: IO[bytes], size: int) -> NDArray[np.uint8]:
    return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), np.uint8)


def _entry(found: Any, size: int) -> Entry:
    offset, dtype, shape = found
    entry = Entry(offset, str(dtype), tuple(shape))
    _require_sizes(offset, *shape)
    fits = offset <= size - SLACK - entry.nbytes and offset % CACHE_LINE == 0
    require(fits, FormatError, f"a kept file has an array outside of it: {entry}")
    return entry


def _layer(found: Mapping[str, Any]) -> Layer:
    roles = {role: _outline(outline) for role, outline in found["roles"].items()}
    few = found["few_columns"]
    most = MOST_COLUMNS if isinstance(roles.get("few"), RowsOutline) else FEW_COLUMNS
    _require_sizes(few)
    require(1 <= few <= most, FormatError, f"a kept file has a packing for few columns, up to {few}")
    return Layer(found["number"], roles, few)


def _outline(found: Mapping[str, Any]) -> Outline | RowsOutline:
    if "form" in found:
        outline: Outline | RowsOutline = RowsOutline(**found)
        known = (
            outline.form in get_args(Form) and outline.lanes in LANES and outline.number in ("fp32", "int8")
        )
        known = known and outline.dtype == stored_dtype(outline.number, outline.form)
    else:
        outline = Outline(**found)
        known = outline.kind in ("panel", "quad") and outline.dtype in ("float32", "int32")
        _require_sizes(outline.block - 1)
    require(known, FormatError, f"a kept file has the packing {outline}")
    _require_sizes(outline.rows, outline.columns, outline.nonzeros)
    return outline


def _require_sizes(*sizes: Any) -> None:
    whole = all(type(size) is int and 0 <= size < 1 << 60 for size in sizes)
    require(whole, FormatError, f"a kept file has the impossible sizes {sizes}")
