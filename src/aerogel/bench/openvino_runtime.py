"""Contenders: OpenVINO, held to fp32 and as it comes, which is bfloat16 where the CPU has it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.arrays import Arrays, ArraySubject, Signature
from aerogel.bench.hugging_face import ModelFolder
from aerogel.bench.onnx_export import INPUTS, onnx_file
from aerogel.bench.subject import EncoderSubject, OnTokens
from aerogel.core.errors import MissingDependencyError


class OpenVino:
    """A model compiled for latency; ``precision`` and ``threads`` None leave it its own."""

    def __init__(self, path: Path, precision: str | None, threads: int | None) -> None:
        self._library, self._path = _library(), path
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if precision is not None:
            settings["INFERENCE_PRECISION_HINT"] = precision
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        self._model = self._library.Core().compile_model(str(path), "CPU", settings)
        self._request = self._model.create_infer_request()

    def bind(self, arrays: Arrays) -> Any:
        return {name: np.ascontiguousarray(array) for name, array in arrays.items()}

    def forward(self, inputs: Any) -> Any:
        # No copies of inputs or outputs: onnxruntime is not asked for any either.
        return self._request.infer(inputs, share_inputs=True, share_outputs=True)

    def to_numpy(self, found: Any) -> NDArray[Any]:
        return np.array(found[self._model.output(0)])

    def facts(self) -> dict[str, Any]:
        hint = self._model.get_property("INFERENCE_PRECISION_HINT")
        return {
            "size_bytes": self._path.stat().st_size,
            "version": self._library.__version__.partition("-")[0],
            "threads": int(self._model.get_property("INFERENCE_NUM_THREADS")) or None,
            "precision": hint.get_type_name(),
        }


def make(
    model: str, precision: str | None = None, cache: str | None = None, threads: int | None = None
) -> EncoderSubject:
    """``model``: a Hugging Face directory, exported to ONNX on first use and kept below ``cache``."""
    folder = ModelFolder.open(model)
    path = onnx_file(folder, "fp32", Path(cache) if cache else None)
    return EncoderSubject(folder, OnTokens(OpenVino(path, precision, threads), INPUTS))


def make_given(
    onnx: str, signature: Mapping[str, Any], precision: str | None = None, threads: int | None = None
) -> ArraySubject:
    """``onnx``: a file with these inputs."""
    return ArraySubject(Signature.of_json(signature), OpenVino(Path(onnx), precision, threads))


def _library() -> Any:
    # On import it would report its use to its makers; without this module it has nothing to do that with.
    sys.modules.setdefault("openvino_telemetry", None)  # pyright: ignore[reportArgumentType]
    try:
        import openvino  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingDependencyError(f"{error}: pip install 'aerogel[peers]'") from error
    return openvino
