"""Batch norms merged into their neighbours' weights."""
