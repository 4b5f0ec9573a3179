"""How versions of LLVM differ in the assembly they read; nothing else on this floor asks which it is."""

from __future__ import annotations

from llvmlite.binding import llvm_version_info

_MAJOR = llvm_version_info[0]

# Whether the intrinsics for VNNI take vectors of bytes; before, of the 32-bit words that hold them.
BYTES_FOR_VNNI = _MAJOR >= 22


def aligned_pointer(address: str, align: int) -> str:
    """The pointer argument of a masked load or store; before LLVM 22 its alignment was an argument too."""
    return f"ptr align {align} {address}" if _MAJOR >= 22 else f"ptr {address}, i32 {align}"
