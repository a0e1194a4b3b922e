"""Norms whose map travels before a layer takes it in: pooling, reshaping, joining; and norms that meet norms."""

import keras
import numpy as np
import pytest
from fold_checks import assert_folds, randomize

import keras_norms

L = keras.layers
IMAGE, SERIES, VOLUME = (9, 8, 4), (12, 4), (6, 5, 4, 4)


def bn(name="bn", **kwargs):
    return L.BatchNormalization(name=name, **kwargs)


def sequence(shape, *layers, positive=False, shiftless=False):
    model = randomize(keras.Sequential([keras.Input(shape), *layers]))
    for layer in model._flatten_layers():
        if isinstance(layer, L.BatchNormalization):
            if layer.gamma is not None:
                gamma = keras.ops.convert_to_numpy(layer.gamma.value).copy()
                gamma[0] = -1.5
                layer.gamma.assign(np.abs(gamma) if positive else gamma)
            if shiftless:
                layer.beta.assign(np.zeros(layer.beta.shape))
                layer.moving_mean.assign(np.zeros(layer.beta.shape))
    return model


PASSAGES = {
    "average1d": (SERIES, lambda: L.AveragePooling1D(2), lambda: L.Conv1D(3, 2), {}),
    "average2d": (IMAGE, lambda: L.AveragePooling2D(2), lambda: L.Conv2D(3, 2), {}),
    "average2d_same": (IMAGE, lambda: L.AveragePooling2D(3, 2, padding="same"), lambda: L.Conv2D(3, 2), {}),
    "average3d": (VOLUME, lambda: L.AveragePooling3D(2), lambda: L.Conv3D(3, 2), {}),
    "max2d_positive": (IMAGE, L.MaxPooling2D, lambda: L.Conv2D(3, 2), {"positive": True}),
    "max2d_same_positive": (
        IMAGE,
        lambda: L.MaxPooling2D(3, padding="same"),
        lambda: L.Conv2D(3, 2),
        {"positive": True},
    ),
    "global_average2d": (IMAGE, L.GlobalAveragePooling2D, lambda: L.Dense(3), {}),
    "global_average2d_kept": (IMAGE, lambda: L.GlobalAveragePooling2D(keepdims=True), lambda: L.Conv2D(3, 1), {}),
    "global_max1d_positive": (SERIES, L.GlobalMaxPooling1D, lambda: L.Dense(3), {"positive": True}),
    "upsampling2d": (IMAGE, L.UpSampling2D, lambda: L.Conv2D(3, 2), {}),
    "upsampling2d_bilinear": (IMAGE, lambda: L.UpSampling2D(interpolation="bilinear"), lambda: L.Conv2D(3, 2), {}),
    "upsampling1d": (SERIES, L.UpSampling1D, lambda: L.Conv1D(3, 2), {}),
    "upsampling3d": (VOLUME, L.UpSampling3D, lambda: L.Conv3D(3, 2), {}),
    "cropping2d": (IMAGE, lambda: L.Cropping2D(1), lambda: L.Conv2D(3, 2), {}),
    "dropout": (IMAGE, lambda: L.Dropout(0.5), lambda: L.Conv2D(3, 2), {}),
    "spatial_dropout": (IMAGE, lambda: L.SpatialDropout2D(0.5), lambda: L.Conv2D(3, 2), {}),
    "noise": (IMAGE, lambda: L.GaussianNoise(0.5), lambda: L.Conv2D(3, 2), {}),
    "identity": (IMAGE, L.Identity, lambda: L.Conv2D(3, 2), {}),
    "linear": (IMAGE, lambda: L.Activation("linear"), lambda: L.Conv2D(3, 2), {}),
    "zero_padding_shiftless": (IMAGE, L.ZeroPadding2D, lambda: L.Conv2D(3, 2), {"shiftless": True}),
    "permute": (IMAGE, lambda: L.Permute((2, 1, 3)), lambda: L.Conv2D(3, 2), {}),
    "reshape": (IMAGE, lambda: L.Reshape((-1, 4)), lambda: L.Conv1D(3, 2), {}),
    "reshape_split": (IMAGE, lambda: L.Reshape((3, 3, 8, 4)), lambda: L.Dense(3), {}),
}


