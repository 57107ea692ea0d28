"""Variables of a plan file: where their values come from, and as what they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cmw.cli.plan_file import read_plan
from cmw.cli.plan_variables import VariableError, Variables, plan_variables
from cmw.errors import SettingsError
from cmw.load.plan import Plan
from cmw.load.plan_parser import parse_plan

YAML = """\
version: 1
variables: {N: 3, HOST: 127.0.0.1, LINE: "42"}
name: "${LINE} calls ${HOST}"
duration: ${SECONDS}s
groups:
  callers:
    endpoints: ${N}
    call: {uri: "sip:${LINE}@${HOST}"}
    headers: {X-Line: "${LINE}", X-Raw: "$${N}", X-Home: "${env:PLACE}"}
"""

JSON = """\
{"version": 1, "variables": {"N": 3, "HOST": "127.0.0.1", "LINE": "42"},
 "name": "${LINE} calls ${HOST}", "duration": "${SECONDS}s", "groups": {
  "callers": {"endpoints": "${N}", "call": {"uri": "sip:${LINE}@${HOST}"},
   "headers": {"X-Line": "${LINE}", "X-Raw": "$${N}", "X-Home": "${env:PLACE}"}}}}
"""


def read(directory: Path, text: str, environment: dict[str, str] | None = None, **given: str) -> Plan:
    file = directory / ("plan.json" if text.startswith("{") else "plan.yaml")
    file.write_text(text, encoding="utf-8")
    return read_plan(file, Variables(given, {"PLACE": "lab"} if environment is None else environment))


def faults(*args: Any, **given: Any) -> str:
    with pytest.raises(SettingsError) as error:
        read(*args, **given)
    return str(error.value)


@pytest.mark.parametrize("text", [YAML, JSON], ids=["yaml", "json"])
def test_references_are_filled_in(tmp_path: Path, text: str) -> None:
    plan = read(tmp_path, text, SECONDS="5", N="7")
    group = plan.groups["callers"]
    assert group.call is not None
    assert (plan.name, plan.duration, group.endpoints) == ("42 calls 127.0.0.1", 5_000_000_000, 7)
    assert (group.call.uri, group.headers) == ("sip:42@127.0.0.1", {"X-Line": "42", "X-Raw": "${N}", "X-Home": "lab"})


@pytest.mark.parametrize("text", [YAML, JSON], ids=["yaml", "json"])
def test_a_reference_in_quotes_is_read_as_its_variable_is_written(tmp_path: Path, text: str) -> None:
    quoted = text.replace("endpoints: ${N}", 'endpoints: "${N}"')
    assert read(tmp_path, quoted, SECONDS="5").groups["callers"].endpoints == 3
    assert "endpoints: found '42', expected a whole number" in faults(
        tmp_path, quoted.replace("${N}", "${LINE}"), SECONDS="5"
    )
    assert "endpoints: found 'many', expected a whole number" in faults(tmp_path, text, SECONDS="5", N="many")


@pytest.mark.parametrize("text", [YAML, JSON], ids=["yaml", "json"])
def test_a_reference_to_nothing_is_named_with_its_line(tmp_path: Path, text: str) -> None:
    said = faults(tmp_path, text, {})
    assert "found '${SECONDS}', expected --set SECONDS=VALUE, or SECONDS in the plan's variables" in said
    assert "found '${env:PLACE}', expected an environment variable that is set" in said
    assert f"{tmp_path}/plan.{'json:2' if text is JSON else 'yaml:4'}: duration" in said


def test_a_name_that_the_plan_does_not_use_is_a_mistake(tmp_path: Path) -> None:
    assert "--set HOTS: found a name that the plan does not use" in faults(tmp_path, YAML, SECONDS="5", HOTS="x")


@pytest.mark.parametrize("variables", ["[1]", "{a-b: 1}", "{A: [1]}", "7"])
def test_variables_are_names_with_values(tmp_path: Path, variables: str) -> None:
    said = faults(tmp_path, f"version: 1\nvariables: {variables}\nduration: 1s\ngroups: {{a: {{endpoints: 1}}}}\n")
    assert "plan.yaml:2: variables: found" in said
    assert "expected names of letters, digits" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("variables: {A: 1, B: 2, A: 3}\n", "plan.yaml:2: variables.A: found twice, expected once: line 2 has it"),
        ("variables:\n  A: 1\n  A: 1\n", "plan.yaml:4: variables.A: found twice, expected once: line 3 has it"),
        ("variables: {A: 1}\nvariables: {B: 2}\n", "plan.yaml:3: variables: found twice, expected once: line 2 has it"),
    ],
)
def test_a_variable_that_is_there_twice_is_a_mistake(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "plan.yaml").write_text("version: 1\n" + text + "duration: 1s\n")
    with pytest.raises(SettingsError) as caught:
        read_plan(tmp_path / "plan.yaml")
    assert message in str(caught.value)


@pytest.mark.parametrize("variables", ['{"A": 1, "A": 2}', '{"A": 1}, "variables": {"B": 2}'])
def test_a_variable_that_json_has_twice_is_a_mistake(tmp_path: Path, variables: str) -> None:
    (tmp_path / "plan.json").write_text(f'{{"version": 1, "variables": {variables}}}')
    with pytest.raises(SettingsError, match=r"plan\.json:1: variables(\.A)?: found twice, expected once"):
        read_plan(tmp_path / "plan.json")


def test_only_a_file_has_variables() -> None:
    with pytest.raises(SettingsError, match="variables: is not filled in here; only a plan that is a file can have"):
        parse_plan({"version": 1, "variables": {}, "duration": "1s", "groups": {"a": {"endpoints": 1}}})


@pytest.mark.parametrize("text", ["${}", "${a b}", "${env:}", "${ N }"])
def test_a_reference_that_is_none_is_a_mistake(text: str) -> None:
    with pytest.raises(VariableError, match="expected"):
        Variables({"N": "1"}).fill(text)


@pytest.mark.parametrize("texts", [["N"], ["=1"], ["1N=2"], ["N=1", "N=2"]])
def test_a_setting_that_is_none_is_refused(texts: list[str]) -> None:
    with pytest.raises(SettingsError, match="--set: found"):
        plan_variables(texts)


def test_a_value_may_hold_anything() -> None:
    assert plan_variables(["A=b=c ${X}"]).fill("[${A}]") == "[b=c ${X}]"
