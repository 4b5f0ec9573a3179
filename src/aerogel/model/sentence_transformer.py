"""A compiled program where a ``sentence_transformers.SentenceTransformer`` is expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Never, Self

import numpy as np
from numpy.typing import NDArray

from aerogel.core.errors import InputError, UnsupportedError, refuse, require
from aerogel.model import tensors, vectors
from aerogel.model.evaluating import Evaluating
from aerogel.model.graph_outputs import SENTENCE, TOKENS
from aerogel.model.program import Program
from aerogel.model.progress import counted
from aerogel.model.sentence_program import PlanChoice, again, most_tokens, sentence_program, with_tokens
from aerogel.model.sentence_settings import RECORDED, Settings, Similarity, checked, recorded
from aerogel.model.text_lists import listed
from aerogel.model.vector_form import Form, form, kept_features

# What a call may say that changes nothing here: a task for adapters, the size of work for other processes.
_IGNORED = ("task", "chunk_size")


class SentenceEncoder(Evaluating):
    """Texts to vectors, where a ``SentenceTransformer`` is expected: same calls, same shapes and types.

        >>> encoder = aerogel.SentenceEncoder("model.aero")              # doctest: +SKIP
        >>> vectors = encoder.encode(["a text", "another"])              # doctest: +SKIP

    ``model``: a file that ``Program.save`` or ``aerogel compile -o`` wrote, which needs no torch; a Hugging
    Face directory, pruned or not, which is compiled now; or a Program. What a directory says of its pooling,
    prompts and similarity is followed; an encoder that says nothing of pooling gets the mean of its tokens.
    ``threads`` and ``plan`` as for ``aerogel.compile``; the other arguments replace what the model says of
    itself. InputError for what is no encoder of texts.

    ``encode`` gives NumPy arrays and needs no torch. What the original gives as tensors whatever is asked
    (``similarity``, ``tokenize``, token embeddings) are tensors where torch is installed, and NumPy arrays
    where not. It is no subclass: code that asks ``isinstance(model, SentenceTransformer)`` or for the name of
    its class does not know it; hand such code the vectors, or a function that calls ``encode``. Nothing can
    be trained, and there is no device but the CPU. Calls from several threads are safe.
    """

    def __init__(  # noqa: PLR0913 (all but two by name; the names are the original's)
        self,
        model: str | Path | Program,
        device: Any = None,
        *,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        similarity_fn_name: Any = None,
        truncate_dim: int | None = None,
        threads: int | None = None,
        plan: PlanChoice = "timed",
    ) -> None:
        tensors.require_cpu(device)
        self._program = sentence_program(model, threads, plan)
        told = {
            "prompts": prompts,
            "default_prompt_name": default_prompt_name,
            "similarity_fn_name": similarity_fn_name and vectors.require_similarity(similarity_fn_name),
            "truncate_dim": truncate_dim,
        }
        said = recorded(self._program.provenance).to_json()
        settings = checked(said | {k: v for k, v in told.items() if v is not None}, "the encoder", InputError)
        self.prompts = {"query": "", "document": "", **settings.prompts}
        self.default_prompt_name = settings.default_prompt_name
        self._similarity: Similarity = settings.similarity_fn_name
        self._kept = settings.truncate_dim
        self._include_prompt = settings.include_prompt
        self._most = most_tokens(self._program)
        self._with_tokens: Program | None = None

    @property
    def program(self) -> Program:
        """The program that runs: for ``explain()``, its plan, or ``save``."""
        return self._program

    def save(self, path: str | Path, *, embeddings: Literal["int8", "fp32"] = "int8") -> None:
        """Write an artefact, with prompts and the like as they are now, that SentenceEncoder loads without
        torch; ``embeddings`` as for ``Program.save``."""
        settings = Settings(
            self.prompts, self.default_prompt_name, self._similarity, self._kept, self._include_prompt
        )
        provenance = {**self._program.provenance, RECORDED: settings.to_json()}
        again(self._program, provenance=provenance).save(path, embeddings=embeddings)

    def __repr__(self) -> str:
        name = self._program.provenance.get("source", "a program")
        most = "texts of any length" if self._most is None else f"at most {self.max_seq_length} tokens"
        return f"SentenceEncoder({name}: {self.get_embedding_dimension()} numbers per text, {most})"

    # --- texts to vectors ---

    def encode(  # noqa: PLR0913, PLR0917 (the signature is the original's)
        self,
        sentences: Any = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,  # noqa: FBT001
        output_value: str | None = SENTENCE,
        precision: str | None = "float32",
        convert_to_numpy: bool = True,  # noqa: FBT001, FBT002
        convert_to_tensor: bool = False,  # noqa: FBT001, FBT002
        device: Any = None,
        normalize_embeddings: bool = False,  # noqa: FBT001, FBT002
        truncate_dim: int | None = None,
        pool: None = None,
        **others: Any,
    ) -> Any:
        """The vector of a text, [features], or of each of a list, [texts, features], in its order.

        ``sentences`` (or ``inputs``): a string, or a list, tuple, array or column of strings; InputError
        names the first that is none. ``prompt`` is put before each, or the one of ``prompts`` called
        ``prompt_name``, or the default one. ``show_progress_bar`` None: at a terminal; either way only once
        two seconds have passed. A tensor with ``convert_to_tensor``, else an array with ``convert_to_numpy``,
        else a list of tensors. ``truncate_dim`` keeps the first numbers of each vector, then
        ``normalize_embeddings`` makes its length 1, then ``precision`` applies: see ``vectors.quantized``.

        ``output_value`` ``token_embeddings``: [tokens, features] of each text, special tokens too, in a list;
        None: dicts of these, the vector and the inputs. Either builds a second program when first asked for.
        """
        tensors.require_cpu(device)
        require(pool is None, UnsupportedError, f"pool: {_PROCESSES}")
        texts, single = listed(_inputs(sentences, others))
        texts = self._prompted(texts, prompt_name, prompt)
        wanted = form(
            precision,
            self._kept if truncate_dim is None else truncate_dim,
            to_numpy=convert_to_numpy,
            to_tensor=convert_to_tensor,
            unit=normalize_embeddings,
        )
        if output_value != SENTENCE:
            _require_output(output_value, wanted)
            found = [self._delivered(one, output_value, wanted) for one in self._features(texts, batch_size)]
            return found[0] if single else found
        wanted.require_libraries()
        if not texts:
            return wanted.of_nothing()
        return wanted.of(self._vectors(texts, batch_size, show=show_progress_bar), single=single)

    def encode_query(
        self, sentences: Any = None, prompt_name: str | None = None, prompt: str | None = None, **others: Any
    ) -> Any:
        """``encode`` with the prompt called ``query``, unless one is given."""
        name = self._role(("query",)) if prompt_name is None and prompt is None else prompt_name
        return self.encode(sentences, name, prompt, **others)

    def encode_document(
        self, sentences: Any = None, prompt_name: str | None = None, prompt: str | None = None, **others: Any
    ) -> Any:
        """``encode`` with the prompt called ``document``, ``passage`` or ``corpus``, unless one is given."""
        roles = ("document", "passage", "corpus")
        name = self._role(roles) if prompt_name is None and prompt is None else prompt_name
        return self.encode(sentences, name, prompt, **others)

    def _role(self, roles: Sequence[str]) -> str | None:
        return next((role for role in roles if role in self.prompts), None)

    def _prompted(self, texts: list[str], name: str | None, prompt: str | None) -> list[str]:
        if prompt is None:
            name = self.default_prompt_name if name is None else name
            known = name is None or name in self.prompts
            told = f"there is no prompt {name!r}: the prompts are {', '.join(self.prompts) or 'none'}"
            require(known, InputError, told)
            prompt = "" if name is None else self.prompts[name]
        before = listed([prompt], "prompt")[0][0]
        if not before:
            return texts
        told = (
            "this model leaves a prompt's tokens out of its pooling, which is not supported: give no prompt"
        )
        require(self._include_prompt, UnsupportedError, told)
        return [before + text for text in texts]

    def _vectors(self, texts: list[str], batch_size: int, *, show: bool | None) -> NDArray[np.float32]:
        output = self._program.pooled()
        found = np.empty((len(texts), output.x.features), np.float32)
        done = 0
        with counted("texts", len(texts), show) as tell:
            for part in self._program.encoded(texts, batch_size=batch_size):
                found[list(part.places)] = part.outputs[output.output]
                done += len(part.places)
                tell(done)
        return found

    def _features(self, texts: list[str], batch_size: int) -> list[dict[str, NDArray[Any]]]:
        """Of each text its inputs, its token vectors without padding, and its vector, by name."""
        program = self._token_program()
        pooled, mask = program.pooled().output, program.token_inputs()[1:]
        found: list[dict[str, NDArray[Any]]] = [{} for _ in texts]
        for part in program.encoded(texts, batch_size=batch_size):
            for row, place in enumerate(part.places):
                real = int(part.inputs[mask[0]][row].sum()) if mask else None
                given = {name: array[row, :real].copy() for name, array in part.inputs.items()}
                tokens = part.outputs[TOKENS][row, :real].copy()
                found[place] = {**given, TOKENS: tokens, SENTENCE: part.outputs[pooled][row].copy()}
        return found

    def _delivered(self, one: dict[str, NDArray[Any]], output: str | None, wanted: Form) -> Any:
        if output == TOKENS:
            return tensors.tensor_if_installed(one[TOKENS])
        cut = one | {SENTENCE: one[SENTENCE][: wanted.features]}
        return {name: tensors.tensor_if_installed(array) for name, array in cut.items()}

    def _token_program(self) -> Program:
        made = self._with_tokens
        if made is None:
            made = with_tokens(self._program)
        elif made.texts is not self._program.texts:  # another length to cut at has been set
            made = Program(made.built, made.threads, self._program.texts)
        self._with_tokens = made
        return made

    # --- comparing vectors ---

    @property
    def similarity_fn_name(self) -> Similarity:
        """``cosine``, ``dot``, ``euclidean`` or ``manhattan``."""
        return self._similarity

    @similarity_fn_name.setter
    def similarity_fn_name(self, name: Any) -> None:
        self._similarity = vectors.require_similarity(name)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """[rows of the first, rows of the second]: each compared with each; larger is more alike."""
        return tensors.tensor_if_installed(vectors.similarities(embeddings1, embeddings2, self._similarity))

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """[rows]: the first with the first, the second with the second, and so on."""
        return tensors.tensor_if_installed(vectors.pairwise(embeddings1, embeddings2, self._similarity))

    # --- what the model is ---

    def get_embedding_dimension(self) -> int:
        """How many numbers a vector has."""
        whole = self._program.pooled().x.features
        return whole if self._kept is None else min(whole, self._kept)

    get_sentence_embedding_dimension = get_embedding_dimension

    @property
    def truncate_dim(self) -> int | None:
        """How many numbers of a vector are kept, None for all."""
        return self._kept

    @truncate_dim.setter
    def truncate_dim(self, features: int | None) -> None:
        self._kept = kept_features(features)

    @property
    def max_seq_length(self) -> int | None:
        """Where texts are cut, in tokens, special ones counted; None where nowhere."""
        texts = self._program.texts
        assert texts is not None
        return texts.max_tokens

    @max_seq_length.setter
    def max_seq_length(self, tokens: int | None) -> None:
        """None: at the most the model takes. InputError for more than that."""
        whole = tokens is None or (isinstance(tokens, int) and not isinstance(tokens, bool) and tokens > 0)
        require(whole, InputError, f"max_seq_length={tokens!r}: give a whole number from 1 on, or None")
        most = self._program.built.graph.max_length
        fits = tokens is None or most is None or tokens <= most
        require(fits, InputError, f"max_seq_length={tokens}: the model takes at most {most} tokens")
        texts = self._program.texts
        assert texts is not None
        self._program = again(self._program, max_tokens=most if tokens is None else tokens)

    def get_max_seq_length(self) -> int | None:
        return self.max_seq_length

    @property
    def device(self) -> Any:
        """The CPU, as a ``torch.device`` where torch has been imported, else as the text ``cpu``."""
        return tensors.cpu()

    @property
    def tokenizer(self) -> Any:
        """A copy of the tokenizer as transformers has them; MissingDependencyError without transformers."""
        from aerogel.model.transformers_tokenizer import transformers_tokenizer

        texts = self._program.texts
        assert texts is not None
        return transformers_tokenizer(texts)

    # --- as a torch module ---

    def tokenize(self, texts: Any) -> dict[str, Any]:
        """The inputs of ``forward`` for a list of texts, padded to the longest."""
        found = self._program.tokenize(listed(texts)[0])
        return {name: tensors.tensor_if_installed(array) for name, array in found.items()}

    def preprocess(self, inputs: Any, prompt: str | None = None) -> dict[str, Any]:
        """``tokenize``, with a prompt put before each text."""
        return self.tokenize(self._prompted(listed(inputs)[0], None, prompt or ""))

    def forward(self, features: Mapping[str, Any]) -> dict[str, Any]:
        """``features``, arrays or tensors by name as ``tokenize`` gives them, and ``sentence_embedding``, of
        the same kind. Token embeddings are not among them: ask ``encode``."""
        names = [i.name for i in self._program.built.graph.inputs]
        kinds = features.get("token_type_ids")
        second = kinds is not None and "token_type_ids" not in names and bool(np.asarray(kinds).any())
        require(not second, UnsupportedError, "pairs of texts: this model was compiled for single ones")
        found = self._program(**{name: features[name] for name in names if name in features})
        output = found[self._program.pooled().output] if isinstance(found, dict) else found
        return {**features, SENTENCE: output}

    __call__ = forward

    def cpu(self) -> Self:
        return self

    def _refuse_processes(self, *_given: Any, **_named: Any) -> Never:
        refuse(UnsupportedError, _PROCESSES)

    start_multi_process_pool = _refuse_processes
    stop_multi_process_pool = _refuse_processes
    encode_multi_process = _refuse_processes


_PROCESSES = "other processes are not needed: encode takes all cores in this one, or as many as threads= said"


def _inputs(sentences: Any, others: dict[str, Any]) -> Any:
    """The texts, which newer versions call ``inputs``; InputError for arguments nobody knows."""
    given = dict(others)
    if sentences is None and "inputs" in given:
        sentences = given.pop("inputs")
    unknown = sorted(set(given) - set(_IGNORED))
    require(not unknown, InputError, f"encode has no argument {', '.join(unknown)}")
    return sentences


def _require_output(output: str | None, wanted: Form) -> None:
    known = output in (None, TOKENS)
    told = f"output_value={output!r} is unknown: give {SENTENCE!r}, {TOKENS!r} or None for everything"
    require(known, InputError, told)
    exact = wanted.precision == "float32"
    require(exact, UnsupportedError, f"precision={wanted.precision!r} is for sentence vectors: leave it out")
