"""A compiled network: arrays in, arrays out, from any thread, at any batch and length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, require
from aerogel.core.memory import aligned
from aerogel.model.artefact import Artefact, save
from aerogel.model.batch import Batch, batch
from aerogel.model.blob import SLACK
from aerogel.model.built import Built
from aerogel.model.effort import Effort
from aerogel.model.entry import CALL_NUMBERS
from aerogel.model.graph import Lookup
from aerogel.model.graph_outputs import SENTENCE
from aerogel.model.steps import EmbedStep, FeedStep, FetchStep
from aerogel.model.texts import Texts, require_texts
from aerogel.native import Bound, thread_limit
from aerogel.tune.plan import Plan

if TYPE_CHECKING:
    from aerogel.model.explain import Explanation
    from aerogel.model.step_energy import EnergyMeter
    from aerogel.model.work import Work

# Bytes of working memory that an idle program keeps for its next call.
KEPT_ARENA = 64 << 20


@dataclass(frozen=True)
class Encoded:
    """One batch of texts: which of them (``places``), the inputs they became, and the outputs, by name."""

    places: tuple[int, ...]
    inputs: Mapping[str, NDArray[np.int64]]
    outputs: Mapping[str, NDArray[np.float32]]


class Program:
    """A network as one native program. Make one with ``aerogel.compile``.

    Call it like the module it came from: positional arguments in the same order, or by name; NumPy in,
    NumPy out; torch in, torch out. Token outputs have shape (batch, sequence, features) and are zero
    where the mask is 0; pooled outputs (batch, features). One output comes back alone, several as a dict.

    Calls from several threads are safe: each takes its own working memory, and they run one after the
    other on the thread pool; one too small to gain by more runs on one thread. The same input gives the
    same bits at any number of threads. A token or row whose activations are NaN or infinite spoils its own
    sequence (or row) and no other.
    """

    def __init__(
        self,
        built: Built,
        threads: int | None = None,
        texts: Texts | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self.built = built
        self.threads = _threads(threads)
        self.texts = texts
        self.provenance = dict(provenance or {})
        steps = built.steps
        self._lookups: tuple[Lookup, ...] = tuple(
            k for s in steps if isinstance(s, EmbedStep) for k in s.lookups
        )
        self._fed = tuple(s.input for s in steps if isinstance(s, FeedStep))
        self._fetched = tuple(s for s in steps if isinstance(s, FetchStep))
        self._effort = Effort.of(built)
        self._idle: list[_Lane] = []

    @property
    def plan(self) -> Plan:
        """Which kernel each linear layer uses, and the timings that decided it."""
        return self.built.plan

    @property
    def nbytes(self) -> int:
        """Bytes of the constants in memory: packed weights, tables, biases."""
        return self.built.constants.nbytes

    def __call__(self, *args: Any, threads: int | None = None, **named: Any) -> Any:
        given, like = self._arguments(args, named)
        work = batch(self.built.graph, self._lookups, given)
        out = self.run(work, self.threads if threads is None else _threads(threads))
        results = {name: like(array) for name, array in out.items()}
        return next(iter(results.values())) if len(results) == 1 else results

    def run(
        self, work: Batch, threads: int, span: tuple[int, int] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Run steps ``span`` (all of them when None) on a checked batch; outputs by name."""
        out = self._outputs(work)
        if work.tokens == 0 and work.rows == 0:
            return self._squeezed(out)
        lane = self._take()
        try:
            lane.load(work, out, span or (0, len(self.built.steps)))
            lane.bound.run(self._effort.threads(work.tokens, work.rows, threads))
        finally:
            lane.release()
            self._idle.append(lane)
        if work.holes:
            self._clear_holes(work, out)
        return self._squeezed(out)

    def _squeezed(self, out: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        for output in self.built.graph.outputs:
            if output.squeezed:
                out[output.name] = out[output.name][..., 0]
        return out

    def _clear_holes(self, work: Batch, out: Mapping[str, NDArray[np.float32]]) -> None:
        """Tokens inside a sequence with mask 0 are computed, but are not the caller's to see."""
        at = work.destination[work.kept == 0]
        for step in self._fetched:
            if step.x.columns == "tokens":
                out[step.output].reshape(-1, step.x.features)[at] = 0

    def batch(self, *args: Any, **named: Any) -> Batch:
        """Check the arguments of a call and pack their tokens, without running."""
        given, _ = self._arguments(args, named)
        return batch(self.built.graph, self._lookups, given)

    def encode(self, texts: Sequence[str], *, batch_size: int = 64) -> NDArray[np.float32]:
        """One vector per text, in order: the model's pooled output, (texts, features). Texts of like length
        share a batch.

        InputError where the program has no tokenizer or no single output per text."""
        self._tokenizer()
        require_texts(texts)
        output = self.pooled()
        out = np.empty((len(texts), output.x.features), np.float32)
        for part in self.encoded(texts, batch_size=batch_size):
            out[list(part.places)] = part.outputs[output.output]
        return out

    def encoded(self, texts: Sequence[str], *, batch_size: int = 64) -> Iterator[Encoded]:
        """Every output for ``texts``, a batch of like length at a time, the longest first."""
        whole = isinstance(batch_size, int) and batch_size >= 1
        require(whole, InputError, f"batch_size={batch_size!r}: give a whole number from 1 on")
        # Nothing but a mask tells padding from text.
        batch_size = batch_size if len(self.token_inputs()) > 1 else 1
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        for at in range(0, len(order), batch_size):
            places = tuple(order[at : at + batch_size])
            given = self.tokenize([texts[i] for i in places])
            yield Encoded(places, given, self.run(self.batch(**given), self.threads))

    def tokenize(self, texts: Sequence[str]) -> dict[str, NDArray[np.int64]]:
        """The inputs of a call for ``texts``, by name: token ids, padded behind, and, where the model takes
        one, their mask. InputError where padding would be needed and there is none."""
        ids, mask = self._tokenizer().tokenize(texts)
        names = self.token_inputs()
        alike = len(names) > 1 or bool(mask.all())
        require(alike, InputError, "the model takes no mask: give one text at a time")
        return dict(zip(names, (ids, mask), strict=False))

    def _tokenizer(self) -> Texts:
        if self.texts is None:
            raise InputError("this program has no tokenizer: compile a model's directory, or pass texts=")
        return self.texts

    def pooled(self) -> FetchStep:
        """The output that is one vector per text: the only one, or the one called as such. InputError where
        there is none."""
        pooled = [s for s in self._fetched if s.x.columns == "rows"]
        chosen = [s for s in pooled if s.output == SENTENCE] or pooled
        names = ", ".join(s.output for s in pooled) or "none"
        require(len(chosen) == 1, InputError, f"encode needs one pooled output, the program has {names}")
        return chosen[0]

    def token_inputs(self) -> tuple[str, ...]:
        """The names of the inputs that take token ids and, where there is one, their mask."""
        inputs = self.built.graph.inputs
        ids = [i.name for i in inputs if i.kind == "ids" and not i.optional]
        require(len(ids) == 1, InputError, f"encode needs one input of token ids, the program has {ids}")
        return (*ids, *(i.name for i in inputs if i.kind == "mask"))

    def save(self, path: str | Path, *, embeddings: Literal["int8", "fp32"] = "int8") -> None:
        """Write the program as an artefact that ``aerogel.load`` runs without torch, on any CPU.

        Zeros take no room. ``embeddings``: tables as 8-bit integers with a scale per row, or exactly.
        """
        texts = self.texts
        artefact = Artefact(
            self.built.graph,
            None if texts is None else texts.tokenizer,
            None if texts is None else texts.max_tokens,
            self.provenance,
        )
        save(Path(path), artefact, embeddings=embeddings)

    def explain(
        self, *args: Any, threads: int | None = None, energy: bool = False, **named: Any
    ) -> Explanation:
        """What each step is and what it costs on the inputs given, or on a default of one sequence of 128
        tokens (128 rows); ``str()`` is a table.

        ``energy``: joules of each step, too; the first time on a machine that takes half a minute more, in
        which nothing else should run. MeasureError, saying why, where nothing meters energy.
        """
        from aerogel.model.explain import default_inputs, explain  # a model that only runs needs none of it

        most = self.threads if threads is None else _threads(threads)
        work = self.batch(*args, **(named if args or named else default_inputs(self.built.graph)))
        return explain(self.built, self.run, work, most, _energy_meter(self.built, most) if energy else None)

    def work(self, *args: Any, **named: Any) -> Work:
        """Operations and bytes of a call with these arguments, gross and effective; nothing is run."""
        from aerogel.model.work import work_of  # as above

        return work_of(self.built, self.batch(*args, **named))

    def _take(self) -> _Lane:
        # No lock: pop and append are atomic, and a lock held while another thread forks never opens again.
        try:
            return self._idle.pop()
        except IndexError:
            return _Lane(self.built, self._fed, self._fetched)

    def _outputs(self, work: Batch) -> dict[str, NDArray[np.float32]]:
        out: dict[str, NDArray[np.float32]] = {}
        for step in self._fetched:
            if step.x.columns == "rows":
                shape = (*work.leading, step.x.features)
            else:
                shape = (work.sequences, work.length, step.x.features)
            out[step.output] = np.empty(shape, np.float32)
        return out

    def _arguments(self, args: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        inputs = self.built.graph.inputs
        names = [i.name for i in inputs]
        if len(args) > len(names):
            raise InputError(f"the program takes {len(names)} inputs ({', '.join(names)}), got {len(args)}")
        given = dict(zip(names, args, strict=False))
        for name, value in named.items():
            if name not in names:
                raise InputError(f"no input {name!r}: the program takes {', '.join(names)}")
            require(name not in given, InputError, f"input {name!r} is given twice")
            given[name] = value
        for spec in inputs:
            if given.get(spec.name) is None and not spec.optional and spec.kind != "mask":
                raise InputError(f"input {spec.name!r} is missing: the program takes {', '.join(names)}")
        return _numpy(given)


def _energy_meter(built: Built, threads: int) -> EnergyMeter:
    from aerogel.model.step_energy import EnergyMeter
    from aerogel.tune.energy_fit import machine_roofline

    return EnergyMeter(machine_roofline(built.target, threads))


def _numpy(given: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Arguments as NumPy, and what turns results into the caller's kind."""
    if not any(type(v).__module__.partition(".")[0] == "torch" for v in given.values()):
        return given, _same
    import torch  # already imported by whoever passed a tensor

    def array(tensor: torch.Tensor) -> NDArray[Any]:
        # NumPy has no bfloat16.
        known = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
        return known.detach().cpu().numpy()

    return {k: array(v) if isinstance(v, torch.Tensor) else v for k, v in given.items()}, torch.from_numpy


def _same(array: NDArray[np.float32]) -> NDArray[np.float32]:
    return array


def _threads(threads: int | None) -> int:
    """A usable thread count: all cores for None; InputError below 1; capped by the cores there are."""
    if threads is None:
        return thread_limit()
    require(
        isinstance(threads, int | np.integer) and not isinstance(threads, bool) and threads >= 1,
        InputError,
        f"threads={threads!r}: give a whole number from 1 on, or None for all cores",
    )
    return min(int(threads), thread_limit())


class _Lane:
    """The working memory of one call at a time, grown as needed and used again."""

    def __init__(self, built: Built, fed: tuple[str, ...], fetched: tuple[FetchStep, ...]) -> None:
        self._built = built
        self._fed, self._fetched = fed, fetched
        self._arena = aligned(SLACK, np.uint8)
        self._call = aligned(SLACK, np.uint8)
        self._numbers = aligned(len(CALL_NUMBERS), np.int64)
        names = [*(f"in_{name}" for name in fed), *(f"out_{step.output}" for step in fetched)]
        self.bound: Bound = built.compiled.bind(
            built.constants, self._arena, self._call, self._numbers, *(aligned(1) for _ in names)
        )
        self._nothing = {name: self.bound.saved(name) for name in names}

    def load(self, work: Batch, out: Mapping[str, NDArray[np.float32]], span: tuple[int, int]) -> None:
        """Point the program at this call's arrays. Sizes follow from the batch, which has been checked."""
        layout = self._built.layout
        vectors = layout.vectors(work.tokens), layout.vectors(work.rows)
        self._arena = self._grown("arena", self._arena, self._built.arena.nbytes(*vectors, layout.lanes))
        self._numbers[:] = (work.tokens, work.sequences, work.rows, work.padded, work.holes, *span)
        if work.tokens:
            self._load_tokens(work)
        # Outputs first: an input may be the array that the last call put out.
        for step in self._fetched:
            self.bound.set(f"out_{step.output}", out[step.output].reshape(-1))
        for name in self._fed:
            self.bound.set(f"in_{name}", work.features[name])

    def release(self) -> None:
        """Let go of the caller's arrays, and of an arena far larger than most calls need."""
        for name, nothing in self._nothing.items():
            self.bound.restore(name, nothing)
        if self._arena.nbytes > KEPT_ARENA:
            self._arena = aligned(SLACK, np.uint8)
            self.bound.set("arena", self._arena)

    def _load_tokens(self, work: Batch) -> None:
        """Lay the parts of CALL out one after the other."""
        parts: list[NDArray[Any]] = [work.ids.reshape(-1), work.offsets, work.destination]
        if work.holes:
            parts += [work.kept, np.where(work.kept != 0, np.float32(0), np.float32(-np.inf))]
        # Without holes nothing reads the last two, but their views must lie inside.
        need = 4 * (sum(p.size for p in parts) + 2 * work.tokens)
        self._call = self._grown("call", self._call, need)
        words, at = self._call.view(np.int32), 0
        for part in parts:
            words[at : at + part.size] = part.view(np.int32)
            at += part.size

    def _grown(self, name: str, memory: NDArray[np.uint8], need: int) -> NDArray[np.uint8]:
        """``memory`` if it holds ``need`` bytes and some slack, else more, bound as ``name``."""
        if need + SLACK <= memory.nbytes:
            return memory
        larger = aligned(-(-(need + SLACK) // SLACK) * SLACK, np.uint8)
        self.bound.set(name, larger)
        return larger
