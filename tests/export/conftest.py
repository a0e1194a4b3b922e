"""In the tests a fault of the code that looks for a wrong layer is seen, not ignored."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def _raise_in_diagnosis():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_NORMS_RAISE_IN_DIAGNOSIS", "1")
        yield
