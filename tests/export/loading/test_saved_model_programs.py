"""SavedModels are programs: which may run, and that one which may touch files cannot hide what it does."""

import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, load
from keras_norms.export.loading.graph_safety import called_operations_1, check_operations
from keras_norms.export.loading.keras_saved_model import KerasSavedModel

tk = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore")
X = np.random.default_rng(1).normal(size=(3, 5)).astype("float32")


def saved(folder, model):
    model.save(folder / "saved", save_format="tf")
    return folder / "saved"


class Writes(tf.Module):
    """A program that writes a file when it is called."""

    def __init__(self, target):
        self.target = str(target)

    @tf.function(input_signature=[tf.TensorSpec((None, 5), name="x")])
    def serve(self, x):
        tf.io.write_file(self.target, "written")
        return {"y": x}


class Restores(tf.Module):
    """A program that writes a checkpoint, within a branch."""

    @tf.function(input_signature=[tf.TensorSpec((None, 5), name="x")])
    def serve(self, x):
        def save():
            tf.raw_ops.SaveV2(prefix="never", tensor_names=["a"], shape_and_slices=[""], tensors=[x])
            return x

        return {"y": tf.cond(tf.reduce_sum(x) > 0, save, lambda: x)}


@pytest.mark.parametrize(("kind", "operation"), [(Writes, "WriteFile"), (Restores, "SaveV2")])
def test_a_program_that_touches_files_is_not_run(kind, operation, tmp_path):
    module = kind(tmp_path / "target") if kind is Writes else kind()
    tf.saved_model.save(module, tmp_path / "saved", signatures={"serve": module.serve})
    with pytest.raises(ExportError, match=f"calls '{operation}', which may do more than compute"):
        load(tmp_path / "saved")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("name", ["ReadFile", "PyFunc", "EagerPyFunc", "TFRecordDataset", "RestoreV2", "PrintV2"])
def test_operations_that_may_do_more_than_compute(name):
    with pytest.raises(ExportError, match=f"calls '{name}', which may do more"):
        check_operations(["MatMul", name])
    with pytest.raises(ExportError, match="'Spam', an operation that TensorFlow itself does not have"):
        check_operations(["Spam"])
    check_operations(["MatMul", "ReadVariableOp", "StatefulPartitionedCall", "TensorListStack", "While"])


@pytest.mark.runtime
def test_tf_keras_does_not_run_such_a_program_either(tmp_path):
    class Hostile(tk.layers.Layer):
        def call(self, inputs):
            tf.io.write_file(str(tmp_path / "target"), "written")
            return inputs

    folder = saved(tmp_path, tk.Sequential([tk.Input((5,)), Hostile(name="hostile")]))
    (tmp_path / "target").unlink(missing_ok=True)
    assert "WriteFile" in KerasSavedModel(folder).operations
    model_of_keras_3 = {"Hostile": keras.layers.Identity}
    report = load(folder, custom_objects=model_of_keras_3).report
    assert report.oracle is None
    assert "WriteFile" in report.proof
    assert not (tmp_path / "target").exists()


