"""Every error aerogel raises on purpose: one tree, one screen."""

from __future__ import annotations

from typing import Never


class AerogelError(Exception):
    """Base of all errors raised on purpose; the message says what is so, who did it, what to do."""


class InputError(AerogelError, ValueError):
    """A value handed in by the caller is unusable: shape, dtype, range, NaN."""


class NotationError(InputError):
    """A text in index notation or einsum subscripts cannot be read; the message points at the character."""


class FormatError(AerogelError, ValueError):
    """Stored data does not have the layout it claims."""


class OrderError(FormatError):
    """Coordinates of a fiber do not ascend, or one stands twice; everything looked at before it is sound."""


class UnsupportedError(AerogelError, NotImplementedError):
    """The request is meaningful, but nothing here can do it: an unknown operation, say."""


class LoopError(AerogelError):
    """A Loop IR program is ill-formed, or went wrong in the interpreter."""


class NativeError(AerogelError, RuntimeError):
    """Machine code could not be built, loaded or run."""


class CacheError(NativeError):
    """A cache folder or entry cannot be used."""


class TargetError(AerogelError, RuntimeError):
    """The requested CPU target is unknown, or this CPU lacks what it needs."""


class MeasureError(AerogelError, RuntimeError):
    """A measurement could not be taken, or its contender failed."""


class ChipError(AerogelError, RuntimeError):
    """A dataflow graph, a fabric, a mapping, a configuration or a run of the accelerator is at fault."""


class MissingDependencyError(AerogelError, ImportError):
    """An optional library is needed and is not installed; the message names the extra."""


def require(condition: object, error: type[AerogelError], message: str) -> None:
    """Raise ``error(message)`` unless ``condition`` holds."""
    if not condition:
        raise error(message)


def refuse(error: type[AerogelError], message: str) -> Never:
    """Raise ``error(message)``; for the last arm of a match."""
    raise error(message)
