"""What is foretold of single operations on a GPU, each as LiteRT's accelerator was seen to take it or not.

`benchmarks/gpu_accelerator.py` runs the accelerator where there is one; these are its cases, written down.
"""

import re
from types import SimpleNamespace

import pytest
from keras_norms.export.formats.tflite.delegates.gpu_rules import OLDER, UNSUPPORTED, WRONG, refusals
from keras_norms.export.formats.tflite.delegates.node_table import Node, Tensor


def node(op, inputs, output, **options):
    """Shapes of computed inputs as tuples, of constants as lists; a dict for anything else about an input."""
    made = []
    for index, given in enumerate(inputs):
        more = given if isinstance(given, dict) else {"shape": tuple(given), "constant": isinstance(given, list)}
        made.append(Tensor(**{"index": index, "kind": "FLOAT32", "constant": False, **more}))
    return Node(op, "net/layer/op", tuple(made), (Tensor(99, output, "FLOAT32", False),), SimpleNamespace(**options))


def integers(*values, shape=None):
    return {"shape": shape or (len(values),), "kind": "INT32", "constant": True, "values": values}


def picked(*shape):
    return {"shape": shape, "kind": "INT32"}


def strided(shape, steps, **masks):
    masks = {"shrinkAxisMask": 0, "newAxisMask": 0, "ellipsisMask": 0, **masks}
    given = [shape, integers(*[0] * len(steps)), integers(*[0] * len(steps)), integers(*steps)]
    return node("STRIDED_SLICE", given, shape, **masks)


