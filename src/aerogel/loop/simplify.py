"""The same program with less in it: constants folded, dead names gone, empty control flow cut.

What a program stores is kept bit for bit (but for the bits of a NaN). A program that went wrong in a
value nobody uses, such as an index out of range, may no longer go wrong. Well-formed before and after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from aerogel.loop.fold import fold
from aerogel.loop.nodes import (
    BOOL,
    Alloc,
    Assign,
    Block,
    Buf,
    Call,
    Const,
    Define,
    Expr,
    For,
    Function,
    If,
    Let,
    LetView,
    Load,
    Module,
    Prefetch,
    Stmt,
    Store,
    Var,
    VLoad,
    VStore,
    While,
)
from aerogel.loop.verify import verify
from aerogel.loop.walk import bound_name, map_operands, operands, statements, subexpressions

_ROUNDS = 8
"""A round may uncover work for the next; long chains of that are rare, and stopping early is safe."""


def simplify(module: Module) -> Module:
    """An equivalent module. Functions and their parameters stay as they are."""
    verify(module)
    with np.errstate(all="ignore"):
        for _ in range(_ROUNDS):
            simpler = replace(module, functions=tuple(_simplified(function) for function in module.functions))
            if simpler == module:
                break
            module = simpler
    return module


def _simplified(function: Function) -> Function:
    """One round over one function."""
    found = list(statements(function.body))
    bound = Counter(name for stmt in found if (name := bound_name(stmt)) is not None)
    assigned = frozenset(stmt.var.name for stmt in found if isinstance(stmt, Assign))
    rewriter = _Rewriter(frozenset(name for name, times in bound.items() if times == 1), assigned)
    body = rewriter.block(function.body, {})
    return replace(function, body=_pruned(body, _live(body)))


# --- statements -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rewriter:
    """Rewrites blocks from the top. ``once``: the names bound in one place only, so that their scope may
    grow without meeting another of the same name; ``assigned``: the names that change."""

    once: frozenset[str]
    assigned: frozenset[str]

    def block(self, block: Block, known: Mapping[str, Expr]) -> Block:
        """``known`` maps names in scope to the constant or the name they always equal."""
        out: list[Stmt] = []
        self._extend(out, block, dict(known))
        return tuple(out)

    def _extend(self, out: list[Stmt], block: Block, known: dict[str, Expr]) -> None:
        for original in block:
            stmt = map_operands(original, lambda expr: fold(expr, known))
            match stmt:
                case Let(var=var, value=value) if self._stays(value):
                    known[var.name] = value
                case Define(var=var, value=value) if var.name not in self.assigned:
                    out.append(Let(var, value))
                case For():
                    self._for(out, stmt, known)
                case While(cond=cond, body=body):
                    if not _is_const(cond, value=False):
                        out.append(While(cond, self.block(body, known)))
                case If():
                    self._if(out, stmt, known)
                case _:
                    out.append(stmt)

    def _stays(self, value: Expr) -> bool:
        """Whether a name bound to this may be replaced by it everywhere."""
        return isinstance(value, Const) or (isinstance(value, Var) and value.name not in self.assigned)

    def _may_inline(self, block: Block) -> bool:
        """Whether what a block binds may live on in the block around it."""
        return all(
            name in self.once for stmt in block if not isinstance(stmt, For) and (name := bound_name(stmt))
        )

    def _for(self, out: list[Stmt], stmt: For, known: dict[str, Expr]) -> None:
        if isinstance(stmt.start, Const) and isinstance(stmt.stop, Const):
            trips = len(range(int(stmt.start.value), int(stmt.stop.value), stmt.step))
            if trips == 0:
                return
            if trips == 1 and self._may_inline(stmt.body) and stmt.var.name in self.once:
                known[stmt.var.name] = stmt.start
                self._extend(out, stmt.body, known)
                return
        body = self.block(stmt.body, known)
        if body:
            out.append(replace(stmt, body=body))

    def _if(self, out: list[Stmt], stmt: If, known: dict[str, Expr]) -> None:
        if isinstance(stmt.cond, Const):
            chosen = stmt.then if stmt.cond.value else stmt.orelse
            if self._may_inline(chosen):
                self._extend(out, chosen, known)
            elif body := self.block(chosen, known):
                out.append(If(Const(value=True, type=BOOL), body))
            return
        then, orelse = self.block(stmt.then, known), self.block(stmt.orelse, known)
        if then or orelse:
            out.append(If(stmt.cond, then, orelse))


def _is_const(expr: Expr, *, value: bool) -> bool:
    return isinstance(expr, Const) and expr.value is value


# --- dead names -----------------------------------------------------------------------------


def _names(expr: Expr) -> set[str]:
    """The variables and buffers an expression reads."""
    found: set[str] = set()
    for node in subexpressions(expr):
        match node:
            case Var(name=name) | Load(buf=Buf(name=name)) | VLoad(buf=Buf(name=name)):
                found.add(name)
            case _:
                pass
    return found


def _live(body: Block) -> set[str]:
    """The names that something stored, called, branched on or prefetched depends on. Names are taken for the
    whole function, so one that two scopes use is live if either is."""
    needs: dict[str, set[str]] = {}
    live: list[str] = []
    for stmt in statements(body):
        reads = {name for expr in operands(stmt) for name in _names(expr)}
        match stmt:
            case Let(var=var) | Define(var=var) | Assign(var=var):
                needs.setdefault(var.name, set()).update(reads)
            case LetView(buf=buf, base=base):
                needs.setdefault(buf.name, set()).update(reads, (base.name,))
            case Alloc():
                pass
            case Store(buf=buf) | VStore(buf=buf) | Prefetch(buf=buf):
                live += [*reads, buf.name]
            case Call(args=args):
                live += [*reads, *(arg.name for arg in args if isinstance(arg, Buf))]
            case _:
                live += reads
    reached: set[str] = set()
    while live:
        name = live.pop()
        if name not in reached:
            reached.add(name)
            live += needs.get(name, ())
    return reached


def _pruned(block: Block, live: set[str]) -> Block:
    """The block without the statements that only make dead names."""
    out: list[Stmt] = []
    for stmt in block:
        match stmt:
            case (
                Let(var=named) | Define(var=named) | Assign(var=named) | LetView(buf=named) | Alloc(buf=named)
            ):
                if named.name in live:
                    out.append(stmt)
            case For(body=body) | While(body=body):
                out.append(replace(stmt, body=_pruned(body, live)))
            case If(then=then, orelse=orelse):
                out.append(replace(stmt, then=_pruned(then, live), orelse=_pruned(orelse, live)))
            case _:
                out.append(stmt)
    return tuple(out)
