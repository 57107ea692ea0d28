"""The pages for operators: every message they quote is one that the program says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.messages import (
    Message,
    errors_raised,
    events_logged,
    kinds_of_values,
    requests_refused,
    texts_said,
)

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text().replace("\\|", "|")
SOURCE = "".join(path.read_text() for path in sorted((ROOT / "cmw").rglob("*.py")))
TEXTS = re.sub(r'"\s*f?"', "", SOURCE)
"""The source, with texts that are split over lines put together."""

FILLED_IN = re.compile(
    r"\b(?:GATEWAY|PORT|PATH|FILE|RANGE|TRANSPORT|NUMBER|ADDRESS|VARIABLE|KIND|WORKER_TOKEN(?:_FILE)?)\b"
)
"""What stands in a message of the page for something that is different each time."""

SUBJECT = re.compile(r"^[A-Z_]+: (?:found (?:PORT|PATH|\*{4})|not set)?(?:, )?(?:expected )?")
"""How a fault of a setting begins; the program puts it together."""

NOT_OURS_TO_EXPLAIN = {"UNKNOWN_COMMAND", "UNKNOWN_RUN", "BAD_COMMAND"}
"""Refusals to a gateway that does not speak the language of the link."""


def quoted() -> list[str]:
    """Return what the first column of every table quotes."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    return [text for row in rows for text in re.findall(r"`([^`]+)`", row.split(" | ")[0])]


@pytest.mark.parametrize("message", quoted())
def test_a_message_that_is_explained_is_one_that_is_said(message: str) -> None:
    said = SUBJECT.sub("", message).removeprefix("expected ")
    pieces = [piece.strip(" ,:") for piece in FILLED_IN.split(said)]
    assert [piece for piece in pieces if piece not in TEXTS] == []


MESSAGES = [
    message
    for collect in (errors_raised, events_logged, requests_refused, texts_said, kinds_of_values)
    for message in collect(ROOT / "cmw")
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.where)
def test_a_message_that_is_said_is_explained(message: Message) -> None:
    assert any(message.key in text for text in quoted()), message


def test_the_messages_were_found() -> None:
    assert len(MESSAGES) > 120


def test_every_refusal_of_a_command_is_explained() -> None:
    codes = set(re.findall(r'CommandError\(\s*"([A-Z_]+)"', "".join(map(Path.read_text, worker_files()))))
    assert "NO_CAPACITY" in codes
    assert [code for code in codes - NOT_OURS_TO_EXPLAIN if f"`{code}`" not in PAGE] == []


def worker_files() -> list[Path]:
    return sorted((ROOT / "cmw" / "worker").glob("*.py"))
