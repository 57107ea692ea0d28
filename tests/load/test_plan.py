"""The plan's models: defaults, and a document that survives the round trip with its secrets kept."""

from __future__ import annotations

import json

from cmw.core.clock import MILLISECOND, SECOND
from cmw.load.arrivals import constant
from cmw.load.plan import Plan
from cmw.load.plan_parser import parse_plan
from cmw.load.units import Rate
from tests.load.documents import registered, two_groups


def test_defaults_are_those_of_the_documentation() -> None:
    plan = parse_plan({"version": 1, "duration": "10s", "groups": {"g": {"endpoints": 1, "call": {"uri": "sip:1@h"}}}})
    group = plan.groups["g"]
    assert (plan.name, plan.setup_timeout, plan.duration) == ("test", 60 * SECOND, 10 * SECOND)
    assert group.audio.codecs == ["PCMU", "PCMA"]
    assert (group.audio.ptime, group.audio.source, group.audio.dscp) == (20 * MILLISECOND, "speech", 46)


def test_arrivals_are_ten_a_second_unless_the_plan_says_otherwise() -> None:
    plan = parse_plan(two_groups())
    load = plan.groups["callers"].load
    assert load is not None
    assert load.stages == constant(Rate(10, SECOND))
    assert load.model_copy(update={"arrivals": "all-at-once", "rate": None}).stages == []


def test_a_plan_survives_its_document() -> None:
    plan = parse_plan({**registered(), "thresholds": {"mos": ["p(5) >= 4.0"]}})
    assert parse_plan(json.loads(json.dumps(plan.to_document()))) == plan


def test_passwords_show_only_where_they_are_asked_for() -> None:
    plan = parse_plan(registered())
    assert "pass-" in json.dumps(plan.to_document())
    for shown in (repr(plan), str(plan), plan.model_dump_json(), str(plan.model_dump())):
        assert "pass-" not in shown


def test_the_schema_explains_every_field() -> None:
    schema = Plan.model_json_schema()
    for model in (schema, *schema["$defs"].values()):
        for name, field in model.get("properties", {}).items():
            assert field.get("description"), name
            assert field.get("x-expected"), name


def test_the_schema_knows_both_ways_to_write_accounts_and_thresholds() -> None:
    schema = Plan.model_json_schema()
    accounts = schema["$defs"]["Registrar"]["properties"]["accounts"]["anyOf"]
    assert [way["type"] for way in accounts] == ["array", "object"]
    assert [way["type"] for way in schema["properties"]["thresholds"]["additionalProperties"]["anyOf"]] == [
        "array", "string",
    ]  # fmt: skip


def test_the_documentation_names_every_field() -> None:
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "plan.md").read_text(encoding="utf-8")
    schema = Plan.model_json_schema()
    names = {name for model in (schema, *schema["$defs"].values()) for name in model.get("properties", {})}
    assert [name for name in sorted(names) if name not in page] == []
