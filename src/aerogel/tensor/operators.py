"""What Python and NumPy write with signs, for tensors: each sign is a NumPy ufunc, element by element."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from aerogel.core.errors import UnsupportedError
from aerogel.formats.storage import Storage
from aerogel.tensor.coerce import operand
from aerogel.tensor.elementwise import binary, of_tensors, unary
from aerogel.tensor.products import matmul
from aerogel.tensor.reductions import How, reduced
from aerogel.tensor.stored import Stored

_REDUCTIONS: dict[str, How] = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_or": "any",
    "logical_and": "all",
}


class Operators(Stored):
    """Arithmetic, comparisons and ufuncs. Sparse results are tensors, dense ones NumPy arrays."""

    __slots__ = ()
    # SciPy and NumPy leave the operation to us.
    __array_priority__ = 1_000.0

    def _own(self, result: Any) -> Any:
        if isinstance(result, Stored) and type(result) is not type(self):
            result = result.storage
        return type(self)(result) if isinstance(result, Storage) else result

    def _binary(self, ufunc: np.ufunc, a: Any, b: Any) -> Any:
        if isinstance(a, Stored) and isinstance(b, Stored):
            found = of_tensors(ufunc, a, b)
            if found is not None:
                return self._own(found)
        left, right = (_side(value, name) for value, name in ((a, "left"), (b, "right")))
        if left is None or right is None:
            return NotImplemented
        return self._own(binary(ufunc, left, right))

    def __add__(self, other: Any) -> Any:
        return self._binary(np.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return self._binary(np.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return self._binary(np.subtract, self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._binary(np.subtract, other, self)

    def __mul__(self, other: Any) -> Any:
        return self._binary(np.multiply, self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._binary(np.multiply, other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._binary(np.divide, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._binary(np.divide, other, self)

    def __floordiv__(self, other: Any) -> Any:
        return self._binary(np.floor_divide, self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._binary(np.floor_divide, other, self)

    def __mod__(self, other: Any) -> Any:
        return self._binary(np.remainder, self, other)

    def __rmod__(self, other: Any) -> Any:
        return self._binary(np.remainder, other, self)

    def __pow__(self, other: Any) -> Any:
        return self._binary(np.power, self, other)

    def __rpow__(self, other: Any) -> Any:
        return self._binary(np.power, other, self)

    def __and__(self, other: Any) -> Any:
        return self._binary(np.bitwise_and, self, other)

    def __rand__(self, other: Any) -> Any:
        return self._binary(np.bitwise_and, other, self)

    def __or__(self, other: Any) -> Any:
        return self._binary(np.bitwise_or, self, other)

    def __ror__(self, other: Any) -> Any:
        return self._binary(np.bitwise_or, other, self)

    def __xor__(self, other: Any) -> Any:
        return self._binary(np.bitwise_xor, self, other)

    def __rxor__(self, other: Any) -> Any:
        return self._binary(np.bitwise_xor, other, self)

    def __lt__(self, other: Any) -> Any:
        return self._binary(np.less, self, other)

    def __le__(self, other: Any) -> Any:
        return self._binary(np.less_equal, self, other)

    def __gt__(self, other: Any) -> Any:
        return self._binary(np.greater, self, other)

    def __ge__(self, other: Any) -> Any:
        return self._binary(np.greater_equal, self, other)

    def __eq__(self, other: object) -> Any:
        return self._binary(np.equal, self, other)

    def __ne__(self, other: object) -> Any:
        return self._binary(np.not_equal, self, other)

    # As with NumPy's arrays: ``==`` answers for each element.
    __hash__ = None  # type: ignore[assignment]

    def __matmul__(self, other: Any) -> Any:
        return self._own(matmul(self, other))

    def __rmatmul__(self, other: Any) -> Any:
        return self._own(matmul(other, self))

    def __neg__(self) -> Any:
        return self._own(unary(np.negative, self.storage))

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Any:
        return self._own(unary(np.absolute, self.storage))

    def __invert__(self) -> Any:
        return self._own(unary(np.invert, self.storage))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "reduce" and ufunc.__name__ in _REDUCTIONS and inputs[0] is self:
            axis = options.pop("axis", 0)
            keepdims = bool(options.pop("keepdims", False))
            _refuse_options(ufunc.__name__, options)
            how = _REDUCTIONS[ufunc.__name__]
            return self._own(reduced(self.storage, how, axis, keepdims=keepdims))
        if method != "__call__" or ufunc.nout != 1 or ufunc.nin > 2:
            raise UnsupportedError(f"numpy.{ufunc.__name__}.{method} of a tensor: pass t.to_numpy()")
        _refuse_options(ufunc.__name__, options)
        if ufunc is np.matmul:
            return self._own(matmul(*inputs))
        if ufunc.signature is not None:
            raise UnsupportedError(f"numpy.{ufunc.__name__} of a tensor: pass t.to_numpy()")
        if ufunc.nin == 1:
            return self._own(unary(ufunc, self.storage))
        return self._binary(ufunc, *inputs)


def _side(value: Any, name: str) -> Any:
    """A number as it is (its type gives way, as in NumPy), all else as a storage; None for what is none."""
    if isinstance(value, bool | int | float | np.generic):
        return value
    if value is None or isinstance(value, str | bytes | dict | set):
        return None
    return value.storage if isinstance(value, Stored) else operand(value, f"the {name} operand")


def _refuse_options(name: str, options: dict[str, Any]) -> None:
    for option, value in options.items():
        if value is not None and not (option == "where" and value is True):
            raise UnsupportedError(f"numpy.{name} of a tensor takes no {option}=: pass t.to_numpy()")
