"""Quantized TFLite files: ranges, roundings, and what stays in float."""
