"""Contenders: one linear layer in onnxruntime by itself, one thread, in fp32 and in int8.

int8 is its dynamic quantisation, weights per channel: the same as the whole model's in ``onnx_export``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.layers import activations, weight
from aerogel.bench.onnx_export import Precision, session
from aerogel.core.errors import InputError, MissingDependencyError, require

NEEDS = ("onnxruntime", "onnx")
# Old enough for every onnxruntime in use; a linear layer needs nothing newer.
_OPSET, _IR_VERSION = 17, 8


class OnnxLayer:
    """A dense layer [outputs, inputs] with a bias, on row-major activations [columns, inputs]. Inputs and
    outputs are bound once, so that no copy and no look-up by name is timed."""

    def __init__(self, precision: Precision) -> None:
        self._precision: Precision = precision

    def prepare(self, case: dict[str, Any]) -> None:
        import onnxruntime

        outputs, inputs, columns = case["outputs"], case["inputs"], case["columns"]
        with tempfile.TemporaryDirectory() as folder:
            self._session = session(_file(outputs, inputs, self._precision, Path(folder)), threads=1)
        self._y = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros((columns, outputs), np.float32))
        self._binding = self._session.io_binding()
        self._binding.bind_cpu_input("x", np.ascontiguousarray(activations(inputs, columns).T))
        self._binding.bind_ortvalue_output("y", self._y)

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def result(self) -> NDArray[np.float32]:
        """[outputs, columns]"""
        self.run()
        return self._y.numpy().T

    def facts(self) -> dict[str, Any]:
        import onnxruntime

        return {"version": onnxruntime.__version__, "threads": 1, "precision": self._precision}


def _file(outputs: int, inputs: int, precision: Precision, folder: Path) -> Path:
    """y = x W^T + b as an ONNX file."""
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise MissingDependencyError(f"{error}: pip install 'aerogel[bench]'") from error
    matrix = np.ascontiguousarray(weight(outputs, inputs, 0.0, "unstructured").T)
    constants = [
        numpy_helper.from_array(matrix, "w"),
        numpy_helper.from_array(np.zeros(outputs, np.float32), "b"),
    ]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Add", ["p", "b"], ["y"])]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["columns", inputs])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["columns", outputs])
    graph = helper.make_graph(nodes, "layer", [given], [made], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    path = folder / "layer.onnx"
    onnx.save(model, path)
    if precision == "fp32":
        return path
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(path, folder / "layer-int8.onnx", per_channel=True)
    return folder / "layer-int8.onnx"


def onnx_layer(precision: Precision) -> OnnxLayer:
    """Factory of both."""
    require(precision in ("fp32", "int8"), InputError, f"precision {precision!r} is unknown: fp32 or int8")
    return OnnxLayer(precision)
