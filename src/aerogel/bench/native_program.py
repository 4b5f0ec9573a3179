"""Contender: aerogel, from a model's directory (dense or pruned) or from a file that runs without torch."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import aerogel
from aerogel.bench.cases import TokenBatch, token_batch
from aerogel.bench.hugging_face import MOST_TOKENS, ModelFolder
from aerogel.bench.subject import EncoderSubject
from aerogel.core.errors import InputError, MissingDependencyError, UnsupportedError, require
from aerogel.model import artefact as artefacts
from aerogel.model.artefact import Artefact
from aerogel.model.graph import Graph, Output, Pool
from aerogel.model.load import run_artefact
from aerogel.model.program import Program

HIDDEN = "last_hidden_state"
SUFFIX = ".aero"


class NativeRuntime:
    """A compiled program over token ids and their mask, of which the output ``hidden`` is wanted."""

    def __init__(self, program: Program, hidden: str, facts: dict[str, Any]) -> None:
        self._program, self._hidden, self._facts = program, hidden, facts
        graph = program.built.graph
        self._ids = next(i.name for i in graph.inputs if i.kind == "ids" and not i.optional)
        self._mask = next((i.name for i in graph.inputs if i.kind == "mask"), None)

    def bind(self, batch: TokenBatch) -> Any:
        """InputError for padding where the model takes no mask: it would be taken for text."""
        alike = self._mask is not None or bool(batch.mask.all())
        require(alike, InputError, "the model takes no mask: give sequences of one length")
        return {self._ids: batch.ids} | ({} if self._mask is None else {self._mask: batch.mask})

    def forward(self, inputs: Any) -> Any:
        return self._program(**inputs)

    def to_numpy(self, hidden: Any) -> NDArray[np.float32]:
        return np.asarray(hidden[self._hidden] if isinstance(hidden, dict) else hidden)

    def facts(self) -> dict[str, Any]:
        return {
            "constants_bytes": self._program.nbytes,
            "version": aerogel.__version__,
            "threads": self._program.threads,
            "target": self._program.plan.target.partition("/")[0],
            **self._facts,
        }


@dataclass(frozen=True, slots=True)
class ArtefactWords:
    """The token ids of an artefact: how many there are, and its own tokenizer, which cuts texts where every
    contender's does."""

    artefact: Artefact

    @property
    def vocabulary(self) -> int:
        return next(i.limit for i in self.artefact.graph.inputs if i.kind == "ids" and not i.optional)

    def tokenizer(self) -> Any:
        text = self.artefact.tokenizer
        if text is None:
            raise InputError("the file holds no tokenizer, so it takes no texts: compile a model's directory")
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingDependencyError(f"{error}: pip install 'aerogel[bench]'") from error
        try:
            tokenizer = Tokenizer.from_buffer(text)
            padding = cast("dict[str, Any]", tokenizer.padding or {})
            tokenizer.enable_padding(
                **(padding | {"direction": "right", "length": None, "pad_to_multiple_of": None})
            )
            tokenizer.enable_truncation(min(MOST_TOKENS, self.artefact.graph.max_length or MOST_TOKENS))
        except Exception as error:  # the library raises bare Exceptions
            raise InputError(f"the tokenizer in the file cannot be read ({error}): make it anew") from error
        return tokenizer


def with_hidden_states(graph: Graph) -> tuple[Graph, str]:
    """``graph`` with an output [sequences, longest, features] over tokens, and that output's name: one there
    is, else the value that is pooled, beside what is put out already. UnsupportedError where it has neither.
    """
    ids = [i for i in graph.inputs if i.kind == "ids" and not i.optional]
    require(len(ids) == 1, UnsupportedError, f"an encoder has one input of token ids, this has {len(ids)}")
    found = [o.name for o in graph.outputs if graph.value(o.value).columns == "tokens"]
    if found:
        return graph, HIDDEN if HIDDEN in found else found[0]
    pooled = {op.x for op in graph.ops if isinstance(op, Pool)}
    require(len(pooled) == 1, UnsupportedError, "the model has no output over tokens, and pools not just one")
    taken = {o.name for o in graph.outputs}
    name = next(n for n in (HIDDEN, *(f"{HIDDEN}_{i}" for i in range(len(taken)))) if n not in taken)
    return replace(graph, outputs=(*graph.outputs, Output(name, pooled.pop()))), name


def make(
    model: str,
    sparsity: float | None = None,
    pattern: str = "unstructured",
    pinned: dict[str, Any] | None = None,
    threads: int | None = None,
) -> EncoderSubject:
    """``model``: a Hugging Face directory, pruned by magnitude to ``sparsity`` (None: dense); or a file
    ``*.aero``, run as it is and without torch. Of a file that pools, hidden states are put out as well, so
    that what is computed is comparable. ``threads`` None takes all granted."""
    if model.endswith(SUFFIX):
        whole = sparsity is None
        require(whole, InputError, f"{model} has the zeros it has: give a directory to prune, or no sparsity")
        return _from_file(Path(model), pinned, threads)
    return _from_folder(ModelFolder.open(model), (sparsity, pattern), pinned, threads)


def _from_file(path: Path, pinned: dict[str, Any] | None, threads: int | None) -> EncoderSubject:
    artefact = artefacts.load(path)
    graph, hidden = with_hidden_states(artefact.graph)
    program = run_artefact(replace(artefact, graph=graph), threads=threads)
    runtime = NativeRuntime(program, hidden, {"size_bytes": path.stat().st_size})
    return EncoderSubject(ArtefactWords(artefact), runtime, pinned)


def _from_folder(
    folder: ModelFolder, zeros: tuple[float | None, str], pinned: dict[str, Any] | None, threads: int | None
) -> EncoderSubject:
    import torch

    module = folder.torch_module()
    sparsity, pattern = zeros
    if sparsity is not None:
        module = aerogel.prune(module, sparsity=sparsity, pattern=pattern).model
    example = token_batch({"lengths": [16, 9]}, folder.vocabulary)
    started = time.perf_counter()
    inputs = torch.from_numpy(example.ids), torch.from_numpy(example.mask)
    program = aerogel.compile(module, inputs, threads=threads)
    facts = {"size_bytes": program.nbytes, "compile_s": time.perf_counter() - started}
    _, hidden = with_hidden_states(program.built.graph)
    return EncoderSubject(folder, NativeRuntime(program, hidden, facts), pinned)