@pytest.mark.parametrize("case", PASSAGES)
def test_backward_through(case):
    shape, passage, _, weights = PASSAGES[case]
    conv = {2: L.Conv1D, 3: L.Conv2D, 4: L.Conv3D}[len(shape)](4, 1, name="conv")
    _, report = assert_folds(sequence(shape, conv, passage(), bn(), L.ReLU(), **weights), ["bn"])
    assert report.folded[0].into == ("conv",)


@pytest.mark.parametrize("case", PASSAGES)
def test_forward_through(case):
    shape, passage, last, weights = PASSAGES[case]
    _, report = assert_folds(sequence(shape, L.ReLU(), bn(), passage(), last(), **weights), ["bn"])
    assert report.folded[0].rule.startswith("before ")


FLATTENED = {
    "channels_last": ((3, 2, 4), -1, {}),
    "channels_first": ((4, 3, 2), 1, {}),
    "channels_first_moved": ((4, 3, 2), 1, {"data_format": "channels_first"}),
    "middle_axis": ((3, 2, 4), 2, {}),
}


@pytest.mark.parametrize("case", FLATTENED)
def test_forward_through_flatten(case):
    shape, axis, options = FLATTENED[case]
    assert_folds(sequence(shape, L.ReLU(), bn(axis=axis), L.Flatten(**options), L.Dense(3)), ["bn"])


def test_backward_through_flatten_only_from_one_position():
    assert_folds(sequence((1, 1, 4), L.Conv2D(5, 1), L.Flatten(), bn(), L.ReLU()), ["bn"])
    assert_folds(
        sequence((2, 1, 4), L.Conv2D(5, 1), L.Flatten(), bn(), L.ReLU()),
        [],
        {"bn": "where the norm is no longer along one axis"},
    )


NOT_THROUGH = {
    "max_negative": (IMAGE, L.MaxPooling2D, "gamma is negative in some channel"),
    "global_max_negative": (IMAGE, L.GlobalMaxPooling2D, "gamma is negative in some channel"),
    "zero_padding": (IMAGE, L.ZeroPadding2D, "pads with zeros, which the norm would shift"),
    "relu": (IMAGE, L.ReLU, "(ReLU) is not linear"),
    "relu_activation": (IMAGE, lambda: L.Activation("relu"), "is the activation 'relu', not linear"),
    "bicubic": (IMAGE, lambda: L.UpSampling2D(interpolation="bicubic"), "interpolates by 'bicubic'"),
    "softmax": (IMAGE, L.Softmax, "(Softmax) is not linear"),
}


@pytest.mark.parametrize("case", NOT_THROUGH)
def test_not_through(case):
    shape, passage, reason = NOT_THROUGH[case]
    assert_folds(sequence(shape, L.Conv2D(4, 1), passage(), bn(), L.ReLU()), [], {"bn": reason})
    last = L.Conv2D(3, 1) if case != "global_max_negative" else L.Dense(3)
    assert_folds(sequence(shape, L.ReLU(), bn(), passage(), last), [], {"bn": reason})


def test_dropout_that_is_on_lets_nothing_through():
    x = keras.Input(IMAGE)
    y = L.Dropout(0.5, name="drop")(L.Conv2D(4, 1)(x), training=True)
    model = keras.Model(x, L.ReLU()(bn()(y, training=False)))
    assert_folds(randomize(model), [], {"bn": "'drop' runs in training mode"})


# Joins


def branches(count, join, make=lambda i: L.Conv2D(4, 1, name=f"conv{i}"), norm=None):
    x = keras.Input(IMAGE)
    joined = join([make(i)(x) for i in range(count)])
    return randomize(keras.Model(x, L.ReLU()((norm or bn())(joined))))


JOINS = {
    "concatenate": lambda: L.Concatenate(),
    "concatenate_along_rows": lambda: L.Concatenate(axis=1),
    "add": lambda: L.Add(),
    "subtract": lambda: L.Subtract(),
    "average": lambda: L.Average(),
    "operator_plus": lambda: lambda xs: xs[0] + xs[1],
    "operator_minus": lambda: lambda xs: xs[0] - xs[1],
    "operation_concatenate": lambda: lambda xs: keras.ops.concatenate(xs, axis=-1),
}


