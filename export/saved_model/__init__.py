"""A Keras model as the graph that both converters read."""
