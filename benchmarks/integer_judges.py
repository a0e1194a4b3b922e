"""Files of integers from three writers, and what LiteRT, TFLite Micro and Vela say of them.

LiteRT's kernel of RSQRT in 16 bits interpolates in the table of 512 pieces that Vela gives the NPU; TFLite Micro's is
exact. So the first stands for the NPU, the second for a microcontroller.
"""

import contextlib
import io
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import recipe
from ai_edge_quantizer.calibrator import Calibrator
from ai_edge_quantizer.quantizer import Quantizer
from ai_edge_quantizer.recipe_manager import RecipeManager
from ai_edge_quantizer.utils.qsv_utils import min_max_update
from keras_norms.export import to_tflite
from keras_norms.export.formats.tflite.chips import micro, vela
from keras_norms.export.formats.tflite.runtime import TFLiteRunner
from quantized_norms import decibels

EIGHT_BY_SIXTEEN = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8


def by_tensorflow(model, mode, calibration, path):
    """TensorFlow's converter on a model of Keras' own layers, inputs and outputs in integers."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[None]] for x in calibration)
    integers = tf.lite.OpsSet.TFLITE_BUILTINS_INT8 if mode == "int8" else EIGHT_BY_SIXTEEN
    converter.target_spec.supported_ops = [integers, tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.inference_input_type = converter.inference_output_type = tf.int8 if mode == "int8" else tf.int16
    path.write_bytes(converter.convert())


def by_edge_quantizer(model, mode, calibration, path):
    """ai-edge-quantizer on our file in float32."""
    given = path.with_name("float.tflite")
    to_tflite(model, given, batch_size=1)
    chosen = recipe.static_wi8_ai8() if mode == "int8" else recipe.static_wi8_ai16()
    manager = RecipeManager()
    manager.load_quantization_recipe(chosen)
    # By default it takes a moving average of the extremes, which clips: 30 dB less, even with batch norms alone.
    calibrator = Calibrator(str(given), qsv_update_func=min_max_update)
    (signature, names), *_ = Interpreter(str(given)).get_signature_list().items()
    calibrator.calibrate({signature: [{names["inputs"][0]: x[None]} for x in calibration]}, manager)
    made = Quantizer(str(given), chosen).quantize(calibrator.get_model_qsvs())
    made.export_model(str(path), overwrite=True)


class Judged:
    """The file that `write` makes at `path`. What cannot be had, or not even the file, is "fails", and has a reason."""

    def __init__(self, path, write, *given, **options):
        self.path, self.reasons = path, {}
        path.unlink(missing_ok=True)
        self._asked("it is not written", lambda: write(*given, **options))

    def _asked(self, who, ask):
        if self.reasons and not self.path.is_file():
            return None
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # the writers chat, and the tables are printed there
                return ask()
        except Exception as error:  # whatever a writer or a judge raises
            said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            self.reasons.setdefault(who, said.replace(str(self.path), "the file")[:300])
            return None

    def litert(self, model, images, contrasts=(1,)):
        runner = self._asked("LiteRT", lambda: TFLiteRunner(self.path, kernels="builtin"))
        if runner is None:
            return [None] * len(contrasts)
        return [self._asked("LiteRT", lambda c=c: _decibels(runner, model, images * np.float32(c))) for c in contrasts]

    def micro(self, model, images):
        """Kilobytes of the arena in TFLite Micro, and decibels."""
        arena = self._asked("TFLite Micro", lambda: micro.arena_bytes(self.path))
        if arena is None:
            return None, None
        runner = self._asked("TFLite Micro", lambda: micro.MicroRunner(self.path, TFLiteRunner(self.path)))
        return arena / 1000, self._asked("TFLite Micro", lambda: _decibels(runner, model, images)) if runner else None

    def vela(self, chip):
        return self._asked(f"Vela for {chip}", lambda: vela.compile_for(chip, self.path))

    def kilobytes(self):
        return self.path.stat().st_size / 1000 if self.path.is_file() else None


def _decibels(runner, model, images):
    expected = np.asarray(model(images, training=False))
    got = [next(iter(runner.run({runner.inputs[0].name: image[None]}).values())) for image in images]
    return decibels(expected, np.concatenate(got))


def cell(form, *figures):
    """One cell of a table: `form` of the figures, "fails" for one that could not be had."""
    return " / ".join("fails" if figure is None else form.format(figure) for figure in figures)


def below(judged):
    """Lines for below a table: each reason once, and where it was met; `judged` has the names of the rows."""
    met = {}
    for name, file in judged:
        for who, said in file.reasons.items():
            met.setdefault(f"{who}: {said}", []).append(name)
    return "".join(f"\n- {'; '.join(dict.fromkeys(names))}. {reason}" for reason, names in met.items())
