"""The logs: one object a line whatever is logged, five levels, and no secret in any of them."""

from __future__ import annotations

import io
import json
import logging
import math
import re
from pathlib import Path

import pytest
import structlog

from cmw.core.address import Address
from cmw.core.words import Phase
from cmw.worker.logs import (
    FIELD_CHARS,
    LEVELS,
    REPEATS,
    RepeatLimit,
    configure_logging,
    get_logger,
    mask,
    render_json,
    set_level,
)

TOKEN = "cmw_" + "0123456789abcdef" * 4
API_KEY = "cmk_" + "0123456789abcdef" * 2


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def line_of(stream: io.StringIO) -> dict[str, object]:
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.isascii()
    line = json.loads(text)
    assert isinstance(line, dict)
    return line


def test_a_line_is_one_json_object_with_time_level_and_event_first(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream)
    get_logger(worker="w1").info("call answered", call_id="a@b", setup_ms=12.5)
    line = line_of(stream)
    assert list(line) == ["time", "level", "event", "worker", "call_id", "setup_ms"]
    assert line["level"] == "info"
    assert str(line["time"]).endswith("Z")


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_lets_through_itself_and_what_is_graver(stream: io.StringIO, level: str) -> None:
    configure_logging(level, "json", stream)
    log = get_logger()
    for name in LEVELS:
        getattr(log, name)("x")
    seen = [json.loads(line)["level"] for line in stream.getvalue().splitlines()]
    assert seen == list(LEVELS)[: list(LEVELS).index(level) + 1]


@pytest.mark.parametrize(
    "hostile",
    ['"}\r\n{"level":"error"', "\u2028\u2029\x85\x0b\x0c", "\x00\x1b[2J", "\ud800", b"\xff\x00\n", math.nan, -math.inf],
)
def test_no_value_breaks_the_line(stream: io.StringIO, hostile: object) -> None:
    configure_logging("info", "json", stream)
    get_logger().info("message discarded", text=hostile, nested={"a": [hostile, {"b": hostile}]})
    assert set(line_of(stream)) == {"time", "level", "event", "text", "nested"}


def test_values_of_ours_are_shown_as_words(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream)
    get_logger().info("x", peer=Address("::1", 5060), phase=Phase.INCALL, parts=(1, None, True))
    line = line_of(stream)
    assert (line["peer"], line["phase"], line["parts"]) == ("[::1]:5060", "INCALL", [1, None, True])


def test_fields_cannot_pose_as_time_or_level(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream)
    get_logger().info("x", level="error", time="never")
    assert line_of(stream)["level"] == "info"


def test_secrets_are_masked_wherever_they_stand(stream: io.StringIO) -> None:
    configure_logging("trace", "json", stream)
    log = get_logger(header=f"Bearer {TOKEN}")
    log.trace(f"got {TOKEN}", deep=[{"url": f"ws://x/?t={TOKEN}"}], key=API_KEY.encode(), password="open sesame")
    log.trace("x", token="short", api_key="also short")
    text = stream.getvalue()
    for secret in (TOKEN, API_KEY, "open sesame", "short"):
        assert secret not in text
    assert "cmw_****" in text


@pytest.mark.parametrize("name", ["Authorization", "Proxy-Authorization", "AUTHORIZATION", "proxy-authorization"])
@pytest.mark.parametrize("fold", ["", "\r\n  "])
def test_digest_answers_in_raw_sip_are_masked(name: str, fold: str) -> None:
    message = (
        "REGISTER sip:pbx.example SIP/2.0\r\n"
        f'{name}: Digest username="u1", realm="pbx",{fold} nonce="n1", response="5ebe2294ecd0e0f08eab7690d2a6ee69", '
        "qop=auth\r\n"
        "CSeq: 2 REGISTER\r\n\r\nresponse=untouched"
    )
    masked = mask(message)
    assert "5ebe2294" not in masked
    assert 'response="****", qop=auth' in masked
    assert masked.endswith("CSeq: 2 REGISTER\r\n\r\nresponse=untouched")
    assert 'username="u1"' in masked


def test_bearer_and_basic_credentials_are_masked() -> None:
    assert mask("Authorization: Bearer abc.def") == "Authorization: Bearer ****"
    assert mask("authorization: Basic dTpw") == "authorization: Basic ****"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("calls sip:bob:treasure@host;lr", "calls sip:bob:***@host;lr"),
        ("by http://bob:treasure@proxy:3128", "by http://bob:****@proxy:3128"),
        ("a=crypto:1 AES inline:dHJlYXN1cmVzIG9mIGEgcGVlcg==|2^20", "a=crypto:1 AES inline:****|2^20"),
        ("mail bob@host at 10:30", "mail bob@host at 10:30"),
    ],
)
def test_passwords_in_uris_and_keys_of_media_are_masked(stream: io.StringIO, said: str, shown: str) -> None:
    configure_logging("info", "json", stream)
    get_logger().info(said, target=said, told=[said])
    line = line_of(stream)
    assert (line["event"], line["target"], line["told"]) == (shown, shown, [shown])


@pytest.mark.parametrize("part", ["//a:", "inline:", "sip:a:", "sip:a:b@", "@", "cmw_", "a=crypto:1 x inline:"])
def test_masking_what_is_hostile_takes_linear_time(part: str) -> None:
    assert mask(part * 100_000 + "x@").count(part[:2]) > 0


