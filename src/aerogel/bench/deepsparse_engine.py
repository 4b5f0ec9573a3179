"""Contender: DeepSparse, which skips zero weights. It runs in an environment of its own, whose NumPy is old:
this file and what it imports of aerogel make do with that."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.arrays import Arrays, ArraySubject, Signature


class DeepSparse:
    """An engine compiled anew for every shape, as it asks for; that is not timed."""

    def __init__(self, path: Path, threads: int | None) -> None:
        import deepsparse  # pyright: ignore[reportMissingImports]

        self._library: Any = deepsparse
        self._path, self._threads = path, threads
        self._engine: Any = None
        self._shapes: list[list[int]] = []

    def bind(self, arrays: Arrays) -> Any:
        values = [np.ascontiguousarray(array) for array in arrays.values()]
        shapes = [list(array.shape) for array in values]
        if shapes != self._shapes:
            self._engine = None  # the old one's memory first
            self._engine, self._shapes = self._compiled(shapes), shapes
        return values

    def _compiled(self, shapes: list[list[int]]) -> Any:
        # It writes the shapes into the file that it is given.
        with tempfile.TemporaryDirectory(prefix="aerogel-deepsparse-") as folder:
            copy = Path(shutil.copy(self._path, folder))
            return self._library.Engine(
                str(copy), batch_size=shapes[0][0], num_cores=self._threads, input_shapes=shapes
            )

    def forward(self, inputs: Any) -> Any:
        return self._engine.run(inputs, val_inp=False)  # the arrays were looked at when they were bound

    def to_numpy(self, found: Any) -> NDArray[Any]:
        return np.asarray(found[0])

    def facts(self) -> dict[str, Any]:
        engine = self._engine
        return {
            "size_bytes": self._path.stat().st_size,
            "version": self._library.__version__,
            "threads": None if engine is None else engine.num_cores,
            # Below 1, some operations run in the ONNX Runtime that it brings.
            "own_share": None if engine is None else engine.fraction_of_supported_ops,
        }


def make(onnx: str, signature: Mapping[str, Any], threads: int | None = None) -> ArraySubject:
    """``onnx``: a file with these inputs, in this order."""
    return ArraySubject(Signature.of_json(signature), DeepSparse(Path(onnx), threads))
