"""The runtimes that a model can be compared on, by the names that ``--against`` takes."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from aerogel.bench.environments import ENVIRONMENTS, interpreter
from aerogel.core.errors import InputError, MissingDependencyError, require
from aerogel.core.suggest import unknown
from aerogel.measure import Contender, Json

OnnxPrecision = Literal["fp32", "int8"]


@dataclass(frozen=True, slots=True)
class Peer:
    """``row``: its name in a table. ``factory``: makes the contender for a Hugging Face directory, None where
    it needs an ONNX file that was exported for it; ``given``: makes it from such a file, or from whatever
    ``aerogel compile`` takes (``onnx`` None). ``precision``: what it computes in; ``skips_zeros``: is it
    faster for zeros in the weights? ``needs``: libraries, which ``extra`` installs; ``environment``: where it
    runs, if not beside aerogel."""

    row: str
    factory: str | None
    given: str
    args: Mapping[str, Json] = field(default_factory=dict[str, Json])
    onnx: OnnxPrecision | None = "fp32"
    precision: Literal["fp32", "int8", "as it comes"] = "fp32"
    needs: tuple[str, ...] = ()
    extra: str = "bench"
    environment: str | None = None
    skips_zeros: bool = False

    def contender(self, factory: str, args: Mapping[str, Json]) -> Contender:
        """This runtime, made by ``factory``; MissingDependencyError where its environment is not made."""
        if self.environment is None:
            return Contender(self.row, factory, {**args, **self.args})
        home = ENVIRONMENTS[self.environment]
        return Contender(self.row, factory, {**args, **self.args}, home.variables, interpreter(home))


_TORCH = ("torch", "transformers")
_ONNX = ("onnxruntime", "onnx", "onnxscript")
_ORT, _OPENVINO = "aerogel.bench.onnx_runtime", "aerogel.bench.openvino_runtime"

PEERS: dict[str, Peer] = {
    "torch": Peer(
        "torch eager", "aerogel.bench.torch_eager:make", "aerogel.bench.torch_eager:make_given",
        onnx=None, needs=_TORCH,
    ),
    "onnxruntime": Peer(
        "onnxruntime fp32", f"{_ORT}:make", f"{_ORT}:make_given", {"precision": "fp32"}, needs=_ONNX
    ),
    "onnxruntime-int8": Peer(
        "onnxruntime int8", f"{_ORT}:make", f"{_ORT}:make_given", {"precision": "int8"},
        onnx="int8", precision="int8", needs=_ONNX,
    ),
    "openvino": Peer(
        "openvino fp32", f"{_OPENVINO}:make", f"{_OPENVINO}:make_given", {"precision": "f32"},
        needs=("openvino", *_ONNX), extra="peers",
    ),
    "openvino-default": Peer(
        "openvino default", f"{_OPENVINO}:make", f"{_OPENVINO}:make_given",
        precision="as it comes", needs=("openvino", *_ONNX), extra="peers",
    ),
    "deepsparse": Peer(
        "deepsparse fp32", None, "aerogel.bench.deepsparse_engine:make",
        needs=("onnx",), environment="deepsparse", skips_zeros=True,
    ),
}  # fmt: skip
USUAL = ("torch", "onnxruntime", "onnxruntime-int8")
"""What a model is compared with unless more is asked for: all that the extra ``bench`` brings."""


def chosen(names: Sequence[str]) -> list[Peer]:
    """The runtimes of these names; InputError for an unknown one."""
    for name in names:
        require(name in PEERS, InputError, unknown("runtime", name, PEERS))
    return [PEERS[name] for name in names]


def missing_libraries(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """For each of these runtimes that cannot be compared here, what is not installed."""
    absent = {n: tuple(lib for lib in PEERS[n].needs if not _installed(lib)) for n in names}
    return {name: libraries for name, libraries in absent.items() if libraries}


def require_runtimes(names: Sequence[str]) -> None:
    """InputError for an unknown name; MissingDependencyError for what is not installed, before any work."""
    for name, runtime in zip(names, chosen(names), strict=True):
        if absent := missing_libraries([name]).get(name):
            raise MissingDependencyError(
                f"runtime {name!r} needs {', '.join(absent)}: pip install 'aerogel[{runtime.extra}]', or "
                f"leave {name!r} out of --against"
            )
        if runtime.environment is not None:
            interpreter(ENVIRONMENTS[runtime.environment])


def _installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None
