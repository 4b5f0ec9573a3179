"""Writing Loop IR statement by statement: names that never clash, blocks that close themselves."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aerogel.loop.nodes import (
    I64,
    Assign,
    Block,
    Buf,
    Const,
    Define,
    Expr,
    For,
    If,
    Let,
    Stmt,
    Store,
    Var,
    Vec,
    VStore,
    While,
)


def i64(value: int) -> Const:
    """A constant of the type of indices."""
    return Const(value, I64)


@dataclass
class Code:
    """Collects the statements of one function. What is added goes into the innermost block that is open.

    Same calls, same names: a hint asked for a second time gets a number.
    """

    _given: dict[str, int] = field(default_factory=dict[str, int], init=False)
    _blocks: list[list[Stmt]] = field(default_factory=lambda: [[]], init=False)

    def fresh(self, hint: str) -> str:
        """A name that nothing else here has."""
        number = self._given.get(hint, 0)
        self._given[hint] = number + 1
        # A numbered name may have been asked for as a hint of its own.
        return self.fresh(f"{hint}_{number}") if number else hint

    def add(self, *statements: Stmt) -> None:
        self._blocks[-1].extend(statements)

    def let(self, value: Expr, hint: str = "t") -> Expr:
        """``value`` as it is now, bound to a name; a constant stays as it is."""
        if isinstance(value, Const):
            return value
        var = Var(self.fresh(hint), value.type)
        self.add(Let(var, value))
        return var

    def define(self, value: Expr, hint: str = "v") -> Var:
        """A variable that may change, ``value`` at first."""
        var = Var(self.fresh(hint), value.type)
        self.add(Define(var, value))
        return var

    def assign(self, var: Var, value: Expr) -> None:
        self.add(Assign(var, value))

    def store(self, buf: Buf, index: Expr, value: Expr, mask: Expr | None = None) -> None:
        """One element, or a vector of consecutive ones where ``value`` is a vector."""
        vector = isinstance(value.type, Vec)
        self.add(VStore(buf, index, value, mask) if vector else Store(buf, index, value))

    @contextmanager
    def block(self) -> Generator[list[Stmt]]:
        """A block apart: what is added meanwhile is collected in the list, for the caller to place."""
        inner: list[Stmt] = []
        self._blocks.append(inner)
        try:
            yield inner
        finally:
            self._blocks.pop()

    @contextmanager
    def for_(self, start: Expr, stop: Expr, hint: str = "i", step: int = 1) -> Generator[Var]:
        """``for hint in range(start, stop, step)``: yields the counter."""
        var = Var(self.fresh(hint), I64)
        with self.block() as body:
            yield var
        self.add(For(var, start, stop, tuple(body), step))

    @contextmanager
    def while_(self, cond: Expr) -> Generator[None]:
        with self.block() as body:
            yield
        self.add(While(cond, tuple(body)))

    @contextmanager
    def if_(self, cond: Expr) -> Generator[None]:
        with self.block() as body:
            yield
        self.add(If(cond, tuple(body)))

    @contextmanager
    def when(self, cond: Expr | None) -> Generator[None]:
        """``if_``, or the block as it stands where there is nothing to ask."""
        if cond is None:
            yield
        else:
            with self.if_(cond):
                yield

    def branch(self, cond: Expr, then: Block, orelse: Block = ()) -> None:
        """``if cond: then else: orelse``, of blocks collected before."""
        self.add(If(cond, then, orelse))

    def done(self) -> Block:
        """All that was written; every block must be closed."""
        (outer,) = self._blocks
        return tuple(outer)
