"""Quantized files of other writers for `quantized_networks.py`, made in a process that may end as it likes.

TensorFlow's converter is given the network of Keras' own layers with a batch of one, and may leave in float what it has
no integers for. ai-edge-quantizer (AEQ) is given our file in float32. It has recipes by how weights are rounded: to the
nearest step between their extremes ("min-max"), within ranges of least error ("MSE", "OCTAV"), for the output they give
("GPTQ", of dense layers); the others take the first where they have no form. "norms in float" leaves norms out of it.
"""

import contextlib
import io
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

TENSORFLOW = {"int8": ("default",), "int16x8": ("default",), "dynamic": ("default",)}
ROUNDINGS = ("min-max", "MSE", "OCTAV", "GPTQ")
EDGE = {"int8": (*ROUNDINGS, "norms in float"), "int16x8": (*ROUNDINGS, "norms in float"), "dynamic": ROUNDINGS}
PEERS = {"TensorFlow": TENSORFLOW, "AEQ": EDGE}


def _by_tensorflow(network, weights, mode, _recipe, calibration, _float_file, path):
    import keras
    from quantization_zoo import ZOO
    from quantized_norms import converters_own

    model = ZOO[network].twin()
    with np.load(weights) as arrays:  # in order: names differ where the layers do
        model.set_weights([arrays[f"arr_{i}"] for i in range(len(arrays.files))])
    given = keras.Input(batch_shape=(1, *model.input_shape[1:]), dtype=model.inputs[0].dtype)
    converters_own(keras.Model(given, model(given)), mode, calibration, path)


def _by_edge_quantizer(_network, _weights, mode, recipe, calibration, float_file, path):
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer.calibrator import Calibrator
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.quantizer import Quantizer
    from ai_edge_quantizer.recipe_manager import RecipeManager

    manager = RecipeManager()
    _add(manager, mode, TFLOperationName.ALL_SUPPORTED, "min_max_uniform_quantize")
    if recipe in ("MSE", "OCTAV", "GPTQ"):
        kinds = ("FULLY_CONNECTED",) if recipe == "GPTQ" else ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")
        for kind in kinds:
            _add(manager, mode, TFLOperationName(kind), recipe)
    if recipe == "norms in float":
        from quantized_norms import NORM_OPERATIONS

        for name in NORM_OPERATIONS:
            manager.add_quantization_config(".*", TFLOperationName(name), algorithm_key="no_quantize")
    chosen, found = manager.get_quantization_recipe(), None
    if manager.need_calibration():
        (signature, names), *_ = Interpreter(str(float_file)).get_signature_list().items()
        # By default it takes a moving average of the extremes, which clips: up to 30 dB less.
        calibrator = Calibrator(str(float_file), qsv_update_func=_widest)
        calibrator.calibrate({signature: [{names["inputs"][0]: x[None]} for x in calibration]}, manager)
        found = calibrator.get_model_qsvs()
    Quantizer(str(float_file), chosen).quantize(found).export_model(str(path), overwrite=True)


def _add(manager, mode, kind, algorithm):
    if mode == "dynamic":
        manager.add_dynamic_config(".*", kind, 8, algorithm_key=algorithm)
    else:
        bits = {"activation_num_bits": 8 if mode == "int8" else 16, "weight_num_bits": 8}
        manager.add_static_config(".*", kind, **bits, algorithm_key=algorithm)


def _widest(known, new):
    """The extremes of both, and the second moments of inputs that GPTQ gathers."""
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    found = min_max_update(known, new)
    if known and "hessian" in new:
        counts = known["num_samples"], new["num_samples"]
        total = max(1, sum(counts))
        found["hessian"] = (known["hessian"] * counts[0] + new["hessian"] * counts[1]) / total
        found["num_samples"] = sum(counts)
    return found


def _write(writer, *given):
    """What the writer says where it makes no file, else None."""
    write = _by_tensorflow if writer == "TensorFlow" else _by_edge_quantizer
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            write(*given)
    except BaseException as error:  # whatever a converter raises
        return in_one_line(error)
    return None


def in_one_line(error):
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {said}"[:300]


class Peers:
    """The process that others write in; another where one has ended."""

    def __init__(self):
        self._pool = None

    def write(self, writer, *given):
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, get_context("spawn"))
        try:
            return self._pool.submit(_write, writer, *given).result()
        except BrokenProcessPool:
            self._pool = None
            return "the process ended"

    def close(self):
        if self._pool is not None:
            self._pool.shutdown()
