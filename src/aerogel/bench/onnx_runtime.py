"""Contenders: onnxruntime, in fp32 and in int8."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.arrays import Arrays, ArraySubject, Signature
from aerogel.bench.hugging_face import ModelFolder
from aerogel.bench.onnx_export import INPUTS, Precision, onnx_file, quantise, session
from aerogel.bench.subject import EncoderSubject, OnTokens


class OnnxRuntime:
    """An onnxruntime session; ``threads`` None leaves it its own number."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self._size_bytes = path.stat().st_size
        self._session = session(path, threads)

    def bind(self, arrays: Arrays) -> Any:
        return arrays

    def forward(self, inputs: Any) -> Any:
        return self._session.run(None, inputs)[0]

    def to_numpy(self, found: Any) -> NDArray[np.float32]:
        return found

    def facts(self) -> dict[str, Any]:
        import onnxruntime

        return {
            "size_bytes": self._size_bytes,
            "version": onnxruntime.__version__,
            # 0 is its way to say its own default, which it does not tell.
            "threads": self._session.get_session_options().intra_op_num_threads or None,
        }


def make(
    model: str,
    precision: Precision = "fp32",
    cache: str | None = None,
    pinned: dict[str, Any] | None = None,
    threads: int | None = None,
) -> EncoderSubject:
    """``model``: a Hugging Face directory, exported to ONNX on first use and kept below ``cache``."""
    folder = ModelFolder.open(model)
    path = onnx_file(folder, precision, Path(cache) if cache else None)
    return EncoderSubject(folder, OnTokens(OnnxRuntime(path, threads), INPUTS), pinned)


def make_given(
    onnx: str, signature: Mapping[str, Any], precision: Precision = "fp32", threads: int | None = None
) -> ArraySubject:
    """``onnx``: a file with these inputs, which is in this ``precision`` already."""
    return ArraySubject(Signature.of_json(signature), OnnxRuntime(Path(onnx), threads))


def make_quantised(onnx: str, signature: Mapping[str, Any], threads: int | None = None) -> ArraySubject:
    """``onnx``: a file in fp32, of which the int8 is made now."""
    with tempfile.TemporaryDirectory(prefix="aerogel-onnx-") as folder:
        path = Path(folder) / "model-int8.onnx"
        quantise(Path(onnx), path)
        return make_given(str(path), signature, "int8", threads)
