"""torch tensors: read by what they look like, made with torch when asked for; imported nowhere else here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.convert.convert import convert
from aerogel.convert.folding import Duplicates
from aerogel.convert.unpack import coordinates
from aerogel.core.errors import InputError, MissingDependencyError, UnsupportedError, refuse, require
from aerogel.formats.storage import Storage, dense, dense_format
from aerogel.formats.tensor_format import Format, format_of
from aerogel.tensor.raw import fiber_storage, listed_storage, usable

LAYOUTS = ("strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc")


def from_torch(value: Any, name: str, duplicates: Duplicates = "add") -> Storage:
    """The storage of a torch tensor on the CPU of any layout; index tensors are not trusted, and copied.

    Dense modes behind sparse ones, and batches of CSR or CSC, are dense levels.
    """
    require(hasattr(value, "layout"), InputError, f"{name} is a {type(value).__name__}: give a torch.Tensor")
    require(
        not value.requires_grad,
        UnsupportedError,
        f"{name} requires a gradient, which is not followed here: give {name}.detach()",
    )
    require(value.device.type == "cpu", InputError, f"{name} is on {value.device}: give {name}.cpu()")
    layout = str(value.layout).removeprefix("torch.")
    shape = tuple(int(size) for size in value.shape)
    match layout:
        case "strided":
            return dense(_numbers(value, name))
        case "sparse_coo":
            ids = _array(value._indices(), name)  # noqa: SLF001
            values = _numbers(value._values(), name)  # noqa: SLF001
            require(len(ids) > 0, UnsupportedError, f"{name} has no sparse mode: give {name}.to_dense()")
            return listed_storage(list(ids), values, shape, name, duplicates=duplicates)
        case "sparse_csr" | "sparse_bsr":
            parts = (value.crow_indices(), value.col_indices(), value.values())
        case "sparse_csc" | "sparse_bsc":
            parts = (value.ccol_indices(), value.row_indices(), value.values())
        case _:
            refuse(UnsupportedError, f"{name} has layout {layout}: convert it to one of {', '.join(LAYOUTS)}")
    pos, crd, values = (_array(part, name) for part in parts)
    values = usable(values, name)
    down = layout in ("sparse_csc", "sparse_bsc")
    if layout in ("sparse_bsr", "sparse_bsc"):
        return _blocks((pos, crd, values), shape, name, duplicates, down=down)
    return _fibers((pos, crd, values), shape, name, duplicates, down=down)


def _array(value: Any, name: str) -> NDArray[Any]:
    try:
        return value.detach().resolve_conj().resolve_neg().numpy()
    except (TypeError, RuntimeError, NotImplementedError) as error:
        kind = str(value.dtype).removeprefix("torch.")
        advice = f"{name}.float()" if kind in ("bfloat16", "float16") else "a plain tensor on the CPU"
        raise InputError(f"{name} ({kind}) cannot be read as an array: give {advice}") from error


def _numbers(value: Any, name: str) -> NDArray[Any]:
    return usable(_array(value, name), name)


def _fibers(
    parts: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    shape: tuple[int, ...],
    name: str,
    duplicates: Duplicates,
    *,
    down: bool,
) -> Storage:
    """CSR or CSC; the matrices of a batch stand one after another, and each has as many values."""
    pos, crd, values = parts
    batch = pos.ndim - 1
    if batch:
        each = crd.shape[-1]
        starts = np.arange(pos.size // pos.shape[-1], dtype=np.int64) * each
        # What a matrix of a batch claims is checked with the rest, once its positions follow those before.
        ends = pos.reshape(-1, pos.shape[-1])
        sound = bool((ends[:, 0] == 0).all() and (ends[:, -1] == each).all())
        require(sound, InputError, f"{name}: positions of a batch must run from 0 to {each}")
        pos = np.append((ends[:, :-1] + starts[:, None]).reshape(-1), len(starts) * each)
        crd = crd.reshape(-1)
        values = values.reshape(len(crd), *values.shape[batch + 1 :])
    first = tuple(range(batch))
    matrix = (batch + 1, batch) if down else (batch, batch + 1)
    behind = tuple(range(batch + 2, len(shape)))
    return fiber_storage((pos, crd, values), shape, first + matrix + behind, name, duplicates=duplicates)


def _blocks(
    parts: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    shape: tuple[int, ...],
    name: str,
    duplicates: Duplicates,
    *,
    down: bool,
) -> Storage:
    pos, crd, values = parts
    require(
        len(shape) == 2 and values.ndim == 3,
        UnsupportedError,
        f"{name} is a batch of blocked matrices: give one at a time",
    )
    block = (int(values.shape[1]), int(values.shape[2]))
    # Within a block, too, the modes are in the order of the levels.
    values = values.transpose(0, 2, 1) if down else values
    order = (1, 0) if down else (0, 1)
    return fiber_storage((pos, crd, values), shape, order, name, block=block, duplicates=duplicates)


def to_torch(storage: Storage, layout: str | None = None) -> Any:
    """A torch tensor with its own copy of everything.

    ``layout``: ``strided``, ``sparse_coo``, ``sparse_csr``, ``sparse_csc``, ``sparse_bsr`` (of a storage in
    blocks); None: what the storage has, else ``sparse_coo``.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError("a torch tensor needs torch: pip install 'aerogel[torch]'") from error
    wanted = layout or _usual(storage.format)
    wanted = wanted.removeprefix("torch.")
    require(
        wanted in LAYOUTS,
        InputError,
        f"torch has no layout {wanted!r}: use one of {', '.join(LAYOUTS)}",
    )
    straight = tuple(range(storage.rank))
    if wanted == "strided":
        flat = storage if storage.format.dense else convert(storage, dense_format(straight))
        array = flat.values.reshape(flat.format.level_sizes(flat.shape)).transpose(
            np.argsort(flat.format.order)
        )
        return torch.from_numpy(np.array(array, order="C"))
    require(
        storage.fill == 0,
        UnsupportedError,
        f"torch has 0 where nothing is stored, this tensor {storage.fill}: use to_torch('strided')",
    )
    if wanted == "sparse_coo":
        coords, values = coordinates(storage)
        ids = torch.from_numpy(np.stack(coords).astype(np.int64))
        held = torch.from_numpy(values.copy())
        return torch.sparse_coo_tensor(ids, held, storage.shape, check_invariants=False).coalesce()
    return _compressed(storage, wanted.removeprefix("sparse_"), torch)


