"""What the converter says when it fails, as a sentence that names the layer."""

import pytest
from keras_norms.export.formats.tflite.convert.explain_failure import explain
from keras_norms.export.worker.client import ConversionError

CALL = 'at callsite(fused["StatefulPartitionedCall:", "StatefulPartitionedCall@__inference_signature_wrapper_48"]'
FAULT = (
    f'<unknown>:0: error: loc(fused[callsite(fused["AddV2:", "net_1/slope_1/add@__inference_serve_40"] {CALL})]): '
    "'tfl.prelu' op failed to verify that operands have broadcastable shapes\n<unknown>:0: note: called from"
)
CASES = {
    "a fault": (
        FAULT,
        "The TFLite converter failed at 'slope', by a fault of its own: 'tfl.prelu' op failed to verify that operands "
        "have broadcastable shapes. Write the layer with other operations of keras.ops, or export to .onnx.",
    ),
    "an operation that the model calls itself": (
        f'error: \'tf.Roll\' op is no builtin\nTF Select ops: Roll\n"Roll:", "net_1/Roll@{CALL}',
        "TFLite has no builtin operation for Roll (called outside of layers), and LiteRT's interpreters ship without "
        "TensorFlow's own kernels. Replace the layer that uses it, export to .onnx, or pass allow_flex=True if your "
        "app links the Flex delegate.",
    ),
    "a fault without a place": (
        "Check failed: x > 0.\nmore",
        "The TFLite converter failed, by a fault of its own: RuntimeError: Check failed: x > 0. Leave layers out to "
        "find the one it is, or export to .onnx.",
    ),
    "a free batch": (
        'TensorListReserve: see "net_1/both_1/forward_1/TensorArrayV2_1@__inference_serve_40"',
        "TFLite needs a fixed batch for a loop that keeps all of its results (both/forward). Pass batch_size=1, or the "
        "batch size you will "
        "run.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_failure_names_the_layer(case):
    text, expected = CASES[case]
    assert explain(ConversionError(text, "RuntimeError", "", "raw log"), {"slope", "both", "forward"}) == expected


def test_a_fixed_batch_that_does_not_reach_a_recurrent_layer():
    said = explain(ConversionError(CASES["a free batch"][0], "RuntimeError", "", ""), {"both"}, fixed_batch=True)
    assert said.endswith("depends on a free size of an input, such as the steps of TimeDistributed: fix that size.")
