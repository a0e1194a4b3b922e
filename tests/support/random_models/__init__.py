"""Random Keras models from seeds, what becomes of them in an export, and the smallest that fail alike.

`random_model(seed)` is a model, `random_recipe(seed).script()` the code that makes it.
"""

from .generate import outputs_of, random_model, random_recipe
from .inputs import ordinary_inputs
from .recipe import Recipe, Step, float64, randomize

__all__ = ["Recipe", "Step", "float64", "ordinary_inputs", "outputs_of", "random_model", "random_recipe", "randomize"]
