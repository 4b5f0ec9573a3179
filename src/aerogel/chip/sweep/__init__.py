"""Sweeps: the same work on many fabrics, and which of them nothing else beats."""
