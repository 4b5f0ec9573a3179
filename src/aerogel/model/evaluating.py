"""What torch modules are asked before they are called, answered for a compiled program: it is as it is."""

from __future__ import annotations

from typing import Any, Self

from aerogel.core.errors import UnsupportedError, require
from aerogel.model.tensors import require_cpu


class Evaluating:
    """A module for good in eval mode, on the CPU, in float32."""

    def eval(self) -> Self:
        return self

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 (as torch has it)
        require(not mode, UnsupportedError, "a compiled model cannot be trained: train the torch module")
        return self

    def to(self, *args: Any, **named: Any) -> Self:
        """Itself, for the CPU and float32; UnsupportedError for anything else."""
        for given in (*args, *named.values()):
            single = str(given) in ("torch.float32", "float32")
            if not single and not isinstance(given, bool):
                require_cpu(given)
        return self