def pad(values, op="PAD", **options):
    return node(op, [(1,) * (len(values) // 2), integers(*values, shape=(len(values) // 2, 2))], (1,), **options)


IMAGE = (1, 8, 8, 8)
TAKEN = {
    "convolution": node("CONV_2D", [IMAGE, [4, 3, 3, 8], [4]], (1, 6, 6, 4)),
    "convolution of a computed kernel": node("CONV_2D", [IMAGE, (4, 3, 3, 8)], (1, 6, 6, 4)),
    "groups of 4 channels": node("CONV_2D", [IMAGE, [8, 3, 3, 4]], (1, 6, 6, 8)),
    "groups of 4 to 8": node("CONV_2D", [IMAGE, [16, 3, 3, 4]], (1, 6, 6, 16)),
    "a channel a group": node("CONV_2D", [IMAGE, [8, 3, 3, 1]], (1, 6, 6, 8)),
    "free channels": node("CONV_2D", [(1, 8, 8, None), [8, 3, 3, 2]], (1, 6, 6, 8)),
    "depthwise": node("DEPTHWISE_CONV_2D", [IMAGE, [1, 3, 3, 8]], IMAGE),
    "equal ranks": node("ADD", [IMAGE, (1, 1, 1, 8)], IMAGE),
    "rank 3 on a single image": node("ADD", [IMAGE, (8, 8, 8)], IMAGE),
    "by channel": node("MUL", [(2, 8, 8, 3), (2, 3)], (2, 8, 8, 3)),
    "one number": node("MUL", [IMAGE, (1, 1)], IMAGE),
    "a constant of lower rank": node("MUL", [(3, 8, 8), [8, 8]], (3, 8, 8)),
    "a constant for all samples": node("MUL", [(3, 8, 8), [1, 8, 8]], (3, 8, 8)),
    "a scalar": node("DIV", [IMAGE, []], IMAGE),
    "a square": node("MUL", [{"shape": IMAGE, "index": 5}, {"shape": IMAGE, "index": 5}], IMAGE),
    "product": node("BATCH_MATMUL", [(2, 8, 6), (2, 6, 5)], (2, 8, 5)),
    "product with a matrix": node("BATCH_MATMUL", [(2, 8, 6), [6, 5]], (2, 8, 5)),
    "product of one sample with a matrix": node("BATCH_MATMUL", [(1, 8, 6), (6, 5)], (1, 8, 5)),
    "a list of indices": node("GATHER", [[20, 4], picked(8)], (8, 4)),
    "slice with a step": strided(IMAGE, (1, 2, 1, 1)),
    "padding": pad((0, 0, 1, 1, 2, 0, 0, 0)),
    "reflecting": pad((0, 0, 1, 1, 0, 0), "MIRROR_PAD", mode=0),
    "choice": node("SELECT_V2", [{"shape": IMAGE, "kind": "BOOL"}, IMAGE, []], IMAGE),
    "one-hot": node("ONE_HOT", [picked(1, 5), integers(8), [], []], (1, 5, 8), axis=-1),
    "a step of an unrolled LSTM": node("UNPACK", [(1, 4, 8)], (1, 8)),
}
SAME = {"shape": (1, 8, 8), "index": 5}
FOUND = {
    "volumes": (node("CONV_3D", [IMAGE], IMAGE), UNSUPPORTED, "have no CONV_3D", "sends the data back"),
    "loop": (node("WHILE", [(1, 8)], (1, 8)), UNSUPPORTED, "have no WHILE", "unroll=True"),
    "shape": (node("SHAPE", [IMAGE], (4,)), UNSUPPORTED, "have no SHAPE", "batch_size=1"),
    "groups of 2": (node("CONV_2D", [IMAGE, [8, 3, 3, 2]], (1, 6, 6, 8)), WRONG, "groups of 2 to 2", "multiples of 4"),
    "groups of 1 to 2": (node("CONV_2D", [IMAGE, [16, 3, 3, 1]], (1, 6, 6, 16)), WRONG, "of 1 to 2", "DepthwiseConv2D"),
    "computed groups": (node("CONV_2D", [IMAGE, (8, 3, 3, 4)], (1, 6, 6, 8)), WRONG, "groups of 4", "multiples of 4"),
    "computed depthwise": (
        node("DEPTHWISE_CONV_2D", [IMAGE, (1, 3, 3, 8)], IMAGE),
        UNSUPPORTED,
        "ends the",
        "a weight",
    ),
    "ranks": (node("SUB", [(2, 8, 8), (8, 8)], (2, 8, 8)), "broadcast", r"ranks \[2, 3\]", "reshape the smaller"),
    "rank 3 on two images": (node("ADD", [(2, 8, 8, 8), (8, 8, 8)], (2, 8, 8, 8)), "broadcast", "ranks", "reshape"),
    "samples' constant": (node("ADD", [(3, 8), [3, 8]], (3, 8)), WRONG, "for each sample", "batch to 1"),
    "spread to samples": (node("MUL", [IMAGE, [3, 1, 1, 8]], (3, 8, 8, 8)), WRONG, "the height", "an input"),
    "images' constant": (
        node("ADD", [(3, 8, 8, 8), [3, 8, 8, 8]], (3, 8, 8, 8)),
        OLDER,
        "each sample",
        "CompiledModel",
    ),
    "x / x": (node("DIV", [SAME, SAME], (1, 8, 8)), UNSUPPORTED, "as two operands", "a layer of its own"),
    "x x'": (node("BATCH_MATMUL", [SAME, SAME], (1, 8, 8)), UNSUPPORTED, "ends the process", "a layer of its own"),
    "x stacked on x": (node("PACK", [SAME, SAME], (1, 2, 8, 8)), UNSUPPORTED, "ends the process", "a layer of its own"),
    "constant first": (node("BATCH_MATMUL", [[1, 8, 8], (1, 8, 8)], (1, 8, 8)), UNSUPPORTED, "first", "transpose"),
    "spread product": (node("BATCH_MATMUL", [(2, 8, 6), (1, 6, 5)], (2, 8, 5)), WRONG, "equal batches", "repeat"),
    "product with a computed matrix": (node("BATCH_MATMUL", [(2, 8, 6), (6, 5)], (2, 8, 5)), WRONG, "equal", "repeat"),
    "constant batch": (
        node("BATCH_MATMUL", [(2, 8, 6), [2, 6, 5]], (2, 8, 5)),
        OLDER,
        "only a matrix",
        "CompiledModel",
    ),
    "rows of indices": (node("GATHER", [[20, 4], picked(1, 8)], (1, 8, 4)), UNSUPPORTED, "indices of rank 2", "embedd"),
    "one index": (strided(IMAGE, (1, 1, 1, 1), shrinkAxisMask=2), UNSUPPORTED, "dropped by an index", "x\\[:, :1\\]"),
    "new axis": (strided(IMAGE, (1, 1), newAxisMask=2), UNSUPPORTED, "a new axis", "reshape"),
    "backwards": (strided(IMAGE, (1, -1)), UNSUPPORTED, "runs backwards", "flip"),
    "slice of features": (strided((1, 8), (1, 2)), OLDER, "rank 3 and 4; this has 2", "CompiledModel"),
    "padded features": (pad((0, 0, 1, 1)), UNSUPPORTED, "rank 2 is padded", "concatenate"),
    "padded batch": (pad((0, 1, 0, 0, 0, 0, 0, 0)), WRONG, "the batch is padded", "concatenate"),
    "symmetric": (pad((0, 0, 1, 1, 0, 0), "MIRROR_PAD", mode=1), UNSUPPORTED, "reflect only", "mode='reflect'"),
    "spread choice": (node("SELECT_V2", [IMAGE, IMAGE, (1, 1, 1, 8)], IMAGE), UNSUPPORTED, "scalars", "add zeros"),
    "classes first": (node("ONE_HOT", [picked(1, 5)], (1, 8, 5), axis=1), UNSUPPORTED, "not the last axis", "axis=-1"),
    "newer": (node("ROUND", [IMAGE], IMAGE), OLDER, "has no ROUND; LiteRT's accelerator has", "CompiledModel"),
    "integers": (node("ADD", [picked(1, 8), [8]], (1, 8)), OLDER, "no int32", "cast to float32"),
}


@pytest.mark.parametrize("case", TAKEN)
def test_it_is_taken(case):
    assert refusals(TAKEN[case]) == []


@pytest.mark.parametrize("case", FOUND)
def test_it_is_found(case):
    given, kind, reason, remedy = FOUND[case]
    (refusal,) = refusals(given)
    assert refusal.kind == kind
    assert re.search(reason, refusal.reason), refusal.reason
    assert re.search(remedy, refusal.remedy), refusal.remedy
