"""Networks as they are found in the field, written by tf_keras, then loaded, folded and exported in both formats."""

import numpy as np
import pytest
from keras_norms.export import fold, load, to_onnx, to_tflite

tk = pytest.importorskip("tf_keras")
pytestmark = [
    pytest.mark.runtime,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.usefixtures("answers_kept"),
]
L = tk.layers


def normed(x, layer, activation="relu"):
    return L.Activation(activation)(L.BatchNormalization()(layer(x)))


def splice_ai():
    """Dilated residual blocks over a sequence of one-hot letters, cropped at both ends: SpliceAI."""
    x = tk.Input((40, 4))
    y = skip = L.Conv1D(6, 1)(x)
    for rate in (1, 2):
        z = L.Conv1D(6, 3, dilation_rate=rate, padding="same")(L.Activation("relu")(L.BatchNormalization()(y)))
        y = L.add([L.Conv1D(6, 3, dilation_rate=rate, padding="same")(normed(z, L.Activation("linear"))), y])
        skip = L.add([skip, L.Conv1D(6, 1)(y)])
    return tk.Model(x, L.Conv1D(3, 1, activation="softmax")(L.Cropping1D(5)(skip)))


def mini_xception():
    """Separable convolutions in residual blocks: the emotion classifiers."""
    x = tk.Input((16, 16, 1))
    y = normed(x, L.Conv2D(4, 3, use_bias=False))
    short = L.BatchNormalization()(L.Conv2D(6, 1, strides=2, padding="same", use_bias=False)(y))
    y = normed(y, L.SeparableConv2D(6, 3, padding="same", use_bias=False))
    y = L.BatchNormalization()(L.SeparableConv2D(6, 3, padding="same", use_bias=False)(y))
    y = L.add([L.MaxPooling2D(3, strides=2, padding="same")(y), short])
    y = L.GlobalAveragePooling2D()(L.Conv2D(5, 3, padding="same")(y))
    return tk.Model(x, L.Activation("softmax", name="predictions")(y))


def crnn():
    """Convolutions, then recurrent layers both ways over the columns: reading of text."""
    x = tk.Input((8, 12, 1))
    y = L.MaxPooling2D((2, 1))(normed(x, L.Conv2D(4, 3, padding="same")))
    y = L.Reshape((12, 16))(L.Permute((2, 1, 3))(y))
    y = L.Bidirectional(L.LSTM(3, return_sequences=True, recurrent_activation="hard_sigmoid"))(y)
    y = L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode="sum")(y)
    return tk.Model(x, L.Dense(5, activation="softmax")(y))


def u_net():
    """Down and up again, with what was there before beside it."""
    x = tk.Input((16, 16, 3))
    first = normed(x, L.Conv2D(4, 3, padding="same", name="down/conv"))
    y = normed(L.MaxPooling2D()(first), L.Conv2D(6, 3, padding="same"))
    up = L.Conv2DTranspose(4, 2, strides=2, padding="same")(y)
    smooth = L.UpSampling2D(2, interpolation="bilinear")(y)
    y = normed(L.concatenate([up, smooth, first]), L.Conv2D(4, 3, padding="same"))
    return tk.Model(x, L.Conv2D(1, 1, activation="sigmoid", name="mask/out")(y))


NETWORKS = {  # the suffix of its file, the batch norms, and those that fold
    "SpliceAI": (splice_ai, ".h5", 4, 2),
    "mini-Xception": (mini_xception, ".h5", 4, 4),
    "CRNN": (crnn, ".keras", 1, 1),
    "U-Net": (u_net, "", 3, 3),
}


def written(name, folder):
    make, suffix, *_ = NETWORKS[name]
    model, rng = make(), np.random.default_rng(0)
    for weight in model.weights:
        high = any(part in weight.name for part in ("variance", "gamma"))
        weight.assign(rng.uniform(0.5, 1.5, weight.shape) if high else rng.normal(size=weight.shape) / 2)
    model.save(folder / f"old{suffix}")
    return folder / f"old{suffix}", model


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_loaded_folds_and_exports_as_a_new_model_does(name, tmp_path):
    path, old = written(name, tmp_path)
    model = load(path, prove=False).model
    x = np.random.default_rng(1).normal(size=(2, *old.input.shape[1:])).astype("float32")
    want = np.asarray(old(x, training=False))
    folded, report = fold(model)
    *_, norms, folding = NETWORKS[name]
    assert (len(report.folded) + len(report.kept), len(report.folded)) == (norms, folding)
    for each in (model, folded):
        np.testing.assert_allclose(each(x, training=False), want, atol=2e-5 * np.abs(want).max())
    for export in (to_tflite, to_onnx):
        done = export(model, tmp_path / f"m.{export.__name__.removeprefix('to_')}", batch_size=2)
        assert done.verification.ok
        assert len(done.fold.folded) == folding
