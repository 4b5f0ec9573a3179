"""Sparse weights in files: those that shrink, others' layouts, checkpoints that hold zeros already."""

from __future__ import annotations

from aerogel.prune.interchange.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from aerogel.prune.interchange.declared import Declared
from aerogel.prune.interchange.densify import to_dense
from aerogel.prune.interchange.recognise import Recognised, SparseLayer, already_sparse
from aerogel.prune.interchange.sparse_file import Loaded, Saved, load_sparse, save_sparse

__all__ = [
    "Checkpoint",
    "Declared",
    "Loaded",
    "Recognised",
    "Saved",
    "SparseLayer",
    "already_sparse",
    "load_sparse",
    "read_checkpoint",
    "save_sparse",
    "to_dense",
    "write_checkpoint",
]
