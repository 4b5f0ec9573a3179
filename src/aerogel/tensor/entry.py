"""``einsum`` and ``evaluate``: index notation in, a tensor out. Compiled once, then called."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from numpy.typing import NDArray

from aerogel.core.errors import InputError
from aerogel.core.target import Target, current
from aerogel.einsum.check import extents as checked_extents
from aerogel.einsum.nodes import Assignment
from aerogel.einsum.parse import parse
from aerogel.einsum.strings import from_string
from aerogel.formats.storage import Storage
from aerogel.formats.tensor_format import Format
from aerogel.lower.choose import Wanted
from aerogel.native import cores
from aerogel.tensor import again
from aerogel.tensor.coerce import operand
from aerogel.tensor.diagonals import diagonal
from aerogel.tensor.presented import presented
from aerogel.tensor.request import Prepared, Request, prepare, wanted_format
from aerogel.tensor.tensor import Tensor

Result = Tensor | NDArray[Any]
_MOST_PLANS = 4096
_plans: dict[Any, Prepared] = {}


def evaluate(
    text: str,
    *,
    semiring: str = "plus_times",
    out_format: Format | str | Sequence[str] | None = None,
    order: str | Sequence[str] | None = None,
    parallel: bool | None = None,
    workspace: bool | None = None,
    threads: int | None = None,
    **operands: Any,
) -> Any:
    """The value of an assignment such as ``y(i) = A(i,j) * x(j) + b(i)``.

    ``operands``: by name, NumPy, SciPy, torch, PyData/sparse or aerogel tensors, mixed. ``semiring``: what +
    and * mean (plus_times, min_plus, max_times, or_and, plus_pair). ``out_format``: the result's format;
    None: dense where everything is computed, compressed where only what is stored is. ``order``,
    ``parallel``, ``workspace``: the loops, where the schedule's own choice is not wanted. Sparse results are
    ``Tensor``, dense ones NumPy arrays, scalars NumPy scalars.

    InputError (NotationError with the place) for a text that cannot be read, and operands that do not fit.
    """
    wanted = (semiring, out_format, order, parallel, workspace)
    return _called(("evaluate", text, *operands), tuple(operands.values()), wanted, threads)


def einsum(
    subscripts: str,
    *operands: Any,
    semiring: str = "plus_times",
    out_format: Format | str | Sequence[str] | None = None,
    order: str | Sequence[str] | None = None,
    parallel: bool | None = None,
    workspace: bool | None = None,
    threads: int | None = None,
) -> Any:
    """``numpy.einsum`` for tensors in any format: ``einsum("ij,jk->ik", A, B)``. Options as in evaluate."""
    wanted = (semiring, out_format, order, parallel, workspace)
    return _called(("einsum", subscripts), operands, wanted, threads)


def explain(text: str, **operands: Any) -> str:
    """How ``evaluate`` of the same arguments would go about it: loops, formats, conversions, threads; and the
    operations and bytes that it takes, gross and effective."""
    options = {name: operands.pop(name, None) for name in ("out_format", "order", "parallel", "workspace")}
    semiring = operands.pop("semiring", "plus_times")
    operands.pop("threads", None)
    given = {name: operand(value, name) for name, value in operands.items()}
    wanted = (semiring, *(_hashable(option) for option in options.values()))
    prepared = _prepared(("evaluate", text), given, wanted)
    lines = [prepared.choice.scheduled.explain()]
    for name, source in prepared.request.sources.items():
        along = prepared.request.along[name]
        if along:
            lines.append(f"  {name} stands for a diagonal of {source}")
        have, need = diagonal(given[source], along).format, prepared.choice.formats[name]
        if have != need:
            lines.append(f"  {source} is converted from {have.short} to {need.short}")
    if prepared.out != prepared.choice.scheduled.out:
        lines.append(f"  the result becomes {prepared.out.short}")
    lines.append(f"  {prepared.counts(given)}")
    return "\n".join(lines)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@lru_cache(maxsize=_MOST_PLANS)
def _read(spelt: tuple[str, str], semiring: str, ranks: tuple[int, ...]) -> tuple[Assignment, Request]:
    how, text = spelt
    if how == "evaluate":
        assignment = parse(text, semiring=semiring)
    else:
        names = [f"t{k}" for k in range(len(ranks))]
        assignment = from_string(text, ranks, names, semiring=semiring)
    return assignment, Request.of(assignment)


@cache
def _target(wanted: str | None) -> Target:
    """The target that ``AEROGEL_TARGET`` says: looking for it takes longer than a small product."""
    return current()


def _key(storage: Storage) -> Any:
    """What a schedule depends on: format, types, what is not stored, and sizes to within a factor of two."""
    found = storage.memo.get("key")
    if found is None:
        sizes = [size.bit_length() for size in storage.shape]
        if not storage.format.dense:
            sizes += [size.bit_length() for size in storage.counts()]
        found = (storage.format, storage.values.dtype.char, storage.index, storage.fill, *sizes)
        storage.memo["key"] = found
    return found


def _prepared(spelt: tuple[str, str], given: dict[str, Storage], wanted: tuple[Any, ...]) -> Prepared:
    target = _target(os.environ.get("AEROGEL_TARGET"))
    key = (spelt, wanted, target.name, *given, *[_key(storage) for storage in given.values()])
    try:
        found = _plans.get(key)
    except TypeError as error:
        what = "an option" if isinstance(spelt[1], str) else f"what {spelt[0]} is to compute"
        raise InputError(f"{what} is not spelt as a text: {error}") from error
    return _planned(key, spelt, given, wanted) if found is None else found


def _planned(
    key: Any, spelt: tuple[str, str], given: dict[str, Storage], wanted: tuple[Any, ...]
) -> Prepared:
    semiring, out_format, order, parallel, workspace = wanted
    assignment, request = _read(spelt, semiring, tuple(s.rank for s in given.values()))
    checked_extents(request.spelt, {name: storage.shape for name, storage in given.items()})
    form = wanted_format(out_format, len(assignment.out.indices))
    if len(_plans) >= _MOST_PLANS:
        _plans.clear()
    chosen = Wanted(form, _loops(order), workspace, parallel)
    found = _plans[key] = prepare(request, given, chosen)
    return found


def _loops(order: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """``"ikj"``, ``"i,k,j"`` or a list of indices."""
    if not isinstance(order, str):
        return None if order is None else tuple(order)
    words = order.replace(",", " ").split()
    return tuple(words) if len(words) > 1 else tuple(order.strip())


def _called(
    spelt: tuple[str, ...], operands: tuple[Any, ...], wanted: tuple[Any, ...], threads: int | None
) -> Any:
    if threads is None:
        threads = cores.MOST
    elif not isinstance(threads, int) or threads < 1:
        raise InputError(f"threads={threads!r}: give a whole number from 1 on")
    key = again.signature(spelt, wanted, operands)
    known = None if key is None else again.find(key)
    if known is not None:
        try:
            result = known.run(operands, threads)
        except MemoryError:
            # The long way says what could not be had.
            result = again.NOT_SO
        if result is not again.NOT_SO:
            return result
    return _called_anew(spelt, operands, wanted, threads, key)


def _called_anew(
    spelt: tuple[str, ...], operands: tuple[Any, ...], wanted: tuple[Any, ...], threads: int, key: Any
) -> Any:
    how, text, *names = spelt
    names = names or [f"t{k}" for k in range(len(operands))]
    pairs = zip(names, operands, strict=True)
    given = {name: operand(value, _said(how, name)) for name, value in pairs}
    semiring, out_format, order, parallel, workspace = wanted
    wanted = (semiring, _hashable(out_format), _hashable(order), parallel, workspace)
    prepared = _prepared((how, text), given, wanted)
    result = prepared.run(given, threads)
    if key is not None and isinstance(text, str) and not prepared.hollow:
        again.keep(key, prepared, names, operands, given)
    return presented(result)


def _said(how: str, name: str) -> str:
    """How messages call an operand: those of ``einsum`` have no name."""
    return name if how == "evaluate" else f"operand {name[1:]}"
