"""Layers of Keras 2 that ran on cuDNN only: no CPU runs them, but Keras 2 reads their weights into LSTM and GRU."""

import numpy as np
import pytest
from keras_norms.export import load

tk = pytest.importorskip("tf_keras")
pytestmark = pytest.mark.filterwarnings("ignore")
L = tk.layers


def cudnn(kind, **options):
    from tf_keras.src.layers.rnn import cudnn_gru, cudnn_lstm

    return getattr(cudnn_lstm if kind == "LSTM" else cudnn_gru, f"CuDNN{kind}")(3, **options)


def plain(kind, **options):
    return getattr(L, kind)(3, **options)


CASES = {
    "LSTM": lambda make: make("LSTM"),
    "GRU": lambda make: make("GRU"),
    "backwards": lambda make: make("LSTM", go_backwards=True, return_sequences=True),
    "Bidirectional": lambda make: L.Bidirectional(make("GRU", return_sequences=True)),
}


def net(make, case):
    x = tk.Input((6, 4), name="x")
    return tk.Model(x, L.Dense(2, name="dense")(CASES[case](make)(x)))


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("case", CASES)
def test_layers_of_cudnn_are_lstm_and_gru(case, suffix, tmp_path):
    old, rng = net(cudnn, case), np.random.default_rng(0)
    old.set_weights([rng.normal(size=weight.shape) / 2 for weight in old.get_weights()])
    old.save(tmp_path / f"m{suffix}")
    old.save_weights(tmp_path / "w.h5")
    twin = net(plain, case)
    twin.load_weights(tmp_path / "w.h5")  # the rules of Keras 2
    x = rng.normal(size=(2, 6, 4)).astype("float32")
    loaded, report = load(tmp_path / f"m{suffix}", prove=False)
    np.testing.assert_allclose(loaded(x), twin(x), atol=2e-6)
    assert "cuDNN layers" in {made.translation for made in report.translated}
