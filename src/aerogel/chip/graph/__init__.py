"""Dataflow graphs: blocks that talk through streams, as in the sparse abstract machine (Hsu et al. 2023)."""
