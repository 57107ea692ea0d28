"""What docs/link-runs.md shows is what the models read, and every code that a worker refuses with is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cmw.load.packets import EvidencePackets
from cmw.load.run_link import COMMANDS, EVENTS, REPORTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "link-runs.md").read_text()
EXAMPLES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
UNEXPECTED = {"INTERNAL"}
"""Raised by nobody: what an unexpected error becomes."""


def of(kind: str) -> dict[str, dict[str, object]]:
    return {example[kind]: example["data"] for example in reversed(EXAMPLES) if kind in example}


def test_every_command_result_and_report_has_an_example() -> None:
    assert of("command").keys() == COMMANDS.keys()
    assert of("result_of").keys() == {name for name, (_, result) in COMMANDS.items() if result is not None}
    assert of("report").keys() == REPORTS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_data_of_a_command_is_read(name: str) -> None:
    model, result = COMMANDS[name]
    found = model.model_validate(of("command")[name])
    assert found.model_fields_set == set(model.model_fields)
    if result is not None:
        assert result.model_validate(of("result_of")[name]).model_fields_set == set(result.model_fields)


@pytest.mark.parametrize("kind", REPORTS)
def test_the_data_of_a_report_is_read(kind: str) -> None:
    data = of("report")[kind]
    found = REPORTS[kind].model_validate(data)
    assert set(data) <= set(REPORTS[kind].model_fields)
    assert found.model_fields_set == set(data)


def test_every_event_has_an_example_that_is_read() -> None:
    shown = {example["data"]["kind"]: example["data"] for example in EXAMPLES if example.get("report") == "event"}
    assert shown.keys() == EVENTS.keys()
    for kind, data in shown.items():
        assert EVENTS[kind].model_validate(data).model_fields_set == set(data)
    (packet,) = EvidencePackets.model_validate(shown["evidence_packets"]).packets()
    assert (packet.remote_host, packet.size) == ("10.0.1.60", 172)


def test_every_code_of_a_refusal_is_there() -> None:
    shown = {
        code for row in re.findall(r"^\| (`[A-Z_`, ]+) \|", PAGE, re.MULTILINE) for code in re.findall("[A-Z_]+", row)
    }
    sources = "".join(path.read_text() for path in (ROOT / "cmw" / "worker").glob("*.py"))
    assert shown == set(re.findall(r'CommandError\(\s*"([A-Z_]+)"', sources)) | UNEXPECTED
