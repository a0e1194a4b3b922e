"""From a recorded model to a .tflite file that LiteRT runs: `tflite_format.py` is the module in `FORMATS`."""
