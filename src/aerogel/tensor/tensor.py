"""``Tensor``: what aerogel computes with. Frozen; of any rank, in any format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from aerogel.convert.convert import convert
from aerogel.core.dtypes import DType
from aerogel.core.errors import FormatError, InputError, require
from aerogel.formats.levels import LEVELS
from aerogel.formats.storage import VALUES, Fill, Storage, check
from aerogel.formats.tensor_format import Format, format_of, level_name
from aerogel.tensor.elementwise import unary
from aerogel.tensor.numpy_functions import called
from aerogel.tensor.operators import Operators
from aerogel.tensor.places import grid, places
from aerogel.tensor.products import dot
from aerogel.tensor.pydata_exchange import to_pydata
from aerogel.tensor.reductions import Axes, How, mean, reduced, summed
from aerogel.tensor.scipy_exchange import to_scipy
from aerogel.tensor.shapes import expanded, reshaped, squeezed, without_zeros
from aerogel.tensor.slicing import diagonal, sliced
from aerogel.tensor.torch_exchange import to_torch


class Tensor(Operators):
    """A sparse or dense tensor that nothing changes. Made by ``aerogel.tensor`` and by whatever computes one.

    Arithmetic follows NumPy; what is not stored is ``fill`` (mostly 0), and 0 times anything stays 0.
    """

    __slots__ = ()

    # -------------------------------------------------------------------------------- what it is

    @property
    def shape(self) -> tuple[int, ...]:
        return self.storage.shape

    @property
    def ndim(self) -> int:
        return self.storage.rank

    @property
    def size(self) -> int:
        """How many elements, stored or not."""
        return prod(self.storage.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.storage.values.dtype

    @property
    def format(self) -> Format:
        return self.storage.format

    @property
    def nnz(self) -> int:
        """How many values are stored, explicit zeros among them."""
        return self.storage.stored

    @property
    def density(self) -> float:
        """The part of the elements that is stored; 0 of a tensor without elements."""
        return self.nnz / self.size if self.size else 0.0

    @property
    def fill(self) -> Fill:
        """What stands where nothing is stored."""
        return self.storage.fill

    @property
    def nbytes(self) -> int:
        """Bytes of values, positions and coordinates."""
        return self.storage.nbytes

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.shape)) or "scalar"
        parts = [shape, str(self.dtype), self.format.short, f"{self.nnz} stored ({self.density:.3g})"]
        if self.fill != 0:
            parts.append(f"fill {self.fill}")
        return f"<Tensor {', '.join([*parts, f'{self.nbytes} bytes'])}>"

    # ------------------------------------------------------------------------- as something else

    def asformat(self, format: Format | str | Sequence[str]) -> Self:  # noqa: A002
        """The same tensor in another format: see ``aerogel.tensor``."""
        wanted = format_of(format, self.ndim)
        return self if wanted == self.format else self._own(convert(self.storage, wanted))

    to_format = asformat

    def astype(self, dtype: DTypeLike) -> Self:
        """The same places with values of another type, as NumPy casts them."""
        wanted = DType.of(dtype)
        require(
            wanted in VALUES,
            InputError,
            f"a tensor of {wanted.numpy()} cannot be made: use float64, float32, int64, int32 or bool",
        )
        if wanted is self.storage.dtype:
            return self
        values = self.storage.values.astype(wanted.numpy())
        fill = np.asarray(self.fill).astype(values.dtype).item()
        return self._own(replace(self.storage, values=values, fill=fill))

    def to_numpy(self) -> NDArray[Any]:
        """A new dense array."""
        return np.array(grid(self.storage), order="C")

    todense = toarray = to_numpy

    def to_scipy(self, layout: str | None = None) -> Any:
        """A SciPy sparse array (``csr``, ``csc``, ``coo``, ``bsr``, ``dia``, ``dok``, ``lil``) of its own."""
        return to_scipy(self.storage, layout)

    def to_torch(self, layout: str | None = None) -> Any:
        """A torch tensor (``strided``, ``sparse_coo``, ``sparse_csr`` ...) of its own."""
        return to_torch(self.storage, layout)

    def to_sparse(self) -> Any:
        """A ``sparse.COO`` of PyData/sparse of its own."""
        return to_pydata(self.storage)

    def coordinates(self) -> tuple[tuple[NDArray[np.int64], ...], NDArray[Any]]:
        """Coordinates of everything that is stored, one array per mode, and the values. All copies."""
        coords, values = places(self.storage)
        return tuple(crd.copy() for crd in coords), values.copy()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001
        sparse = not self.format.dense
        if copy is False and (sparse or (dtype is not None and np.dtype(dtype) != self.dtype)):
            raise ValueError("a dense array of this tensor is a copy: leave out copy=False")
        found = grid(self.storage)
        found = found if dtype is None else found.astype(dtype, copy=False)
        return np.array(found) if copy else found

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def copy(self) -> Self:
        """Itself: nothing changes a tensor."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        form, own = self.format, self.storage
        levels = tuple(level_name(level) for level in form.levels)
        spelt = (levels, form.order, form.block)
        return restored, (spelt, own.shape, own.levels, own.values, own.fill, own.index.name)

    # -------------------------------------------------------------------------------- one number

    def item(self) -> float | bool:
        """The number of a tensor with one element."""
        require(self.size == 1, InputError, f"a tensor of shape {self.shape} is no single number")
        return grid(self.storage).reshape(-1)[0].item()

    def __bool__(self) -> bool:
        require(
            self.size == 1,
            InputError,
            f"whether a tensor of shape {self.shape} is true is not said: use .any() or .all()",
        )
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a tensor without modes has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[at] for at in range(len(self)))

    # ---------------------------------------------------------------------------- parts and order

    def __getitem__(self, key: Any) -> Any:
        return self._own(sliced(self.storage, _plain_key(key)))

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self:
        """What stands on a diagonal of two modes; its mode comes last."""
        return self._own(diagonal(self.storage, offset, (axis1, axis2)))

    def trace(self, offset: int = 0) -> Any:
        """The sum of a diagonal of the first two modes."""
        return self.diagonal(offset).sum(axis=-1)

    def transpose(self, *axes: Any) -> Self:
        """Modes in another order (none given: reversed). Nothing moves: CSR becomes CSC of the transpose."""
        own = self.storage
        given = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        if not given:
            order = tuple(range(own.rank - 1, -1, -1))
            return self._own(own.seen_as(own.format.turned(order), own.shape[::-1]))
        order = tuple(int(axis) for axis in given)
        sound = len(order) == self.ndim and all(-self.ndim <= axis < self.ndim for axis in order)
        order = tuple(axis % self.ndim for axis in order) if sound else order
        require(
            sound and len(set(order)) == self.ndim,
            InputError,
            f"axes {order} do not name each of the {self.ndim} modes once",
        )
        shape = tuple([own.shape[mode] for mode in order])
        return self._own(own.seen_as(self.format.turned(order), shape))

    permute = transpose

    def reshape(self, *shape: Any) -> Self:
        """The same elements, in NumPy's order, under another shape; one extent may be -1."""
        sizes = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        return self._own(reshaped(self.storage, sizes))

    def ravel(self) -> Self:
        """As one mode."""
        return self.reshape(-1) if self.size else self.reshape(0)

    def squeeze(self, axis: Axes = None) -> Self:
        """Without modes of extent 1: those of ``axis``, or all."""
        return self._own(squeezed(self.storage, axis))

    def expand_dims(self, axis: int | Sequence[int]) -> Self:
        """With new modes of extent 1, at ``axis`` of the result."""
        return self._own(expanded(self.storage, axis))

    def without_zeros(self) -> Self:
        """Without stored values that stand anyway where nothing is stored."""
        return self._own(without_zeros(self.storage))

    @property
    def T(self) -> Self:  # noqa: N802
        return self.transpose()

    # -------------------------------------------------------------------------------- reductions

    def _reduced(self, how: How, axis: Axes, *, keepdims: bool) -> Any:
        if how == "sum" and not keepdims:
            found = summed(self, axis)
            if found is not None:
                return found
        return self._own(reduced(self.storage, how, axis, keepdims=keepdims))

    def sum(self, axis: Axes = None, *, keepdims: bool = False) -> Any:
        """The sum over modes; as ``max``, ``min``, ``prod``, ``any``, ``all`` and ``mean`` a number, a NumPy
        array where one mode is left, else a tensor."""
        return self._reduced("sum", axis, keepdims=keepdims)

    def prod(self, axis: Axes = None, *, keepdims: bool = False) -> Any:
        return self._reduced("prod", axis, keepdims=keepdims)

    def max(self, axis: Axes = None, *, keepdims: bool = False) -> Any:
        return self._reduced("max", axis, keepdims=keepdims)

    def min(self, axis: Axes = None, *, keepdims: bool = False) -> Any:
        return self._reduced("min", axis, keepdims=keepdims)

    def any(self, axis: Axes = None, *, keepdims: bool = False) -> Any:
        return self._reduced("any", axis, keepdims=keepdims)

    def all(self, axis: Axes = None, *, keepdims: bool = False) -> Any:
        return self._reduced("all", axis, keepdims=keepdims)

    def mean(self, axis: Axes = None, *, keepdims: bool = False) -> Any:
        return self._own(mean(self.storage, axis, keepdims=keepdims))

    def dot(self, other: Any) -> Any:
        """``numpy.dot``."""
        return self._own(dot(self, other))

    def conj(self) -> Self:
        """Itself: its numbers are real."""
        return self

    def sqrt(self) -> Any:
        return self._own(unary(np.sqrt, self.storage))

    def __array_function__(
        self, function: Any, types: Sequence[type], args: Sequence[Any], options: dict[str, Any]
    ) -> Any:
        return self._own(called(function, args, options))


def restored(
    spelt: tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]],
    shape: tuple[int, ...],
    levels: tuple[tuple[NDArray[Any], ...], ...],
    values: NDArray[Any],
    fill: Fill,
    index: str,
) -> Tensor:
    """A tensor out of a pickle, whose parts are checked as those of a stranger's."""
    names, order, block = spelt
    require(
        all(name in LEVELS for name in names) and index in ("I32", "I64"),
        FormatError,
        f"a pickled tensor has levels {names} and indices {index}: it comes from another version",
    )
    form = Format(tuple(LEVELS[name] for name in names), tuple(order), tuple(block))
    copies = tuple(tuple(np.array(array) for array in arrays) for arrays in levels)
    held = Storage(form, tuple(shape), copies, np.array(values), fill, DType[index])
    return Tensor(check(held, "a pickled tensor"))


def _plain_key(key: Any) -> Any:
    """Tensors among the indices as arrays."""
    if isinstance(key, tuple):
        return tuple(_plain_key(part) for part in key)
    return key.to_numpy() if isinstance(key, Tensor) else key
