"""Ranges of activations found beforehand on data, so that a layer can store its outputs as 8-bit integers.

Only values that a layer of integers makes for other such layers alone get a range: there it saves the numbers
themselves. All others keep a range per column, which is closer.

A range goes from the least to the greatest number that the data shows, and reaches to 0; what lies beyond
becomes the nearer end. Few numbers far out make the steps wide for all others, so the longer sides of
all ranges are drawn in by one share: of some that are tried, the one with which the program's outputs on the
data differ least from those with ranges per column. A value that was 0 throughout gets no range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.core.target import Target, current
from aerogel.model.assemble import assemble
from aerogel.model.fuse import fuse
from aerogel.model.graph import Graph, Output, Range
from aerogel.model.program import Program
from aerogel.model.progress import Tell, counted
from aerogel.model.steps import LinearStep
from aerogel.model.texts import Texts

# Features that are looked at in one go: what a call returns stays small beside the model.
_MOST_FEATURES = 16384
_TEXTS_AT_ONCE = 8
# What the longer sides of ranges are drawn in to, and the items of data on which that is judged.
_SHARES = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3)
_JUDGED = 64
Outputs = Mapping[str, NDArray[np.float32]]
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
    told = "no layer of this model feeds layers of integers alone: ranges gain nothing, leave calibration out"
    require(values, InputError, told)
    groups = list(_groups(graph, values))

    def make(changed: Graph) -> Program:
        return Program(assemble(changed, "quick", target or current()), threads, texts)

    judged = data[:_JUDGED]
    runs = len(groups) * len(data) + (1 + len(_SHARES)) * len(judged)
    with counted("calibrating", runs, None) as tell:
        work = _Work(graph, make, tell)
        found = [r for group in groups for r in work.reached(group, data)]
        share = work.best_share(found, judged) if found else 1.0
    return replace(graph, ranges=tuple(_drawn_in(r, share) for r in found))


@dataclass
class _Work:
    """``done``: items of data that were run, of which ``tell`` is told."""

    graph: Graph
    make: Callable[[Graph], Program]
    tell: Tell
    done: int = 0

    def reached(self, values: Sequence[str], data: list[Any]) -> list[Range]:
        """From the least to the greatest of each value, where it is not 0 throughout."""
        outputs = tuple(Output(f"value{i}", value) for i, value in enumerate(values))
        ends = dict.fromkeys(values, (0.0, 0.0))
        numbers = 0
        for made in self._run(replace(self.graph, outputs=outputs, ranges=()), data):
            for value, array in zip(values, made.values(), strict=True):
                told = f"calibration makes {value!r} NaN or infinite: leave out data with such numbers"
                require(np.isfinite(array).all(), InputError, told)
                low, high = ends[value]
                ends[value] = min(low, float(array.min(initial=0))), max(high, float(array.max(initial=0)))
                numbers += array.size
        require(numbers > 0, InputError, "calibration has batches without a row or token: give some")
        return [Range(value, low, high) for value, (low, high) in ends.items() if low < high]

    def best_share(self, ranges: Sequence[Range], data: list[Any]) -> float:
        """Of ``_SHARES``, the one with which outputs differ least, squared and summed."""
        wanted = list(self._run(self.graph, data))
        errors: dict[float, float] = {}
        for share in _SHARES:
            changed = replace(self.graph, ranges=tuple(_drawn_in(r, share) for r in ranges))
            found = zip(wanted, self._run(changed, data), strict=True)
            errors[share] = sum(_difference(*pair) for pair in found)
        return min(_SHARES, key=lambda share: errors[share])

    def _run(self, graph: Graph, data: list[Any]) -> Iterator[Outputs]:
        for count, made in _run(self.make(graph), data):
            self.tell(self.done + count)
            yield made
        self.done += len(data)


def calibratable(graph: Graph) -> tuple[str, ...]:
    """The values that would be stored as integers at once, were their ranges known."""
    read = dict.fromkeys(op.x for op in graph.linears())
    assumed = replace(graph, ranges=tuple(Range(value, -1.0, 1.0) for value in read))
    steps = (step for step in fuse(assumed) if isinstance(step, LinearStep))
    return tuple(step.rounded.known.value for step in steps if step.rounded and step.rounded.known)


def _drawn_in(found: Range, share: float) -> Range:
    """``found`` with that share of its longer side, but no less than of its shorter one."""
    if found.high > -found.low:
        return replace(found, high=max(share * found.high, -found.low))
    return replace(found, low=min(share * found.low, -found.high))


def _difference(a: Outputs, b: Outputs) -> float:
    """The sum of squares over all outputs."""
    return sum(float(np.square(array - b[name], dtype=np.float64).sum()) for name, array in a.items())


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


def _run(program: Program, data: list[Any]) -> Iterator[tuple[int, Outputs]]:
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


def _outputs(program: Program, item: Any) -> Outputs:
    if isinstance(item, Mapping):
        named = cast("Mapping[str, Any]", item)
        work = program.batch(**named)
    else:
        work = program.batch(*cast("tuple[Any, ...]", item if isinstance(item, tuple) else (item,)))
    return program.run(work, program.threads)
