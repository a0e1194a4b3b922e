"""The files in other people's programs, where these are installed: OpenVINO, onnx2torch, onnx2tf."""

import keras
import numpy as np
import pytest
from keras_norms.export import to_onnx
from models import image_net, randomize

import keras_norms

pytestmark = pytest.mark.runtime

L = keras.layers


def norms():
    x = inputs = keras.Input((6, 8), name="x")
    x = L.RMSNormalization()(L.Dense(8, activation="gelu")(keras_norms.LayerNormalization()(x)))
    return randomize(keras.Model(inputs, L.Add(name="y")([x, L.MultiHeadAttention(2, 4)(x, x)])))


MODELS = {
    "group": lambda: image_net(lambda **options: keras_norms.GroupNormalization(4, **options)),
    "instance": lambda: image_net(keras_norms.InstanceNormalization),
    "transformer": norms,
}


def in_openvino(path, x):
    model = pytest.importorskip("openvino").compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return model([x])[0]


def in_onnx2torch(path, x):
    torch = pytest.importorskip("torch")
    convert = pytest.importorskip("onnx2torch").convert
    return convert(str(path)).eval()(torch.from_numpy(x)).detach().numpy()


def in_onnx2tf(path, x):
    convert, tf = pytest.importorskip("onnx2tf").convert, pytest.importorskip("tensorflow")
    folder = str(path.parent / "tf")
    convert(input_onnx_file_path=str(path), output_folder_path=folder, non_verbose=True)
    run = tf.saved_model.load(folder).signatures["serving_default"]  # its .tflite has no exact GELU
    ((name, given),) = run.structured_input_signature[1].items()
    if tuple(given.shape) != x.shape:  # it takes any input for one with channels second, and moves these last
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    (y,) = run(**{name: tf.constant(x)}).values()
    return y.numpy()


@pytest.mark.parametrize("run", [in_openvino, in_onnx2torch, in_onnx2tf])
@pytest.mark.parametrize("case", MODELS)
def test_other_programs_compute_the_same(case, run, tmp_path):
    pytest.importorskip(run.__name__.removeprefix("in_"))
    model, path = MODELS[case](), tmp_path / "m.onnx"
    # Both know the operators of older opsets best.
    to_onnx(model, path, batch_size=1, opset={in_onnx2torch: 13, in_onnx2tf: 17}.get(run))
    x = np.random.default_rng(0).normal(size=(1, *model.inputs[0].shape[1:])).astype("float32")
    np.testing.assert_allclose(run(path, x), keras.ops.convert_to_numpy(model(x)), atol=1e-4)
