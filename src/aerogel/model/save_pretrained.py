"""A model back into a Hugging Face directory: the weights as they are now, all else as it came.

Zeros are stored like other numbers, so such a directory is no smaller; whatever reads the original reads it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from aerogel.core.errors import InputError, require
from aerogel.core.files import read_json, read_json_object
from aerogel.core.folders import replace_folder, require_place

if TYPE_CHECKING:
    import torch

RECORD = "aerogel.json"
"""What was done to the model, and which files of the directory were written with it."""
WRITER = "aerogel prune"
_COPIED = ("*.json", "*.txt", "*.model", "*.jinja", "LICENSE*", "NOTICE*")
# The first are written anew; the index is of weights that are no longer split as it says.
_NOT_COPIED = ("config.json", "model.safetensors.index.json", RECORD)


def save_pretrained(module: torch.nn.Module, origin: Path, out: Path, record: Mapping[str, Any]) -> None:
    """Write ``module``, loaded from the directory ``origin`` and changed since, to the directory ``out``.

    Configuration and weights are the module's own; tokenizer, pooling and licence are copied. ``record``
    goes to ``RECORD``. What ``out`` held before is replaced, see ``check_folder``. InputError if it cannot be
    written; then it is as it was.
    """
    # Whoever has a module of a directory has loaded these already.
    from aerogel.model.pretrained import quiet
    from aerogel.model.sentence import SentenceEncoder

    def fill(folder: Path) -> None:
        for name in _companions(origin):
            to = folder / name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(origin / name, to)
        # Of a sentence encoder, the part that is a model: how it pools stands in the files copied.
        encoder: Any = module.encoder if isinstance(module, SentenceEncoder) else module
        with quiet():
            encoder.save_pretrained(folder)
        for file in folder.glob("model*.safetensors"):
            # Written for the owner alone, which nothing else here is.
            file.chmod((folder / "config.json").stat().st_mode)
        files = sorted(f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file())
        written = {"written_by": WRITER, "files": [*files, RECORD], **record}
        (folder / RECORD).write_text(json.dumps(written, indent=2, allow_nan=False) + "\n", "utf-8")

    try:
        replace_folder(out, fill)
    except InputError:
        raise
    except Exception as error:  # safetensors has errors of its own for a full disk
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{out} could not be written ({reason}): what was there is kept") from error


def check_folder(out: Path, origin: Path, *, force: bool) -> None:
    """InputError unless ``out`` may become a model's directory: it is not there, is empty, or holds only
    what ``save_pretrained`` wrote. ``force``: or any other model, but the one at ``origin``."""
    require_place(out)
    if not out.exists():
        return
    require(out.is_dir(), InputError, f"{out} is a file: give a directory, or a name that ends in .aero")
    for kept, what in ((origin.resolve(), "the dense model"), (Path.cwd(), "the working directory")):
        holds = out.resolve() in (kept, *kept.parents)
        require(not holds, InputError, f"{out} holds {what}, which would be lost: give another place")
    foreign = _foreign(out)
    if not foreign:
        return
    model = (out / "config.json").is_file()
    allowed = force and model
    advice = "--force replaces it" if model else "it is no model's directory, so give another place"
    require(allowed, InputError, f"{out} holds what aerogel prune did not write ({foreign[0]}): {advice}")


def checkpoint_bytes(folder: Path) -> int:
    """The size of the weights of a model's directory."""
    return sum(file.stat().st_size for file in folder.glob("model*.safetensors"))


def _foreign(out: Path) -> list[str]:
    """The files of ``out`` that are not among those its record lists; where it has none, what is first."""
    if not (out / RECORD).is_file():
        # Not looked through: it may be any folder of the system.
        return sorted(f.name for f in out.iterdir())[:1]
    try:
        record = read_json_object(out / RECORD)
    except InputError:
        record = {}
    files = record.get("files")
    ours = record.get("written_by") == WRITER and isinstance(files, list)
    listed = {str(name) for name in files} if ours and isinstance(files, list) else set[str]()
    found = sorted(f.relative_to(out).as_posix() for f in out.rglob("*") if not f.is_dir())
    return [name for name in found if name not in listed]


def _companions(origin: Path) -> Iterator[str]:
    """The files that belong to the model, but are neither its configuration nor its weights."""
    top = {f.name for pattern in _COPIED for f in origin.glob(pattern) if f.is_file()}
    yield from sorted(top - set(_NOT_COPIED))
    if not (origin / "modules.json").is_file():
        return
    for module in read_json(origin / "modules.json"):
        place = PurePosixPath(module["path"])
        if not place.parts:
            continue  # the encoder itself
        require(
            not place.is_absolute() and ".." not in place.parts,
            InputError,
            f"{origin / 'modules.json'} leads out of the directory, to {place}: correct its path",
        )
        found = (f for f in (origin / place).rglob("*") if f.is_file())
        yield from sorted(f.relative_to(origin).as_posix() for f in found)
