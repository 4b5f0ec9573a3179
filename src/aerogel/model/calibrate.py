"""Ranges of activations found beforehand on data, so that a layer can store its outputs as 8-bit integers.

Only values that a layer of integers makes for other such layers alone get a range: there it saves the numbers
themselves. All others keep a range per column, which is closer. A range is from the least to the greatest
number that any token of the data shows, and reaches to 0; what lies beyond it later becomes the nearer end. A
value that was 0 throughout gets none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.core.target import Target, current
from aerogel.model.assemble import assemble
from aerogel.model.fuse import fuse
from aerogel.model.graph import Graph, Output, Range
from aerogel.model.program import Program
from aerogel.model.progress import counted
from aerogel.model.steps import LinearStep
from aerogel.model.texts import Texts

# Features that are looked at in one go: what a call returns stays small beside the model.
_MOST_FEATURES = 16384
_TEXTS_AT_ONCE = 8
_WHAT = "a list of batches (each an array, a tuple of arrays or a dict by name), or of texts"


def calibrated(
    graph: Graph,
    calibration: Iterable[Any],
    texts: Texts | None = None,
    *,
    target: Target | None = None,
    threads: int | None = None,
) -> Graph:
    """``graph``, whose layers are of integers, with the ranges that ``calibration`` shows: batches as the
    program takes them, or texts, which need the model's tokenizer ``texts``. InputError for anything else,
    for data without a token or row, or that gives numbers that are not finite; and where no layer would gain.
    """
    data = _checked(calibration)
    values = calibratable(graph)
    told = (
        "no layer of this model feeds layers of integers alone, so ranges gain nothing: leave calibration out"
    )
    require(values, InputError, told)
    found: list[Range] = []
    groups = list(_groups(graph, values))
    with counted("calibrating", len(groups) * len(data), None) as tell:
        for number, group in enumerate(groups):
            outputs = tuple(Output(f"value{i}", value) for i, value in enumerate(group))
            watched = replace(graph, outputs=outputs, ranges=())
            program = Program(assemble(watched, "quick", target or current()), threads, texts)
            reached = _Reached(group)
            for done, batch in _run(program, data):
                reached.see(batch)
                tell(number * len(data) + done)
            found += reached.ranges()
    return replace(graph, ranges=tuple(found))


def calibratable(graph: Graph) -> tuple[str, ...]:
    """The values that would be stored as integers at once, were their ranges known."""
    read = dict.fromkeys(op.x for op in graph.linears())
    assumed = replace(graph, ranges=tuple(Range(value, -1.0, 1.0) for value in read))
    steps = (step for step in fuse(assumed) if isinstance(step, LinearStep))
    return tuple(step.rounded.known.value for step in steps if step.rounded and step.rounded.known)


class _Reached:
    """The least and the greatest of each value so far."""

    def __init__(self, values: Sequence[str]) -> None:
        self._ends = dict.fromkeys(values, (0.0, 0.0))
        self._columns = 0

    def see(self, outputs: Mapping[str, NDArray[np.float32]]) -> None:
        for (value, (low, high)), array in zip(self._ends.items(), outputs.values(), strict=True):
            least, most = float(array.min(initial=0.0)), float(array.max(initial=0.0))
            told = f"calibration makes {value!r} NaN or infinite: leave out data with such numbers"
            require(np.isfinite(least) and np.isfinite(most), InputError, told)
            self._ends[value] = min(low, least), max(high, most)
        self._columns += next(iter(outputs.values())).size

    def ranges(self) -> list[Range]:
        require(self._columns > 0, InputError, "calibration has batches without a row or token: give some")
        return [Range(value, low, high) for value, (low, high) in self._ends.items() if low < high]


def _groups(graph: Graph, values: Sequence[str]) -> Iterator[list[str]]:
    group: list[str] = []
    features = 0
    for value in values:
        features += graph.value(value).features
        if group and features > _MOST_FEATURES:
            yield group
            group, features = [], graph.value(value).features
        group.append(value)
    yield group


def _checked(calibration: Iterable[Any]) -> list[Any]:
    """The data, held: it is run more than once where a model is large."""
    listed = isinstance(calibration, Iterable) and not isinstance(calibration, str | bytes | Mapping)
    require(listed, InputError, f"calibration is a {type(calibration).__name__}: give {_WHAT}")
    data = list(calibration)
    require(data, InputError, f"calibration is empty: give {_WHAT}")
    texts = sum(isinstance(item, str) for item in data)
    require(texts in (0, len(data)), InputError, f"calibration mixes texts with other things: give {_WHAT}")
    return data


def _run(program: Program, data: list[Any]) -> Iterator[tuple[int, Mapping[str, NDArray[np.float32]]]]:
    """(items of ``data`` done, what the program put out for the last of them)."""
    if isinstance(data[0], str):
        told = "calibration holds texts, but the model has no tokenizer: give arrays, or pass texts="
        require(program.texts is not None, InputError, told)
        for at in range(0, len(data), _TEXTS_AT_ONCE):
            part = cast("list[str]", data[at : at + _TEXTS_AT_ONCE])
            for encoded in program.encoded(part, batch_size=_TEXTS_AT_ONCE):
                yield min(at + _TEXTS_AT_ONCE, len(data)), encoded.outputs
        return
    for number, item in enumerate(data):
        try:
            yield number + 1, _outputs(program, item)
        except InputError as error:
            raise InputError(f"batch {number} of calibration: {error}") from error


def _outputs(program: Program, item: Any) -> Mapping[str, NDArray[np.float32]]:
    if isinstance(item, Mapping):
        named = cast("Mapping[str, Any]", item)
        work = program.batch(**named)
    else:
        work = program.batch(*cast("tuple[Any, ...]", item if isinstance(item, tuple) else (item,)))
    return program.run(work, program.threads)
