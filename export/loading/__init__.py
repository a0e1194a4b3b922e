"""A Keras model from a file of any age."""
