"""What a model says to an input, computed once: for tests that judge many files by one model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from keras_norms.export.artifact.hashes import weights_sha256
from keras_norms.export.model.repeated_calls import RepeatedCalls, _digest
from keras_norms.export.verification import float32_rounding, reach


@contextmanager
def answers_kept() -> Iterator[None]:
    """Within the block a model with the same weights gives its answer to an input again without running.

    In float32, in float64, and by rounding steps: all of these are the same each time.
    """
    known: dict[Any, tuple[Any, Any]] = {}

    def once(key: tuple[Any, ...], model: Any, compute: Callable[[], Any]) -> Any:
        key = (*key, id(model), weights_sha256(model))
        if key not in known:
            known[key] = model, compute()  # with the model, whose id no other may get
        return known[key][1]

    def kept(function: Callable[..., Any]) -> Callable[..., Any]:
        def answer(facts: Any, run: Any, arrays: Any, *seed: int) -> Any:
            key = (function.__name__, facts.signature.batch, _digest(arrays), *seed)
            return once(key, facts.model, lambda: function(facts, run, arrays, *seed))

        return answer

    called = RepeatedCalls._called
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            RepeatedCalls,
            "_called",
            lambda self, arrays: once(("called", _digest(arrays)), self._model, lambda: called(self, arrays)),
        )
        patch.setattr(reach, "run_in_float64", kept(reach.run_in_float64))
        patch.setattr(float32_rounding, "run_where_in_float64", kept(float32_rounding.run_where_in_float64))
        patch.setattr(float32_rounding, "_stepped", kept(float32_rounding._stepped))
        yield
