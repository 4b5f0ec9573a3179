"""A graph with other outputs than it was made with: one vector per text, and the tokens it is pooled from."""

from __future__ import annotations

from dataclasses import replace

from aerogel.core.errors import InputError, UnsupportedError, require
from aerogel.model.graph import Graph, Output, Pool, Value, operands

SENTENCE = "sentence_embedding"
TOKENS = "token_embeddings"
_HIDDEN = ("last_hidden_state", TOKENS)
# Outputs over rows that are no vectors for texts: a classifier's, and of a layer trained for something else.
_OTHER = ("logits", "pooler_output")


def sentence_graph(graph: Graph) -> Graph:
    """``graph`` with one vector per text as an output called ``SENTENCE``; itself where it has that, or one
    pooled output and no other. An encoder without pooling gets the mean over tokens, as sentence-transformers
    does. InputError for any other."""
    names = {output.name: graph.value(output.value) for output in graph.outputs}
    pooled = [name for name, value in names.items() if value.columns == "rows" and name not in _OTHER]
    if SENTENCE in pooled or (len(pooled) == 1 and len(names) == 1):
        return graph
    hidden = next((names[name] for name in _HIDDEN if name in names), None)
    found = ", ".join(names)
    known = hidden is not None and hidden.columns == "tokens"
    require(known, InputError, f"the model puts out {found}: a sentence encoder puts out one vector per text")
    assert hidden is not None
    taken = {op.out.name for op in graph.ops}
    name = next(n for n in (SENTENCE, *(f"{SENTENCE}_{i}" for i in range(len(taken)))) if n not in taken)
    mean = Pool(Value(name, hidden.features, "rows"), hidden.name, "mean", "mean of the tokens")
    return replace(graph, ops=(*graph.ops, mean), outputs=(Output(SENTENCE, name),))


def token_graph(graph: Graph, pooled: str) -> Graph:
    """``graph`` with two outputs: ``pooled``, and the tokens it is made from, called ``TOKENS``.
    UnsupportedError where that output is not made of one pooling."""
    ops = {op.out.name: op for op in graph.ops}
    kept = next(output for output in graph.outputs if output.name == pooled)
    reached = [kept.value]
    sources: set[str] = set()
    while reached:
        op = ops.get(reached.pop())
        if isinstance(op, Pool):
            sources.add(op.x)
        elif op is not None:
            reached.extend(operands(op))
    told = f"output {pooled!r} is pooled from {len(sources)} values: the tokens of one pooling can be given"
    require(len(sources) == 1, UnsupportedError, told)
    return replace(graph, outputs=(kept, Output(TOKENS, sources.pop())))