def test_a_field_that_fills_a_datagram_is_cut_below_trace(stream: io.StringIO) -> None:
    configure_logging("trace", "json", stream)
    get_logger().warn("x", reason="y" * 60_000)
    assert line_of(stream)["reason"] == "y" * FIELD_CHARS + f"... ({60_000 - FIELD_CHARS} more characters)"
    stream.seek(0)
    stream.truncate()
    get_logger().trace("SIP", message="y" * 60_000)
    assert line_of(stream)["message"] == "y" * 60_000


def test_no_line_of_a_traceback_poses_as_a_line_of_the_log(stream: io.StringIO) -> None:
    configure_logging("info", "pretty", stream, colours=False)
    try:
        raise ValueError("bad\n03:20:01.000 info  all is well\x1b[2J\u2028yes")
    except ValueError:
        get_logger().exception("it broke")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("error it broke")
    assert "    03:20:01.000 info  all is well\\x1b[2J" in rest
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_masking_a_hostile_header_takes_linear_time() -> None:
    assert mask("Authorization:" + "\r\n " * 100_000 + "x").endswith("x")


def test_pretty_is_one_clean_line_with_colours_unless_not_wanted(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    configure_logging("info", "pretty", stream)
    get_logger().info("call\x1b[2J answered", peer="a b", count=3, nasty="\x1b]0;x\x07\n")
    coloured = stream.getvalue()
    assert "\x1b[32minfo" in coloured
    assert "\x1b[2J" not in coloured
    assert "\x1b]" not in coloured
    assert coloured.count("\n") == 1
    stream.truncate(0)
    monkeypatch.setenv("NO_COLOR", "1")
    configure_logging("info", "pretty", stream)
    get_logger().info("call answered", peer="a b", count=3)
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().endswith('info  call answered peer="a b" count=3\n')


def test_an_exception_is_logged_with_its_traceback_masked(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream)
    try:
        raise ValueError(f"bad {TOKEN}")
    except ValueError:
        get_logger().exception("it broke")
    line = line_of(stream)
    assert line["level"] == "error"
    assert "ValueError: bad cmw_****" in str(line["exception"])


def test_libraries_log_through_the_same_door(stream: io.StringIO) -> None:
    configure_logging("warn", "json", stream)
    logging.getLogger("some.library").info("not shown")
    logging.getLogger("some.library").warning("%s is slow\n", TOKEN)
    line = line_of(stream)
    assert (line["level"], line["event"], line["logger"]) == ("warn", "cmw_**** is slow\n", "some.library")


def test_a_logger_made_by_name_without_ours_writes_the_same_lines(stream: io.StringIO) -> None:
    named = structlog.get_logger("cmw.gateway.hub")
    configure_logging("warn", "json", stream)
    named.info("not shown")
    named.warning("worker refused", address="127.0.0.1")
    assert list(line_of(stream).items())[1:] == [
        ("level", "warn"),
        ("event", "worker refused"),
        ("logger", "cmw.gateway.hub"),
        ("address", "127.0.0.1"),
    ]


def test_a_log_that_is_a_record_shows_every_line(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream, limits_repeats=False)
    for k in range(REPEATS + 5):
        get_logger().info("registered", user=k)
    assert [json.loads(line)["user"] for line in stream.getvalue().splitlines()] == list(range(REPEATS + 5))


def test_a_reader_that_went_away_stops_nothing() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    configure_logging("info", "json", Gone())
    get_logger().info("nobody reads this")


@pytest.mark.parametrize("level", ["debug", "trace"])
def test_the_store_does_not_drown_everything_else(level: str) -> None:
    out = io.StringIO()
    configure_logging(level, stream=out)
    logging.getLogger("aiosqlite").debug("executing")
    logging.getLogger("aiosqlite").warning("odd")
    logging.getLogger("other").debug("said")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["odd", "said"]


def test_a_level_changes_for_loggers_that_are_there_already(stream: io.StringIO) -> None:
    configure_logging("warn", "json", stream)
    log, library = get_logger(component="x"), logging.getLogger("some.library")
    log.debug("one")
    set_level("trace")
    log.debug("two")
    library.debug("three")
    set_level("error")
    log.warn("four")
    library.warning("five")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["two", "three"]


class Sink:
    """Keeps the lines; a logger's end."""

    name = ""

    def __init__(self) -> None:
        self.lines: list[dict[str, object]] = []

    def write(self, line: str) -> None:
        self.lines.append(json.loads(line))


def test_what_repeats_is_shown_so_often_and_then_counted() -> None:
    now, sink = [100.0], Sink()
    limit = RepeatLimit(render_json, lambda: now[0])

    def passes(level: str, event: str) -> bool:
        try:
            limit(sink, level, {"event": event})
        except structlog.DropEvent:
            return False
        return True

    assert [passes("info", "endpoint failed") for _ in range(REPEATS + 10)] == [True] * REPEATS + [False] * 10
    assert passes("info", "something else")
    assert passes("error", "endpoint failed")
    assert all(passes("trace", "SIP") for _ in range(REPEATS + 1))
    now[0] += 1
    assert passes("info", "endpoint failed")
    [told] = sink.lines
    assert list(told)[:3] == ["time", "level", "event"]
    assert (told["level"], told["event"], told["of_event"], told["count"]) == (
        "info",
        "lines left out",
        "endpoint failed",
        10,
    )


def test_the_page_names_events_that_there_are() -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "logging.md").read_text()
    source = "\n".join(path.read_text() for path in (root / "cmw").rglob("*.py"))
    events = re.findall(r"^\| `([^`]+)` \| (?:error|warn|info|debug|trace)", page, re.M)
    assert len(events) > 15
    assert [event for event in events if f'"{event}' not in source] == []