@pytest.mark.parametrize("case", JOINS)
def test_backward_over_a_join(case):
    _, report = assert_folds(branches(2, JOINS[case]()), ["bn"])
    assert report.folded[0].into == ("conv0", "conv1")


def test_the_shift_of_a_sum_goes_to_one_addend():
    model = branches(3, L.Add(), lambda i: L.Conv2D(4, 1, use_bias=False, name=f"conv{i}"))
    result, _ = assert_folds(model, ["bn"])
    assert [result.get_layer(f"conv{i}").use_bias for i in range(3)] == [True, False, False]


@pytest.mark.parametrize("case", JOINS)
def test_one_branch_that_cannot_keeps_the_norm(case):
    def make(i):
        return L.Conv2D(4, 1, name=f"conv{i}", activation="relu" if i else None)

    assert_folds(branches(2, JOINS[case](), make), [], {"bn": "'conv1' applies its own activation 'relu'"})


def test_a_shared_layer_on_both_sides_of_a_sum():
    conv = L.Conv2D(4, 1, name="conv")
    x = keras.Input(IMAGE)
    model = keras.Model(x, L.ReLU()(bn()(L.Add()([conv(x), conv(L.ReLU()(x))]))))
    assert_folds(randomize(model), [], {"bn": "'conv' is shared"})


def test_a_sum_that_broadcasts():
    x = keras.Input(IMAGE)
    y = L.Add(name="sum")([L.Conv2D(4, 1)(x), L.Conv2D(1, 1)(x)])
    assert_folds(randomize(keras.Model(x, L.ReLU()(bn()(y)))), [], {"bn": "'sum' broadcasts its inputs"})


def test_a_sum_with_a_constant():
    x = keras.Input(IMAGE)
    y = L.Conv2D(4, 1)(x) + 3.0
    assert_folds(randomize(keras.Model(x, L.ReLU()(bn()(y)))), [], {"bn": "adds a constant"})


def test_a_tensor_added_to_itself():
    x = keras.Input(IMAGE)
    y = L.Conv2D(4, 1)(x)
    model = keras.Model(x, L.ReLU()(bn()(L.Add(name="twice")([y, y]))))
    assert_folds(randomize(model), [], {"bn": "used twice by 'twice'"})


def test_forward_over_a_concatenation():
    x = keras.Input(IMAGE)
    y = L.Concatenate()([L.ReLU()(x), bn("a")(L.ReLU()(x)), L.ReLU()(x), bn("b")(x)])
    assert_folds(randomize(keras.Model(x, L.Conv2D(3, 3)(y))), ["a", "b"])


def test_forward_into_several_users():
    x = keras.Input(IMAGE)
    y = bn()(L.ReLU()(x))
    model = keras.Model(x, L.Concatenate()([L.Conv2D(3, 3, name="a")(y), L.Conv2D(5, 3, name="b")(y)]))
    _, report = assert_folds(randomize(model), ["bn"])
    assert report.folded[0].into == ("a", "b")


def test_forward_into_a_user_that_cannot():
    x = keras.Input(IMAGE)
    y = bn()(L.ReLU()(x))
    model = keras.Model(x, [L.Conv2D(3, 3, name="a")(y), L.ReLU(name="relu")(y)])
    assert_folds(randomize(model), [], {"bn": "'relu' (ReLU) is not linear"})


def test_forward_into_a_shared_layer():
    x = keras.Input(IMAGE)
    dense = L.Dense(3, name="dense")
    model = keras.Model(x, [dense(bn()(L.ReLU()(x))), dense(x)])
    assert_folds(randomize(model), [], {"bn": "'dense' is shared"})


def test_forward_across_a_nested_boundary():
    first = keras.Sequential([keras.Input(IMAGE), L.ReLU(), bn()], name="first")
    second = keras.Sequential([keras.Input(IMAGE), L.Conv2D(3, 3, name="conv")], name="second")
    x = keras.Input(IMAGE)
    _, report = assert_folds(randomize(keras.Model(x, second(first(x)))), ["first/bn"])
    assert report.folded[0].into == ("second/conv",)


