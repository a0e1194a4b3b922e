"""Files that would have something read outside of them, or code run: neither happens, in either process."""

import json
import zipfile
from contextlib import suppress

import h5py
import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, load
from keras_norms.export.loading.config_tree import decode
from keras_norms.export.loading.tf_keras_safety import what_runs_code
from refused_files import saved, zipped

tk = pytest.importorskip("tf_keras")
func_dump = pytest.importorskip("tf_keras.src.utils.generic_utils").func_dump
L = tk.layers
pytestmark = pytest.mark.filterwarnings("ignore")


def linked(path, target):
    """The file with a weight that is kept in another file."""
    with h5py.File(target, "w") as file:
        file["kernel"] = np.zeros((5, 2), "float32")
    with h5py.File(path, "r+") as file:
        group = file["model_weights/dense"]
        name = next(name for name in group.attrs["weight_names"] if b"kernel" in np.bytes_(name))
        name = name.decode() if isinstance(name, bytes) else name
        del group[name]
        group[name] = h5py.ExternalLink(str(target), "kernel")
    return path


def test_links_out_of_the_file_are_not_followed(tmp_path):
    path = saved(L.Dense(2, name="dense"), tmp_path / "m.h5")
    with pytest.raises(ExportError, match=r"it has no '.*kernel:0' of its own"):
        load(linked(path, tmp_path / "other.h5"), prove=False)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_truncated_files_are_refused_in_one_line(suffix, tmp_path):
    whole = saved(L.Dense(2), tmp_path / f"m{suffix}").read_bytes()
    path = tmp_path / f"cut{suffix}"
    for part in range(20):
        path.write_bytes(whole[: len(whole) * part // 20])
        with pytest.raises(ExportError) as caught:
            load(path, prove=False)
        assert len(str(caught.value).splitlines()) == 1
        assert "damaged" in str(caught.value)


def arming(target):
    """A config that, where it is deserialized without safe mode, makes a file."""
    run = eval(f"lambda x: (open({str(target)!r}, 'w').close(), x)[1]")
    evil = json.loads(tk.Sequential([L.Lambda(run, input_shape=(3,))]).to_json())
    target.unlink(missing_ok=True)
    for layer in evil["config"]["layers"]:
        if layer["class_name"] == "Lambda":
            layer["config"].update(function=[func_dump(run)[0], None, None], function_type="lambda")
        for key in ("module", "registered_name", "build_config"):
            layer.pop(key, None)
    return {"class_name": evil["class_name"], "config": evil["config"], "__passive_serialization__": True}


def hidden_in_a_tuple(config, evil):
    config["config"]["build_input_shape"] = {"class_name": "__tuple__", "items": [None, 3], "x": evil}
    return json.dumps(config)


def hidden_by_a_later_key(config, evil):
    config["config"]["build_input_shape"] = [None, 3]
    return json.dumps(config).replace(
        '"build_input_shape":', f'"build_input_shape": {json.dumps(evil)}, "build_input_shape":'
    )


def in_the_open(config, evil):
    return json.dumps({**config, "x": evil})


@pytest.mark.runtime
@pytest.mark.parametrize("hide", [hidden_in_a_tuple, hidden_by_a_later_key, in_the_open])
def test_no_code_in_an_architecture_runs(hide, tmp_path):
    model = tk.Sequential([L.Dense(2, input_shape=(3,))])
    model.save_weights(tmp_path / "m.h5")
    (tmp_path / "m.json").write_text(hide(json.loads(model.to_json()), arming(tmp_path / "ran")))
    with suppress(ExportError):
        assert load(tmp_path / "m.json").report.oracle is None
    assert not (tmp_path / "ran").exists()


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = zipped(tmp_path, '{"class_name": "Sequential", "class_name": "Model", "config": {}}')
    with pytest.raises(ExportError, match="has the key 'class_name' twice in one object"):
        load(path, prove=False)


def test_what_stands_beside_the_items_of_a_tuple_is_checked():
    assert decode('{"class_name": "__tuple__", "items": [1]}') == [1]
    hiding = decode('{"class_name": "__tuple__", "items": [1], "x": {"class_name": "Lambda", "config": {}}}')
    assert what_runs_code(hiding) is not None
    assert what_runs_code({"__passive_serialization__": True}) == "a __passive_serialization__"


@pytest.mark.parametrize("kind", ["link", "external"])
def test_weights_of_keras_3_that_are_kept_elsewhere_are_not_read(kind, tmp_path):
    path, other, weights = (tmp_path / name for name in ("m.keras", "other", "w.h5"))
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    weights.write_bytes(files["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        group = file["layers/dense/vars"]
        del group["0"]
        if kind == "link":
            group["0"] = h5py.ExternalLink(str(linked_to(other)), "/0")
        else:
            other.write_bytes(bytes(24))
            group.create_dataset("0", (3, 2), "float32", external=[(str(other), 0, 24)])
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**files, "model.weights.h5": weights.read_bytes()}.items():
            archive.writestr(name, data)
    with pytest.raises(
        ExportError, match="is a link, which is not followed|is kept in another file, which is not read"
    ):
        load(path)


def external(group, name, other):
    other.write_bytes(bytes(40))
    group.create_dataset(name, (5, 2), "float32", external=[(str(other), 0, 40)])


def virtual(group, name, other):
    layout = h5py.VirtualLayout((5, 2), "float32")
    layout[:] = h5py.VirtualSource(str(other), "0", (5, 2))
    group.create_virtual_dataset(name, layout)


def soft_loop(group, name, other):
    group[name] = h5py.SoftLink(f"{group.name}/{name}")


def to_another_file(group, name, other):
    group[name] = h5py.ExternalLink(str(other), "/0")


@pytest.mark.parametrize("kind", [external, virtual, soft_loop, to_another_file])
@pytest.mark.parametrize("beside", [False, True], ids=["whole", "beside its model"])
def test_weights_of_keras_2_that_are_kept_elsewhere_are_not_read(kind, beside, tmp_path):
    path, other = tmp_path / "m.h5", tmp_path / "other"
    model = tk.Sequential([tk.Input((5,)), L.Dense(2, name="dense")])
    if beside:
        (tmp_path / "m.json").write_text(model.to_json())
        model.save_weights(path)
    else:
        model.save(path)
    with h5py.File(path, "r+") as file:
        group = (file if beside else file["model_weights"])["dense/dense"]
        name = next(name for name in group if "kernel" in name)
        del group[name]
        kind(group, name, other)
    with pytest.raises(ExportError, match="has no '.*kernel.*' of its own|is kept in another file") as caught:
        load(path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_group_that_holds_itself_is_read_once(tmp_path):
    """Keras 3 reads such a file: the loop is beside what it looks for."""
    path, weights = tmp_path / "m.keras", tmp_path / "w.h5"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    weights.write_bytes(files["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        file["layers/again"] = file["layers"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**files, "model.weights.h5": weights.read_bytes()}.items():
            archive.writestr(name, data)
    with suppress(ExportError):
        load(path)


def linked_to(path):
    with h5py.File(path, "w") as file:
        file["0"] = np.zeros((3, 2), "float32")
    return path


def test_a_zip_file_of_a_saved_model_with_a_bad_byte_is_refused_in_one_line(tmp_path):
    path = tmp_path / "m.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("saved_model.pb", np.random.default_rng(0).integers(0, 9, 5000).tobytes())
    data = bytearray(path.read_bytes())
    data[200:400] = b"\xff" * 200
    path.write_bytes(data)
    with pytest.raises(ExportError, match="Cannot load .*The file is damaged or truncated"):
        load(path)
