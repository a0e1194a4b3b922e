"""For each wrong argument, the error says what must hold, what was received, and what to do."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from layer_cases import BN, BRN, GN, IN, LN

import keras_norms

EVERY = (BN, BRN, GN, IN, LN)
CHANNEL = (BN, BRN, GN, IN)
_AXIS = r"`axis` has to be an integer\. Received: axis={}\. Use -1 for channels-last data, 1 for channels-first data\."

# layers, arguments, error, text
CONSTRUCTOR = (
    (
        EVERY,
        {"epsilon": -1e-3},
        ValueError,
        r"`epsilon` has to be a finite number of at least 0\. Received: epsilon=-0\.0",
    ),
    (EVERY, {"epsilon": float("nan")}, ValueError, r"Received: epsilon=nan\. The default is 1e-3\."),
    (EVERY, {"epsilon": "small"}, ValueError, r"Received: epsilon='small'"),
    (EVERY, {"center": 1}, TypeError, r"`center` has to be True or False\. Received: center=1\. Pass a bool\."),
    (EVERY, {"scale": None}, TypeError, r"`scale` has to be True or False\. Received: scale=None\."),
    (CHANNEL, {"axis": 1.0}, TypeError, _AXIS.format(r"1\.0")),
    (CHANNEL, {"axis": True}, TypeError, _AXIS.format("True")),
    (CHANNEL, {"axis": [1, 2]}, TypeError, _AXIS.format(r"\[1, 2\]")),
    (CHANNEL, {"axis": None}, TypeError, _AXIS.format("None")),
    (
        (LN,),
        {"axis": None},
        TypeError,
        r"`axis` has to be an integer\. Received: axis=None\. Use one integer or a list",
    ),
    ((LN,), {"axis": []}, ValueError, r"`axis` has to name at least one axis\. Received: axis=\[\]\. Use -1"),
    (
        (LN,),
        {"axis": [1.5]},
        TypeError,
        r"`axis` has to be an integer\. Received: axis=1\.5\. Use one integer or a list",
    ),
    ((LN,), {"rms_scaling": True}, ValueError, r"`rms_scaling` is not supported.*keras\.layers\.RMSNormalization"),
    (
        (BN, BRN),
        {"momentum": 2},
        ValueError,
        r"`momentum` has to be a number from 0 to 1\. Received: momentum=2\. The def",
    ),
    ((BN, BRN), {"momentum": -0.1}, ValueError, r"Received: momentum=-0\.1"),
    (
        (BN, BRN),
        {"synchronized": "yes"},
        TypeError,
        r"`synchronized` has to be True or False\. Received: synchronized='yes'",
    ),
    (
        (BN, BRN),
        {"virtual_batch_size": 0},
        ValueError,
        r"`virtual_batch_size` has to be at least 1\. Received: virtual_b",
    ),
    (
        (BN, BRN),
        {"virtual_batch_size": 2.0},
        TypeError,
        r"`virtual_batch_size` has to be an integer\. Received: .*2\.0",
    ),
    (
        (BN, BRN),
        {"virtual_batch_size": 4, "synchronized": True},
        ValueError,
        r"`synchronized` widens .* Received: synchronized=True, virtual_batch_size=4\. Use one of the two\.",
    ),
    ((BN,), {"renorm": True}, ValueError, r"`renorm` is not an argument .* Use keras_norms\.BatchRenormalization"),
    ((BRN,), {"schedule": 3}, TypeError, r"`schedule` has to be a RenormSchedule\. Received: schedule=3\. Use Renorm"),
    (
        (BRN,),
        {"renorm_clipping": {"rmax": 3.0}},
        ValueError,
        r"clips by its schedule\. Received: renorm_clipping=\{'rmax': 3\.0\}\. Use schedule=RenormSchedule\.constant",
    ),
    (
        (GN,),
        {"groups": 0},
        ValueError,
        r"`groups` has to be a positive integer, or -1 .* Received: groups=0\. The default",
    ),
    ((GN,), {"groups": -2}, ValueError, r"Received: groups=-2"),
    (
        (GN,),
        {"groups": True},
        TypeError,
        r"`groups` has to be an integer\. Received: groups=True\. Use a positive integer",
    ),
    ((GN,), {"groups": 2.0}, TypeError, r"Received: groups=2\.0"),
)
_MISSPELT = r"has no argument `{0}`\. Received: {0}={1}\. {2}The arguments are: .*\baxis, .*\bname, "
CONSTRUCTOR += (
    (EVERY, {"axsi": 1}, TypeError, "^[A-Z][A-Za-z]* " + _MISSPELT.format("axsi", 1, r"Did you mean `axis`\? ")),
    (EVERY, {"nmae": "x"}, TypeError, _MISSPELT.format("nmae", "'x'", r"Did you mean `name`\? ")),
    (EVERY, {"qqq": None}, TypeError, _MISSPELT.format("qqq", None, "")),
    (
        EVERY,
        {"qqq": 1, "epsilom": 2},
        TypeError,
        r"`qqq` or `epsilom`\. Received: qqq=1, epsilom=2\. Did .* `epsilon`\?",
    ),
    ((BN, BRN), {"momentun": 0.9}, TypeError, r"Did you mean `momentum`\?"),
    ((BRN,), {"shedule": 0.9}, TypeError, r"Did you mean `schedule`\?"),
    ((GN,), {"group": 2}, TypeError, r"Did you mean `groups`\? The arguments are: groups, axis, "),
)
BUILD = (
    (
        CHANNEL,
        {"axis": 3},
        (4, 5, 32),
        r"`axis` has to be one of the axes of the input\. Received: axis=3 .* from -2 to 2\.",
    ),
    (CHANNEL, {"axis": -4}, (4, 5, 32), r"Received: axis=-4 with input shape \(4, 5, 32\)"),
    (
        (*CHANNEL, LN),
        {"axis": 0},
        (4, 5, 32),
        r"`axis` must not be the batch axis\. Received: axis=0 .* Use the channel",
    ),
    ((*CHANNEL, LN), {"axis": -3}, (4, 5, 32), r"`axis` must not be the batch axis\. Received: axis=-3"),
    (
        (*CHANNEL, LN),
        {},
        (4, 5, None),
        r"The size of the input along `axis` has to be known\. Received: axis=-1 .*Give",
    ),
    (
        (BN, BRN, GN, LN),
        {},
        (4,),
        r"needs an input with a batch axis and a channel axis\. Received: input shape \(4,\)",
    ),
    ((LN,), {"axis": [1, -2]}, (4, 5, 32), r"`axis` must name each axis once\. Received: axis=\[1, -2\]"),
    (
        (IN,),
        {},
        (4, 32),
        r"at least one axis besides the batch and the channels\. Received: input shape \(4, 32\)\. Use Layer",
    ),
    (
        (GN,),
        {"groups": 5},
        (4, 32),
        r"number of channels has to be a multiple of `groups`\. Received: 32 channels .* groups=5",
    ),
    ((GN,), {"groups": 64}, (4, 32), r"Use a divisor of 32, or -1 for one channel in each group\."),
)


def _rows(table):
    return [pytest.param(layer, *row, id=f"{layer.__name__}-{row[0]}") for layers, *row in table for layer in layers]


@pytest.mark.parametrize(("layer", "arguments", "error", "text"), _rows(CONSTRUCTOR))
def test_constructor(layer, arguments, error, text):
    with pytest.raises(error, match=text):
        layer(**arguments)


@pytest.mark.parametrize(("layer", "arguments", "shape", "text"), _rows(BUILD))
def test_build(layer, arguments, shape, text):
    with pytest.raises(ValueError, match=text):
        layer(**arguments).build(shape)


def test_every_invariant_has_a_remedy():
    """Every error has at least three sentences: what must hold, what was received, what to do."""
    for layers, arguments, error, _ in CONSTRUCTOR:
        with pytest.raises(error, match="Received: ") as caught:
            layers[0](**arguments)
        assert str(caught.value).split("Received: ")[1].rstrip(".").count(". ") >= 1


@pytest.mark.parametrize("shape", [(4, 6), (4, 5, 12), (4, 5, 7, 6)], ids=str)
@pytest.mark.parametrize("layer", [BN(), BRN(), GN(2), IN(), LN()], ids=lambda v: type(v).__name__)
def test_another_kind_of_input_after_build(layer, shape):
    """Twice as many channels must not be taken for two positions."""
    layer = type(layer).from_config(layer.get_config())
    layer.build((4, 5, 6))
    text = "incompatible with the layer"
    if isinstance(layer, LN):
        text = r"built for\. Received: input shape .*; built for rank 3 and sizes \{2: 6\} by axis\. Use another layer"
    with pytest.raises(ValueError, match=text):
        layer(np.zeros(shape, "float32"))


_DENSE = r" needs a dense tensor of numbers\. Received: "
UNUSABLE = (
    (lambda: tf.constant([["a", "b"], ["c", "d"]]), r"text \(EagerTensor of shape \(2, 2\)\)\. Turn it into numbers"),
    (lambda: np.array([[["a", "b"]]]), r"text \(ndarray of shape \(1, 1, 2\)\)\. Turn it into numbers first"),
    (lambda: [["a", "b"]], r"text \(list\)\. Turn it into numbers first"),
    (lambda: keras.Input((3, 4), dtype="string"), r"text \(KerasTensor of shape \(None, 3, 4\)\)\. Turn"),
    (lambda: tf.ragged.constant([[[1.0, 2.0]], []]), r"a ragged tensor \(RaggedTensor of shape .*\)\. Pad it"),
    (lambda: [[1.0], [1.0, 2.0]], r"a list of rows of unequal lengths \(list\)\. Pad the rows"),
    (lambda: tf.sparse.from_dense(np.eye(4)), r"a sparse tensor \(SparseTensor of shape \(4, 4\)\)\. Make it dense"),
    (lambda: keras.Input((3, 4), sparse=True), r"a sparse tensor \(KerasTensor of shape .*\)\. Make it dense first"),
)


@pytest.mark.parametrize(
    ("make", "text"), UNUSABLE, ids=[row[1].split(r" \(")[0] + str(i) for i, row in enumerate(UNUSABLE)]
)
@pytest.mark.parametrize("layer", EVERY)
def test_inputs_that_are_no_dense_numbers(layer, make, text):
    """One error, and the layer is not built for what came."""
    made = layer()
    with pytest.raises(TypeError, match="^" + layer.__name__ + _DENSE + text):
        made(make())
    assert not made.built


def test_numpy_integers_are_integers():
    assert keras_norms.GroupNormalization(np.int64(4)).groups == 4
    assert BN(axis=np.int32(1)).axis == 1


@pytest.mark.parametrize("layer", EVERY)
def test_the_arguments_of_every_keras_layer(layer):
    """They are not taken for misspelt ones."""
    given = {"name": "norm", "dtype": "mixed_float16", "trainable": False, "autocast": True}
    made = layer(**given, activity_regularizer="l2")
    assert (made.name, made.dtype_policy.name, made.trainable) == ("norm", "mixed_float16", False)
    assert made.activity_regularizer is not None
    with pytest.warns(UserWarning, match="input_shape"):
        layer(input_shape=(3, 4))
    with pytest.warns(UserWarning, match="input_dim"):
        layer(input_dim=3)


def test_an_argument_of_a_subclass():
    class Wider(BN):
        def __init__(self, width=1, **kwargs):
            super().__init__(**kwargs)
            self.width = width

    assert Wider(width=2, axis=1).width == 2
    with pytest.raises(TypeError, match=r"Wider has no argument `widht`.* Did you mean `width`\? .*: width, axis, "):
        Wider(widht=2)


def test_an_argument_of_a_class_behind_the_layer():
    """A class that stands after the layer among the bases of a subclass can take arguments of its own."""

    class Marked(keras.layers.Layer):
        def __init__(self, mark=None, **kwargs):
            super().__init__(**kwargs)
            self.mark = mark

    class Mixed(IN, Marked):
        pass

    assert Mixed(mark="here").mark == "here"
    with pytest.raises(TypeError, match=r"Mixed has no argument `marc`.* Did you mean `mark`\?"):
        Mixed(marc="here")
