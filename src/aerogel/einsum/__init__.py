"""Index notation: what to compute, as a tree; its parsers and its slow meaning.

Two notations are read: ``parse`` (index notation) and ``from_string`` (NumPy's subscripts). ``extents`` and
``result_dtype`` check an assignment against its operands, ``interpret`` is its definition on NumPy arrays.
"""
