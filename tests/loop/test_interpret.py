"""The interpreter: what it computes, and everything it catches."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from tests.loop.programs import MAX_THREADS, assert_same, random_program

from aerogel.core.dtypes import DType
from aerogel.core.errors import LoopError
from aerogel.loop import (
    BOOL,
    F32,
    I64,
    Alloc,
    Assign,
    Barrier,
    Broadcast,
    Buf,
    BufferType,
    Call,
    Cast,
    Compare,
    Const,
    Define,
    Expr,
    Fma,
    For,
    Function,
    If,
    Iota,
    Let,
    LetView,
    Load,
    Module,
    Prefetch,
    Reduce,
    Scalar,
    Stmt,
    Store,
    ThreadCount,
    ThreadId,
    Var,
    Vec,
    VLoad,
    VStore,
    While,
)
from aerogel.loop.interpret import interpret, prepare

N, X, IX, J = Var("n", I64), Var("x", F32), Var("i", I64), Var("j", I64)
A = Buf("a", BufferType(DType.F32, const=True))
Y = Buf("y", BufferType(DType.F32))
BYTES = Buf("bytes", BufferType(DType.U8))
ZERO, ONE = Const(0, I64), Const(1, I64)
F4, B4 = Vec(DType.F32, 4), Vec(DType.BOOL, 4)
ME = ThreadId()


def run(params: tuple[Var | Buf, ...], *args: object, body: tuple[Stmt, ...], threads: int = 1) -> None:
    interpret(Module("m", (Function("f", params, body),)), args, threads)


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def lanes_below(limit: Expr) -> Expr:
    return Compare("lt", Iota(Vec(DType.I64, 4)), Broadcast(limit, 4))


# --- computing ------------------------------------------------------------------------------


def test_a_kernel_with_a_masked_tail() -> None:
    acc, tail = Var("acc", F4), Var("tail", F4)
    part = VLoad(A, IX, 4, lanes_below(N - IX))
    loop = For(IX, ZERO, N, (Let(tail, part), Assign(acc, Fma(tail, tail, acc))), step=4)
    a, y = np.arange(7, dtype=np.float32), f32(0)
    run((N, A, Y), 7, a, y, body=(Define(acc, Const(0.0, F4)), loop, Store(Y, ZERO, Reduce("add", acc))))
    assert y[0] == np.sum(a * a)


def test_masked_lanes_are_neither_read_nor_written() -> None:
    y = f32(1, 2, 3)
    on = lanes_below(Const(2, I64))
    run((A, Y), f32(5, 6), y, body=(VStore(Y, ONE, VLoad(A, ZERO, 4, on), on),))
    assert y.tolist() == [1, 5, 6]
    out = f32(9, 9, 9, 9)
    run((A, Y), f32(5, 6), out, body=(VStore(Y, ZERO, VLoad(A, ZERO, 4, on)),))
    assert out.tolist() == [5, 6, 0, 0], "lanes that are off read 0"


def test_control_flow() -> None:
    k, count = Var("k", I64), Var("count", I64)
    body = (
        Define(count, ZERO),
        For(
            IX,
            Const(-3, I64),
            N,
            (If(IX > 0, (Assign(count, count + IX),), (Assign(count, count - 1),)),),
            step=2,
        ),
        Define(k, ZERO),
        While(k * k < N, (Assign(k, k + 1),)),
        For(J, Const(5, I64), ZERO, (Assign(count, Const(99, I64)),)),
        Store(Y, ZERO, Cast(count, F32)),
        Store(Y, ONE, Cast(k, F32)),
    )
    y = f32(0, 0)
    run((N, Y), 10, y, body=body)
    assert y.tolist() == [-2 + 1 + 3 + 5 + 7 + 9, 4]


def test_loop_bounds_are_taken_once() -> None:
    stop = Var("stop", I64)
    loop = For(IX, ZERO, stop, (Assign(stop, stop + 1), Store(Y, ZERO, Load(Y, ZERO) + 1.0)))
    y = f32(0)
    run((Y,), y, body=(Define(stop, Const(3, I64)), loop))
    assert y.tolist() == [3]


def test_calls_pass_scalars_and_buffers() -> None:
    callee = Function("scale", (N, X, A, Y), (For(IX, ZERO, N, (Store(Y, IX, Load(A, IX) * X),)),))
    main = Function("main", (A, Y), (Call("scale", (Const(2, I64), Const(10.0, F32), A, Y)),))
    y = f32(0, 0, 7)
    interpret(Module("m", (callee, main)), [f32(1, 2, 3), y])
    assert y.tolist() == [10, 20, 7]


def test_views_read_bytes_as_other_types() -> None:
    words, floats = Buf("words", BufferType(DType.U32)), Buf("floats", BufferType(DType.F32, align=4))
    body = (
        LetView(words, BYTES, Const(2, I64), ONE),
        LetView(floats, BYTES, Const(8, I64), Const(2, I64)),
        Store(words, ZERO, Const(0x01020304, Scalar(DType.U32))),
        Store(floats, ONE, Const(1.0, F32)),
    )
    memory = np.zeros(16, np.uint8)
    run((BYTES,), memory, body=body)
    assert memory.tolist() == [0, 0, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x3F]


def test_views_of_views() -> None:
    inner, words = Buf("inner", BYTES.type), Buf("words", BufferType(DType.U16, align=2))
    memory = np.zeros(8, np.uint8)

    def body(offset: int) -> tuple[Stmt, ...]:
        return (
            LetView(inner, BYTES, Const(3, I64), Const(5, I64)),
            LetView(words, inner, Const(offset, I64), Const(2, I64)),
            Store(words, ONE, Const(0x0201, Scalar(DType.U16))),
        )

    run((BYTES,), memory, body=body(1))
    assert memory.tolist() == [0, 0, 0, 0, 0, 0, 1, 2]
    with pytest.raises(LoopError, match="view 'words' claims alignment 2, but starts at byte 3"):
        run((BYTES,), memory, body=body(0))


def test_what_was_loaded_stays_when_the_buffer_changes() -> None:
    old = Var("old", F4)
    y = np.zeros(8, np.float32)
    body = (
        Let(old, VLoad(Y, ZERO, 4)),
        VStore(Y, ZERO, Const(1.0, F4)),
        VStore(Y, Const(4, I64), old),
    )
    run((Y,), y, body=body)
    assert y.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


def test_const_buffers_may_be_passed_twice() -> None:
    b = Buf("b", A.type)
    callee = Function("g", (A, b, Y), (Store(Y, ZERO, Load(A, ZERO) + Load(b, ZERO)),))
    y = f32(0)
    interpret(Module("m", (callee, Function("main", (A, Y), (Call("g", (A, A, Y)),)))), [f32(4), y])
    assert y[0] == 8


def test_bf16_buffers_hold_bits() -> None:
    halves = Buf("halves", BufferType(DType.BF16))
    bits = np.array([0x3F80, 0], np.uint16)
    body = (Store(halves, ONE, Cast(Cast(Load(halves, ZERO), F32) + 2.0, Scalar(DType.BF16))),)
    run((halves,), bits, body=body)
    assert bits.tolist() == [0x3F80, 0x4040]


@pytest.mark.parametrize("dtype", list(DType), ids=lambda d: d.short)
def test_scratch_holds_a_pattern(dtype: DType) -> None:
    s, out = Buf("s", BufferType(dtype)), Buf("out", BufferType(dtype))
    found = np.zeros(1, dtype.numpy())
    run((out,), found, body=(Alloc(s, 3), Store(out, ZERO, Load(s, Const(2, I64)))))
    if dtype.is_float and dtype is not DType.BF16:
        assert np.isnan(found[0])
    else:
        assert found[0] == (True if dtype is DType.BOOL else np.array(-1).astype(dtype.numpy()))


def test_scratch_is_fresh_in_every_call() -> None:
    s = Buf("s", BufferType(DType.F32))
    callee = Function(
        "g", (Y,), (Alloc(s, 1), Store(Y, ZERO, Load(s, ZERO)), Store(s, ZERO, Const(1.0, F32)))
    )
    y = f32(0)
    interpret(Module("m", (callee, Function("main", (Y,), (Call("g", (Y,)), Call("g", (Y,)))))), [y])
    assert math.isnan(y[0])


def test_infinities_and_nan_raise_no_warning() -> None:
    y = f32(0, 0)
    body = (Store(Y, ZERO, X / 0.0), Store(Y, ONE, (X - X) / 0.0))
    run((X, Y), 3.0, y, body=body)
    assert y[0] == math.inf and math.isnan(y[1])


def test_a_prepared_program_runs_again() -> None:
    program = prepare(Module("m", (Function("f", (X, Y), (Store(Y, ZERO, Load(Y, ZERO) + X),)),)))
    y = f32(1)
    program.run([2.0, y])
    program.run([3.0, y])
    assert y.tolist() == [6]


# --- what goes wrong ------------------------------------------------------------------------

LOCATED: list[tuple[tuple[Stmt, ...], str]] = [
    ((Store(Y, N, X),), r"body\[0\].store: store at index 4 of buffer 'y', which has 4 elements"),
    ((Store(Y, N - 5, X),), "store at index -1 of buffer 'y'"),
    ((Store(Y, ZERO, Load(A, N)),), "load at index 4 of buffer 'a'"),
    ((Store(Y, ZERO, Load(A, ZERO - 1)),), "load at index -1 of buffer 'a'"),
    ((VStore(Y, ONE, VLoad(A, ZERO, 4)),), "store at indices 1 to 4 of buffer 'y'"),
    ((VStore(Y, ZERO, VLoad(A, ONE, 4)),), "load at indices 1 to 4 of buffer 'a'"),
    ((VStore(Y, ZERO - 1, VLoad(A, ZERO, 4)),), "store at indices -1 to 2 of buffer 'y'"),
    ((VStore(Y, ZERO, VLoad(A, ONE, 4, Const(True, B4))),), "load at index 4 of buffer 'a'"),
    ((VStore(Y, ONE, VLoad(A, ZERO, 4), Const(True, B4)),), "store at index 4 of buffer 'y'"),
    (
        (For(IX, ZERO, N, (If(IX > 2, (Store(Y, IX + 1, X),)),)),),
        r"body\[0\].for\[0\].if\[0\].store: store at index 4",
    ),
    ((If(N > 9, (), (Store(Y, N, X),)),), r"body\[0\].else\[0\].store: store at index 4"),
    ((While(N > 0, (Store(Y, N, X),)),), r"body\[0\].while\[0\].store: store at index 4"),
    ((If(N // (N - 4) > 0, ()),), r"body\[0\].if: div of 4 by zero"),
    ((Let(IX, N % (N - N)),), r"body\[0\].let: rem of 4 by zero"),
    ((Let(IX, N << (N + 60)),), r"body\[0\].let: shl by 64: a i64 shifts by 0 to 63"),
    ((Let(IX, Cast(X / 0.0, I64)),), r"body\[0\].let: cast of inf to i64: the value is out of range"),
    (
        (LetView(Buf("v", Y.type), BYTES, ONE, ONE),),
        "view 'v' of 1 f32 at byte 1 does not fit 'bytes' of 4 bytes",
    ),
    ((LetView(Buf("v", Y.type), BYTES, ZERO - 4, ONE),), "view 'v' of 1 f32 at byte -4 does not fit"),
    ((LetView(Buf("v", Y.type), BYTES, ZERO, ZERO - 1),), "view 'v' of -1 f32 at byte 0 does not fit"),
    (
        (LetView(Buf("v", BufferType(DType.U8, align=8)), BYTES, Const(2, I64), ONE),),
        "view 'v' claims alignment 8, but starts at byte 2",
    ),
    ((Barrier(), Store(Y, N, X)), r"body\[1\].store: store at index 4"),
    ((For(IX, ZERO, N, (Barrier(), Store(Y, IX + 3, X))),), r"body\[0\].for\[1\].store: store at index 4"),
]


@pytest.mark.parametrize(("body", "rule"), LOCATED, ids=[rule[-40:] for _, rule in LOCATED])
def test_errors_name_the_statement(body: tuple[Stmt, ...], rule: str) -> None:
    with pytest.raises(LoopError, match=rule) as caught:
        run((N, X, A, Y, BYTES), 4, 1.0, f32(1, 2, 3, 4), f32(0, 0, 0, 0), np.zeros(4, np.uint8), body=body)
    assert "module 'm', function 'f', body" in str(caught.value)


def test_errors_name_the_function_called() -> None:
    callee = Function("g", (Y,), (Store(Y, Const(3, I64), Const(0.0, F32)),))
    with pytest.raises(LoopError, match=r"function 'g', body\[0\].store: store at index 3"):
        interpret(Module("m", (callee, Function("main", (Y,), (Call("g", (Y,)),)))), [f32(0)])


def test_prefetch_may_be_out_of_range() -> None:
    run((Y,), f32(0), body=(Prefetch(Y, Const(1000, I64)), Prefetch(Y, Const(-5, I64))))


def test_calls_with_overlapping_views() -> None:
    callee = Function("g", (A, Y), ())
    low, high = Buf("low", BufferType(DType.F32, const=True)), Buf("high", Y.type)

    def calls(offset: int) -> Module:
        views = (
            LetView(low, BYTES, ZERO, Const(4, I64)),
            LetView(high, BYTES, Const(offset, I64), Const(2, I64)),
        )
        return Module("m", (callee, Function("main", (BYTES,), (*views, Call("g", (low, high))))))

    interpret(calls(16), [np.zeros(32, np.uint8)])
    with pytest.raises(LoopError, match=r"body\[2\].call: arguments 'low' and 'high' overlap"):
        interpret(calls(12), [np.zeros(32, np.uint8)])


def test_the_module_is_verified() -> None:
    with pytest.raises(LoopError, match="'x' is not in scope"):
        run((Y,), f32(0), body=(Store(Y, ZERO, X),))


BAD_ARGUMENTS = [
    ((1, f32(0)), "takes 3 arguments, but got 2"),
    ((1, f32(0), [0.0]), r"argument 'y' is \[0.0\]: give a contiguous 1-D float32 array"),
    (
        (1, f32(0), np.zeros(1)),
        r"argument 'y' is a float64 array of shape \(1,\): give a contiguous 1-D float32 array",
    ),
    ((1, f32(0), np.zeros((1, 1), np.float32)), r"of shape \(1, 1\)"),
    ((1, f32(0), np.zeros(4, np.float32)[::2]), "give a contiguous"),
    ((1.5, f32(0), f32(0)), "argument 'n' is 1.5: give a number that is a i64"),
    ((2**63, f32(0), f32(0)), "argument 'n' is 9223372036854775808"),
    ((True, f32(0), f32(0)), "argument 'n' is True"),
    (("1", f32(0), f32(0)), "argument 'n' is '1'"),
]


@pytest.mark.parametrize(("args", "rule"), BAD_ARGUMENTS, ids=range(len(BAD_ARGUMENTS)))
def test_bad_arguments(args: tuple[object, ...], rule: str) -> None:
    with pytest.raises(LoopError, match=rule):
        run((N, A, Y), *args, body=())


def test_buffers_are_disjoint_and_writeable() -> None:
    both = f32(1, 2, 3)
    with pytest.raises(LoopError, match="arguments 'a' and 'y' share memory"):
        run((A, Y), both[:2], both[1:], body=())
    run((A, Y), both[:1], both[1:], body=())
    run((A, Buf("b", A.type)), both, both, body=())
    both.flags.writeable = False
    run((A,), both, body=())
    with pytest.raises(LoopError, match="'y' is read-only"):
        run((Y,), both, body=())


def test_scalar_arguments() -> None:
    flag, byte = Var("flag", BOOL), Var("byte", Scalar(DType.U8))
    body = (If(flag, (Store(Y, ZERO, Cast(byte, F32)),)),)
    y = f32(0)
    run((flag, byte, Y), np.True_, np.uint8(200), y, body=body)
    assert y[0] == 200
    with pytest.raises(LoopError, match="argument 'byte' is 256: give a number that is a u8"):
        run((flag, byte, Y), True, 256, y, body=body)
    run((X, Y), 0.1, y, body=(Store(Y, ZERO, X),))
    assert y[0] == np.float32(0.1)


# --- threads --------------------------------------------------------------------------------


def test_threads_share_work_and_meet_at_barriers() -> None:
    """Each thread writes an element, then reads what its neighbour wrote."""
    k = Var("k", I64)
    neighbour = (ME + 1) % ThreadCount()
    share = (
        Store(Y, ME, Cast(ME, F32) + 1.0),
        Barrier(),
        Let(k, Cast(Load(Y, neighbour), I64)),
        Barrier(),
        Store(Y, ME, Cast(k, F32) * 10.0),
    )
    for threads in (1, 2, 5):
        for order in (None, 0, 1, 2):
            y = np.zeros(threads, np.float32)
            interpret(Module("m", (Function("f", (Y,), share),)), [y], threads, order)
            assert y.tolist() == [10 * ((t + 1) % threads + 1) for t in range(threads)]


def racing(*body: Stmt, size: int = 8, threads: int = 3) -> str:
    with pytest.raises(LoopError) as caught:
        run((Y, BYTES), np.zeros(size, np.float32), np.zeros(16, np.uint8), body=body, threads=threads)
    return str(caught.value)


def test_races_are_found() -> None:
    wrote = racing(Store(Y, Const(5, I64), Cast(ME, F32)))
    assert (
        "body[0].store: race on element 5 of buffer 'y': written by thread 0 and written by thread 1" in wrote
    )
    behind = racing(Store(Y, ME, Load(Y, (ME + 2) % 3)))
    assert "race on element 0 of buffer 'y': written by thread 0 and read by thread 1" in behind
    ahead = racing(Store(Y, ME, Load(Y, (ME + 1) % 3)))
    assert "race on element 1 of buffer 'y': read by thread 0 and written by thread 1" in ahead
    then = racing(Store(Y, ME, Const(0.0, F32)), If(ME > 1, (Prefetch(Y, Cast(Load(Y, ONE), I64)),)))
    assert (
        "body[1].if[0].prefetch: race on element 1 of buffer 'y': written by thread 1 and read by thread 2"
        in then
    )


def test_the_first_of_several_readers_is_named() -> None:
    reads = Prefetch(Y, Cast(Load(Y, ZERO), I64))
    writes = Store(Y, ZERO, Const(0.0, F32))
    assert "read by thread 0 and written by thread 1" in racing(reads, If(ME > 0, (writes,)))
    some = If(Compare("eq", ME, ONE), (reads,))
    assert "read by thread 1 and written by thread 2" in racing(some, If(ME > 1, (writes,)))


def test_a_thread_may_read_and_write_its_own() -> None:
    y = f32(1, 2, 3)
    again = Store(Y, ME, Load(Y, ME) + 1.0)
    run((Y,), y, body=(again, again), threads=3)
    assert y.tolist() == [3, 4, 5]


def test_races_of_vectors() -> None:
    store = racing(VStore(Y, ME * 3, Const(1.0, F4)), size=16)
    assert "race on element 3 of buffer 'y': written by thread 0 and written by thread 1" in store
    masked = VStore(Y, ME * 3, Const(1.0, F4), lanes_below(Const(3, I64)))
    run((Y,), np.zeros(16, np.float32), body=(masked,), threads=3)


def test_views_of_the_same_bytes_race() -> None:
    words, bytes_ = Buf("words", BufferType(DType.U32)), Buf("octets", BufferType(DType.I8))
    race = racing(
        LetView(words, BYTES, Const(4, I64), Const(3, I64)),
        LetView(bytes_, BYTES, ZERO, Const(16, I64)),
        Store(words, ME, Const(1, Scalar(DType.U32))),
        If(ME > 0, (Store(bytes_, Const(7, I64), Const(1, Scalar(DType.I8))),)),
    )
    assert "body[3].if[0].store: race on element 7 of buffer 'octets': written by thread 0" in race


def test_races_in_called_functions_are_found() -> None:
    callee = Function("g", (Y,), (Store(Y, ZERO, Const(0.0, F32)),))
    module = Module("m", (callee, Function("main", (BYTES, Y), (Call("g", (Y,)),))))
    with pytest.raises(LoopError, match=r"function 'g', body\[0\].store: race on element 0 of buffer 'y'"):
        interpret(module, [np.zeros(1, np.uint8), f32(0)], threads=2)


def test_a_barrier_ends_the_race() -> None:
    turn = For(
        IX, ZERO, ThreadCount(), (If(Compare("eq", IX, ME), (Store(Y, ZERO, Cast(ME, F32)),)), Barrier())
    )
    y = f32(9)
    run((Y,), y, body=(turn,), threads=4)
    assert y.tolist() == [3]


def test_scratch_belongs_to_each_thread() -> None:
    s = Buf("s", BufferType(DType.F32))
    body = (Alloc(s, 1), Store(s, ZERO, Cast(ME, F32)), Barrier(), Store(Y, ME, Load(s, ZERO)))
    y = f32(9, 9, 9)
    run((Y,), y, body=body, threads=3)
    assert y.tolist() == [0, 1, 2]


def test_the_order_of_threads_is_shuffled() -> None:
    """The error about a race names the first two threads that ran."""
    seen = set()
    module = Module("m", (Function("f", (Y,), (Store(Y, ZERO, Cast(ME, F32)),)),))
    for order in range(6):
        shuffled = list(range(3))
        random.Random(order).shuffle(shuffled)
        y = np.zeros(8, np.float32)
        with pytest.raises(LoopError) as caught:
            interpret(module, [y], threads=3, order=order)
        assert f"written by thread {shuffled[0]} and written by thread {shuffled[1]}" in str(caught.value)
        seen.add(tuple(shuffled))
    assert len(seen) > 1


def test_deadlock_where_a_thread_ends() -> None:
    message = racing(If(ME < 2, (Barrier(),)))
    assert "deadlock: thread 0 waits at body[0].if[0].barrier, but thread 2 has ended" in message


def test_deadlock_where_threads_wait_in_different_places() -> None:
    message = racing(If(ME < 1, (Barrier(),), (Barrier(),)))
    assert "thread 0 waits at body[0].if[0].barrier, but thread 1 waits at body[0].else[0].barrier" in message


def test_deadlock_after_loops_of_different_lengths() -> None:
    message = racing(For(IX, ZERO, ME, (Barrier(),)))
    assert "deadlock: thread 1 waits at body[0].for[0].barrier, but thread 0 has ended" in message


def test_barriers_in_while_loops() -> None:
    k = Var("k", I64)
    loop = While(k < 3, (Store(Y, ME, Cast(k, F32)), Barrier(), Assign(k, k + 1)))
    y = f32(9, 9)
    run((Y,), y, body=(Define(k, ZERO), loop), threads=2)
    assert y.tolist() == [2, 2]


def test_no_threads() -> None:
    with pytest.raises(LoopError, match="needs at least 1 thread: got 0"):
        run((Y,), f32(0), body=(), threads=0)


def test_random_programs_do_not_depend_on_the_order_of_threads() -> None:
    for seed in range(12):
        program = random_program(random.Random(seed))
        want, got = program.arguments(), program.arguments()
        interpret(program.module, want, MAX_THREADS)
        interpret(program.module, got, MAX_THREADS, order=seed)
        assert_same(program, got, want)
