"""The loop of the child process: a line of JSON in, a line of JSON out. See `client.py`."""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_EXPORT = __package__.rpartition(".")[0]


def main(module: str) -> None:
    """Import `module` of this package, which the first job will want, and serve."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print to standard output joins the log
    with suppress(Exception):  # the job will meet it again, and tell
        importlib.import_module(f"{_EXPORT}.{module}")
    for name in [name for name, found in sys.modules.items() if found is None]:
        del sys.modules[name]  # what the client hid from the imports
    gc.freeze()  # what was imported stays: the TFLite converter collects garbage at every job, and need not look at it
    gc.enable()

    def tell(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    for line in sys.stdin:
        tell(_answer(json.loads(line), lambda stage: tell({"progress": stage})))
        sys.stdout.flush()


def _answer(request: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    module, _, name = request["function"].partition(":")
    arguments = {**request["arguments"], **({"progress": say} if request["progress"] else {})}
    try:
        function = getattr(importlib.import_module(f"{_EXPORT}.{module}"), name)
        return {"result": function(**arguments)}
    except Exception as error:
        return {"error": str(error), "kind": type(error).__name__, "traceback": traceback.format_exc()}
