"""Quantized ONNX files."""
