"""What threads run between jobs, as machine code: the worker loop, the start of a job, the barrier.

All of it works on one block of memory per pool (``Layout``). A thread that waits for a word to change
spins for a bounded time and then parks, so waiting costs no CPU; who changes the word looks for sleepers
afterwards. Both sides are sequentially consistent, so one of them always sees the other.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from aerogel.core.target import MACHINES
from aerogel.native import cache as store
from aerogel.native import parking_linux, parking_macos, parking_none
from aerogel.native.engine import Loaded

PARKING = next((way for way in (parking_linux, parking_macos) if way.AVAILABLE), parking_none)


class Layout:
    """Byte offsets in a pool's memory. Words that different threads write lie on lines of their own."""

    BARRIER = 0  # address of the barrier: a program's context is the pool's memory
    SYSCALL = 8
    SPIN = 16  # ticks to spin before parking
    IDLE_SPIN = 24  # the same for a worker that waits for its next job
    PENDING = 64  # workers still busy with the job
    DONE = 128  # jobs finished; then who sleeps on it
    ARRIVED = 192  # threads at the barrier
    PHASE = 256  # barriers passed; then who sleeps on it
    JOB = 320  # function, argument block, thread count
    MAILBOX = 384  # per worker: jobs posted; then whether it sleeps
    LINE = 64

    @staticmethod
    def size(workers: int) -> int:
        return Layout.MAILBOX + Layout.LINE * (workers + 1)


# Compiling for any other is refused; this module can be imported there all the same.
MACHINE = MACHINES.get(platform.machine().lower(), "other")

# About 50 us. x86 counts cycles (35 us at 4.2 GHz, 75 at 2 GHz), ARM is made to count nanoseconds.
# Without a clock a wait parks at once.
SPIN_TICKS = {"x86_64": 150_000, "aarch64": 50_000}.get(MACHINE, 0)
# About a millisecond: between calls in a loop Python takes more than 50 us, and to wake a sleeping thread
# takes hundreds on a virtual machine (16 tokens of a MiniLM: 1.02 -> 0.66 ms).
IDLE_SPIN_TICKS = 16 * SPIN_TICKS

_X86 = """
define internal i64 @ticks() {
  %t = call i64 @llvm.readcyclecounter()
  ret i64 %t
}
define internal void @relax() {
  call void @llvm.x86.sse2.pause()
  ret void
}
define internal i32 @set_rounding(i32 %wanted) {
  %slot = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %slot)
  %old = load volatile i32, ptr %slot
  store volatile i32 %wanted, ptr %slot
  call void @llvm.x86.sse.ldmxcsr(ptr %slot)
  ret i32 %old
}
"""

# The cycle counter is privileged; the timer is not, and says itself how often it ticks in a second. Of one
# that ticks faster than a nanosecond time stands still, and a wait parks after its first look.
_ARM = """
define internal i64 @ticks() {
  %t = call i64 @llvm.read_volatile_register.i64(metadata !{!"cntvct_el0"})
  %rate = call i64 @llvm.read_volatile_register.i64(metadata !{!"cntfrq_el0"})
  %each = udiv i64 1000000000, %rate
  %ns = mul i64 %t, %each
  ret i64 %ns
}
define internal void @relax() {
  call void @llvm.aarch64.isb(i32 15)
  ret void
}
define internal i32 @set_rounding(i32 %wanted) {
  %old = call i64 @llvm.aarch64.get.fpcr()
  %word = zext i32 %wanted to i64
  call void @llvm.aarch64.set.fpcr(i64 %word)
  %kept = trunc i64 %old to i32
  ret i32 %kept
}
"""

# Time stands still, and SPIN_TICKS is 0.
_OTHER = """
define internal i64 @ticks() {
  ret i64 0
}
define internal void @relax() {
  ret void
}
define internal i32 @set_rounding(i32 %wanted) {
  ret i32 0
}
"""