def of_tensorflow_1(folder, make):
    """A SavedModel as TensorFlow 1 wrote it: a graph with a saver, and a signature."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 5], name="x")
        kernel = v1.get_variable("kernel", initializer=np.full((5, 2), 0.25, "float32"), use_resource=False)
        y = make(tf.matmul(x, kernel))
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder), {"x": x}, {"y": y})
    return folder


def test_a_graph_of_tensorflow_1_is_a_signature_too(tmp_path):
    model = load(of_tensorflow_1(tmp_path / "saved", tf.identity)).model
    np.testing.assert_allclose(model({"x": X})["y"], X @ np.full((5, 2), 0.25), rtol=1e-5)


@pytest.mark.parametrize("where", ["output", "main_op", "restore"])
def test_what_only_seems_to_save_is_checked_where_it_runs(where):
    """A node that writes, called the end of saving, and behind what is called or runs at loading too."""
    from tensorflow.core.protobuf import meta_graph_pb2

    graph = meta_graph_pb2.MetaGraphDef()
    for name, operation, inputs in (("evil", "SaveV2", []), ("y", "Identity", ["^evil"]), ("good", "RestoreV2", [])):
        graph.graph_def.node.add(name=name, op=operation, input=inputs)
    graph.saver_def.save_tensor_name = "evil:0"
    graph.saver_def.restore_op_name = "y" if where == "restore" else "good"
    if where == "output":
        graph.signature_def["serve"].outputs["y"].name = "y:0"
    if where == "main_op":
        graph.collection_def["saved_model_main_op"].node_list.value.append("y")
    assert "SaveV2" in called_operations_1(memoryview(graph.SerializeToString())).operations
    graph.graph_def.node[1].input[:] = []
    graph.saver_def.restore_op_name = "good"
    assert not {"SaveV2", "RestoreV2"} & called_operations_1(memoryview(graph.SerializeToString())).operations


@pytest.mark.parametrize("operation", ["WriteFile", "ReadFile", "SaveV2"])
def test_a_graph_of_tensorflow_1_that_touches_files_is_not_run(operation, tmp_path):
    target = str(tmp_path / "target")

    def make(y):
        made = {
            "WriteFile": lambda: tf.io.write_file(target, "written"),
            "ReadFile": lambda: tf.io.read_file(target),
            "SaveV2": lambda: tf.raw_ops.SaveV2(prefix=target, tensor_names=["a"], shape_and_slices=[""], tensors=[y]),
        }[operation]()
        with tf.control_dependencies([made]):
            return tf.identity(y)

    with pytest.raises(ExportError, match=f"calls '{operation}', which may do more than compute"):
        load(of_tensorflow_1(tmp_path / "saved", make))
    assert not list(tmp_path.glob("target*"))


def rewritten(folder, change, path="saved_model.pb"):
    """A SavedModel with its message changed: `change` gets the message, and may return the bytes to write."""
    from tensorflow.core.protobuf import saved_model_pb2

    message = saved_model_pb2.SavedModel.FromString((folder / path).read_bytes())
    (folder / path).write_bytes(change(message) or message.SerializeToString())
    return folder


def of_writes(tmp_path, change):
    module = Writes(tmp_path / "target")
    tf.saved_model.save(module, tmp_path / "saved", signatures={"serve": module.serve})
    return rewritten(tmp_path / "saved", change)


def graph_twice(message):
    """The graph stands there twice, the second time empty: TensorFlow joins both."""
    content = message.meta_graphs[0].SerializeToString() + b"\x12\x00"
    return (
        b"\x08\x01\x12" + bytes([len(content) & 127 | 128, len(content) >> 7 & 127 | 128, len(content) >> 14]) + content
    )


def called_relu6(message):
    """The function that writes is called like an operation, and stands where one would."""
    graph = message.meta_graphs[0]
    functions = graph.graph_def.library.function
    evil = next(each for each in functions if any(node.op == "WriteFile" for node in each.node_def))
    old, evil.signature.name = evil.signature.name, "Relu6"
    for node in [node for each in functions for node in each.node_def]:
        if node.op == "StatefulPartitionedCall" and node.attr["f"].func.name == old:
            node.op = "Relu6"
            node.ClearField("attr")
    del graph.object_graph_def.concrete_functions[old]


def in_the_place_of_another(message):
    """The function that writes is no object's, and says that it computes the same as one that is called."""
    graph = message.meta_graphs[0]
    evil = next(each for each in graph.graph_def.library.function if any(n.op == "WriteFile" for n in each.node_def))
    evil.attr["api_implements"].s = b"same"
    for name in list(graph.object_graph_def.concrete_functions):
        del graph.object_graph_def.concrete_functions[name]


HIDING = {
    "graph twice": (graph_twice, "calls 'WriteFile', which may do more than compute"),
    "named like an operation": (called_relu6, "a function of its own that is called 'Relu6' like an operation"),
    "in the place of another": (in_the_place_of_another, "calls 'WriteFile', which may do more than compute"),
}


@pytest.mark.parametrize("case", HIDING)
def test_a_program_that_touches_files_cannot_hide(case, tmp_path):
    change, reason = HIDING[case]
    with pytest.raises(ExportError, match=reason):
        load(of_writes(tmp_path, change), signature="serve")
    assert not (tmp_path / "target").exists()


def test_functions_in_the_attributes_of_a_named_function_are_followed():
    from tensorflow.core.protobuf import meta_graph_pb2

    graph = meta_graph_pb2.MetaGraphDef()
    node = graph.graph_def.node.add(name="y", op="PartitionedCall")
    node.attr["f"].func.name = "outer"
    node.attr["f"].func.attr["g"].func.name = "inner"
    for name, operation in (("outer", "Identity"), ("inner", "CallMe"), ("CallMe", "WriteFile")):
        function = graph.graph_def.library.function.add()
        function.signature.name = name
        function.node_def.add(name="n", op=operation)
    called = called_operations_1(memoryview(graph.SerializeToString()))
    assert called.operations == {"PartitionedCall", "Identity", "WriteFile"}
    assert called.functions == {"outer", "inner", "CallMe"}
    graph.graph_def.node.add(name="y", op="Identity")
    with pytest.raises(ExportError, match="two of its nodes or functions have one name"):
        called_operations_1(memoryview(graph.SerializeToString()))


@pytest.mark.parametrize("encoding", ["coo_sparse", "composite_tensor"])
def test_tensors_of_several_parts_are_refused_in_graphs_of_tensorflow_1(encoding):
    from tensorflow.core.protobuf import meta_graph_pb2

    graph = meta_graph_pb2.MetaGraphDef()
    getattr(graph.signature_def["serve"].outputs["y"], encoding).SetInParent()
    with pytest.raises(ExportError, match="signature 'serve' has 'y', which is made of several tensors"):
        called_operations_1(memoryview(graph.SerializeToString()))
