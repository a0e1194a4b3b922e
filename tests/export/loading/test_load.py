"""Files that tf_keras, the code of Keras 2, wrote: each computes in Keras 3 what its writer computes."""

import keras
import pytest
from keras_norms.export import load
from keras_norms.export.loading.translations import TRANSLATIONS
from old_models import CASES, assert_same, inputs_of, write

tk = pytest.importorskip("tf_keras")

reported: dict[tuple[str, str], set[str]] = {}  # (case, suffix): the translations that its file needed


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("case", CASES)
def test_what_keras_2_wrote_computes_the_same(case, suffix, tmp_path):
    model = CASES[case]()
    path = write(model, tmp_path / f"old{suffix}")
    x = inputs_of(model)
    loaded, report = load(path, prove=False)
    assert_same(loaded(x, training=False), model(x, training=False))
    assert report.writer == f"tf_keras {tk.__version__}" + (" on tensorflow" if suffix == ".h5" else "")
    assert report.proof == "none: prove=False"
    reported[case, suffix] = {made.translation for made in report.translated}
    loaded.save(tmp_path / "new.keras")
    assert_same(keras.models.load_model(tmp_path / "new.keras")(x, training=False), model(x, training=False))


# A SavedModel takes a second to write. benchmarks/old_files.py writes all of them.
FOLDERS = ("Bidirectional", "cells", "batch norm over two axes", "Sequential of a backbone", "three models deep")
FOLDERS += ("partly frozen", "shared model", "functions of TensorFlow", "'/' in names", "time distributed model")
FOLDERS += ("ConvLSTM2D", "embedding", "renorm", "mixed precision", "statistics of data")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [case for case in FOLDERS if case in CASES])
def test_a_saved_model_of_keras_2_computes_the_same(case, tmp_path):
    model = CASES[case]()
    x = inputs_of(model)
    loaded, report = load(write(model, tmp_path / "old"), prove=False)
    assert_same(loaded(x, training=False), model(x, training=False))
    assert report.writer == f"tf_keras {tk.__version__}"


@pytest.mark.filterwarnings("ignore")
def test_each_translation_has_a_case(tmp_path):
    for case, suffix in [(case, suffix) for case in CASES for suffix in (".h5", ".keras")]:
        if (case, suffix) not in reported:  # run by itself: most were loaded above
            _, report = load(write(CASES[case](), tmp_path / f"old{suffix}"), prove=False)
            reported[case, suffix] = {made.translation for made in report.translated}
    # Tested below and in files of their own: tf_keras no longer writes such files.
    by_hand = {"structure", "GRU reset", "names of Keras 1", "cuDNN layers", "operations of TensorFlow"}
    by_hand |= {"spectral norm", "masks", "DeepLab's upsampling", "Python code in the file"}
    by_hand |= {
        "weight norm",
        "spectral norm",
        "masks",
        "masks within steps",
        "softmax of masks",
        "masks beside states",
        "norms of others",
        "copies on several GPUs",
        "classes of known packages",
    }
    assert {row.name for row in TRANSLATIONS} - by_hand <= set().union(*reported.values())
