"""The twins of the scanner: what the compiled one makes of bytes is what the plain one makes of them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip import _scan_pure
from cmw.sip.header_names import KNOWN_NAMES, MAX_HEADERS, MAX_LINE_BYTES, SPELLINGS
from cmw.sip.headers import scan
from cmw.sip.message import parse_cseq
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.uri import parse_uri
from cmw.sip.via import parse_via
from tests.support.quick_look import compare_quick_look

WORDS = """
    Via From to Call-ID CSeq m Route X-New x é : , ; = < > " \\ ( [ ] @ ? % & / . - _ 0 10 192.0.2.1 host.example
    ::1 [::1] sip: sips: SIP/2.0/UDP SIP/2.0 INVITE branch=z9hG4bK1 tag=2 rport lr a
""".split()
PIECES = st.sampled_from([*WORDS, " ", "\t", "\r", "\n", "\r\n", "\r\n ", "\r\n\r\n", "\udcff", "\0"])
TEXTS = st.lists(PIECES, max_size=12).map("".join)


def cut(module: ModuleType, data: bytes, start: int = 0) -> tuple[Any, ...]:
    line, headers, body_at, fault = module.scan_head(data, start)
    return line, list(headers), body_at, fault


@given(st.lists(PIECES, max_size=60).map(lambda pieces: "".join(pieces).encode("utf-8", "surrogateescape")))
@example(b"A\r\nB: c\r\n d\n\te\r\n\r\nbody")
@example(b"A\r\nTo: 1\r\n \r\nTo: 2\r\n\r\n")
@example(b"A\nb\r")
@example(b"A\nb: c\r\n\r")
@example(b"A\nb: c\n\n\r\nd")
@example(b"A\nb: c\r\r\n")
@example(b"A\n\n b")
@example(b"A\n \r\n\r\n")
@example(b"A\nm:<a>,\r\n <b>\nv:a,\nX :y\n\n")
def test_heads_are_cut_alike(scanner: ModuleType, data: bytes) -> None:
    data = data.lstrip(b"\r\n")
    assert cut(scanner, data) == cut(_scan_pure, data)
    assert cut(scanner, b"\r\n" + data, 2)[:2] == cut(_scan_pure, data)[:2]


@pytest.mark.parametrize("count", [MAX_HEADERS - 1, MAX_HEADERS, MAX_HEADERS + 1])
@pytest.mark.parametrize("row", [b"X: 1\r\n", b"m: <sip:a>, <sip:b>\r\n"])
def test_rows_are_bounded(scanner: ModuleType, count: int, row: bytes) -> None:
    data = b"A\r\n" + row * count + b"\r\nbody"
    assert cut(scanner, data) == cut(_scan_pure, data)
    assert len(cut(scanner, data)[1]) <= MAX_HEADERS


@pytest.mark.parametrize("size", [MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 60000])
@pytest.mark.parametrize("char", ["x", "é", "\r\n "])
def test_lines_are_bounded_in_bytes(scanner: ModuleType, size: int, char: str) -> None:
    value = b"a" + (char * size).encode()[: size - 4]
    for data in (b"A\r\nX: " + value + b"\r\n\r\n", value + b"\r\nX: 1\r\n\r\n"):
        assert cut(scanner, data) == cut(_scan_pure, data)


def test_every_spelling_is_known(scanner: ModuleType) -> None:
    for spelling, name in SPELLINGS.items():
        for text in (spelling, spelling.swapcase(), f"{spelling} "):
            assert cut(scanner, f"A\r\n{text}:v\r\n\r\n".encode())[1] == [(name, "v")]
    for name in KNOWN_NAMES:
        assert cut(scanner, f"A\r\n{name}x: v\r\n{name[:-1]}: w\r\n\r\n".encode()) == cut(
            _scan_pure, f"A\r\n{name}x: v\r\n{name[:-1]}: w\r\n\r\n".encode()
        )


def test_what_was_read_is_written_as_it_came(scanner: ModuleType) -> None:
    data = b"A\r\nVia: \xff\xc3\xa9\r\nX-Y:  a \r\nl: 9\r\n\r\n"
    _, headers, _, _ = scanner.scan_head(data, 0)
    wanted = b"B\r\nVia: \xff\xc3\xa9\r\nX-Y: a\r\nContent-Length: 2\r\n\r\nhi"
    assert headers.serialize("B", b"hi") == wanted
    assert headers.get("Via") == "\udcff\u00e9"
    assert headers.serialize("B", b"hi") == wanted
    assert headers.copy().serialize("B", b"hi") == wanted
    assert headers.select({"Via", "To"}).serialize("B", b"") == b"B\r\nVia: \xff\xc3\xa9\r\nContent-Length: 0\r\n\r\n"


def test_rows_outlive_what_they_were_taken_from(scanner: ModuleType) -> None:
    _, headers, _, _ = scanner.scan_head(b"A\r\nVia: 1\r\nFrom: 2\r\nX-A: 3\r\n\r\n", 0)
    some, other = headers.select({"From", "X-A"}), headers.copy()
    headers.remove("From")
    headers.set("X-A", "4")
    del headers
    assert list(some) == [("From", "2"), ("X-A", "3")]
    other.add_first("Via", "0")
    other.extend([("to", "t"), ("x-a", "5")])
    assert list(other) == [("Via", "0"), ("Via", "1"), ("From", "2"), ("X-A", "3"), ("To", "t"), ("X-A", "5")]
    assert other.size_bytes == sum(len(name) + len(value) for name, value in other)


def test_a_failed_extension_changes_nothing(scanner: ModuleType) -> None:
    headers = scanner.Headers([("From", "f")])
    with pytest.raises(LocalProtocolError):
        headers.extend([("To", "t"), ("a b", "x")])
    assert list(headers) == [("From", "f")]


CHANGES = st.tuples(
    st.sampled_from(["add", "add_first", "set", "replace_first", "remove", "remove_first", "get", "get_all"]),
    st.sampled_from(["Via", "v", "VIA", "To", "X-a", "x-A", "Content-Length", "Subject"]),
    st.sampled_from(["", "a", "é", "\udcff", "a,b"]),
)


@given(st.lists(CHANGES, max_size=20))
def test_changes_are_alike(scanner: ModuleType, changes: list[tuple[str, str, str]]) -> None:
    data = b"A\r\nVia: 1\r\nv: 2\r\nx-a: 3\r\nX-A: \xff\r\nTo: 4\r\n\r\n"
    mine, plain = scanner.scan_head(data, 0)[1], _scan_pure.scan_head(data, 0)[1]
    for what, name, value in changes:
        arguments = (name, value) if what in ("add", "add_first", "set", "replace_first") else (name,)
        assert getattr(mine, what)(*arguments) == getattr(plain, what)(*arguments)
        assert list(mine) == list(plain)
        assert (len(mine), name in mine, mine.size_bytes) == (len(plain), name in plain, plain.size_bytes)
    assert mine.serialize("S", b"b") == plain.serialize("S", b"b")
    assert repr(mine) == repr(plain)


def thoroughly(parse: Any, text: str) -> tuple[Any, ...] | None:
    """Return what a parser makes of a text without help of a scanner."""
    try:
        return tuple(parse.__wrapped__(text))
    except RemoteProtocolError:
        return None


VALUES = [
    ("plain_via", parse_via, "SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK5f;rport;a=b=c"),
    ("plain_via", parse_via, "SIP/2.0/WSS pc33.example.com.;Branch=z9hG4bK5f;RPORT;x="),
    ("plain_via", parse_via, "SIP/2.0/TCP 1.2.3.4a"),
    ("plain_name_addr", parse_name_addr, '"Alice A." <sip:a@h;lr>;tag=1;x=[::1]'),
    ("plain_name_addr", parse_name_addr, "Alice A. <sip:a@h?x=y>"),
    ("plain_name_addr", parse_name_addr, "sip:a@h;tag=1"),
    ("plain_name_addr", parse_name_addr, "tel:+1-201-555-0123;Q=1"),
    ("plain_cseq", parse_cseq, "2147483647 INVITE"),
    ("plain_uri", parse_uri, "sip:alice;x=1@example.com:5060;Transport=tcp;lr"),
    ("plain_uri", parse_uri, "sips:192.0.2.1;maddr=[::1]"),
]


@pytest.mark.parametrize(("name", "parse", "text"), VALUES)
def test_usual_values_are_read_fast_and_right(scanner: ModuleType, name: str, parse: Any, text: str) -> None:
    found = getattr(scanner, name)(text)
    assert (found is None) == (scanner is _scan_pure)
    assert tuple(parse(text)) == thoroughly_pure(parse, text)


def thoroughly_pure(parse: Any, text: str) -> tuple[Any, ...] | None:
    module = __import__(parse.__module__, fromlist=["scan"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "scan", _scan_pure)
        return thoroughly(parse, text)


def agrees(scanner: ModuleType, name: str, parse: Any, text: str) -> None:
    found = getattr(scanner, name)(text)
    assert found is None or tuple(found) == thoroughly_pure(parse, text), text


@given(st.sampled_from(VALUES), TEXTS, st.integers(0, 60), st.integers(0, 4))
def test_values_are_never_read_otherwise(
    scanner: ModuleType, value: tuple[str, Any, str], patch: str, at: int, width: int
) -> None:
    name, parse, text = value
    agrees(scanner, name, parse, text[:at] + patch + text[at + width :])
    agrees(scanner, name, parse, patch)


@given(TEXTS, st.sampled_from(["INVITE sip:a@h SIP/2.0", "X x SIP/2.0"]), st.integers(0, 30))
def test_request_lines_are_never_read_otherwise(scanner: ModuleType, patch: str, line: str, at: int) -> None:
    from cmw.sip.message import MalformedMessageError, _parse_request_line

    text = line[:at] + patch + line[at:]
    try:
        wanted = _parse_request_line(text)
    except MalformedMessageError:
        wanted = None
    assert scanner.plain_request_line(text) in (None, wanted)


@pytest.mark.parametrize("host", ["1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.0256", "1.2.3.04", "1..2.3", ".1.2.3", "9999", "a..b", "-a", "a-", "a.", "_a", "1.2.3.4.", "a" * 255, "a" * 256])  # noqa: E501  # fmt: skip
def test_hosts(scanner: ModuleType, host: str) -> None:
    agrees(scanner, "plain_uri", parse_uri, f"sip:{host}")
    agrees(scanner, "plain_uri", parse_uri, f"sip:u@{host}:5060;lr")
    agrees(scanner, "plain_via", parse_via, f"SIP/2.0/UDP {host}:1;branch=a")


@pytest.mark.parametrize("count", [63, 64, 65])
def test_parameters_are_bounded_alike(scanner: ModuleType, count: int) -> None:
    agrees(scanner, "plain_via", parse_via, "SIP/2.0/UDP h" + ";a=1" * count)
    agrees(scanner, "plain_uri", parse_uri, "sip:h" + ";a=1" * count)


@pytest.mark.parametrize("value", [1, None, b"x"])
def test_only_text_is_a_value(scanner: ModuleType, value: object) -> None:
    if scanner is not _scan_pure:
        with pytest.raises(TypeError):
            scanner.Headers().add("To", value)


REQUEST = (
    b"INVITE sip:bob@192.0.2.2:5060;user=phone SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5062;rport;branch=z9hG4bK5f\r\n"
    b"Max-Forwards: 70\r\nFrom: Alice <sip:alice@192.0.2.2>;tag=8d\r\nTo: <sip:bob@192.0.2.2>\r\n"
    b"Call-ID: 7c1a@192.0.2.1\r\nCSeq: 7 INVITE\r\nTimestamp: 3\r\nContent-Length: 4\r\n\r\nbody"
)
RESPONSE = (
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK5f;rport=5062;received=192.0.2.1\r\n"
    b"From: <sip:a@h>;tag=8d\r\nTo: sip:bob@192.0.2.2;tag=4\r\nCall-ID: 7\r\nCSeq: 7 INVITE\r\nl: 0\r\n\r\n"
)
CHANGES = [
    (b"", b""),
    (b"\r\nContent-Length: 4", b""),
    (b"Content-Length: 4", b"Content-Length: 2"),
    (b";rport;", b";rport=9;"),
    (b";rport;", b";RPORT;"),
    (b";rport;", b";rport;rport;"),
    (b";rport;", b";received=1.2.3.4;rport;"),
    (b";rport;", b";maddr=198.51.100.1;"),
    (b";rport;", b";"),
    (b":5062;rport;", b";"),
    (b":5062;rport;", b":05062;"),
    (b"z9hG4bK5f", b"z9hG4bKAb"),
    (b"z9hG4bK5f", b"z9hG4bK"),
    (b"z9hG4bK5f", b"1"),
    (b";branch=z9hG4bK5f", b""),
    (b"z9hG4bK5f", b"z9hG4bK5f, SIP/2.0/TCP p;branch=z9hG4bK6"),
    (b"To: <sip:bob@192.0.2.2>", b"t: <sip:bob@192.0.2.2>;TAG=4"),
    (b"To: <sip:bob@192.0.2.2>", b"To: <sip:bob@192.0.2.2>;tag"),
    (b"To: <sip:bob@192.0.2.2>", b"To: <sip:bob@192.0.2.2>;tag="),
    (b"From: Alice", b"From: Al\r\n ice"),
]


@pytest.mark.parametrize("message", [REQUEST, RESPONSE])
@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_messages_are_read_by_one_look(message: bytes, old: bytes, new: bytes) -> None:
    assert compare_quick_look(message.replace(old, new)) == (scan.IMPLEMENTATION == "compiled")


@pytest.mark.parametrize(("old", "new"), [(b"CSeq: 7 ", b"CSeq: 7  "), (b"SIP/2.0\r", b"SIP/2.1\r"), (b"INVITE\r", b"BYE\r"), (b"Call-ID: 7c", b"Call-ID: 7 c"), (b"Content-Length: 4", b"Content-Length: 5"), (b"To: ", b"To: <sip:x>\r\nTo: "), (b"Alice", b"\xff"), (b"\r\n\r\nbody", b"\r\n")])  # noqa: E501  # fmt: skip
def test_messages_with_a_fault_are_read_thoroughly(old: bytes, new: bytes) -> None:
    assert old in REQUEST
    assert not compare_quick_look(REQUEST.replace(old, new))


@given(st.sampled_from([REQUEST, RESPONSE]), TEXTS, st.integers(0, 400), st.integers(0, 4))
def test_messages_are_never_read_otherwise(message: bytes, patch: str, at: int, width: int) -> None:
    compare_quick_look(message[:at] + patch.encode("utf-8", "surrogateescape") + message[at + width :])
