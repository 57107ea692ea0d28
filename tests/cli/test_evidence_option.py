"""`--evidence`: what each word asks for, beside what the plan says, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from cmw.cli.evidence_option import with_evidence
from cmw.cli.main import run_command
from cmw.load.plan import Plan
from cmw.load.plan_parser import parse_plan
from tests.load.documents import two_groups


def plan(**evidence: Any) -> Plan:
    return parse_plan(two_groups(**({"evidence": evidence} if evidence else {})))


@pytest.mark.parametrize(
    ("words", "said", "expected"),
    [
        (["7"], {}, {"calls": 7, "rtp": 20}),
        (["worst:3", "slowest:2"], {"calls": 5}, {"calls": 5, "worst": 3, "slowest": 2, "rtp": 20}),
        (["worst:3"], {"rtp": 0}, {"worst": 3, "rtp": 0}),
        (["rtp:4"], {}, {"rtp": 4}),
        (["rtp:4", "callers-0002"], {"rtp": 9}, {"endpoints": ["callers-0002"], "rtp": 4}),
        (["callers-0002"], {"endpoints": ["callers-0001"]}, {"endpoints": ["callers-0001", "callers-0002"], "rtp": 20}),
        (["all"], {}, {"endpoints": ["callees-0001", "callees-0002", "callers-0001", "callers-0002"], "rtp": 20}),
        (["0"], {"worst": 0, "slowest": 0}, {"calls": 0, "worst": 0, "slowest": 0}),
        (["none"], {"worst": 3, "rtp": 9}, {"calls": 0, "worst": 0, "slowest": 0}),
        ([], {"worst": 3}, {"worst": 3}),
    ],
)
def test_words_go_before_the_plan(words: list[str], said: dict[str, Any], expected: dict[str, Any]) -> None:
    found = with_evidence(plan(**said), words).evidence
    assert found == plan(**expected).evidence


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["worst"], "found worst, expected a number, all, none, worst:N, slowest:N, rtp:N or an endpoint such as"),
        (["callers-0003"], "found callers-0003, expected a number"),
        (["worst:101"], "found worst:101, expected a whole number from 0 to 100 in it"),
        (["rtp:-1"], "found rtp:-1, expected a whole number from 0 to 1000 in it"),
        (["5000"], "found 5000, expected a whole number from 0 to 1000 in it"),
        (["none", "all"], "found none, expected no other --evidence beside it"),
        (["0", "worst:0", "slowest:0", "rtp:5"], "found rtp:5, expected somebody whose packets are kept"),
    ],
)
def test_what_asks_for_nothing_is_refused(words: list[str], told: str) -> None:
    with pytest.raises(typer.BadParameter, match=re.escape(told)):
        with_evidence(plan(), words)


def test_sound_needs_packets() -> None:
    assert with_evidence(plan(), None, with_sound=True).evidence == plan(rtp=20).evidence
    assert with_evidence(plan(worst=2, rtp=5), None, with_sound=True).evidence == plan(worst=2, rtp=5).evidence
    for said, words in (({"rtp": 0}, []), ({}, ["none"]), ({}, ["rtp:0"])):
        with pytest.raises(typer.BadParameter, match="expected packets to be kept, such as by --evidence all"):
            with_evidence(plan(**said), words, with_sound=True)


def test_all_of_a_crowd_is_too_many() -> None:
    document = two_groups()
    document["groups"]["callers"]["endpoints"] = document["groups"]["callees"]["endpoints"] = 501
    with pytest.raises(typer.BadParameter, match="found all, which are 1002, expected at most 1000 endpoints"):
        with_evidence(parse_plan(document), ["all"])


def test_the_commands_have_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("version: 1\nduration: 1s\ngroups: {callers: {endpoints: 1, call: {uri: 'sip:6@127.0.0.1'}}}\n")
    for words in (["run", str(file)], ["call", "sip:6@127.0.0.1"]):
        assert run_command([*words, "--evidence", "callers-0009"]) == 2
        assert "--evidence: found callers-0009" in capsys.readouterr().err.replace("Invalid value for ", "")
