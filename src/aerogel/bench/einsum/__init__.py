"""Sparse algebra against the libraries people use for it: the same operands, each library in its own
process.

``operations`` says what is computed, ``data`` on which patterns, ``problem`` with which operands and what
must come out; one file ``*_side`` for each library; ``summary`` is what is made of the times. Files that
run in the other libraries' environment import nothing of aerogel but what makes do with NumPy and SciPy.
"""
