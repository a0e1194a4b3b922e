"""What well-known packages and Keras' own tools put into files of Keras 2."""

import numpy as np
import pytest
from keras_norms.export import ExportError, load

tk = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore")
L = tk.layers
X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


def get_slice(data, i, parts):
    """As in Keras 2's multi_gpu_utils."""
    shape = tf.shape(data)
    step = shape[:1] // parts
    size = tf.concat([shape[:1] - step * i if i == parts - 1 else step, shape[1:]], axis=0)
    return tf.slice(data, tf.concat([step, shape[1:] * 0], axis=0) * i, size)


def another(data, i, parts):
    return data * float(i + parts)


def on_two_gpus(function=get_slice, sequential=False):
    """What multi_gpu_model(model, gpus=2) makes."""
    a = tk.Input((6,), name="a")
    if sequential:
        inner = tk.Sequential([a, L.Dense(5, name="p"), L.BatchNormalization()], name="inner")
    else:
        b = L.BatchNormalization()(L.Dense(5)(a))
        inner = tk.Model(a, [L.Dense(3, name="p")(b), L.Dense(2, name="q")(b)], name="inner")
    rng = np.random.default_rng(0)
    inner.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in inner.get_weights()])
    parts = [inner(L.Lambda(function, arguments={"i": i, "parts": 2})(a)) for i in range(2)]
    parts = [part if isinstance(part, list) else [part] for part in parts]
    merged = [L.concatenate(list(each), axis=0, name=f"out_{n}") for n, each in enumerate(zip(*parts, strict=True))]
    return tk.Model(a, merged)


@pytest.mark.parametrize("sequential", [False, True])
def test_copies_on_several_gpus_are_the_model_within(sequential, tmp_path):
    model = on_two_gpus(sequential=sequential)
    model.save(tmp_path / "m.h5")
    loaded, report = load(tmp_path / "m.h5", prove=False)
    wanted = model(X, training=False)
    for got, want in zip(tf.nest.flatten(loaded(X)), tf.nest.flatten(wanted), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5)
    assert "copies on several GPUs" in {made.translation for made in report.translated}


def test_another_lambda_is_code(tmp_path):
    on_two_gpus(another).save(tmp_path / "m.h5")
    with pytest.raises(ExportError, match="not run from an untrusted file"):
        load(tmp_path / "m.h5", prove=False)


class FixedDropout(L.Dropout):
    """As in the package efficientnet."""


class BatchNorm(L.BatchNormalization):
    """As in Mask R-CNN."""


def test_classes_of_known_packages_are_stock_layers(tmp_path):
    x = tk.Input((6,))
    model = tk.Model(x, FixedDropout(0.2, noise_shape=(None, 1))(BatchNorm(name="bn")(x)))
    model.get_layer("bn").set_weights(np.random.default_rng(0).uniform(0.5, 1.5, (4, 6)))
    model.save(tmp_path / "m.h5")
    loaded, report = load(tmp_path / "m.h5", prove=False)
    np.testing.assert_allclose(loaded(X), model(X), rtol=1e-5)
    assert "classes of known packages" in {made.translation for made in report.translated}


class BilinearUpsampling(L.Layer):
    """As in the DeepLabV3+ of Keras 2."""

    def __init__(self, upsampling=(2, 2), output_size=None, data_format="channels_last", **kwargs):
        super().__init__(**kwargs)
        self.own = {"upsampling": upsampling, "output_size": output_size, "data_format": data_format}

    def get_config(self):
        return {**super().get_config(), **self.own}

    def call(self, x):
        rows, columns = self.own["output_size"] or [
            n * m for n, m in zip(x.shape[1:3], self.own["upsampling"], strict=True)
        ]
        return tf.compat.v1.image.resize_bilinear(x, (rows, columns), align_corners=True)


def test_deeplabs_upsampling_keeps_the_corners(tmp_path):
    x = tk.Input((3, 5, 2))
    made = [BilinearUpsampling((2, 3))(x), BilinearUpsampling(output_size=(7, 4))(x), BilinearUpsampling((1, 1))(x)]
    model = tk.Model(x, made)
    model.save(tmp_path / "m.h5")
    loaded, report = load(tmp_path / "m.h5", prove=False)
    given = np.random.default_rng(0).normal(size=(2, 3, 5, 2)).astype("float32")
    for got, want in zip(loaded(given), model(given), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)
    assert "DeepLab's upsampling" in {made.translation for made in report.translated}
    other = tk.Model(x, BilinearUpsampling((2, 2), data_format="channels_first")(x))
    other.save(tmp_path / "other.h5")
    with pytest.raises(ExportError, match="it uses 'BilinearUpsampling', which is not registered"):
        load(tmp_path / "other.h5", prove=False)
