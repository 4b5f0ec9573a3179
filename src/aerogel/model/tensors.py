"""Results as torch tensors, for those who expect some. torch is imported when it is first needed."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

from numpy.typing import NDArray

from aerogel.core.errors import MissingDependencyError, UnsupportedError, require


def tensor(array: NDArray[Any], why: str) -> Any:
    """``array`` as a tensor that shares its memory; MissingDependencyError, naming ``why``, without torch."""
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError(f'{why} needs torch: pip install "aerogel[torch]"') from error
    return torch.from_numpy(array)


def tensor_if_installed(array: NDArray[Any]) -> Any:
    """``array`` as a tensor where torch is installed, and as it is where not."""
    return array if importlib.util.find_spec("torch") is None else tensor(array, "a tensor")


def cpu() -> Any:
    """The CPU: a ``torch.device`` where torch has been imported, the text ``cpu`` where nobody could tell."""
    torch = sys.modules.get("torch")
    return "cpu" if torch is None else torch.device("cpu")


def require_cpu(device: object) -> None:
    """UnsupportedError for a device that is not the CPU; None is."""
    fits = device is None or str(device).partition(":")[0] == "cpu"
    require(fits, UnsupportedError, f"device {device!r}: programs run on the CPU: leave it out")
