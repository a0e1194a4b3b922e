"""What XNNPACK, GPUs and NPUs take of a TFLite file."""
