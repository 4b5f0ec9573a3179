"""Graphs of the zoo's networks, each imported once for all tests: tracing one takes a second."""

from __future__ import annotations

from functools import cache

import torch
from tests.model import zoo

from aerogel.model.from_torch import from_torch
from aerogel.model.graph import Graph

HUGGING = ("BertModel", "DistilBertModel", "RobertaModel", "MPNetModel", "BertForSequenceClassification")


@cache
def graph_of(name: str) -> Graph:
    """A network of the zoo by name: ``mlp``, ``gated``, a way to pool, or a class of transformers."""
    if name in ("mlp", "gated"):
        return from_torch(getattr(zoo, name)(), (torch.ones(2, 8),))
    module = zoo.pooled(name) if name in zoo.POOLS else zoo.hugging(name)
    return from_torch(module, zoo.as_torch(zoo.batch((4, 3))))
