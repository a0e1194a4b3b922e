"""Every layer's error in a file, in the order in which the model runs."""
