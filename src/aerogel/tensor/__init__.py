"""Tensors as a user sees them: made from what other libraries have, computed with, kept in files."""
