"""The failures of a run as SARIF 2.1.0, which code scanning shows beside the lines of a policy and at files.

A rule is a kind of failure. A result lies at the file that failed, and at the line of the policy that asks for the
check: first at the line, where there is one, for a binary file has none to show. Paths are relative to the repository.
"""

from __future__ import annotations

import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from .check_results import KINDS, Check, Run, sentence

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(run: Run) -> str:
    """The JSON text."""
    kinds = [kind for kind in KINDS if any(check.kind == kind for check in run.failed)]
    driver = {
        "name": "keras-norms check",
        "version": version("keras-norms"),
        "rules": [_rule(kind) for kind in kinds],
    }
    log = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "utf16CodeUnits",
                "results": [_result(check, run, kinds.index(check.kind or "")) for check in run.failed],
            }
        ],
    }
    return json.dumps(log, indent=2) + "\n"


def _rule(kind: str) -> dict[str, Any]:
    wrong, helps = KINDS[kind]
    return {
        "id": kind,
        "shortDescription": {"text": wrong},
        "fullDescription": {"text": f"{wrong} {helps}"},
        "help": {"text": helps},
        "defaultConfiguration": {"level": "error"},
    }


def _result(check: Check, run: Run, rule: int) -> dict[str, Any]:
    places = [_location(check.file or check.model, None)]
    if check.line is not None:
        places.insert(0, _location(str(run.policy), check.line))
    text = f"{check.model}, {check.name}: {sentence(check.text)}"
    result: dict[str, Any] = {
        "ruleId": check.kind,
        "ruleIndex": rule,
        "level": "error",
        "message": {"text": text},
        "locations": places[:1],
        # The same failure of two runs is one alert, whatever was measured.
        "partialFingerprints": {"check/v1": _fingerprint(check)},
    }
    if places[1:]:
        result["relatedLocations"] = [{"id": 0, "message": {"text": "the file"}, **places[1]}]
    return result


def _location(path: str, line: int | None) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(path)}}
    if line is not None:
        place["region"] = {"startLine": line}
    return {"physicalLocation": place}


def _uri(path: str) -> str:
    """A path in the repository as a relative reference, any other as a file URI."""
    absolute, root = Path(os.path.abspath(path)), _root()  # noqa: PTH100  (Path.absolute keeps "..")
    if absolute.is_relative_to(root):
        return quote(PurePath(absolute.relative_to(root)).as_posix())
    return absolute.as_uri()


def _root() -> Path:
    """The repository that the current folder lies in, or that folder."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)


def _fingerprint(check: Check) -> str:
    return hashlib.sha256("\n".join((check.model, check.name, check.kind or "")).encode()).hexdigest()
