"""Layers that are pruned already, in a folder: a run that was killed goes on after them.

A file for each layer, written beside and renamed, so it is whole or not there; ``run.json`` says of which run
they are, and how much of each layer is to go, which a budget that is measured would not say twice. What is
taken from there is bit for bit what the run that was killed had made, and so is all that comes after it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from safetensors.torch import load_file, save_file

from aerogel.core.errors import FormatError, InputError, require
from aerogel.core.files import write_file
from aerogel.model.torch_grid import put_scale, scale_of
from aerogel.prune.batches import Call
from aerogel.prune.layers import Layer
from aerogel.prune.problem import Outcome

RECOVERY = "recovery.safetensors"
"""Where training goes on from, in the same folder."""
_VERSION, _RUN = 1, "run.json"


@dataclass(frozen=True)
class KeptLayers:
    """``run``: the fingerprint of what is pruned, how and on what; ``shares``: of each layer, by name."""

    folder: Path
    run: str
    shares: Mapping[str, float]

    @classmethod
    def open(cls, folder: Path, run: str) -> KeptLayers | None:
        """What an earlier run left; None where there is nothing. InputError for another run's, FormatError
        for what is spoilt."""
        file = folder / _RUN
        if not file.exists():
            return None
        try:
            said: dict[str, Any] = json.loads(file.read_bytes())
            same = said["run"] == run
            shares = {str(name): float(share) for name, share in said["shares"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{file} is no record of a pruning ({error}): delete {folder}") from error
        told = f"{folder} is of another pruning (model, data or choices differ): delete it, or name another"
        require(same, InputError, told)
        return cls(folder, run, shares)

    @classmethod
    def begin(cls, folder: Path, run: str, shares: Mapping[str, float]) -> KeptLayers:
        """A folder for a run that begins; InputError where it cannot be made, or holds something else."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
        except OSError as error:
            raise InputError(
                f"checkpoint {folder} cannot be a folder of layers: {error.strerror or error}"
            ) from error
        told = f"checkpoint {folder} holds {found[:1]}, which pruning did not write: name another folder"
        require(not found, InputError, told)
        text = json.dumps({"version": _VERSION, "run": run, "shares": dict(shares)})
        write_file(folder / _RUN, text.encode())
        return cls(folder, run, dict(shares))

    def keep(self, layer: Layer, outcome: Outcome) -> None:
        """Write ``layer`` as it is now."""
        tensors = {"weight": layer.weight, "kept": torch.from_numpy(np.packbits(outcome.kept))}
        if layer.bias is not None:
            tensors["bias"] = layer.bias
        scale = _scale(layer)
        if scale is not None:
            tensors["scale"] = scale
        said = {
            "units": outcome.units,
            "pruned": outcome.pruned,
            "relative_error": outcome.relative_error,
            "seconds": outcome.seconds,
        }
        path = self._file(layer)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
        facts = {"run": self.run, "layer": layer.name, "outcome": json.dumps(said)}
        try:
            save_file(plain, beside, metadata=facts)
            beside.replace(path)
        except (OSError, safetensors.SafetensorError) as error:
            raise InputError(f"{path} cannot be written: {error}") from error
        finally:
            beside.unlink(missing_ok=True)

    def restore(self, layer: Layer) -> Outcome | None:
        """Put into ``layer`` what ``keep`` wrote, and say what had come of it; None where there is no file.
        FormatError for a file that is spoilt."""
        path = self._file(layer)
        if not path.exists():
            return None
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                facts = file.metadata() or {}
            tensors = load_file(path)
            told = f"{path} is of another layer, or of another run: delete {self.folder}"
            require(facts["run"] == self.run and facts["layer"] == layer.name, FormatError, told)
            said = json.loads(facts["outcome"])
            count = layer.shape[0] * layer.shape[1]
            bits = np.unpackbits(tensors["kept"].numpy(), count=count).astype(np.bool_)
            fits = tensors["weight"].shape == layer.weight.shape and bits.size == count
            require(fits, FormatError, f"{path} does not fit layer {layer.name!r}: delete {self.folder}")
            outcome = Outcome(bits.reshape(layer.shape), **said)
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{path} is no layer of a pruning ({error}): delete {self.folder}") from error
        _put(layer, tensors)
        return outcome

    def _file(self, layer: Layer) -> Path:
        # Names of layers may hold what names of files may not.
        return self.folder / f"{hashlib.sha256(layer.name.encode()).hexdigest()[:24]}.safetensors"


def _scale(layer: Layer) -> torch.Tensor | None:
    first = layer.uses[0]
    return scale_of(first) if isinstance(first, torch.nn.Linear) else None


def _put(layer: Layer, tensors: Mapping[str, torch.Tensor]) -> None:
    with torch.no_grad():
        layer.weight.copy_(tensors["weight"])
        if layer.bias is not None and "bias" in tensors:
            layer.bias.copy_(tensors["bias"])
    if "scale" not in tensors:
        return
    for use in layer.uses:
        if isinstance(use, torch.nn.Linear):
            put_scale(use, tensors["scale"].to(layer.weight.device))


def fingerprint(model: torch.nn.Module, calls: Iterable[Call], choices: object) -> str:
    """Of a model's weights, the data it is calibrated on, and ``choices``, which JSON can hold."""
    digest = hashlib.sha256(json.dumps([_VERSION, choices], sort_keys=True).encode())
    for name, tensor in model.state_dict().items():
        _feed(digest, name, tensor)
    for call in calls:
        for index, value in enumerate(
            (*call.args, *(call.kwargs[k] for k in sorted(call.kwargs)), call.mask)
        ):
            if isinstance(value, torch.Tensor):
                _feed(digest, str(index), value)
            else:
                digest.update(f"{index}{type(value).__name__}".encode())
    return digest.hexdigest()


def _feed(digest: Any, name: str, tensor: torch.Tensor) -> None:
    plain = tensor.detach().cpu().contiguous()
    digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}".encode())
    # A scalar has no last dimension to be seen as bytes.
    digest.update(plain.reshape(-1).view(torch.uint8).numpy())
