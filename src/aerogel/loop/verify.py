"""What a well-formed Loop IR program is: names, scopes and statements. Types are in ``typing_rules``.

Beyond what ``nodes`` says: names of variables and buffers share one space and are unique within a scope
and those around it; a variable or buffer is named everywhere with the type it was declared with;
``Alloc`` stands directly in a function's body; nesting is bounded, so that recursion over a verified
program is safe.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import assert_never

from aerogel.core.dtypes import DType
from aerogel.core.errors import LoopError
from aerogel.loop.nodes import (
    I64,
    Alloc,
    Assign,
    Barrier,
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
    Module,
    Param,
    Prefetch,
    Scalar,
    Stmt,
    Store,
    Type,
    Var,
    Vec,
    VStore,
    While,
)
from aerogel.loop.typing_rules import Names, RuleError, type_name, type_of
from aerogel.loop.walk import stmt_kind

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
MAX_NESTING = 40
"""How deep loops and branches may nest."""


def verify(module: Module) -> None:
    """Raise LoopError, naming module, function and node, unless the module is well-formed."""
    if not module.functions:
        raise LoopError(f"module {module.name!r} has no functions: the last one is its entry")
    done: dict[str, Function] = {}
    for function in module.functions:
        where = f"module {module.name!r}, function {function.name!r}"
        if function.name in done:
            raise LoopError(f"{where}: another function has this name")
        checker = _Checker(where, done, is_entry=function is module.entry)
        checker.function(function)
        done[function.name] = function


@dataclass(slots=True)
class _Checker:
    """Checks one function; ``names`` is what is in scope, ``changeable`` which of it may be assigned."""

    where: str
    functions: dict[str, Function]
    is_entry: bool
    names: Names = field(default_factory=dict)
    changeable: set[str] = field(default_factory=set)

    def function(self, function: Function) -> None:
        for at, param in enumerate(function.params):
            try:
                self.param(param)
            except RuleError as error:
                raise LoopError(f"{self.where}, params[{at}]: {error}") from None
        self.block(function.body, "body", 0)

    def param(self, param: Param) -> None:
        if isinstance(param, Var) and not isinstance(param.type, Scalar):
            raise RuleError(
                f"parameter {param.name!r} is {type_name(param.type)}: a parameter is a scalar or a buffer"
            )
        self.bind(param)

    def bind(self, named: Param) -> None:
        if not _NAME.fullmatch(named.name):
            raise RuleError(f"{named.name!r} is not a name: use letters, digits, underscores and dots")
        if named.name in self.names:
            raise RuleError(f"{named.name!r} is already in scope: nothing may shadow it")
        if isinstance(named, Buf):
            align = named.type.align
            if align < 1 or align & (align - 1):
                raise RuleError(f"buffer {named.name!r} has alignment {align}: give a power of two")
        self.names[named.name] = named.type

    # --- blocks -----------------------------------------------------------------------------

    def block(self, block: Block, path: str, depth: int) -> None:
        outer = len(self.names)
        for at, stmt in enumerate(block):
            try:
                if depth and isinstance(stmt, Alloc):
                    raise RuleError("an alloc stands directly in a function's body")
                self.statement(stmt)
            except RuleError as error:
                raise LoopError(f"{self.where}, {path}[{at}].{stmt_kind(stmt)}: {error}") from None
            match stmt:
                case For() | While():
                    self.inner(stmt, stmt.body, f"{path}[{at}].{stmt_kind(stmt)}", depth + 1)
                case If():
                    self.inner(stmt, stmt.then, f"{path}[{at}].if", depth + 1)
                    self.inner(stmt, stmt.orelse, f"{path}[{at}].else", depth + 1)
                case _:
                    pass
        # Names are kept in the order they were bound, so leaving a scope drops the last ones.
        while len(self.names) > outer:
            name, _ = self.names.popitem()
            self.changeable.discard(name)

    def inner(self, stmt: Stmt, block: Block, path: str, depth: int) -> None:
        if depth > MAX_NESTING:
            raise LoopError(
                f"{self.where}, {path}: nested deeper than {MAX_NESTING}: move the inside to a function"
            )
        if isinstance(stmt, For):
            try:
                self.bind(stmt.var)
            except RuleError as error:
                raise LoopError(f"{self.where}, {path}: {error}") from None
        self.block(block, path, depth)
        if isinstance(stmt, For):
            del self.names[stmt.var.name]

    # --- statements -------------------------------------------------------------------------

    def statement(self, stmt: Stmt) -> None:
        match stmt:
            case Let() | Define():
                self.value(stmt.value, stmt.var.type, f"{stmt.var.name!r}")
                self.bind(stmt.var)
                if isinstance(stmt, Define):
                    self.changeable.add(stmt.var.name)
            case Assign(var=var, value=value):
                type_of(var, self.names)
                if var.name not in self.changeable:
                    raise RuleError(f"{var.name!r} may not change: introduce it with Define")
                self.value(value, var.type, f"{var.name!r}")
            case LetView():
                self.view(stmt)
            case Alloc(buf=buf, count=count):
                self.alloc(buf, count)
            case Store() | VStore():
                self.store(stmt)
            case For():
                self.for_(stmt)
            case While(cond=cond) | If(cond=cond):
                self.value(cond, Scalar(DType.BOOL), "the condition")
            case Prefetch(buf=buf, index=index):
                self.buffer(buf)
                self.value(index, I64, "the index")
            case Call():
                self.call(stmt)
            case Barrier():
                if not self.is_entry:
                    raise RuleError("a barrier stands only in the module's entry")
            case _:
                assert_never(stmt)

    def value(self, expr: Expr, wanted: Type, what: str) -> None:
        found = type_of(expr, self.names)
        if found != wanted:
            raise RuleError(f"{what} is {type_name(wanted)}, but its value is {type_name(found)}")

    def buffer(self, buf: Buf, *, written: bool = False) -> None:
        declared = self.names.get(buf.name)
        if declared is None:
            raise RuleError(f"buffer {buf.name!r} is not in scope")
        if declared != buf.type:
            raise RuleError(
                f"buffer {buf.name!r} is {type_name(declared)}, but is named here as {type_name(buf.type)}"
            )
        if written and buf.type.const:
            raise RuleError(f"buffer {buf.name!r} is const: nothing may write it")

    def view(self, stmt: LetView) -> None:
        self.buffer(stmt.base)
        self.value(stmt.offset, I64, "the offset")
        self.value(stmt.count, I64, "the count")
        if stmt.base.type.dtype is not DType.U8:
            raise RuleError(
                f"base {stmt.base.name!r} holds {stmt.base.type.dtype.short}: only u8 can be viewed"
            )
        if stmt.buf.type.dtype is DType.BOOL:
            raise RuleError(
                f"view {stmt.buf.name!r} is bool: bytes other than 0 and 1 are not bools, so view u8"
            )
        if stmt.base.type.const and not stmt.buf.type.const:
            raise RuleError(f"view {stmt.buf.name!r} is mutable, but its base {stmt.base.name!r} is const")
        self.bind(stmt.buf)

    def alloc(self, buf: Buf, count: int) -> None:
        if count < 1:
            raise RuleError(f"alloc {buf.name!r} of {count} elements: give at least 1")
        if buf.type.const or buf.type.align > 64:
            raise RuleError(
                f"alloc {buf.name!r} is {type_name(buf.type)}: scratch is mutable, aligned to at most 64"
            )
        self.bind(buf)

    def store(self, stmt: Store | VStore) -> None:
        self.buffer(stmt.buf, written=True)
        self.value(stmt.index, I64, "the index")
        dtype = stmt.buf.type.dtype
        if isinstance(stmt, Store):
            self.value(stmt.value, Scalar(dtype), f"an element of {stmt.buf.name!r}")
            return
        found = type_of(stmt.value, self.names)
        if not isinstance(found, Vec) or found.dtype is not dtype:
            raise RuleError(f"{stmt.buf.name!r} holds {dtype.short}, but the value is {type_name(found)}")
        if stmt.mask is not None:
            self.value(stmt.mask, Vec(DType.BOOL, found.lanes), "the mask")

    def for_(self, stmt: For) -> None:
        if stmt.var.type != I64:
            raise RuleError(f"loop counter {stmt.var.name!r} is {type_name(stmt.var.type)}: counters are i64")
        self.value(stmt.start, I64, "the start")
        self.value(stmt.stop, I64, "the stop")
        if stmt.step < 1:
            raise RuleError(f"the step is {stmt.step}: give a positive constant")
        if stmt.unroll and not (isinstance(stmt.start, Const) and isinstance(stmt.stop, Const)):
            raise RuleError("an unrolled loop has constant bounds: make them Const, or drop unroll")

    def call(self, stmt: Call) -> None:
        callee = self.functions.get(stmt.function)
        if callee is None:
            raise RuleError(
                f"function {stmt.function!r} is not defined before this one: there is no recursion"
            )
        if len(stmt.args) != len(callee.params):
            raise RuleError(
                f"{callee.name!r} takes {len(callee.params)} arguments, but gets {len(stmt.args)}"
            )
        uses: Counter[str] = Counter(arg.name for arg in stmt.args if isinstance(arg, Buf))
        for param, arg in zip(callee.params, stmt.args, strict=True):
            if isinstance(param, Buf):
                self.buffer_argument(callee.name, param, arg, uses)
            elif isinstance(arg, Buf):
                raise RuleError(
                    f"{callee.name!r} takes a scalar {param.name!r}, but gets buffer {arg.name!r}"
                )
            else:
                self.value(arg, param.type, f"parameter {param.name!r} of {callee.name!r}")

    def buffer_argument(self, callee: str, param: Buf, arg: Expr | Buf, uses: Counter[str]) -> None:
        if not isinstance(arg, Buf):
            raise RuleError(f"{callee!r} takes a buffer {param.name!r}, but gets an expression")
        self.buffer(arg)
        have, want = arg.type, param.type
        if have.dtype is not want.dtype or have.align < want.align:
            raise RuleError(
                f"parameter {param.name!r} of {callee!r} is {type_name(want)},"
                f" but {arg.name!r} is {type_name(have)}"
            )
        if want.const:
            return
        if have.const:
            raise RuleError(f"{callee!r} may write {param.name!r}, but {arg.name!r} is const")
        if uses[arg.name] > 1:
            raise RuleError(
                f"{callee!r} may write {param.name!r}, but gets {arg.name!r} twice: buffers are disjoint"
            )
