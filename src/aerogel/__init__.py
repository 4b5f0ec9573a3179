"""aerogel: find, induce, store, run and prove sparsity, from the model down to the chip."""

__version__ = "0.1.0"
