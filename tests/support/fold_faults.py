"""Folds the models of random programs, tells what is wrong with the result, and shrinks what fails."""

import keras
import numpy as np
from fold_checks import randomize, run, state, structure
from fold_programs import build, program
from fold_replay import Subclassed
from keras import tree
from keras_norms.export.errors import FoldError
from keras_norms.export.folding.fold import fold, fold_plan


def fault(steps, seed):
    """What is wrong with the fold of a program's model, or None; and how many norms folded."""
    keras.utils.clear_session(free_memory=False)
    try:
        model = build(steps, seed)
    except ValueError as error:
        if "not connected" not in str(error):
            raise
        return None, 0  # Keras 3.12 takes no model with an input that nothing uses
    if model is None:
        return None, 0
    randomize(model, seed, dead=seed % 3 == 0)
    # The graph may leave an input unused; the model still takes it.
    rng = np.random.default_rng(seed)
    x = tree.map_structure(lambda t: rng.standard_normal((2, *t.shape[1:])), model.input)
    wrapped = seed % 4 == 3
    if wrapped:
        model = Subclassed(model)
        run(model, x)
    before, expected = state(model), run(model, x)
    try:
        result, report = fold(model)
    except FoldError as error:
        # Keras reads the operation back from a config as the layer of its name.
        keras_fault = "(Replay) does not come back" in str(error) and "Reshape.__init__()" in str(error)
        return None if keras_fault else f"{type(error).__name__}: {error}", 0
    except Exception as error:
        return f"{type(error).__name__}: {error}", 0
    if state(model) != before:
        return "the model was changed", 0
    if not wrapped and structure(result) != structure(model):
        return "the structure was changed", 0
    for a, b in zip(run(result, x), expected, strict=True):
        if a.shape != b.shape or np.max(np.abs(a - b), initial=0) > 1e-9 * (np.max(np.abs(b), initial=0) or 1.0):
            return f"the outputs differ: {[(r.norm, r.into, r.rule) for r in report.folded]}", 0
    again = fold_plan(result)
    if again.folded or again.tails:
        return f"a second fold folds {[(r.norm, r.into) for r in (*again.folded, *again.tails)]}", 0
    return None, len(report.folded)


def shrink(steps, seed):
    """The shortest program found that still fails."""
    changed = True
    while changed:
        changed = False
        for i in range(len(steps)):
            shorter = steps[:i] + steps[i + 1 :]
            if fault(shorter, seed)[0] is not None:
                steps, changed = shorter, True
                break
    return steps


def fuzz(seeds):
    """Fold a model for each seed; returns how many norms folded. Raises on the first fault, shrunk."""
    folded = 0
    for seed in seeds:
        steps = program(seed)
        wrong, n = fault(steps, seed)
        if wrong is not None:
            small = shrink(steps, seed)
            raise AssertionError(f"seed {seed}: {fault(small, seed)[0]}\nbuild({small!r}, {seed})")
        folded += n
    return folded