_OF = {"x86_64": _X86, "aarch64": _ARM}
# Round to nearest, no flush to zero, no traps. A caller may have set otherwise, and every thread must
# compute the same bits.
_PLAIN = {"x86_64": 8064}

_COMMON = f"""
define internal i32 @wait(ptr %state, ptr %word, i32 %old, i64 %spin.at) {{
start:
  %sleepers = getelementptr i8, ptr %word, i64 4
  %limit.slot = getelementptr i8, ptr %state, i64 %spin.at
  %limit = load i64, ptr %limit.slot
  %begun = call i64 @ticks()
  br label %spin
spin:
  %seen = load atomic i32, ptr %word acquire, align 4
  %changed = icmp ne i32 %seen, %old
  br i1 %changed, label %early, label %again
again:
  call void @relax()
  call void @relax()
  %now = call i64 @ticks()
  %spent = sub i64 %now, %begun
  %patient = icmp ult i64 %spent, %limit
  br i1 %patient, label %spin, label %sleep
early:
  ret i32 %seen
sleep:
  atomicrmw add ptr %sleepers, i32 1 seq_cst
  br label %check
check:
  %found = load atomic i32, ptr %word seq_cst, align 4
  %same = icmp eq i32 %found, %old
  br i1 %same, label %park, label %woken
park:
  call void @park(ptr %state, ptr %word, i32 %old)
  br label %check
woken:
  atomicrmw sub ptr %sleepers, i32 1 seq_cst
  ret i32 %found
}}

define internal void @advance(ptr %state, ptr %word) {{
start:
  atomicrmw add ptr %word, i32 1 seq_cst
  %sleepers = getelementptr i8, ptr %word, i64 4
  %count = load atomic i32, ptr %sleepers seq_cst, align 4
  %any = icmp ne i32 %count, 0
  br i1 %any, label %wake, label %done
wake:
  call void @wake(ptr %state, ptr %word)
  br label %done
done:
  ret void
}}

define void @barrier(ptr %state, i64 %threads) {{
start:
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %done, label %arrive
arrive:
  %arrived = getelementptr i8, ptr %state, i64 {Layout.ARRIVED}
  %phase = getelementptr i8, ptr %state, i64 {Layout.PHASE}
  %old = load atomic i32, ptr %phase acquire, align 4
  %before = atomicrmw add ptr %arrived, i32 1 seq_cst
  %mine = add i32 %before, 1
  %all = trunc i64 %threads to i32
  %last = icmp eq i32 %mine, %all
  br i1 %last, label %open, label %wait
open:
  store atomic i32 0, ptr %arrived seq_cst, align 4
  call void @advance(ptr %state, ptr %phase)
  ret void
wait:
  call i32 @wait(ptr %state, ptr %phase, i32 %old, i64 {Layout.SPIN})
  ret void
done:
  ret void
}}

define internal void @run(ptr %function, ptr %block, i64 %thread, i64 %threads, ptr %state) {{
  %plain = call i32 @plain()
  %old = call i32 @set_rounding(i32 %plain)
  call void %function(ptr %block, i64 %thread, i64 %threads, ptr %state)
  call i32 @set_rounding(i32 %old)
  ret void
}}

define void @work(ptr %state, i64 %thread) {{
start:
  %line = mul i64 %thread, {Layout.LINE}
  %offset = add i64 %line, {Layout.MAILBOX}
  %mailbox = getelementptr i8, ptr %state, i64 %offset
  %pending = getelementptr i8, ptr %state, i64 {Layout.PENDING}
  %done = getelementptr i8, ptr %state, i64 {Layout.DONE}
  %job = getelementptr i8, ptr %state, i64 {Layout.JOB}
  %block.slot = getelementptr i8, ptr %job, i64 8
  %threads.slot = getelementptr i8, ptr %job, i64 16
  br label %next
next:
  %seen = phi i32 [ 0, %start ], [ %posted, %next ], [ %posted, %finish ]
  %posted = call i32 @wait(ptr %state, ptr %mailbox, i32 %seen, i64 {Layout.IDLE_SPIN})
  %function = load ptr, ptr %job
  %block = load ptr, ptr %block.slot
  %threads = load i64, ptr %threads.slot
  call void @run(ptr %function, ptr %block, i64 %thread, i64 %threads, ptr %state)
  %left = atomicrmw sub ptr %pending, i32 1 seq_cst
  %last = icmp eq i32 %left, 1
  br i1 %last, label %finish, label %next
finish:
  call void @advance(ptr %state, ptr %done)
  br label %next
}}

define void @start(ptr %state, ptr %function, ptr %block, i64 %threads) {{
start:
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %solo, label %prepare
solo:
  call void @run(ptr %function, ptr %block, i64 0, i64 1, ptr %state)
  ret void
prepare:
  %job = getelementptr i8, ptr %state, i64 {Layout.JOB}
  %block.slot = getelementptr i8, ptr %job, i64 8
  %threads.slot = getelementptr i8, ptr %job, i64 16
  %pending = getelementptr i8, ptr %state, i64 {Layout.PENDING}
  %done = getelementptr i8, ptr %state, i64 {Layout.DONE}
  store ptr %function, ptr %job
  store ptr %block, ptr %block.slot
  store i64 %threads, ptr %threads.slot
  %all = trunc i64 %threads to i32
  %others = sub i32 %all, 1
  store atomic i32 %others, ptr %pending seq_cst, align 4
  %before = load atomic i32, ptr %done seq_cst, align 4
  br label %post
post:
  %worker = phi i64 [ 1, %prepare ], [ %following, %post ]
  %line = mul i64 %worker, {Layout.LINE}
  %offset = add i64 %line, {Layout.MAILBOX}
  %mailbox = getelementptr i8, ptr %state, i64 %offset
  call void @advance(ptr %state, ptr %mailbox)
  %following = add i64 %worker, 1
  %more = icmp slt i64 %following, %threads
  br i1 %more, label %post, label %mine
mine:
  call void @run(ptr %function, ptr %block, i64 0, i64 %threads, ptr %state)
  call i32 @wait(ptr %state, ptr %done, i32 %before, i64 {Layout.SPIN})
  ret void
}}
"""


