"""Calling machine code: a program, its arguments bound once, and the runs of it."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any, NamedTuple

from numpy.typing import NDArray

from aerogel.core.errors import InputError
from aerogel.core.memory import address_of
from aerogel.core.target import Target
from aerogel.loop.nodes import Buf, Param
from aerogel.native.arguments import Argument, buffer_span, check_disjoint, scalar_word
from aerogel.native.engine import ENTRY, Loaded
from aerogel.native.pool import pool

Placed = tuple[NDArray[Any], int]
"""An array and where it is in memory: of one that must not be written, that takes long to find out."""


@cache
def words_type(count: int) -> Any:
    """The type of ``count`` words of 8 bytes. ctypes forgets it with its last instance, and makes it anew in
    the time that a small call takes."""
    return ctypes.c_uint64 * count


class Compiled:
    """A module as machine code. Call it with one argument per parameter of its entry. ``key``: under which
    the code is kept, for ``recall``."""

    def __init__(
        self, name: str, params: tuple[Param, ...], target: Target, loaded: Loaded, key: str
    ) -> None:
        self.name, self.params, self.target, self.key = name, params, target, key
        self._block_type = words_type(max(1, len(params)))
        # Keeps the code in memory.
        self._loaded = loaded
        self.address = loaded.addresses[ENTRY]

    def __call__(self, *args: Argument, threads: int = 1) -> None:
        """Check the arguments, then run. Nothing is returned: results are in the mutable buffers.

        InputError for an argument that does not fit its parameter. ``threads`` beyond the cores granted
        to this process is capped.
        """
        _check_count(self, args)
        # As in Bound, without what only a second run needs.
        block = self._block_type()
        spans: list[tuple[Buf, int, int]] = []
        for i, (param, value) in enumerate(zip(self.params, args, strict=True)):
            if isinstance(param, Buf):
                address, size = buffer_span(param, value)
                spans.append((param, address, size))
                block[i] = address
            else:
                block[i] = scalar_word(param, value)
        check_disjoint(spans)
        pool().run(self.address, ctypes.addressof(block), threads)

    def launch(self, *args: int | NDArray[Any] | Placed, threads: int = 1) -> None:
        """As a call, but unchecked: for callers that have made every buffer themselves, of the type and size
        that the program takes. Scalars are whole numbers of 64 bits."""
        words = [
            arg if type(arg) is int else arg[1] if type(arg) is tuple else address_of(arg)  # pyright: ignore[reportArgumentType]
            for arg in args
        ]
        block = self._block_type(*words)
        pool().run(self.address, ctypes.addressof(block), threads)

    def bind(self, *args: Argument) -> Bound:
        """Check the arguments once, for many runs."""
        return Bound(self, args)

    def __repr__(self) -> str:
        return f"Compiled({self.name!r}, {self.target.name}, ({', '.join(p.name for p in self.params)}))"


class Saved(NamedTuple):
    """An argument that was checked: its value, what the program gets, and, of a buffer, where it lies."""

    value: Argument
    word: int
    span: tuple[Buf, int, int] | None


class Bound:
    """A program with its arguments: ``run`` costs a few microseconds. Arrays are kept alive.

    Two threads must not ``set`` and ``run`` one Bound at a time; each binds its own.
    """

    def __init__(self, program: Compiled, args: tuple[Argument, ...]) -> None:
        params = program.params
        _check_count(program, args)
        self.program = program
        self._index = {param.name: i for i, param in enumerate(params)}
        self._block = words_type(max(1, len(params)))()
        self._address = ctypes.addressof(self._block)
        self._kept: list[Argument] = list(args)
        self._replaced: Argument | None = None
        self._spans: dict[str, tuple[Buf, int, int]] = {}
        for i, (param, value) in enumerate(zip(params, args, strict=True)):
            self._pack(i, param, value)
        check_disjoint(self._spans.values())

    def set(self, name: str, value: Argument) -> None:
        """Replace one argument, checked as at first; InputError leaves the old one in place."""
        i = self._index.get(name)
        if i is None:
            raise InputError(
                f"{self.program.name} has no parameter {name!r}: it has {', '.join(self._index)}"
            )
        param = self.program.params[i]
        if isinstance(param, Buf):
            address, size = buffer_span(param, value)
            check_disjoint([*(s for n, s in self._spans.items() if n != name), (param, address, size)])
        else:
            scalar_word(param, value)
        # An interrupt may come between any two of these: no address is ever in the block without its owner.
        self._replaced = self._kept[i]
        self._kept[i] = value
        self._pack(i, param, value)
        self._replaced = None

    def saved(self, name: str) -> Saved:
        """What the argument is now, for ``restore``."""
        i = self._index[name]
        return Saved(self._kept[i], self._block[i], self._spans.get(name))

    def restore(self, name: str, saved: Saved) -> None:
        """Make the argument again what it was, without checks: for arrays that no other parameter was given
        since."""
        i = self._index[name]
        self._replaced = self._kept[i]
        self._kept[i] = saved.value
        if saved.span is not None:
            self._spans[name] = saved.span
        self._block[i] = saved.word
        self._replaced = None

    def run(self, threads: int = 1) -> None:
        """Run to the end on ``threads`` threads; Python's lock is free meanwhile."""
        pool().run(self.program.address, self._address, threads)

    def _pack(self, i: int, param: Param, value: Argument) -> None:
        if isinstance(param, Buf):
            address, size = buffer_span(param, value)
            self._spans[param.name] = (param, address, size)
            self._block[i] = address
        else:
            self._block[i] = scalar_word(param, value)


def _check_count(program: Compiled, args: tuple[Argument, ...]) -> None:
    if len(args) != len(program.params):
        names = ", ".join(param.name for param in program.params)
        takes = f"{program.name} takes {len(program.params)} arguments ({names})"
        raise InputError(f"{takes}, but got {len(args)}")
