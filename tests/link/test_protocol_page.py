"""What docs/link-protocol.md shows is what the code reads and writes."""

from __future__ import annotations

import re
from math import isnan
from pathlib import Path

import pytest

from cmw.link import limits
from cmw.link.messages import UnknownMessage, parse_gateway_message, parse_worker_message
from cmw.link.refusal import CloseCode, Refusal
from cmw.link.samples import decode_samples, encode_samples

PAGE = (Path(__file__).parents[2] / "docs" / "link-protocol.md").read_text()
UP, DOWN = PAGE.split("### Gateway to worker")
DOWN, LATER = DOWN.split("## Nothing lost")
EXAMPLE = re.compile(r"```json\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLE.findall(UP + LATER))
def test_examples_of_a_worker_are_read(text: str) -> None:
    assert not isinstance(parse_worker_message(text), UnknownMessage)


@pytest.mark.parametrize("text", EXAMPLE.findall(DOWN))
def test_examples_of_a_gateway_are_read(text: str) -> None:
    assert not isinstance(parse_gateway_message(text), UnknownMessage)


@pytest.mark.parametrize("text", EXAMPLE.findall(PAGE))
def test_examples_show_every_field(text: str) -> None:
    message = parse_worker_message(text)
    if isinstance(message, UnknownMessage):
        message = parse_gateway_message(text)
    assert not isinstance(message, UnknownMessage)
    assert message.model_fields_set == set(type(message).model_fields)


def test_every_type_has_an_example() -> None:
    shown = set(re.findall(r'\{"type": "(\w+)"', PAGE))
    assert shown == {
        *("hello", "heartbeat", "report", "command_accepted", "command_done", "command_rejected", "error"),
        *("welcome", "heartbeat_reply", "ack", "command"),
    }


def test_the_sample_batch_is_read() -> None:
    (dump,) = re.findall(r"```hex\n(.*?)```", PAGE, re.DOTALL)
    seq, batch = decode_samples(bytes.fromhex(dump))
    assert (seq, batch.run_id, batch.second, list(batch.endpoints)) == (5, "run-1", 3, [0, 7])
    assert batch.columns["jitter_ms"][0] == 1.5
    assert isnan(batch.columns["jitter_ms"][1])
    assert list(batch.columns["packets_sent"]) == [200, 0xFFFFFFFF]
    assert decode_samples(encode_samples(batch, seq))[0] == seq


def test_close_codes_and_refusals_are_all_there() -> None:
    rows = set(re.findall(r"^\| (\d{4}) \|", PAGE, re.MULTILINE))
    assert rows == {str(int(code)) for code in CloseCode} | {str(refusal.close_code) for refusal in Refusal}
    for refusal in Refusal:
        assert PAGE.count(refusal.message) == 2
        assert f"| {refusal.status} | `{refusal.message}`" in PAGE


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ("message to the gateway, text or binary, after reassembly | 1 MiB", limits.MAX_TO_GATEWAY_BYTES == 1 << 20),
        ("message to the worker | 4 MiB", limits.MAX_TO_WORKER_BYTES == 4 << 20),
        ("body of a sample batch when unpacked | 4 MiB", limits.MAX_SAMPLES_BYTES == 4 << 20),
        ("nesting of arrays and objects | 32", limits.MAX_DEPTH == 32),
        ("reports in flight without an acknowledgement | 512 KiB", limits.WINDOW_BYTES == 512 << 10),
        (
            "what a worker keeps for a gateway that is away | 64 MiB unless told otherwise",
            limits.SPOOL_MAX_BYTES == 64 << 20,
        ),
        ("messages of unknown type that are answered | 100", limits.MAX_ERRORS == 100),
    ],
)
def test_limits_are_the_codes(row: str, value: bool) -> None:
    assert row in PAGE
    assert value
