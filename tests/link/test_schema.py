"""The JSON schema of the link."""

from __future__ import annotations

import json

from cmw.link.messages import WorkerMessage
from cmw.link.schema import link_schema


def test_every_message_is_in_it_and_requires_its_type() -> None:
    schema = link_schema()
    named = {ref["$ref"].removeprefix("#/$defs/") for side in schema["anyOf"] for ref in side["anyOf"]}
    assert {message.__name__ for message in WorkerMessage.__args__} <= named
    for name in named:
        assert "type" in schema["$defs"][name]["required"]
        assert "const" in schema["$defs"][name]["properties"]["type"]
    assert named <= set(schema["$defs"])


def test_it_is_json_and_states_limits_and_close_codes() -> None:
    schema = json.loads(json.dumps(link_schema()))
    assert schema["x-limits"]["max_to_gateway_bytes"] == 1 << 20
    assert schema["x-close-codes"]["4401"] == "authentication failed: invalid token"
