"""Index notation: what to compute, as a tree; its parsers and its slow meaning."""
