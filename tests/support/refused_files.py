"""Small files of Keras 2 that the tests then spoil."""

import zipfile

import pytest

tk = pytest.importorskip("tf_keras")


def saved(layer, path, shape=(5,)):
    x = tk.Input(shape)
    tk.Model(x, layer(x)).save(path)
    return path


def zipped(folder, config):
    with zipfile.ZipFile(folder / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", '{"keras_version": "2.15.0"}')
        archive.writestr("config.json", config)
    return folder / "m.keras"
