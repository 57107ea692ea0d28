"""Bytes to messages and back; the torture shapes of RFC 4475 have a file of their own."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.header_names import MAX_HEADERS, MAX_LINE_BYTES
from cmw.sip.headers import Headers
from cmw.sip.message import (
    MalformedMessageError,
    Request,
    Response,
    make_response,
    parse_cseq,
    parse_message,
    serialize_message,
)
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.via import parse_via

INVITE = b"""INVITE sip:bob@biloxi.com SIP/2.0\r
Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds\r
Max-Forwards: 70\r
To: Bob <sip:bob@biloxi.com>\r
From: Alice <sip:alice@atlanta.com>;tag=1928301774\r
Call-ID: a84b4c76e66710@pc33.atlanta.com\r
CSeq: 314159 INVITE\r
Contact: <sip:alice@pc33.atlanta.com>\r
Content-Type: application/sdp\r
Content-Length: 5\r
\r
v=0\r
"""
"""RFC 3261 24.2, F1."""

RINGING = b"""SIP/2.0 180 Ringing\r
Via: SIP/2.0/UDP server10.biloxi.com;branch=z9hG4bK4b43c2ff8.1;received=192.0.2.3\r
Via: SIP/2.0/UDP bigbox3.site3.atlanta.com;branch=z9hG4bK77ef4c2312983.1;received=192.0.2.2\r
Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8;received=192.0.2.1\r
To: Bob <sip:bob@biloxi.com>;tag=a6c85cf\r
From: Alice <sip:alice@atlanta.com>;tag=1928301774\r
Call-ID: a84b4c76e66710\r
Contact: <sip:bob@192.0.2.4>\r
CSeq: 314159 INVITE\r
Content-Length: 0\r
\r
"""
"""RFC 3261 24.2, F6."""


def test_a_request_is_read_and_written_alike() -> None:
    message = parse_message(INVITE)
    assert isinstance(message, Request)
    assert (message.method, message.uri, message.body) == ("INVITE", "sip:bob@biloxi.com", b"v=0\r\n")
    assert message.top_via.host == "pc33.atlanta.com"
    assert message.from_.tag == "1928301774"
    assert message.to.display == "Bob"
    assert message.call_id == "a84b4c76e66710@pc33.atlanta.com"
    assert str(message.cseq) == "314159 INVITE"
    assert serialize_message(message) == INVITE


def test_a_response_is_read_and_written_alike() -> None:
    message = parse_message(RINGING)
    assert isinstance(message, Response)
    assert (message.status, message.reason, message.body) == (180, "Ringing", b"")
    assert len(message.headers.get_all("Via")) == 3
    assert serialize_message(message) == RINGING


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.replace(b"\r\n", b"\n").replace(b"Length: 5", b"Length: 4"),
        lambda b: b"\r\n\r\n" + b,
        lambda b: b.replace(b"INVITE\r\nC", b"INVITE\nC"),
    ],
)
def test_line_ends_do_not_matter(change: object) -> None:
    message = parse_message(change(INVITE))  # type: ignore[operator]
    assert list(message.headers)[:-1] == list(parse_message(INVITE).headers)[:-1]


@pytest.mark.parametrize("gap", [b"\r\n\n", b"\n\r\n", b"\n\n", b"\r\n\r\n"])
def test_any_empty_line_ends_the_head(gap: bytes) -> None:
    head = INVITE.partition(b"\r\n\r\n")[0].replace(b"Length: 5", b"Length: 9")
    assert parse_message(head + gap + b"\n\r\n\r\nbody").body == b"\n\r\n\r\nbody"[:9]


def test_without_a_length_the_body_is_the_rest() -> None:
    data = INVITE.replace(b"Content-Length: 5\r\n", b"") + b"more"
    assert parse_message(data).body == b"v=0\r\nmore"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\r\n\r\n", b"\r\n"),
        (b"70", b"70\rX: 1"),
        (b"Max-Forwards: 70", b"Max-Forwards 70"),
        (b"Max-Forwards", b"Max Forwards"),
        (b"Max-Forwards", "Max-Förwards".encode()),
        (b"314159 INVITE", b"+1 INVITE"),
        (b"314159 INVITE", b"2147483648 INVITE"),
        (b"314159 INVITE", "٣ INVITE".encode()),
        (b"Length: 5", b"Length: 5 "[:-1] + b"_0"),
        (b"Length: 5", b"Length: " + b"9" * 5000),
        (b"Call-ID: a", b"Call-ID: a "),
        (b"sip:bob@biloxi.com SIP", "sip:bób@biloxi.com SIP".encode()),
        (b"SIP/2.0\r\nVia", b"HTTP/1.1\r\nVia"),
    ],
)
def test_broken_requests_are_answered_with_400(old: bytes, new: bytes) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        parse_message(INVITE.replace(old, new, 1))
    assert caught.value.hint == 400
    assert caught.value.request is not None
    answer = make_response(caught.value.request, caught.value.hint, to_tag="t")
    assert b"84b4c76e66710@pc33.atlanta.com" in serialize_message(answer)


def test_a_bare_cr_in_a_via_is_not_copied_into_an_answer() -> None:
    with pytest.raises(MalformedMessageError) as caught:
        parse_message(INVITE.replace(b"Via: SIP", b"Via: \rSIP"))
    assert (caught.value.hint, caught.value.request) == (0, None)


def test_bytes_that_are_not_utf8_survive_where_they_may_stand() -> None:
    data = INVITE.replace(b"Bob <", b'"B\xf6b" <')
    message = parse_message(data)
    assert message.to.display == "B\ufffdb"
    assert serialize_message(message) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"\0\0\0\0",
        b"SIP/2.0",
        b"INVITE",
        b"\r",
        b"x" * 70000,
        b"SIP/2.0 200 OK\r\n\r\n",
        b"A b SIP/2.0\r\n\r\n",
    ],
)
def test_what_is_no_message_is_not_answered(data: bytes) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        parse_message(data)
    assert (caught.value.hint, caught.value.request) == (0, None)


def test_headers_are_bounded() -> None:
    many = b"".join(b"X-%d: 1\r\n" % n for n in range(MAX_HEADERS))
    with pytest.raises(MalformedMessageError):
        parse_message(INVITE.replace(b"Max-Forwards: 70\r\n", many))
    with pytest.raises(MalformedMessageError):
        parse_message(INVITE.replace(b"Contact: ", b"Contact: " + b"<sip:a>," * 5000))


@pytest.mark.parametrize(
    "text",
    [b"Contact: " + b'"' * 60000, b"Contact: " + b"<" * 60000, b"To: " + b"\\" * 60000, b"X: " + b"\n " * 30000, b"X: a" + b" " * 60000 + b"b",  # noqa: E501
     b"Via: " + b"a," * 30000, b"From: " + b"a " * 30000, b"Contact: " + b'"\\" ' * 15000, b"To: <sip:a>" + b";a=b" * 15000, b":" * 60000],  # noqa: E501
)  # fmt: skip
def test_long_and_odd_values_end_soon(text: bytes) -> None:
    """Linear time: each of these took minutes if a scan started over at every character."""
    try:
        parse_message(b"OPTIONS sip:a SIP/2.0\r\n" + text + b"\r\n\r\n")
    except RemoteProtocolError as error:
        assert len(str(error)) < 300  # noqa: PT017


@given(st.binary(max_size=300))
@example(b"SIP/2.0 \xb2\xb3\xb9 x\r\n\r\n")
def test_random_bytes_are_a_message_or_a_named_error(data: bytes) -> None:
    check_total(data)


@given(
    st.lists(
        st.sampled_from(
            INVITE.split(b" ")
            + RINGING.split(b"\n")
            + [b"\r\n", b"\n ", b'"', b"<", b">", b",", b";", b"\xff", b"=", b"SIP/2.0 "]
        ),
        max_size=40,
    )
)
def test_shuffled_pieces_are_a_message_or_a_named_error(pieces: list[bytes]) -> None:
    check_total(b" ".join(pieces))


@given(st.integers(0, len(INVITE) - 1), st.binary(max_size=3), st.sampled_from([INVITE, RINGING]))
def test_a_damaged_message_is_a_message_or_a_named_error(at: int, patch: bytes, data: bytes) -> None:
    check_total(data[:at] + patch + data[at + len(patch) :])
    check_total(data[:at])


def check_total(data: bytes) -> None:
    """What was accepted has parts that can be read, and is accepted again after it was written."""
    try:
        message = parse_message(data)
    except MalformedMessageError as error:
        if error.request is not None:
            serialize_message(make_response(error.request, error.hint, to_tag="t"))
        return
    assert message.call_id
    again = parse_message(serialize_message(message))
    assert (again.top_via, again.cseq, again.from_, again.to) == (
        message.top_via,
        message.cseq,
        message.from_,
        message.to,
    )
    assert again.body == message.body


def test_headers_cannot_smuggle_lines() -> None:
    for bad in ("a\r\nX: 1", "a\nb", "a\rb", "\n"):
        with pytest.raises(LocalProtocolError):
            serialize_message(Request("INVITE", "sip:a", Headers([("Subject", bad)])))
    with pytest.raises(LocalProtocolError):
        serialize_message(Response(200, "OK\r\nX: 1"))
    with pytest.raises(LocalProtocolError):
        serialize_message(Response(200, "\ud800"))


def test_the_length_is_always_that_of_the_body() -> None:
    request = Request("MESSAGE", "sip:a", Headers([("l", "99"), ("From", "x")]), b"hello")
    assert serialize_message(request).endswith(b"From: x\r\nContent-Length: 5\r\n\r\nhello")


def test_a_response_copies_what_it_must() -> None:
    """RFC 3261 8.2.6.2."""
    request = parse_message(INVITE)
    assert isinstance(request, Request)
    response = make_response(request, 200, to_tag="a6c85cf", headers=[("Contact", "<sip:bob@192.0.2.4>")], body=b"x")
    assert [name for name, _ in response.headers] == ["Via", "To", "From", "Call-ID", "CSeq", "Contact"]
    assert (response.reason, response.to.tag) == ("OK", "a6c85cf")
    request.headers.set("To", str(response.to))
    assert make_response(request, 200, to_tag="other").to.tag == "a6c85cf"
    assert make_response(request, 299).reason == "Success"


@pytest.mark.parametrize("text", ["", "1", "INVITE", "1INVITE", "1 INVITE x", "-1 INVITE", "1 INV(ITE"])
def test_malformed_cseqs(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_cseq(text)


@pytest.mark.parametrize("row", ["Via: SIP/2.0/UDP h;x=%s", "X-Long: %s", "Subject:\r\n %s", "Route: <sip:%s>"])
def test_a_line_that_is_too_long_is_refused_and_not_kept(row: str) -> None:
    long = (row % ("a" * MAX_LINE_BYTES)).encode()
    with pytest.raises(MalformedMessageError) as caught:
        parse_message(INVITE.replace(b"Max-Forwards: 70", long))
    assert caught.value.hint == 400
    assert caught.value.request is not None
    assert all(len(value) <= MAX_LINE_BYTES for _, value in caught.value.request.headers)


@pytest.mark.parametrize("row", [b"Via: SIP/2.0/UDP h%s", b"Contact: <sip:a@b%s>", b"Contact: <sip:a@b?%s>"])
def test_parameters_without_end_are_refused(row: bytes) -> None:
    """What is parsed is remembered, and a parameter takes many times the memory of its text."""
    many = b";p" * 1000 if b"?" not in row else b"&".join([b"h=1"] * 1000)
    line = (row % many).decode()
    with pytest.raises(RemoteProtocolError):
        parse_via(line.partition(": ")[2]) if row.startswith(b"Via") else parse_name_addr(line[9:]).sip_uri()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"Busy \x1b[2J\x07", "Busy \ufffd[2J\ufffd"),
        (b"Bes\xc3\xa4tzt\tnow", "Besätzt now"),
        (b"\xff\xc2\x9b1m", "\ufffd\ufffd1m"),
    ],
)
def test_a_reason_moves_no_terminal(raw: bytes, shown: str) -> None:
    response = parse_message(RINGING.replace(b"180 Ringing", b"486 " + raw))
    assert isinstance(response, Response)
    assert response.reason == shown
