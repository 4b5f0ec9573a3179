"""An ONNX model built node by node, with names that depend on the order of calls alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import MissingDependencyError, UnsupportedError, require

# The newest operators that every runtime compared with reads, DeepSparse 1.8 and its ONNX 1.14 included.
OPSET, IR_VERSION = 13, 7
# A model is one message of the protocol-buffer format, which ends at 2 GiB.
_MOST_BYTES = (2 << 30) - (1 << 20)


class OnnxWriter:
    """Collects nodes, constants and the model's inputs and outputs. Values are named by strings."""

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError as error:
            raise MissingDependencyError(f"{error}: pip install 'aerogel[bench]'") from error
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._bytes = 0

    def input(self, name: str, dtype: type[np.generic], shape: Sequence[str | int]) -> str:
        """A dimension is a number, or a name where it is free."""
        self._inputs.append(self._typed(name, dtype, shape))
        return name

    def output(self, name: str, value: str, shape: Sequence[str | int]) -> None:
        """``value``, float32, under the name that callers know."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name]))
        self._outputs.append(self._typed(name, np.float32, shape))

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Kept once under this name."""
        if name not in self._constants:
            self._bytes += array.nbytes
            told = f"the weights exceed {_MOST_BYTES / 1e9:.1f} GB, the most that one ONNX file holds"
            require(self._bytes <= _MOST_BYTES, UnsupportedError, told)
            self._constants[name] = self._onnx.numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def number(self, value: float) -> str:
        """A float32 scalar."""
        return self.constant(f"number {value!r}", np.array(value, np.float32))

    def integers(self, values: Sequence[int]) -> str:
        """An int64 vector, a shape say."""
        return self.constant(f"integers {list(values)}", np.array(values, np.int64))

    def call(self, operator: str, *operands: str, **attributes: Any) -> str:
        """The one result of an operator on these values."""
        result = f"{operator}.{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(operator, list(operands), [result], **attributes))
        return result

    def cast(self, x: str, dtype: type[np.generic]) -> str:
        return self.call("Cast", x, to=self._element(dtype))

    def model(self) -> bytes:
        """The serialised model, checked by onnx."""
        helper = self._onnx.helper
        graph = helper.make_graph(
            self._nodes, "aerogel", self._inputs, self._outputs, list(self._constants.values())
        )
        opset = helper.make_opsetid("", OPSET)
        made = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        self._onnx.checker.check_model(made)
        return made.SerializeToString()

    def _typed(self, name: str, dtype: type[np.generic], shape: Sequence[str | int]) -> Any:
        return self._onnx.helper.make_tensor_value_info(name, self._element(dtype), list(shape))

    def _element(self, dtype: type[np.generic]) -> int:
        return self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
