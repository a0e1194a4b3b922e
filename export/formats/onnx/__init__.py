"""From a traced model to an .onnx file that ONNX Runtime runs: `onnx_format.py` is what the table of formats names."""
