"""Whatever holds numbers becomes a storage: the way in for every operand.

Libraries are told by the name of the module a type comes from, so that none of them is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.folding import Duplicates
from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.formats.storage import Storage, dense
from aerogel.tensor.pydata_exchange import from_pydata
from aerogel.tensor.raw import usable
from aerogel.tensor.scipy_exchange import from_scipy
from aerogel.tensor.stored import Stored
from aerogel.tensor.torch_exchange import from_torch

Reader = Callable[[Any, str, Duplicates], Storage]
LIBRARIES: dict[str, Reader] = {"scipy": from_scipy, "torch": from_torch, "sparse": from_pydata}
"""Who reads the objects of a library."""

_TAKEN = "a NumPy, SciPy, torch, PyData/sparse or aerogel tensor, or a number"


def operand(value: Any, name: str, duplicates: Duplicates = "add") -> Storage:
    """The storage of ``value``; ``name`` stands in messages.

    An aerogel tensor was checked when it was made. Of all others the arrays that say where values stand are
    copied and checked at every call, and sorted and summed where they are not in order; NumPy arrays and
    values are not copied where they are contiguous in some order of modes and have a type that kernels know.
    """
    if isinstance(value, Stored):
        return value.storage
    if isinstance(value, np.ndarray):
        return dense(plain(value, name))
    reader = reader_of(value)
    if reader is not None:
        return reader(value, name, duplicates)
    require(
        isinstance(value, int | float | list | tuple | np.generic) or hasattr(value, "__array__"),
        InputError,
        f"{name} is a {type(value).__name__}: give {_TAKEN}",
    )
    return dense(plain(_array(value, name), name))


def reader_of(value: object) -> Reader | None:
    """Who reads ``value``, where it comes from one of LIBRARIES or is derived from what does."""
    for kind in type(value).__mro__:
        found = LIBRARIES.get(kind.__module__.partition(".")[0])
        if found is not None:
            return found
    return None


def plain(array: NDArray[Any], name: str) -> NDArray[Any]:
    """``array`` as a plain ndarray of a type that kernels know."""
    require(
        not isinstance(array, np.ma.MaskedArray),
        UnsupportedError,
        f"{name} is a masked array, whose mask would be lost: give {name}.filled(0)",
    )
    return usable(np.asarray(array), name)


def _array(value: Any, name: str) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise InputError(f"{name} ({type(value).__name__}) is no array: {error}; give {_TAKEN}") from error
