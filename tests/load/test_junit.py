"""junit.xml and the checks behind it."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from cmw.core.words import RunStatus
from cmw.load.checks import CheckResult, checks_of
from cmw.load.early_end import EarlyEnd
from cmw.load.junit import junit_xml
from cmw.load.summary import Summary
from cmw.load.verdict_sentence import verdict_sentence
from tests.load.runs import INFO, busy, report, summary, totals

TWO = {"call_success": ["rate >= 0.99", "rate >= 0.1"]}
HALF = [report(0, "callees"), report(1, "callees"), report(2, "callers"), busy(3)]


def results(found: Summary) -> list[tuple[str, str]]:
    return [(check.group, check.result.value) for check in checks_of(found)]


def test_a_run_without_thresholds_is_judged_by_its_calls() -> None:
    assert results(summary()) == [("run", "passed"), ("generator", "passed"), ("calls", "passed")]
    assert results(summary(endpoints=HALF))[2:] == [("calls", "failed")]
    message = checks_of(summary(endpoints=HALF))[2].message
    assert message == "1 of 4 endpoints failed, 1 calls: 1 x CALL_FAILED: 486 Busy Here (such as callers-0003)"


def test_thresholds_stand_in_for_the_calls() -> None:
    found = summary(thresholds=TWO, endpoints=HALF)
    assert results(found)[2:] == [("thresholds", "failed"), ("thresholds", "passed")]
    assert checks_of(found)[2].message == "found 0.5; expected rate >= 0.99"


def test_a_threshold_over_what_was_not_measured_says_so() -> None:
    found = summary(thresholds={"mos": ["p(5) >= 4"]})
    assert "nothing was measured" in checks_of(found)[2].message


def test_when_the_generator_was_the_limit_nothing_is_the_target_s_failure() -> None:
    found = summary(thresholds=TWO, endpoints=HALF, health={"w1": totals(cpu_steal_ratio=0.5)})
    assert results(found) == [
        ("run", "passed"),
        ("generator", "error"),
        ("thresholds", "error"),
        ("thresholds", "passed"),
    ]
    assert "host CPU of worker one" in checks_of(found)[1].message


def test_a_run_that_did_not_come_to_its_end_is_an_error() -> None:
    found = summary(info=replace(INFO, status=RunStatus.FAILED))
    assert checks_of(found)[0].result is CheckResult.ERROR
    assert checks_of(found)[0].message == "the run ended as FAILED"


def test_a_run_without_calls_failed() -> None:
    assert results(summary(endpoints=[report(0, "callees", call={})]))[2] == ("calls", "failed")


def test_the_document_counts_its_cases() -> None:
    root = ElementTree.fromstring(junit_xml(summary(thresholds=TWO, endpoints=HALF)))
    suite = root[0]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("4", "1", "0")
    assert (suite.get("name"), suite.get("time"), suite.get("timestamp")) == (
        "two groups",
        "12.500",
        "2026-01-01T00:00:00Z",
    )
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases][2:] == ["call_success rate >= 0.99", "call_success rate >= 0.1"]
    failure = cases[2].find("failure")
    assert failure is not None
    assert failure.get("message") == "found 0.5; expected rate >= 0.99"
    text = suite.findtext("system-out") or ""
    assert text.startswith("FAILED: 1 of 2 thresholds failed.")


@pytest.mark.parametrize("reason", ["a\x00b", "\x1b[31m", "<![CDATA[x]]>", "\ud800", "\uffff & <"])
def test_whatever_a_peer_says_the_document_can_be_read(reason: str) -> None:
    root = ElementTree.fromstring(junit_xml(summary(endpoints=[*HALF[:3], busy(3, reason=reason)])).encode())
    failure = root.find(".//failure")
    assert failure is not None
    assert "1 x CALL_FAILED: " in (failure.get("message") or "")


def test_a_threshold_that_ended_the_run_says_when_and_with_what() -> None:
    ended = EarlyEnd(metric="mos", expression="avg >= 0", value=-1.0, second=7)
    found = summary(thresholds={"mos": "avg >= 0"}, info=replace(INFO, early_end=ended))
    message = checks_of(found)[2].message
    assert message == "-1 in second 7, which ended the run; expected avg >= 0"
    assert verdict_sentence(found) == "mos avg >= 0 ended the run in second 7. Blame: TARGET."
