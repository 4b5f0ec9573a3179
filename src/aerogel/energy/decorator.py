"""``@metered``: what a function takes, summed over its calls."""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from aerogel.core.errors import InputError, MeasureError, require
from aerogel.energy.block import Meter, meter
from aerogel.energy.reading import Reading
from aerogel.energy.series import Series

_P = ParamSpec("_P")
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)
_LONGEST_S = 60.0
"""Calls that overlap all the time, as a server's do, are read so often in between."""


class Metered(Protocol[_P, _R_co]):
    """A function that adds up what its calls take."""

    energy: Calls

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co: ...


@overload
def metered(function: Callable[_P, _R], /) -> Metered[_P, _R]: ...
@overload
def metered(*, make_meter: Callable[[], Meter] = meter) -> Callable[[Callable[_P, _R]], Metered[_P, _R]]: ...
def metered(function: Any = None, /, *, make_meter: Callable[[], Meter] = meter) -> Any:
    """Meter every call of a function, plain or ``async``.

        @metered
        def answer(question): ...

        answer("why?")
        print(answer.energy)              # how many calls, and their energy
        answer.energy.per_call.joules     # as of any Reading

    Calls that overlap (recursion, threads, tasks) are one block of the meter, so nothing is counted twice.
    What a meter of the machine counts is not shared out between functions that run at once. A call that fails
    counts. A meter costs some milliseconds a call: for short functions, meter the loop around them.
    InputError for a generator, which shares its time with whoever uses it. ``make_meter``: such as ``lambda:
    meter(tdp_watts=65)``.
    """
    if function is None:
        return functools.partial(_metered, make_meter=make_meter)
    return _metered(function, make_meter)


def _metered(function: Callable[..., Any], make_meter: Callable[[], Meter]) -> Metered[..., Any]:
    name = getattr(function, "__qualname__", repr(function))
    generates = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    told = f"{name} is a generator, whose calls do no work: meter the loop that uses it, with meter()"
    require(not generates, InputError, told)
    calls = Calls(name, make_meter)
    waits = inspect.iscoroutinefunction(function)
    made = cast("Metered[..., Any]", (_awaiting if waits else _calling)(function, calls))
    made.energy = calls
    return made


def _calling(function: Callable[..., Any], calls: Calls) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with calls:
            return function(*args, **kwargs)

    return wrapper


def _awaiting(function: Callable[..., Any], calls: Calls) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with calls:
            return await function(*args, **kwargs)

    return wrapper


class Calls:
    """What the calls of one function took, so far. ``count``: calls that ended within blocks that ended."""

    def __init__(self, name: str, make_meter: Callable[[], Meter]) -> None:
        self._name, self._make_meter = name, make_meter
        self._lock = threading.Lock()
        self._series = Series()
        self._running = self._ended = self.count = 0
        self._meter: Meter | None = None
        self._began_s = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if self._running == 0:
                self._begin()
            self._running += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._running -= 1
            self._ended += 1
            if self._running == 0:
                self._end()
            elif time.perf_counter() - self._began_s > _LONGEST_S:
                self._end()
                self._begin()

    def _begin(self) -> None:
        self._meter = self._make_meter()
        self._began_s = time.perf_counter()
        self._meter.__enter__()

    def _end(self) -> None:
        assert self._meter is not None
        self._meter.__exit__(None, None, None)
        self._series.add(self._meter.reading)
        self.count, self._ended = self.count + self._ended, 0

    @property
    def reading(self) -> Reading:
        """Of all calls together; MeasureError before one has ended."""
        with self._lock:
            return self._series.reading

    @property
    def per_call(self) -> Reading:
        """Of a call in the mean; MeasureError before one has ended."""
        with self._lock:
            return self._series.reading.per_run(max(1, self.count))

    def __str__(self) -> str:
        try:
            whole = self.reading
        except MeasureError:
            return f"{self._name}: no call has ended yet"
        return f"{self._name}, {self.count} calls: {whole}; per call {self.per_call.amount}"

    def to_json(self) -> dict[str, Any]:
        """MeasureError before a call has ended."""
        return {"name": self._name, "calls": self.count, "reading": self.reading.to_json()}