def _usual(form: Format) -> str:
    if form.dense and not form.block:
        return "strided"
    if form.block:
        return "sparse_bsr" if form.order == (0, 1) else "sparse_bsc"
    return f"sparse_{form.short}" if form.short in ("csr", "csc") else "sparse_coo"


def _compressed(storage: Storage, layout: str, torch: Any) -> Any:
    require(storage.rank == 2, UnsupportedError, f"sparse_{layout} has 2 modes, the tensor {storage.rank}")
    if layout in ("bsr", "bsc"):
        form = storage.format
        fits = form.block and form.order == ((0, 1) if layout == "bsr" else (1, 0))
        require(fits, UnsupportedError, f"sparse_{layout} needs blocks: asformat('bsr:4x4'), say, first")
    elif storage.format != format_of(layout, 2):
        storage = convert(storage, format_of(layout, 2))
    pos, crd = (torch.from_numpy(array.astype(np.int64)) for array in storage.levels[1])
    values = storage.values
    if storage.format.block:
        inner = tuple(storage.format.block[mode] for mode in storage.format.order)
        values = values.reshape(-1, *inner)
        values = values.transpose(0, 2, 1) if layout == "bsc" else values
    make = getattr(torch, f"sparse_{layout}_tensor")
    held = torch.from_numpy(np.array(values, order="C"))
    return make(pos, crd, held, size=storage.shape, check_invariants=False)
