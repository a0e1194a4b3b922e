"""What a quantized file is asked for, whatever its format: the modes, and calibration data."""
