"""Folding, export and verification of Keras models with normalization layers."""
