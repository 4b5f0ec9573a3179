"""LLVM assembly to an object file: the passes that run, and the machine they run for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import llvmlite
import llvmlite.binding as llvm

from aerogel.core.errors import NativeError
from aerogel.core.target import architecture
from aerogel.native.lock import LOCK

_Output = TypeVar("_Output", bytes, str)


@dataclass(frozen=True, slots=True)
class Build:
    """What one module became. All but the object is filled only when asked for; ``given``: the LLVM
    assembly that came in."""

    object: bytes
    given: str = ""
    optimised: str = ""
    assembly: str = ""


# What stands for an architecture that is not this machine's: ELF objects for Linux.
_FOREIGN = {"x86_64": "x86_64-unknown-linux-gnu", "aarch64": "aarch64-unknown-linux-gnu"}


@cache
def triple(arch: str | None = None) -> str:
    """The LLVM triple of this machine, or of ``arch`` (``x86_64``, ``aarch64``) where that is another."""
    return llvm.get_process_triple() if arch is None or arch == architecture() else _FOREIGN[arch]


def versions() -> str:
    """The versions that decide what code comes out."""
    return f"llvmlite {llvmlite.__version__} LLVM {'.'.join(map(str, llvm.llvm_version_info))} {triple()}"


@cache
def _machine(triple_: str) -> llvm.TargetMachine:
    if triple_ == triple():
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    else:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    # Position-independent and small: data is reached relative to the code, wherever both are loaded.
    return llvm.Target.from_triple(triple_).create_target_machine(
        cpu="x86-64" if triple_.startswith("x86_64") else "generic",
        opt=2,
        reloc="pic",
        codemodel="small",
        jit=True,
    )


def _optimise(parsed: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=1)
    # What to vectorise and unroll is decided by who wrote the loops.
    options.loop_vectorization = False
    options.slp_vectorization = False
    options.loop_interleaving = False
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(parsed, builder)


def build(text: str, *, show: bool = False) -> Build:
    """Optimise and assemble LLVM assembly, for the machine its triple names; ``show`` also returns what a
    reader wants to see."""
    with LOCK:
        try:
            parsed = llvm.parse_assembly(text)
            parsed.verify()
            machine = _machine(parsed.triple)
            _optimise(parsed, machine)
            if not show:
                return Build(_emit(machine.emit_object, parsed))
            optimised, assembly = str(parsed), _emit(machine.emit_assembly, parsed)
            return Build(_emit(machine.emit_object, parsed), text, optimised, assembly)
        except RuntimeError as error:
            raise NativeError(f"LLVM refused the generated code: {error}") from error


# LLVM versions known to have these options: an unknown one would end the process.
_WITH_SWITCHES = (20, 21, 22)
# While we generate code, and for others afterwards. Loop strength reduction takes five times as long as all
# the rest. The machine scheduler moves loads to the front until the sums of a register tile are spilled;
# without it instructions stay in the order in which the kernel was written.
_OURS = ("-disable-lsr=true", "-enable-misched=false")
_USUAL = ("-disable-lsr=false", "-enable-misched=true")


def _emit(emit: Callable[[llvm.ModuleRef], _Output], parsed: llvm.ModuleRef) -> _Output:
    """Generate code under our switches, which LLVM keeps per process: they are set back for other users."""
    if llvm.llvm_version_info[0] not in _WITH_SWITCHES:
        return emit(parsed)
    try:
        for switch in _OURS:
            llvm.set_option("aerogel", switch)
        return emit(parsed)
    finally:
        for switch in _USUAL:
            llvm.set_option("aerogel", switch)
