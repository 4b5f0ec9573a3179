"""The program of a sentence encoder, wherever it comes from: it puts out one vector per text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from aerogel.core.errors import InputError, require
from aerogel.model.compile import build, load
from aerogel.model.from_torch import from_torch
from aerogel.model.graph_outputs import sentence_graph, token_graph
from aerogel.model.program import Program
from aerogel.model.sentence_settings import RECORDED
from aerogel.model.source import load_model
from aerogel.tune.plan import Plan

PlanChoice = Plan | Literal["timed", "quick"]


def sentence_program(model: str | Path | Program, threads: int | None, plan: PlanChoice) -> Program:
    """The program of an artefact, a model's directory or another program, with one vector per text as an
    output, and texts cut where the model ends. InputError for what is no encoder of texts."""
    if isinstance(model, Program):
        program = model if threads is None else again(model, threads=threads)
    elif Path(model).is_file():
        program = load(model, threads=threads, plan=plan)
    else:
        source = load_model(str(model))
        graph = sentence_graph(from_torch(source.module, source.example_inputs))
        settings = {} if source.settings is None else {RECORDED: source.settings.to_json()}
        provenance = {"source": source.name, **settings}
        program = build(graph, threads=threads, plan=plan, texts=source.texts(), provenance=provenance)
    lacking = "the model has no tokenizer.json, so it takes no texts: put one beside its weights"
    require(program.texts is not None, InputError, lacking)
    graph = sentence_graph(program.built.graph)
    if graph is not program.built.graph:
        plan, target = program.plan, program.built.target
        pooled = build(graph, threads=program.threads, plan=plan, target=target)
        program = Program(pooled.built, program.threads, program.texts, program.provenance)
    return again(program, max_tokens=most_tokens(program))


def most_tokens(program: Program) -> int | None:
    """The least of what the model takes and where its texts are cut."""
    assert program.texts is not None
    found = (program.built.graph.max_length, program.texts.max_tokens)
    return min((n for n in found if n is not None), default=None)


def again(program: Program, *, max_tokens: int | None = None, **changed: Any) -> Program:
    """The same native program with other threads, provenance, or another place to cut texts at."""
    texts = program.texts
    if texts is not None and max_tokens is not None and max_tokens != texts.max_tokens:
        texts = replace(texts, max_tokens=max_tokens)
    kept: dict[str, Any] = {"threads": program.threads, "provenance": program.provenance}
    return Program(program.built, texts=texts, **(kept | changed))


def with_tokens(program: Program) -> Program:
    """The program that puts tokens out too; its weights are packed anew, so it takes as much memory."""
    graph = token_graph(program.built.graph, program.pooled().output)
    made = build(graph, threads=program.threads, plan=program.plan, target=program.built.target)
    return Program(made.built, program.threads, program.texts, program.provenance)
