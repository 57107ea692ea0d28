"""junit.xml: the checks of a run in the form that CI systems read."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from cmw.load.checks import Check, CheckResult, checks_of
from cmw.load.summary import Summary
from cmw.load.verdict_sentence import verdict_sentence

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def junit_xml(summary: Summary) -> str:
    """Return the document: one suite named as the test, a case for each check."""
    checks = checks_of(summary)
    counts = {
        "tests": str(len(checks)),
        "failures": str(_count(checks, CheckResult.FAILED)),
        "errors": str(_count(checks, CheckResult.ERROR)),
        "skipped": "0",
        "time": f"{summary.run.duration_s or 0:.3f}",
    }
    root = Element("testsuites", {"name": "cmw", **counts})
    suite = SubElement(root, "testsuite", {"name": _clean(summary.run.name), **counts})
    if summary.run.started_at is not None:
        suite.set("timestamp", summary.run.started_at)
    properties = SubElement(suite, "properties")
    for name, value in (("run", summary.run.id), ("verdict", summary.run.verdict.value)):
        SubElement(properties, "property", {"name": name, "value": _clean(value)})
    for check in checks:
        _add_case(suite, check)
    SubElement(suite, "system-out").text = _clean(f"{summary.run.verdict}: {verdict_sentence(summary)}")
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _add_case(suite: Element, check: Check) -> None:
    case = SubElement(suite, "testcase", {"classname": f"cmw.{check.group}", "name": _clean(check.name), "time": "0"})
    if check.result is CheckResult.FAILED:
        SubElement(case, "failure", {"message": _clean(check.message)})
    elif check.result is CheckResult.ERROR:
        SubElement(case, "error", {"message": _clean(check.message)})


def _count(checks: list[Check], result: CheckResult) -> int:
    return sum(check.result is result for check in checks)


def _clean(text: str) -> str:
    """Return the text without what XML 1.0 cannot hold: peers choose parts of it. Source: XML 1.0, 2.2."""
    return "".join(c if c in "\t\n\r" or _is_char(ord(c)) else _REPLACEMENT for c in text)


def _is_char(code: int) -> bool:
    return 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
