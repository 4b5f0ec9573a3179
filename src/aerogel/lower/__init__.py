"""A scheduled einsum as loops: co-iteration, workspaces, assembly of sparse results."""
