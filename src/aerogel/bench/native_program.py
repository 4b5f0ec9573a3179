"""Contender: aerogel, from a model's directory (dense or pruned) or from a file that runs without torch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import aerogel
from aerogel.bench.arrays import Arrays, ArraySubject, Signature
from aerogel.bench.cases import TokenBatch, token_batch
from aerogel.bench.hugging_face import MOST_TOKENS, ModelFolder
from aerogel.bench.subject import EncoderSubject
from aerogel.bench.variant import Precision, Variant
from aerogel.core.errors import InputError, MissingDependencyError, UnsupportedError, require
from aerogel.model import artefact as artefacts
from aerogel.model.artefact import Artefact
from aerogel.model.explain import Explanation
from aerogel.model.graph import Graph, Output, Pool
from aerogel.model.load import run_artefact
from aerogel.model.program import Program

HIDDEN = "last_hidden_state"
SUFFIX = ".aero"


class _Runtime:
    """A program, called by the names of its inputs; ``facts``: what else is to be said of it."""

    def __init__(self, program: Program, facts: dict[str, Any]) -> None:
        self._program, self._facts = program, facts

    def forward(self, inputs: Any) -> Any:
        return self._program(**inputs)

    def explain(self, inputs: Any, *, energy: bool = False) -> Explanation:
        return self._program.explain(energy=energy, **inputs)

    def work(self, inputs: Any) -> dict[str, int]:
        return self._program.work(**inputs).to_json()

    def facts(self) -> dict[str, Any]:
        return {**program_facts(self._program), **self._facts}


class NativeRuntime(_Runtime):
    """A compiled program over token ids and their mask, of which the output ``hidden`` is wanted."""

    def __init__(self, program: Program, hidden: str, facts: dict[str, Any]) -> None:
        super().__init__(program, facts)
        self._hidden = hidden
        graph = program.built.graph
        self._ids = next(i.name for i in graph.inputs if i.kind == "ids" and not i.optional)
        self._mask = next((i.name for i in graph.inputs if i.kind == "mask"), None)

    def bind(self, batch: TokenBatch) -> Any:
        """InputError for padding where the model takes no mask: it would be taken for text."""
        alike = self._mask is not None or bool(batch.mask.all())
        require(alike, InputError, "the model takes no mask: give sequences of one length")
        return {self._ids: batch.ids} | ({} if self._mask is None else {self._mask: batch.mask})

    def to_numpy(self, hidden: Any) -> NDArray[np.float32]:
        return np.asarray(hidden[self._hidden] if isinstance(hidden, dict) else hidden)


def program_facts(program: Program) -> dict[str, Any]:
    """What every row of our own tells."""
    return {
        "constants_bytes": program.nbytes,
        "version": aerogel.__version__,
        "threads": program.threads,
        "target": program.plan.target.partition("/")[0],
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
    precision: Precision = "fp32",
    pinned: dict[str, Any] | None = None,
    threads: int | None = None,
) -> EncoderSubject:
    """``model``: a Hugging Face directory, pruned by magnitude to ``sparsity`` (None: dense); or a file
    ``*.aero``, run as it is and without torch. Of a file that pools, hidden states are put out as well, so
    that what is computed is comparable. ``precision``: of the linear layers; a file has its own. ``threads``
    None takes all granted."""
    if model.endswith(SUFFIX):
        whole = sparsity is None
        require(whole, InputError, f"{model} has the zeros it has: give a directory to prune, or no sparsity")
        return _from_file(Path(model), precision, pinned, threads)
    variant = Variant(sparsity, pattern, precision=precision)
    return _from_folder(ModelFolder.open(model), variant, pinned, threads)


def _from_file(
    path: Path, precision: Precision, pinned: dict[str, Any] | None, threads: int | None
) -> EncoderSubject:
    _require_own_precision(path, precision)
    artefact = artefacts.load(path)
    graph, hidden = with_hidden_states(artefact.graph)
    program = run_artefact(replace(artefact, graph=graph), threads=threads)
    runtime = NativeRuntime(program, hidden, {"size_bytes": path.stat().st_size})
    return EncoderSubject(ArtefactWords(artefact), runtime, pinned)


def _require_own_precision(path: Path, precision: Precision) -> None:
    told = f"{path} has the precision it was compiled with: compile it with --precision {precision}"
    require(precision == "fp32", InputError, told)


def _from_folder(
    folder: ModelFolder, variant: Variant, pinned: dict[str, Any] | None, threads: int | None
) -> EncoderSubject:
    import torch

    example = token_batch({"lengths": [16, 9]}, folder.vocabulary)
    inputs = torch.from_numpy(example.ids), torch.from_numpy(example.mask)
    program, facts = compiled(folder.torch_module(), inputs, variant, threads)
    _, hidden = with_hidden_states(program.built.graph)
    return EncoderSubject(folder, NativeRuntime(program, hidden, facts), pinned)


def compiled(
    module: Any, inputs: Any, variant: Variant, threads: int | None
) -> tuple[Program, dict[str, Any]]:
    """The module as ``variant`` says, pruned by magnitude first where it has a sparsity; ``size_bytes`` and
    ``compile_s``."""
    if variant.sparsity is not None:
        module = aerogel.prune(module, sparsity=variant.sparsity, pattern=variant.pattern).model
    started = time.perf_counter()
    # Said only where it is not what compile does by itself.
    chosen: dict[str, Any] = {} if variant.precision == "fp32" else {"precision": variant.precision}
    program = aerogel.compile(module, inputs, threads=threads, **chosen)
    return program, {"size_bytes": program.nbytes, "compile_s": time.perf_counter() - started}


class GivenProgram(_Runtime):
    """A program as its user calls it, with all its outputs."""

    def __init__(self, program: Program, signature: Signature, facts: dict[str, Any]) -> None:
        super().__init__(program, facts)
        self._signature = signature

    def bind(self, arrays: Arrays) -> Any:
        return arrays

    def to_numpy(self, found: Any) -> NDArray[np.float32]:
        return np.asarray(found[self._signature.output] if isinstance(found, dict) else found)


def make_given(
    model: str,
    signature: Mapping[str, Any],
    sparsity: float | None = None,
    pattern: str = "unstructured",
    precision: Precision = "fp32",
    threads: int | None = None,
) -> ArraySubject:
    """``model``: a file ``*.aero``, or what ``load_model`` takes; the other arguments as for ``make``."""
    told = Signature.of_json(signature)
    program, facts = given_program(model, Variant(sparsity, pattern, precision=precision), threads)
    return ArraySubject(told, GivenProgram(program, told, facts))


def given_program(model: str, variant: Variant, threads: int | None) -> tuple[Program, dict[str, Any]]:
    """The program of a model that is given by name, and facts on it."""
    if model.endswith(SUFFIX):
        whole = variant.sparsity is None
        require(whole, InputError, f"{model} has the zeros it has: give a model to prune, or no sparsity")
        _require_own_precision(Path(model), variant.precision)
        program = aerogel.load(model, threads=threads)
        return program, {"size_bytes": Path(model).stat().st_size}
    from aerogel.model.source import load_model

    source = load_model(model)
    return compiled(source.module, source.example_inputs, variant, threads)
