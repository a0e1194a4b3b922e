"""keras.ops between a norm and its layer: those that let its map through, and when they must not."""

import keras
import numpy as np
import pytest
from fold_checks import assert_folds
from fold_models import bn, model, shiftless_or_positive

L = keras.layers
ops = keras.ops
IMAGE, SERIES = (6, 5, 4), (7, 4)


def conv(rank):
    return {1: L.Conv1D, 2: L.Conv2D}[rank](4, 1, name="conv")


def padded(x, **kwargs):
    return ops.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)), **kwargs)


def resized(x, **kwargs):
    return ops.image.resize(x, (9, 9), **kwargs)


# shape, the operation, its consumer, what the norm's weights must be like
THROUGH = {
    "reshape": (IMAGE, lambda x: ops.reshape(x, (-1, 30, 4)), L.Conv1D, {}),
    "reshape_merging_the_batch": (IMAGE, lambda x: ops.reshape(x, (-1, 5, 4)), L.Conv1D, {}),
    "transpose": (IMAGE, lambda x: ops.transpose(x, (0, 2, 1, 3)), L.Conv2D, {}),
    "swapaxes": (IMAGE, lambda x: ops.swapaxes(x, 1, -2), L.Conv2D, {}),
    "moveaxis": (IMAGE, lambda x: ops.moveaxis(x, 2, 1), L.Conv2D, {}),
    "expand_dims": (SERIES, lambda x: ops.expand_dims(x, 1), L.Conv2D, {}),
    "expand_two": (SERIES, lambda x: ops.expand_dims(x, (1, -2)), L.Conv3D, {}),
    "mean": (IMAGE, lambda x: ops.mean(x, axis=1), L.Conv1D, {}),
    "mean_kept": (IMAGE, lambda x: ops.mean(x, axis=(1, 2), keepdims=True), L.Conv2D, {}),
    "global_mean": (IMAGE, lambda x: ops.mean(x, axis=(1, -2)), L.Dense, {}),
    "max_positive": (IMAGE, lambda x: ops.max(x, axis=(1, 2)), L.Dense, {"positive": True}),
    "amin_positive": (IMAGE, lambda x: ops.amin(x, axis=1), L.Conv1D, {"positive": True}),
    "squeeze": (IMAGE, lambda x: ops.squeeze(ops.mean(x, axis=1, keepdims=True), 1), L.Conv1D, {}),
    "squeeze_all": (IMAGE, lambda x: ops.squeeze(ops.mean(x, axis=1, keepdims=True)), L.Conv1D, {}),
    "pad_zeros_shiftless": (IMAGE, padded, L.Conv2D, {"shiftless": True}),
    "pad_reflect": (IMAGE, lambda x: ops.pad(x, ((0, 0), (1, 2), (1, 1), (0, 0)), "reflect"), L.Conv2D, {}),
    "pad_nothing": (IMAGE, lambda x: ops.pad(x, ((0, 0),) * 4), L.Conv2D, {}),
    "slice": (IMAGE, lambda x: x[:, 1:-1, ::2], L.Conv2D, {}),
    "slice_index_and_ellipsis": (IMAGE, lambda x: x[:, 0, ..., :], L.Conv1D, {}),
    "slice_new_axis": (SERIES, lambda x: x[:, None], L.Conv2D, {}),
    "flip": (IMAGE, lambda x: ops.flip(x, 1), L.Conv2D, {}),
    "roll": (IMAGE, lambda x: ops.roll(x, 2, axis=1), L.Conv2D, {}),
    "repeat": (IMAGE, lambda x: ops.repeat(x, 2, axis=2), L.Conv2D, {}),
    "average_pool": (IMAGE, lambda x: ops.average_pool(x, 2), L.Conv2D, {}),
    "max_pool_positive": (IMAGE, lambda x: ops.max_pool(x, 2), L.Conv2D, {"positive": True}),
    "resize": (IMAGE, lambda x: ops.image.resize(x, (9, 9)), L.Conv2D, {}),
    "stop_gradient": (IMAGE, ops.stop_gradient, L.Conv2D, {}),
}  # fmt: skip


def consumer(layer):
    return layer(3) if layer is L.Dense else layer(3, 1)


