"""The data sets of evidence.py: real ones that come inside of packages, and the batches drawn from them."""

import csv
import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

PICTURES = ["astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "hubble_deep_field", "ihc"]
TILE = 16
VOWELS_STEPS = 29  # of the longest utterance
CHUNK = 50  # steps between two looks at the test accuracy
BATCHES = ("32 mixed", "2 mixed", "32 of 2 classes", "2 of one class")


@dataclass(frozen=True)
class Data:
    """Samples and class numbers, in three parts: one to train on, one to choose the rate by, one for the figures."""

    x: np.ndarray
    y: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    def first(self, share):
        """The same, with this share of the samples to train on."""
        n = round(share * len(self.x))
        return Data(self.x[:n], self.y[:n], self.x_validation, self.y_validation, self.x_test, self.y_test)


def _parts(x, y, validation, test):
    x, y = np.asarray(x, "float32"), np.asarray(y, "int32")
    x, x_test, y, y_test = train_test_split(x, y, test_size=test, random_state=0, stratify=y)
    x, x_validation, y, y_validation = train_test_split(x, y, test_size=validation, random_state=0, stratify=y)
    return Data(x, y, x_validation, y_validation, x_test, y_test)


def _inside(package, *path):
    """A file inside of an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    if found is None:
        raise SystemExit("The data are in packages: pip install --no-deps scikit-image plotnine aeon")
    return Path(found.submodule_search_locations[0]).joinpath(*path)


@functools.cache
def digits():
    """997, 350 and 450 scanned digits of 8 x 8 pixels (scikit-learn)."""
    x, y = load_digits(return_X_y=True)
    return _parts(x.reshape(-1, 8, 8, 1) / 16, y, validation=350, test=450)


@functools.cache
def pictures():
    """1,500, 500 and 1,000 grey tiles of 16 x 16 pixels of ten pictures (scikit-image): which picture is it from?"""
    from PIL import Image

    rng, x, y = np.random.default_rng(0), [], []
    for number, name in enumerate(PICTURES):
        path = next(_inside("skimage", "data").glob(f"{name}.*"))
        grey = np.asarray(Image.open(path).convert("L"), "float32") / 255
        rows, columns = (size // TILE for size in grey.shape)
        tiles = grey[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE).swapaxes(1, 2)
        x.append(rng.permutation(tiles.reshape(-1, TILE, TILE, 1))[:300])
        y += [number] * 300
    return _parts(np.concatenate(x), y, validation=500, test=1000)


@functools.cache
def diamonds():
    """10,000, 2,000 and 5,000 diamonds (plotnine): which of five cuts, by weight, colour, clarity, price and size?"""
    with _inside("plotnine", "data", "diamonds.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    colours = "JIHGFED"
    clarities = ("I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF")
    cuts = ("Fair", "Good", "Very Good", "Premium", "Ideal")
    numbers = ("carat", "depth", "table", "price", "x", "y", "z")
    x = [
        [*(float(row[n]) for n in numbers), colours.index(row["color"]), clarities.index(row["clarity"])]
        for row in rows
    ]
    y = [cuts.index(row["cut"]) for row in rows]
    rows = np.random.default_rng(0).permutation(len(x))[:17_000]
    x = np.asarray(x, "float32")[rows]
    return _parts((x - x.mean(axis=0)) / x.std(axis=0), np.asarray(y)[rows], validation=2_000, test=5_000)


@functools.cache
def vowels():
    """200, 70 and 370 utterances of a vowel, 7 to 29 steps of 12 numbers, then zeros (aeon): which of nine speakers?"""
    x, y, x_test, y_test = *_utterances("TRAIN"), *_utterances("TEST")
    x, x_validation, y, y_validation = train_test_split(x, y, test_size=70, random_state=0, stratify=y)
    return Data(x, y, x_validation, y_validation, x_test, y_test)


def _utterances(part):
    path = _inside("aeon", "datasets", "data", "JapaneseVowels", f"JapaneseVowels_{part}.ts")
    lines = path.read_text(encoding="utf-8").partition("@data\n")[2].splitlines()
    x = np.zeros((len(lines), VOWELS_STEPS, 12), "float32")
    y = np.zeros(len(lines), "int32")
    for i, line in enumerate(lines):
        *series, speaker = line.split(":")
        steps = np.array([[float(v) for v in numbers.split(",")] for numbers in series], "float32").T
        x[i, : len(steps)], y[i] = steps, int(speaker) - 1
    return x, y


def draw(labels, batches, steps, rng):
    """(steps, batch) indices of training samples; `batches` is one of BATCHES. Classes are drawn by their shares."""
    if batches.endswith("mixed"):
        return rng.integers(len(labels), size=(steps, int(batches.split()[0])))
    classes = {"32 of 2 classes": 2, "2 of one class": 1}[batches]
    size = int(batches.split()[0])
    present, counts = np.unique(labels, return_counts=True)
    members = {c: np.flatnonzero(labels == c) for c in present}
    chosen = [rng.choice(present, size=classes, replace=False, p=counts / counts.sum()) for _ in range(steps)]
    return np.array([np.concatenate([rng.choice(members[c], size // classes) for c in cs]) for cs in chosen])
