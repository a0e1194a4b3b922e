"""A run as JUnit XML, which CI systems show as tests: a suite a model, a case a check.

The form is the one that Jenkins, GitLab and pytest share: `testsuites`, `testsuite`, `testcase`, and in a case
`failure`, `error` or `skipped`.
"""

from __future__ import annotations

from xml.etree import ElementTree

from .check_results import Check, Run, sentence

_ERRORS = ("crashed", "timed-out", "error")  # the check itself failed, not what was checked


def junit(run: Run) -> str:
    """The XML text."""
    root = ElementTree.Element("testsuites", name="keras-norms check")
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for model, checks in run.by_model().items():
        counts = _counts(checks)
        totals = {key: totals[key] + counts[key] for key in totals}
        suite = ElementTree.SubElement(root, "testsuite", {"name": model, **_attributes(counts, checks)})
        for check in checks:
            suite.append(_case(check))
    root.attrib.update(_attributes(totals, list(run.checks)))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _counts(checks: list[Check]) -> dict[str, int]:
    failed = [check for check in checks if check.status == "failed"]
    errors = sum(check.kind in _ERRORS for check in failed)
    skipped = sum(check.status in ("skipped", "allowed") for check in checks)
    return {"tests": len(checks), "failures": len(failed) - errors, "errors": errors, "skipped": skipped}


def _attributes(counts: dict[str, int], checks: list[Check]) -> dict[str, str]:
    seconds = sum(check.seconds for check in checks)
    return {**{key: str(value) for key, value in counts.items()}, "time": f"{seconds:.3f}"}


def _case(check: Check) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=check.model, name=check.name, time=f"{check.seconds:.3f}")
    text = sentence(check.text)
    if check.status == "failed":
        tag = "error" if check.kind in _ERRORS else "failure"
        ElementTree.SubElement(case, tag, type=check.kind or "", message=text).text = text
    elif check.status == "allowed":
        ElementTree.SubElement(case, "skipped", message=f"Allowed: {check.allowed_because}. {text}")
    elif check.status == "skipped":
        ElementTree.SubElement(case, "skipped", message=text)
    elif check.text:
        ElementTree.SubElement(case, "system-out").text = check.text
    return case
