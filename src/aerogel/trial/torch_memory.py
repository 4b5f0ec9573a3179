"""The memory of a model that is not compiled: the dense and the pruned one in torch, each in a process of its
own. Of time nothing is said: torch multiplies zeros like other numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aerogel.bench.whole_model import arrays_of, call_of
from aerogel.core.errors import MeasureError
from aerogel.measure import Case, Contender, Json, Progress, Settings, compare
from aerogel.measure.resident import resident

TORCH_DENSE, TORCH_PRUNED = "torch dense", "torch pruned"


@dataclass(frozen=True, slots=True)
class TorchMemory:
    """The most that the whole process held, loading and one call included; None where the system does not
    say."""

    dense_bytes: int | None
    pruned_bytes: int | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def measure_torch_memory(
    model: str,
    pruned: Path,
    inputs: Any,
    folder: Path,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> TorchMemory:
    """``model``: the dense one, as for ``load_model``; ``pruned``: what was written of it, a directory or
    sparse weights; ``inputs``: of a call. ``folder``: for what is passed on. MeasureError where a process
    fails."""
    file = folder / "call.npz"
    np.savez(file, **arrays_of(inputs))  # pyright: ignore[reportArgumentType]
    here = "aerogel.trial.torch_memory:in_torch"
    chosen: dict[str, Json] = {} if threads is None else {"threads": threads}
    whole = pruned.is_dir()
    sparse: dict[str, Json] = {"model": str(pruned)} if whole else {"model": model, "weights": str(pruned)}
    found = compare(
        [
            Contender(TORCH_DENSE, here, {**chosen, "model": model}),
            Contender(TORCH_PRUNED, here, {**chosen, **sparse}),
        ],
        [Case("one call", {"file": str(file)}, timed=False, output=True)],
        Settings(),
        progress=progress,
    )
    return TorchMemory(*(_peak(found.facts(row).facts) for row in (TORCH_DENSE, TORCH_PRUNED)))


def _peak(facts: Mapping[str, Any]) -> int | None:
    found = facts.get("peak_bytes")
    return int(found) if isinstance(found, int | float) else None


def in_torch(model: str, weights: str | None = None, threads: int | None = None) -> InTorch:
    """For the process: ``model``, with ``weights`` of a sparse file in place of its own."""
    import torch

    from aerogel.model.source import load_model

    if threads is not None:
        torch.set_num_threads(threads)
    module = load_model(model).module
    if weights is not None:
        from aerogel.prune.interchange import load_sparse

        module.load_state_dict(load_sparse(weights).state)
    return InTorch(module)


class InTorch:
    """A contender, see ``measure.Contender``: never timed."""

    def __init__(self, module: Any) -> None:
        self._module, self._call = module, None

    def prepare(self, case: Mapping[str, Any]) -> None:
        import torch

        with np.load(case["file"], allow_pickle=False) as loaded:
            args, named = call_of({name: loaded[name] for name in loaded.files})
        self._call = ([torch.from_numpy(a) for a in args], {n: torch.from_numpy(a) for n, a in named.items()})

    def run(self) -> object:
        import torch

        if self._call is None:
            raise MeasureError("there is nothing to call the model with: prepare a case first")
        with torch.inference_mode():
            return self._module(*self._call[0], **self._call[1])

    def result(self) -> NDArray[np.float64]:
        """What came out does not matter here."""
        self.run()
        return np.zeros(1)

    def facts(self) -> dict[str, Any]:
        return resident().to_json()
