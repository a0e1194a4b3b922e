"""From a traced model to a .tflite file that LiteRT runs: `target.py` is what the table of targets names."""
