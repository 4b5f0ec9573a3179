"""The lock around LLVM and what is loaded; by itself, so that holding it needs no LLVM."""

from __future__ import annotations

import threading

# LLVM contexts are not for concurrent use, and a fork must not find this held by another thread.
LOCK = threading.RLock()
