"""Runs a function in a process of its own, so that what it needed in memory is free again afterwards."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from aerogel.core.errors import AerogelError, MeasureError

T = TypeVar("T")
Tell = Callable[[str, float], None]
_TOLD, _FAILED, _DONE = "told", "failed", "done"


def apart(work: Callable[..., T], *args: Any, tell: Tell) -> T:
    """``work(*args, tell)``, in a fresh process; what it tells arrives here, and so does its AerogelError.

    ``work`` and its arguments travel by pickle, so it is a function of a module. MeasureError if the process
    ends without a result.
    """
    fresh = multiprocessing.get_context("spawn")
    here, there = fresh.Pipe(duplex=False)
    process = fresh.Process(target=_run, args=(there, work, args), daemon=True)
    process.start()
    # Only the child holds the other end from now on: when it ends, reading does too.
    there.close()
    try:
        while True:
            what, *found = here.recv()
            if what == _TOLD:
                tell(*found)
            elif what == _FAILED:
                raise found[0]
            else:
                return found[0]
    except EOFError as error:
        process.join()
        raise MeasureError(
            f"{work.__name__} ended without a result (exit status {process.exitcode}): was memory short?"
        ) from error
    finally:
        here.close()
        process.terminate()
        process.join()


def _run(out: Connection, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    def tell(words: str, share: float) -> None:
        out.send((_TOLD, words, share))

    try:
        result = work(*args, tell)
    except AerogelError as error:
        out.send((_FAILED, error))
    else:
        out.send((_DONE, result))
