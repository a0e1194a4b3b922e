"""A Keras model as it is given: its graph, its signature, its precision, and inputs to try it on."""
