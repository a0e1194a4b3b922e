"""From a SavedModel to an ONNX graph, in the converting process."""
