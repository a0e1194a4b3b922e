"""From a traced model to a .tflite file that LiteRT runs: `tflite_format.py` is what the table of formats names."""
