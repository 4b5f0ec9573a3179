"""Loop IR to LLVM assembly: statements, functions, the module and its entry.

Every function takes three hidden parameters after its own: the thread's number, the number of threads and a
context whose first word is the address of the barrier. The program is entered through ``ENTRY``, which
unpacks a block of 8-byte arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_never

from aerogel.core.dtypes import DType
from aerogel.core.target import Target
from aerogel.loop import nodes as n
from aerogel.native.emitter import Emitter, Pointer, Slot
from aerogel.native.engine import ENTRY
from aerogel.native.expressions import buffer, emit
from aerogel.native.spelling import Value, in_memory, lanes_of, spell, suffix
from aerogel.native.versions import aligned_pointer

_HIDDEN = "i64 %thread, i64 %threads, ptr %context"

# --- statements -----------------------------------------------------------------------------


def block(e: Emitter, body: n.Block) -> None:
    for statement in body:
        e.known.clear()
        STATEMENTS[type(statement)](e, statement)


def let(e: Emitter, node: n.Let) -> None:
    e.scope[node.var.name] = emit(e, node.value)


def define(e: Emitter, node: n.Define) -> None:
    kind = spell(node.var.type)
    value = emit(e, node.value)
    slot = Slot(e.stack(kind, 8), node.var.type)
    e.scope[node.var.name] = slot
    e.line(f"store {kind} {value.ref}, ptr {slot.pointer}")


def assign(e: Emitter, node: n.Assign) -> None:
    slot = e.scope[node.var.name]
    assert isinstance(slot, Slot)
    e.line(f"store {spell(slot.type)} {emit(e, node.value).ref}, ptr {slot.pointer}")


def let_view(e: Emitter, node: n.LetView) -> None:
    base = buffer(e, node.base)
    e.scope[node.buf.name] = Pointer(e.address(base, emit(e, node.offset), inside=False), node.buf.type)


def alloc(e: Emitter, node: n.Alloc) -> None:
    kind = f"[{node.count} x {in_memory(node.buf.type.dtype)}]"
    e.scope[node.buf.name] = Pointer(e.stack(kind, 64), node.buf.type)


def store(e: Emitter, node: n.Store) -> None:
    value, index = emit(e, node.value), emit(e, node.index)
    e.store(e.address(buffer(e, node.buf), index), value)


def vstore(e: Emitter, node: n.VStore) -> None:
    pointer = buffer(e, node.buf)
    value, index = emit(e, node.value), emit(e, node.index)
    if node.mask is None:
        e.store(e.address(pointer, index), value)
        return
    mask = emit(e, node.mask)
    address = e.address(pointer, index, inside=False)
    dtype = value.type.dtype
    memory = n.Vec(DType.U8 if dtype is DType.BOOL else dtype, lanes_of(value.type))
    e.line(
        f"call void @llvm.masked.store.{suffix(memory)}.p0({spell(memory)} {e.to_memory(value)}, "
        f"{aligned_pointer(address, dtype.itemsize)}, {spell(mask.type)} {mask.ref})"
    )


def for_(e: Emitter, node: n.For) -> None:
    if node.unroll:
        assert isinstance(node.start, n.Const) and isinstance(node.stop, n.Const)
        for i in range(int(node.start.value), int(node.stop.value), node.step):
            e.scope[node.var.name] = Value(str(i), n.I64)
            block(e, node.body)
        return
    start, stop = emit(e, node.start).ref, emit(e, node.stop).ref
    before, head, last, after = (e.fresh_label(stem) for stem in ("before", "for", "next", "done"))
    counter, following = f"%i.{head}", f"%n.{head}"
    # Written as "if any, do ... while": the shape LLVM hoists loop invariants from.
    e.line(f"br label %{before}")
    e.begin(before)
    some = e.register(f"icmp slt i64 {start}, {stop}")
    e.line(f"br i1 {some}, label %{head}, label %{after}")
    e.begin(head)
    e.line(f"{counter} = phi i64 [ {start}, %{before} ], [ {following}, %{last} ]")
    e.scope[node.var.name] = Value(counter, n.I64)
    block(e, node.body)
    e.line(f"br label %{last}")
    e.begin(last)
    e.line(f"{following} = add nsw i64 {counter}, {node.step}")
    more = e.register(f"icmp slt i64 {following}, {stop}")
    e.line(f"br i1 {more}, label %{head}, label %{after}")
    e.begin(after)


def while_(e: Emitter, node: n.While) -> None:
    head, after = e.fresh_label("while"), e.fresh_label("done")
    e.line(f"br i1 {emit(e, node.cond).ref}, label %{head}, label %{after}")
    e.begin(head)
    block(e, node.body)
    e.known.clear()
    e.line(f"br i1 {emit(e, node.cond).ref}, label %{head}, label %{after}")
    e.begin(after)


def if_(e: Emitter, node: n.If) -> None:
    then, orelse, after = (e.fresh_label(stem) for stem in ("then", "else", "endif"))
    e.line(f"br i1 {emit(e, node.cond).ref}, label %{then}, label %{orelse}")
    for label, body in ((then, node.then), (orelse, node.orelse)):
        e.begin(label)
        block(e, body)
        e.line(f"br label %{after}")
    e.begin(after)


def prefetch(e: Emitter, node: n.Prefetch) -> None:
    address = e.address(buffer(e, node.buf), emit(e, node.index), inside=False)
    e.line(f"call void @llvm.prefetch.p0(ptr {address}, i32 0, i32 3, i32 1)")


def call(e: Emitter, node: n.Call) -> None:
    args = [
        f"ptr {buffer(e, arg).ref}" if isinstance(arg, n.Buf) else _typed(emit(e, arg)) for arg in node.args
    ]
    e.line(f"call void {symbol(node.function)}({', '.join([*args, _HIDDEN])})")


def _typed(value: Value) -> str:
    return f"{spell(value.type)} {value.ref}"


def barrier(e: Emitter, node: n.Barrier) -> None:
    wait = e.register("load ptr, ptr %context")
    e.line(f"call void {wait}(ptr %context, i64 %threads)")


# The key is the class of the second argument, which a dict's type cannot say.
STATEMENTS: dict[type, Callable[[Emitter, Any], None]] = {
    n.Let: let,
    n.Define: define,
    n.Assign: assign,
    n.LetView: let_view,
    n.Alloc: alloc,
    n.Store: store,
    n.VStore: vstore,
    n.For: for_,
    n.While: while_,
    n.If: if_,
    n.Prefetch: prefetch,
    n.Call: call,
    n.Barrier: barrier,
}

# --- functions and the module -----------------------------------------------------------------


def symbol(name: str) -> str:
    """How a function of the module is called in LLVM; quoted, so any name will do."""
    return '@"' + name.replace("\\", "\\5C").replace('"', "\\22") + '"'


def function(node: n.Function, target: Target, tables: dict[str, str]) -> str:
    """The text of one function."""
    e = Emitter(target, tables)
    # Another thread writes behind a barrier, so there LLVM must not think that it sees every store.
    alone = not _waits(node.body)
    params: list[str] = []
    for i, param in enumerate(node.params):
        ref = f"%p{i}"
        match param:
            case n.Var():
                params.append(f"{spell(param.type)} {ref}")
                e.scope[param.name] = Value(ref, param.type)
            case n.Buf(type=kind):
                flags = (
                    " noalias" * alone + " readonly" * kind.const + f" align {kind.align}" * (kind.align > 1)
                )
                params.append(f"ptr{flags} {ref}")
                e.scope[param.name] = Pointer(ref, kind)
            case _:
                assert_never(param)
    block(e, node.body)
    head = f"define void {symbol(node.name)}({', '.join([*params, _HIDDEN])}) #0 {{"
    return "\n".join([head, "start:", *e.entry, *e.lines, "  ret void", "}"])


def _waits(body: n.Block) -> bool:
    for statement in body:
        match statement:
            case n.Barrier():
                return True
            case n.For(body=inner) | n.While(body=inner):
                if _waits(inner):
                    return True
            case n.If(then=then, orelse=orelse):
                if _waits(then) or _waits(orelse):
                    return True
            case _:
                pass
    return False


def entry(node: n.Function) -> str:
    """The function that the pool calls: takes its arguments from a block of 8-byte slots."""
    lines = [f"define void @{ENTRY}(ptr %block, {_HIDDEN}) #0 {{"]
    args: list[str] = []
    for i, param in enumerate(node.params):
        kind = "ptr" if isinstance(param, n.Buf) else in_memory(param.type.dtype)
        lines.append(f"  %a{i} = getelementptr inbounds i64, ptr %block, i64 {i}")
        lines.append(f"  %l{i} = load {kind}, ptr %a{i}, align 8")
        ref = f"%l{i}"
        if isinstance(param, n.Var) and param.type.dtype is DType.BOOL:
            ref = f"%b{i}"
            lines.append(f"  {ref} = icmp ne i8 %l{i}, 0")
            kind = "i1"
        args.append(f"{kind} {ref}")
    lines.append(f"  call void {symbol(node.name)}({', '.join([*args, _HIDDEN])})")
    return "\n".join([*lines, "  ret void", "}"])


def attributes(target: Target) -> str:
    """Function attributes that pin the instruction set; the tuning model adds no instructions."""
    pairs = {"target-features": ",".join(f"+{name}" for name in target.features)}
    # Large scratch memory is touched page by page, so that a stack that is too small faults at its end.
    pairs |= {"probe-stack": "inline-asm"}
    if target.arch == "x86_64":
        tune = {512: "znver4", 256: "skylake"}.get(target.vector_bits, "generic")
        pairs |= {"target-cpu": "x86-64", "tune-cpu": tune}
    # Without these LLVM splits 512-bit vectors in two wherever the tuned CPU would rather have 256 bits.
    pairs |= {name: str(target.vector_bits) for name in ("prefer-vector-width", "min-legal-vector-width")}
    words = " ".join(f'"{key}"="{value}"' for key, value in pairs.items())
    return f"attributes #0 = {{ noinline nounwind {words} }}"


def module(node: n.Module, target: Target, triple: str) -> str:
    """LLVM assembly of a verified Loop IR module."""
    tables: dict[str, str] = {}
    functions = [function(f, target, tables) for f in node.functions]
    head = f'target triple = "{triple}"'
    return "\n\n".join([head, *tables.values(), *functions, entry(node.entry), attributes(target), ""])