def code(machine: str = MACHINE, parking: str | None = None) -> str:
    """LLVM of the runtime for ``machine``; ``parking``: that of a parking module, this system's if None."""
    plain = f"\ndefine internal i32 @plain() {{\n  ret i32 {_PLAIN.get(machine, 0)}\n}}\n"
    how = PARKING.code(machine) if parking is None else parking
    return f"{_OF.get(machine, _OTHER)}{plain}{how}{_COMMON}"


@dataclass(frozen=True, slots=True)
class Runtime:
    """The loaded runtime. Calling one of these releases Python's lock until it returns."""

    start: Callable[[int, int, int, int], None]
    work: Callable[[int, int], None]
    barrier: int
    loaded: Loaded


def _object(text: str) -> bytes:
    key = hashlib.sha256(f"{store.builder()}\n{text}".encode()).hexdigest()
    found = store.load(key)
    if found is None:
        from aerogel.native.codegen import build, triple  # LLVM: not needed where the code is kept

        found = build(f'target triple = "{triple()}"\n{text}').object
        store.store(key, found)
    return found


def bound(loaded: Loaded) -> Runtime:
    """The functions of a runtime that is in memory."""
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    at = loaded.addresses
    return Runtime(
        start=ctypes.CFUNCTYPE(None, pointer, pointer, pointer, number)(at["start"]),
        work=ctypes.CFUNCTYPE(None, pointer, number)(at["work"]),
        barrier=at["barrier"],
        loaded=loaded,
    )


@cache
def runtime() -> Runtime:
    """The runtime of this process; loaded once, never unloaded."""
    return bound(Loaded(_object(code()), ("start", "work", "barrier")))
