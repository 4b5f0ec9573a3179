"""A compiled program where a model from transformers is expected: in its pipelines, say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aerogel.core.errors import InputError, MissingDependencyError, UnsupportedError, require
from aerogel.model.compile import compile as compile_module
from aerogel.model.compile import load
from aerogel.model.evaluating import Evaluating
from aerogel.model.program import Program

# What a call may ask for that makes no difference to what is computed.
_IGNORED = ("use_cache", "return_dict")


class TransformersModel(Evaluating):
    """A program with the face of the transformers model it came from, to be put in its place.

        >>> pipe = transformers.pipeline("text-classification", model=folder)    # doctest: +SKIP
        >>> pipe.model = aerogel.TransformersModel(pipe.model)                   # doctest: +SKIP
        >>> pipe(["a text", "another"], batch_size=8)                            # doctest: +SKIP

    ``model``: a model from transformers, which is compiled now; or a Program or the path of a saved one, with
    ``config``: the model's configuration, or the directory that holds it. Other arguments as for
    ``aerogel.compile`` or ``aerogel.load``. It takes what a tokenizer makes (ids, mask, token types), and
    returns tensors by name as the model does, zero for the tokens that the mask leaves out. It is no
    PreTrainedModel, cannot be trained or moved from the CPU, and generates nothing: asking for what it cannot
    do is an UnsupportedError.
    """

    base_model_prefix = ""
    main_input_name = "input_ids"
    input_modalities = ("text",)
    training = False

    def __init__(self, model: Any, config: Any = None, **options: Any) -> None:
        self.program, own = _program(model, options)
        self.config = _config(config) if config is not None else own
        told = "a program does not know its model's configuration: give config=, or the model's directory"
        require(self.config is not None, InputError, told)
        self.name_or_path = str(getattr(self.config, "name_or_path", ""))
        self.base_model_prefix = str(getattr(model, "base_model_prefix", ""))

    def __repr__(self) -> str:
        inputs = ", ".join(i.name for i in self.program.built.graph.inputs)
        return f"TransformersModel({type(self.config).__name__.removesuffix('Config')}: {inputs})"

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        **named: Any,
    ) -> Any:
        """The model's outputs by name, as a ModelOutput of float32 tensors; a tuple where ``return_dict`` is
        False. UnsupportedError for an argument with a meaning the program does not have."""
        from transformers.utils.generic import ModelOutput

        names = [i.name for i in self.program.built.graph.inputs]
        tokens = {"attention_mask": attention_mask, "token_type_ids": token_type_ids, "input_ids": input_ids}
        given = {name: value for name, value in {**tokens, **named}.items() if value is not None}
        for name in sorted(set(given) - set(names)):
            told = f"{name} is nothing this program was compiled for: it takes {', '.join(names)}"
            require(_says_nothing(name, given.pop(name)), UnsupportedError, told)
        found = self.program(**{name: _tensor(value) for name, value in given.items()})
        outputs = self.program.built.graph.outputs
        whole = ModelOutput(found if isinstance(found, dict) else {outputs[0].name: found})
        return whole.to_tuple() if named.get("return_dict") is False else whole

    __call__ = forward

    @property
    def device(self) -> Any:
        import torch

        return torch.device("cpu")

    @property
    def dtype(self) -> Any:
        import torch

        return torch.float32

    def can_generate(self) -> bool:
        return False


def _program(model: Any, options: Mapping[str, Any]) -> tuple[Program, Any]:
    """The program, and the configuration the model came with, None for one that has none."""
    if isinstance(model, Program):
        told = f"a program is compiled already: leave out {', '.join(options)}"
        require(not options, InputError, told)
        return model, None
    if isinstance(model, str | Path):
        return load(model, **options), None
    if hasattr(model, "preprocess") and hasattr(model, "model"):
        raise InputError(f"a {type(model).__name__} is no model: give its .model, and put the result there")
    return compile_module(model, **options), getattr(model, "config", None)


def _config(given: Any) -> Any:
    """A configuration, read where it is a directory's name; InputError where there is none."""
    if not isinstance(given, str | Path):
        return given
    try:
        from transformers import AutoConfig
    except ImportError as error:
        raise MissingDependencyError('this needs transformers: pip install "aerogel[bench]"') from error
    file = Path(given) / "config.json"
    require(file.is_file(), InputError, f"{given} has no config.json: give a model's directory")
    try:
        return AutoConfig.from_pretrained(str(given), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # transformers raises nearly anything for a broken file
        raise InputError(f"{file} cannot be read: {error}") from error


def _says_nothing(name: str, value: Any) -> bool:
    """Whether leaving an argument out changes nothing: a request not made, or one sentence throughout."""
    if name in _IGNORED or value is False:
        return True
    return name == "token_type_ids" and not bool(_tensor(value).any())


def _tensor(value: Any) -> Any:
    import torch

    return torch.as_tensor(value)
