"""From a SavedModel to a .tflite file, in the converting process."""