@pytest.mark.parametrize("case", THROUGH)
def test_backward_through(case):
    shape, operation, _, weights = THROUGH[case]
    x = keras.Input(shape)
    m = model(x, L.ReLU()(bn()(operation(conv(len(shape) - 1)(x)))))
    _, report = assert_folds(shiftless_or_positive(m, **weights), ["bn"])
    assert report.folded[0].into == ("conv",)


@pytest.mark.parametrize("case", THROUGH)
def test_forward_through(case):
    shape, operation, layer, weights = THROUGH[case]
    x = keras.Input(shape)
    m = model(x, consumer(layer)(operation(bn()(L.ReLU()(x)))))
    _, report = assert_folds(shiftless_or_positive(m, **weights), ["bn"])
    assert report.folded[0].rule.startswith("before ")


NOT_THROUGH = {
    "transposed_channels": (IMAGE, lambda x: ops.transpose(x, (0, 1, 3, 2)), "the norm is on axis"),
    "reshape": (IMAGE, lambda x: ops.reshape(x, (-1, 3, 4, 10)), "where the norm is no longer along one axis"),
    "mean_over_channels": (IMAGE, lambda x: ops.mean(x, axis=-1, keepdims=True), "changes the axis 3"),
    "max_negative": (IMAGE, lambda x: ops.max(x, axis=1, keepdims=True), "takes an extreme, and the norm's gamma is"),
    "max_from": (IMAGE, lambda x: ops.max(x, axis=1, keepdims=True, initial=1.0), "starts from 1.0"),
    "pad_zeros": (IMAGE, padded, "pads with zeros, which the norm would shift"),
    "pad_ones": (IMAGE, lambda x: padded(x, constant_values=1.0), "pads with 1.0"),
    "pad_channels": (IMAGE, lambda x: ops.pad(x, ((0, 0), (0, 0), (0, 0), (1, 1)), "reflect"), "changes the axis 3"),
    "flip_channels": (IMAGE, lambda x: ops.flip(x, -1), "changes the axis 3"),
    "roll_all": (IMAGE, lambda x: ops.roll(x, 1), "changes the axis 3"),
    "repeat_channels": (IMAGE, lambda x: ops.repeat(x, 2, axis=-1), "changes the axis 3"),
    "slice_of_channels": (IMAGE, lambda x: x[..., 1:3], "changes the axis 3"),
    "cubic": (IMAGE, lambda x: ops.image.resize(x, (9, 9), "bicubic"), "interpolates by 'bicubic'"),
    "padded_to_aspect": (IMAGE, lambda x: resized(x, pad_to_aspect_ratio=True), "pads to keep the aspect ratio"),
    "square": (IMAGE, ops.square, "(Square) is not linear, or not known to be"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_THROUGH)
def test_not_through(case):
    shape, operation, reason = NOT_THROUGH[case]
    x = keras.Input(shape)
    weights = {"positive": True} if case == "max_from" else {}
    backward = model(x, L.ReLU()(bn()(operation(conv(2)(x)))))
    assert_folds(shiftless_or_positive(backward, **weights), [], {"bn": reason})
    forward = model(x, L.Conv2D(3, 1)(operation(bn()(L.ReLU()(x)))))
    assert_folds(shiftless_or_positive(forward, **weights), [], {"bn": reason})


def test_operators_that_join():
    x = keras.Input(IMAGE)
    a, b, c = (L.Conv2D(4, 1, name=name)(x) for name in "abc")
    _, report = assert_folds(model(x, L.ReLU()(bn()(ops.subtract(a + b, c)))), ["bn"])
    assert report.folded[0].into == ("a", "b", "c")


def test_a_joined_constant_keeps_the_norm():
    x = keras.Input(IMAGE)
    m = model(x, L.ReLU()(bn()(ops.add(L.Conv2D(4, 1)(x), np.arange(4.0, dtype="float32")))))
    assert_folds(m, [], {"bn": "adds a constant"})


def test_an_index_that_is_a_tensor():
    x = keras.Input(IMAGE)
    m = model(x, L.ReLU()(bn()(ops.take(L.Conv2D(4, 1)(x), [0, 2], axis=1))))
    assert_folds(m, [], {"bn": "(Take) is not linear, or not known to be"})
