"""An encoder as ONNX files, made once and kept: fp32, and int8 by dynamic quantisation per channel."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np

from aerogel.bench.cases import TokenBatch, token_batch
from aerogel.bench.hugging_face import ModelFolder
from aerogel.core.errors import MeasureError, MissingDependencyError, require
from aerogel.native.cache import private_folder

Precision = Literal["fp32", "int8"]
INPUTS, OUTPUT = ("input_ids", "attention_mask"), "last_hidden_state"

# Raised when the way of exporting changes, so that kept files are made anew.
_RECIPE = 2
_PACKAGES = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime")
# Against torch, relative to the largest value: far above rounding, far below a wrong graph.
_TOLERANCE = 1e-4


def onnx_file(folder: ModelFolder, precision: Precision, cache: Path | None = None) -> Path:
    """The ONNX file of this model, exported now if it is not in ``cache`` (by default with aerogel's own).
    The fp32 export is checked against torch; MeasureError if it differs."""
    home = (cache or private_folder("onnx")) / _key(folder)
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MeasureError(f"exported models cannot be kept in {home}: {error}") from error
    full = home / "model.onnx"
    if not full.is_file():
        _write(full, partial(_export, folder))
    if precision == "fp32":
        return full
    quantised = home / "model-int8.onnx"
    if not quantised.is_file():
        _write(quantised, partial(quantise, full))
    return quantised


def _key(folder: ModelFolder) -> str:
    try:
        versions = [f"{name}={metadata.version(name)}" for name in _PACKAGES]
    except metadata.PackageNotFoundError as error:
        raise MissingDependencyError(f"{error} is not installed: pip install 'aerogel[bench]'") from error
    text = " ".join([str(_RECIPE), folder.fingerprint(), *versions])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _write(final: Path, produce: Callable[[Path], None]) -> None:
    # Made beside its place and renamed, so that an interrupted export leaves nothing that looks whole.
    with tempfile.TemporaryDirectory(dir=final.parent) as scratch:
        made = Path(scratch) / final.name
        produce(made)
        made.replace(final)


def _export(folder: ModelFolder, path: Path) -> None:
    import torch

    # Attention spelt out gives the smaller graph (no guards against NaN, a third fewer reshapes), and no
    # slower a session: the control should be as strong as it can be.
    module = folder.torch_module(attention="eager")
    # Sizes of at least 2: the exporter takes 0 and 1 for constants.
    example = token_batch({"lengths": [16, 9]}, folder.vocabulary)
    dynamic = {0: "batch", 1: "sequence"}
    torch.onnx.export(
        module,
        (torch.from_numpy(example.ids), torch.from_numpy(example.mask)),
        path,
        dynamo=True,
        external_data=False,
        input_names=list(INPUTS),
        output_names=[OUTPUT],
        dynamic_shapes=(dynamic, dynamic),
        verbose=False,
    )
    _check(path, module, token_batch({"lengths": [7, 31, 1]}, folder.vocabulary))


def _check(path: Path, module: Any, batch: TokenBatch) -> None:
    import torch

    with torch.inference_mode():
        wanted = module(torch.from_numpy(batch.ids), torch.from_numpy(batch.mask))[0].numpy()
    (found,) = session(path).run(None, dict(zip(INPUTS, (batch.ids, batch.mask), strict=True)))
    kept = batch.mask.astype(bool)
    error = float(np.abs(found[kept] - wanted[kept]).max() / np.abs(wanted[kept]).max())
    require(
        error <= _TOLERANCE,
        MeasureError,
        f"the ONNX export of {path} differs from torch by {error:.1e} of the largest value",
    )


def quantise(full: Path, path: Path) -> None:
    """Write the int8 of the fp32 file ``full``: its dynamic quantisation, weights per channel."""
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(full, path, per_channel=True)


def session(path: Path, threads: int | None = None) -> Any:
    """An onnxruntime session with its default settings, but for ``threads`` within an operation."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(f"{error}: pip install 'aerogel[bench]'") from error
    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
