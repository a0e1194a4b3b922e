"""A functional model as Python code: a custom layer or a subclassed model whose call repeats what the model records."""

import keras
from keras import tree
from keras_norms.export.model.keras_graph import nodes


def replay(inner, inputs):
    """What the functional model `inner` computes, each of its calls made one by one, the training flags left open."""
    values = {id(x): y for x, y in zip(inner._inputs, tree.flatten(inputs), strict=True)}

    def fill(x):
        return values.get(id(x), x)

    for node in nodes(inner):
        args, kwargs = tree.map_structure(fill, node.arguments.args), tree.map_structure(fill, node.arguments.kwargs)
        made = tree.flatten(
            node.operation(*args, **{k: v for k, v in kwargs.items() if k != "training" and v is not None})
        )
        values |= {id(x): y for x, y in zip(node.outputs, made, strict=True)}
    return tree.map_structure(fill, inner._outputs_struct)


@keras.saving.register_keras_serializable("tests")
class Replay(keras.layers.Layer):
    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def build(self, shape):
        pass

    def call(self, x):
        return replay(self.inner, x)

    def get_config(self):
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("inner")), **config)


class Subclassed(keras.Model):
    def __init__(self, inner):
        super().__init__(name=inner.name)
        self.inner = inner

    def call(self, inputs):
        return replay(self.inner, inputs)

    def get_config(self):
        return {}
