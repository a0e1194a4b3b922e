"""The loop of the child process: a line of JSON in, a line of JSON out. See `child.py`."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import Any


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print to standard output joins the log
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), file=answers, flush=True)
        sys.stdout.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    module, _, name = request["function"].partition(":")
    try:
        function = getattr(importlib.import_module(f".{module}", __package__), name)
        return {"result": function(**request["arguments"])}
    except Exception as error:
        return {"error": str(error), "kind": type(error).__name__, "traceback": traceback.format_exc()}
