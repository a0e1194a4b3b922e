"""From a traced model to an .onnx file that ONNX Runtime runs: `target.py` is what the table of targets names."""