# Norms and norms


def test_a_norm_behind_a_norm_that_stays():
    _, report = assert_folds(sequence(IMAGE, L.ReLU(), bn("a"), bn("b"), L.ReLU()), ["b"], ["a"])
    assert report.folded[0].into == ("a",)


def test_norms_on_both_sides_of_pooling():
    assert_folds(sequence(IMAGE, L.ReLU(), bn("a"), L.AveragePooling2D(2), bn("b"), L.ReLU()), ["b"], ["a"])


def test_a_norm_with_two_norm_users():
    x = keras.Input(IMAGE)
    y = bn("root")(L.ReLU()(x))
    model = keras.Model(x, [L.ReLU()(bn("left")(y)), L.ReLU()(bn("right", scale=False)(y))])
    assert_folds(randomize(model), ["root"], ["left", "right"])


TAILS = {
    "keras_group": lambda **k: L.GroupNormalization(2, **k),
    "keras_layer": lambda **k: L.LayerNormalization(**k),
    "group": lambda **k: keras_norms.GroupNormalization(2, **k),
    "instance": lambda **k: keras_norms.InstanceNormalization(**k),
    "layer": lambda **k: keras_norms.LayerNormalization(**k),
}


@pytest.mark.parametrize("norm", TAILS)
@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}], ids=["both", "no_center", "no_scale"])
def test_a_batch_norm_behind_another_norm(norm, options):
    model = sequence(IMAGE, L.ReLU(), TAILS[norm](name="other", **options), bn(), L.ReLU())
    _, report = assert_folds(model, ["bn"])
    assert report.folded[0].into == ("other",)


@pytest.mark.parametrize("norm", TAILS)
@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}], ids=["both", "no_center", "no_scale"])
def test_gamma_and_beta_move_into_the_layer_behind(norm, options):
    model = sequence(IMAGE, TAILS[norm](name="norm", **options), L.Dropout(0.1), L.Conv2D(3, 3, name="conv"))
    result, report = assert_folds(model, [], tolerance=3e-5)
    (tail,) = report.tails
    assert (tail.norm, tail.into) == ("norm", ("conv",))
    assert result.get_layer("norm").weights == []


def test_a_tail_stays_before_an_activation():
    model = sequence(IMAGE, keras_norms.GroupNormalization(2, name="norm"), L.ReLU(), L.Conv2D(3, 3))
    _, report = assert_folds(model, [])
    assert report.tails == []


def test_a_batch_norm_and_a_tail_go_the_same_way():
    model = sequence(IMAGE, L.ReLU(), keras_norms.GroupNormalization(2, name="gn"), bn(), L.Dense(3, name="dense"))
    _, report = assert_folds(model, ["bn"], tolerance=3e-5)
    assert report.tails[0].into == ("dense",)


# Other producers


@pytest.mark.parametrize("mask_zero", [False, True])
def test_embedding(mask_zero):
    model = keras.Sequential([keras.Input((6,), dtype="int32"), L.Embedding(5, 4, mask_zero=mask_zero), bn(), L.ReLU()])
    assert_folds(randomize(model), [] if mask_zero else ["bn"], {"bn": "masks token 0"} if mask_zero else ())


EINSUMS = {
    "last": ("abc,cd->abd", (None, 5), "d"),
    "two_axes": ("abc,cde->abde", (None, 3, 5), "e"),
    "two_axes_both_biased": ("abc,cde->abde", (None, 3, 5), "de"),
    "first_axis_biased": ("abc,cde->abde", (None, 3, 5), "d"),
    "no_bias": ("abc,cde->abde", (None, 3, 5), None),
    "ellipsis": ("...x,xy->...y", 5, "y"),
}


