"""The accelerator: from a scheduled einsum to a dataflow graph, a fabric, configuration words and cycles."""
