"""Who is compared: aerogel, and the libraries that people use for sparse algebra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aerogel.bench.environments import ENVIRONMENTS, interpreter
from aerogel.core.errors import InputError, require
from aerogel.core.suggest import unknown
from aerogel.measure import Contender, Json

OWN = "aerogel"
_HERE = "aerogel.bench.einsum"
_TENSORS = ("ttv", "ttm", "mttkrp")


@dataclass(frozen=True, slots=True)
class Library:
    """``module``: the file with its ``make``; ``args``: what that takes besides; ``lacks``: operations it
    is not timed on, and why; ``slow``: those it is timed on only when asked for, and why; ``only``: where
    given, the only ones; ``environment``: where it runs, if not beside aerogel."""

    module: str
    args: Mapping[str, Json] = field(default_factory=dict[str, Json])
    lacks: Mapping[str, str] = field(default_factory=dict[str, str])
    slow: Mapping[str, str] = field(default_factory=dict[str, str])
    only: tuple[str, ...] = ()
    environment: str | None = None

    def does(self, operation: str, *, slow: bool = False) -> bool:
        if operation in self.lacks or (operation in self.slow and not slow):
            return False
        return not self.only or operation in self.only

    def contender(self, name: str, folder: Path, threads: int) -> Contender:
        """MissingDependencyError where its environment is not made."""
        factory = f"{_HERE}.{self.module}:make"
        args: dict[str, Json] = {"folder": str(folder), "threads": threads, **self.args}
        env = {v: str(threads) for v in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}
        if self.environment is None:
            return Contender(name, factory, args, env)
        home = ENVIRONMENTS[self.environment]
        return Contender(name, factory, args, {**env, **home.variables}, interpreter(home))


LIBRARIES: dict[str, Library] = {
    OWN: Library("own_side"),
    "scipy": Library("scipy_side"),
    "scipy-sorted": Library("scipy_side", {"sort": True}, only=("spgemm",)),
    "torch": Library(
        "torch_side",
        lacks={
            "triangles": "its product of CSR tensors leaves the columns of a row unsorted, its product entry "
            "by entry takes them for sorted, and the count is wrong"
        },
    ),
    "pydata": Library(
        "pydata_side",
        lacks={"sddmm": "it has no sampled product, and the whole product does not fit in memory"},
        slow={
            "add3": "0.35 s for bcsstk16, where SciPy takes 0.008 s",
            "transpose": "0.06 s for bcsstk16, where SciPy takes 0.001 s",
            "triangles": "0.14 s for ego-Facebook, where GraphBLAS takes 0.016 s",
            "mttkrp": "1.3 s for splatt_med, where numba takes 0.01 s",
        },
        environment="einsum",
    ),
    "graphblas": Library(
        "graphblas_side",
        lacks=dict.fromkeys(_TENSORS, "it has matrices and vectors only"),
        environment="einsum",
    ),
    "numba": Library("numba_side", environment="einsum"),
}
"""By the names that tables show; ours first."""


def libraries_for(
    operation: str, among: Sequence[str] = tuple(LIBRARIES), *, slow: bool = False
) -> list[str]:
    """Those of ``among`` that are timed on an operation, with ``slow`` also the slow; InputError for an
    unknown library."""
    for name in among:
        require(name in LIBRARIES, InputError, unknown("library", name, LIBRARIES))
    return [name for name in LIBRARIES if name in among and LIBRARIES[name].does(operation, slow=slow)]


def not_timed() -> dict[str, dict[str, str]]:
    """For each library the operations it is not timed on, or only when asked for, and why."""
    found = {name: {**library.lacks, **library.slow} for name, library in LIBRARIES.items()}
    return {name: reasons for name, reasons in found.items() if reasons}