@pytest.mark.parametrize("case", EINSUMS)
def test_after_einsum_dense(case):
    equation, shape, bias_axes = EINSUMS[case]
    dense = L.EinsumDense(equation, shape, bias_axes=bias_axes, bias_initializer="normal")
    assert_folds(sequence((6, 4), dense, bn(), L.ReLU()), ["bn"])
    assert_folds(sequence((6, 4), L.EinsumDense(equation, shape, bias_axes=bias_axes), bn("a"), bn("b")), ["a", "b"])


@pytest.mark.parametrize("case", EINSUMS)
def test_before_einsum_dense(case):
    equation, shape, bias_axes = EINSUMS[case]
    dense = L.EinsumDense(equation, shape, bias_axes=bias_axes, bias_initializer="normal")
    assert_folds(sequence((6, 4), L.ReLU(), bn(), dense), ["bn"])


def test_einsum_dense_and_the_other_axis():
    model = sequence((6, 4), L.EinsumDense("abc,cde->abde", (None, 3, 5), bias_axes="e"), bn(axis=2), L.ReLU())
    assert_folds(model, ["bn"])
    model = sequence((6, 4), L.EinsumDense("abc,cd->abd", (6, 5)), bn(axis=1), L.ReLU())
    assert_folds(model, [], {"bn": "does not make the norm's axis 1 by its kernel alone"})
    model = sequence((6, 4), L.EinsumDense("abc,bcd->abd", (6, 5)), bn(axis=1), L.ReLU())
    assert_folds(model, [], {"bn": "does not make the norm's axis 1 by its kernel alone"})


def test_einsum_dense_that_sums_without_its_kernel():
    model = sequence((6, 4), L.ReLU(), bn(), L.EinsumDense("abc,cd->ad", (5,)))
    assert_folds(model, [], {"bn": "sums over an axis that its kernel has not"})


# TimeDistributed


def test_time_distributed_layers_and_norms():
    td = L.TimeDistributed
    model = sequence((3, 6, 5, 2), td(L.Conv2D(4, 3), name="conv"), td(bn("inner"), name="bn"), L.ReLU())
    _, report = assert_folds(model, ["bn"])
    assert report.folded[0].into == ("conv",)
    assert_folds(sequence((3, 6, 5, 2), td(L.Conv2D(4, 3)), bn(), L.ReLU()), ["bn"])
    assert_folds(sequence((3, 6, 5, 2), L.ReLU(), bn(), td(L.AveragePooling2D(2)), td(L.Conv2D(4, 2))), ["bn"])
    assert_folds(sequence((3, 6, 4), td(L.Dense(3)), bn(axis=1), L.ReLU()), [], {"bn": "treats time steps alike"})


# Precision


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    if policy == "mixed_bfloat16" and keras.backend.backend() == "torch":
        pytest.skip("slow on a CPU")
    keras.config.set_dtype_policy(policy)
    try:
        model = sequence(IMAGE, L.Conv2D(8, 3), bn("a"), L.ReLU(), L.DepthwiseConv2D(3), bn("b"), L.Dense(3))
        tolerance = 2e-2 if policy == "mixed_float16" else 1e-1
        result, _ = assert_folds(model, ["a", "b"], tolerance=tolerance)
    finally:
        keras.config.set_dtype_policy("float32")
    assert all(w.dtype == "float32" for w in result.weights)


def test_a_norm_in_another_dtype_than_its_layer_stays():
    model = sequence(IMAGE, L.Conv2D(8, 3, dtype="mixed_float16"), bn(dtype="float32"), L.ReLU())
    assert_folds(model, [], {"bn": "it also casts from float16 to float32"}, tolerance=1e-2)


def test_weights_that_float16_cannot_hold():
    model = sequence(IMAGE, L.Conv2D(8, 3, dtype="mixed_float16"), bn(dtype="mixed_float16"), L.ReLU())
    model.get_layer("bn").moving_variance.assign(np.full(8, 1e14))
    assert_folds(model, [], {"bn": "would underflow float16"}, tolerance=1e-2)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras' own norm is not exact in float64 there")
def test_float64():
    model = sequence(IMAGE, L.Conv2D(8, 3, dtype="float64"), bn(dtype="float64"), L.ReLU(dtype="float64"))
    _, report = assert_folds(model, ["bn"])
    assert report.error < 1e-12
