"""The demo, trained for seconds: every file, and figures that agree wherever they stand."""

import json
import re
import sys
from functools import partial
from html.parser import HTMLParser

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras_norms.export.demo import batches, data, network, predictions, training
from keras_norms_cli.commands import cli

NORMS = ("batch norm", "group norm")  # one that folds and one that stays; the others differ in their layer only
# A stem and both kinds of residual block, and images enough to tell a right file from a wrong one.
WIDTHS, CONVOLUTIONS, IMAGES, TRAINED_ON = (8, 16), 6, 150, 640
ONE_IMAGE = 1.5 / IMAGES
STEMS = [f"{norm.replace(' ', '_')}_{size}" for size in (32, 2) for norm in NORMS]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "new" / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "NORMS", NORMS)
        patch.setattr(training, "residual_cnn", partial(network.residual_cnn, widths=WIDTHS))
        digits = data.load(test_size=IMAGES)
        few = digits._replace(
            train_images=digits.train_images[:TRAINED_ON], train_labels=digits.train_labels[:TRAINED_ON]
        )
        patch.setattr(data, "load", lambda: few)
        result = CliRunner().invoke(cli, ["demo", "--quick", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return out, result.stdout, json.loads((out / "demo.json").read_text())


@pytest.mark.runtime
def test_it_writes_the_models_the_record_and_the_report(demo):
    out, _, _ = demo
    assert sorted(path.name for path in out.iterdir()) == ["demo.json", "models", "report.html"]
    expected = {f"{stem}.{suffix}" for stem in STEMS for suffix in ("keras", "tflite", "onnx")}
    assert {path.name for path in (out / "models").iterdir()} == expected


@pytest.mark.runtime
def test_every_batch_norm_folds_and_every_artifact_is_verified(demo):
    for run in demo[2]["runs"]:
        for artifact in run["artifacts"].values():
            assert artifact["report"]["verification"]["ok"]
            folded = len(artifact["report"]["fold"]["folded"])
            assert folded == (run["norms"] if run["norm"].startswith("batch") else 0)
        assert run["norms"] == CONVOLUTIONS


@pytest.mark.runtime
def test_artifacts_are_as_accurate_as_their_model(demo):
    """One image may fall to the other side of a tie by rounding."""
    for run in demo[2]["runs"]:
        for measured in (run["keras"], *run["artifacts"].values()):
            assert measured["accuracy"] == pytest.approx(run["test_accuracy"][-1], abs=ONE_IMAGE)
            assert measured["image_us"] > 0


@pytest.mark.runtime
def test_the_saved_model_has_the_recorded_accuracy(demo):
    out, _, record = demo
    run = next(run for run in record["runs"] if (run["norm"], run["batch_size"]) == ("group norm", 2))
    digits = data.load(test_size=IMAGES)
    logits = keras.models.load_model(out / "models" / run["model_file"]).predict(digits.test_images, verbose=0)
    accuracy = np.mean(np.argmax(logits, -1) == digits.test_labels)
    assert accuracy == pytest.approx(run["keras"]["accuracy"], abs=ONE_IMAGE)


@pytest.mark.runtime
def test_the_terminal_shows_the_recorded_figures(demo):
    _, text, record = demo
    rows = {cells[0]: cells[1:] for cells in (re.split(r"\s{2,}", line.strip()) for line in text.splitlines())}
    for norm in NORMS:
        runs = [run for run in record["runs"] if run["norm"] == norm]
        assert rows[norm] == [f"{100 * run['test_accuracy'][-1]:.1f}" for run in runs]
    for run in record["runs"]:
        for suffix, artifact in run["artifacts"].items():
            report = artifact["report"]
            assert rows[f"{norm_file(run)}.{suffix}"] == [
                f"{len(report['fold']['folded'])} of {CONVOLUTIONS}",
                f"{report['size_bytes'] / 1024:.1f}",
                str(sum(report["ops"].values())),
                f"{max(output['relative'] for output in report['verification']['outputs'].values()):.1e}",
                f"{100 * artifact['accuracy']:.1f}",
            ]
        times = [run["keras"], run["artifacts"]["tflite"], run["artifacts"]["onnx"]]
        assert rows[f"{run['norm']}, {run['batch_size']}"] == [f"{time['image_us']:.0f}" for time in times]


def norm_file(run):
    return f"{run['norm'].replace(' ', '_')}_{run['batch_size']}"


@pytest.mark.runtime
def test_the_page_shows_what_the_terminal_shows(demo):
    out, text, _ = demo
    shown = Text((out / "report.html").read_text()).cells
    cells = [cell for line in text.splitlines() if line.startswith("  ") for cell in re.split(r"\s{2,}", line.strip())]
    headers, rows = 3 + 6 + 4, len(NORMS) * 3 + 2 * len(STEMS) * 6 + len(STEMS) * 4
    assert len(cells) == headers + rows
    assert set(cells) <= shown


@pytest.mark.runtime
def test_the_record_names_what_the_times_depend_on(demo):
    machine = demo[2]["machine"]
    assert machine["cores"] >= 1
    assert machine["packages"]["keras"] == keras.__version__


def test_the_split_is_fixed_and_its_halves_are_apart():
    first, second = data.load(), data.load()
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    assert first.train_images.shape == (1347, 8, 8, 1)
    assert first.test_images.shape == (450, 8, 8, 1)
    assert (first.train_images.min(), first.train_images.max()) == (0, 1)
    assert np.bincount(first.test_labels).min() >= 43


def test_a_training_can_be_repeated(monkeypatch):
    """Few layers and test images, as only the training is looked at."""
    monkeypatch.setattr(training, "residual_cnn", partial(network.residual_cnn, widths=WIDTHS[:1]))
    digits = data.Digits(*(part[:64] for part in data.load()))
    recipe = training.Recipe(batch_size=16, order="mixed", learning_rate=1e-3, momentum=0.9, epochs=1)
    first, second = (training.train("batch renorm", recipe, digits) for _ in range(2))
    assert first.loss == pytest.approx(second.loss, rel=1e-4)
    assert first.steps == 4


@pytest.mark.parametrize("kind", network.NORMS)
def test_the_network_has_the_named_norm_after_each_convolution(kind):
    model = network.residual_cnn(network.make_norm(kind, momentum=0.9, total_steps=100))
    norms = [layer for layer in model.layers if layer.name.endswith("_norm")]
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    words = {"batch norm": "BatchNorm", "batch renorm": "BatchRenorm", "group norm": "GroupNorm"}
    if kind == "no norm":
        assert norms == []
    else:
        assert {type(layer).__name__ for layer in norms} == {f"{words[kind]}alization"}
        assert len(norms) == 9
    assert [layer.use_bias for layer in convolutions] == [kind == "no norm"] * 9


def test_an_epoch_shows_every_image_once_whole_batches_only():
    labels = data.load().train_labels
    for arrange in (batches.mixed, batches.of_one_class):
        indices = arrange(labels, 4, np.random.default_rng(0))
        assert indices.shape[1] == 4
        assert len(np.unique(indices)) == indices.size > 1300
    digits = labels[indices]
    assert (digits == digits[:, :1]).all(), "one digit in a batch"
    assert np.mean(digits[1:, 0] == digits[:-1, 0]) < 0.2, "the batches are mixed"


def test_epochs_differ_in_their_order():
    recipe = training.Recipe(batch_size=2, order="of one digit", learning_rate=1e-3, momentum=0.9, epochs=2)
    labels = data.load().train_labels[:100]
    first, second = np.split(recipe.indices(labels, np.random.default_rng(0)), 2)
    assert not np.array_equal(first, second)
    assert (labels[first][:, 0] == labels[first][:, 1]).all()


def test_a_drawing_has_the_grey_of_its_pixels():
    image = np.zeros((8, 8, 1), "float32")
    image[2, 5], image[3, 0] = 1, 0.25
    markup = predictions.drawing(image)
    assert 'd="M5 2h1v1h-1z" fill="currentColor" fill-opacity="1"' in markup
    assert 'd="M0 3h1v1h-1z" fill="currentColor" fill-opacity="0.25"' in markup
    assert markup.count("<path") == 2


@pytest.mark.runtime
def test_the_page_marks_what_a_file_takes_for_another_digit(demo):
    out, _, record = demo
    page = (out / "report.html").read_text()
    section = page.partition("What the files say")[2].partition("<tbody>")[2].partition("</tbody>")[0]
    rows = re.findall(r"<tr><th[^>]*>([^<]*)</th>(.*?)</tr>", section)
    labels = data.load(test_size=IMAGES).test_labels
    said = np.array([run["artifacts"]["tflite"]["predicted"] for run in record["runs"]])
    disputed = [i for i in range(5, IMAGES) if len(set(said[:, i])) > 1]
    shown = [*range(5), *disputed[:5]]
    assert rows[0][1] == "".join(f"<td>{labels[i]}</td>" for i in shown)
    for (name, cells), run, found in zip(rows[1:], record["runs"], said, strict=True):
        assert f"batches of {name.partition(', ')[2]}" == run["batches"]
        assert name.startswith(f"{run['norm']}, ")
        marked = [
            f"<td>{found[i]}</td>" if found[i] == labels[i] else f'<td class="wrong">{found[i]} ✗</td>' for i in shown
        ]
        assert cells == "".join(marked)


@pytest.mark.runtime
def test_the_picture_tells_the_recorded_figures(demo):
    out, _, record = demo
    told = (out / "report.html").read_text().partition("<desc>")[2].partition("</desc>")[0]
    for norm in NORMS:
        both = [run for run in record["runs"] if run["norm"] == norm]
        right = ", ".join(f"{100 * run['test_accuracy'][-1]:.1f}%" for run in both)
        left = 0 if norm == "batch norm" else CONVOLUTIONS
        assert f"{norm}: right {right}; norms left {left} of {CONVOLUTIONS}; errors " in told
        times = [both[1]["keras"], *both[1]["artifacts"].values()]
        assert ", ".join(f"{time['image_us']:.0f}" for time in times) + " microseconds" in told


# What the demo imports only when it runs, and what that imports of the two packages.
LATE = ("keras_norms.export.demo.data", "keras_norms.export.demo.page", "keras_norms.export.report.chart")


@pytest.mark.parametrize("module", ["sklearn", "matplotlib"])
def test_without_a_package_of_its_own_it_names_the_extra(module, tmp_path, monkeypatch):
    """Nothing is made before it is missed."""
    for name in list(sys.modules):
        if name in LATE:
            monkeypatch.delattr(name, raising=False)
        if name in LATE or name.partition(".")[0] == module:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    result = CliRunner().invoke(cli, ["demo", "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert f"needs {module}, which is not installed: pip install 'keras-norms[demo]'" in result.stderr
    assert not (tmp_path / "out").exists()


class Text(HTMLParser):
    """The texts of the table cells of a page."""

    def __init__(self, markup):
        super().__init__()
        self.cells = set()
        self.feed(re.sub(r"<style>.*?</style>", "", markup, flags=re.DOTALL))

    def handle_data(self, data):
        self.cells.add(data)
