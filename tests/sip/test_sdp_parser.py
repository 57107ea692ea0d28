"""Session descriptions from bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.errors import RemoteProtocolError
from cmw.sip.sdp import Attributes, Connection, Origin, TimeDescription, serialize_sdp
from cmw.sip.sdp_parser import MAX_BYTES, MAX_FORMATS, MAX_LINE_CHARS, MAX_LINES, MAX_MEDIA, parse_connection, parse_sdp

HEAD = b"v=0\r\no=- 1 1 IN IP4 h\r\n"
JDOE = b"""v=0\r
o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r
s=Call to John Smith\r
i=SDP Offer #1\r
u=http://www.jdoe.example.com/home.html\r
e=Jane Doe <jane@jdoe.example.com>\r
p=+1 617 555-6011\r
c=IN IP4 198.51.100.1\r
t=0 0\r
m=audio 49170 RTP/AVP 0\r
m=audio 49180 RTP/AVP 0\r
m=video 51372/2 RTP/AVP 99\r
c=IN IP6 2001:db8::2\r
a=rtpmap:99 h263-1998/90000\r
"""
"""RFC 8866 5."""

EVERYTHING = b"""v=0\r
o=- 1 2 IN IP6 2001:db8::1\r
s= \r
i=what it is\r
u=http://example.com/\r
e=a@example.com\r
e=b@example.com\r
p=+1 617 555-6011\r
c=IN IP6 2001:db8::1\r
b=CT:1000\r
b=X-YZ:128\r
t=3724394400 3724398000\r
r=604800 3600 0 90000\r
r=7d 1h 0 25h\r
z=3730928400 -1h 3749680800 0\r
t=3724484400 3724488000\r
k=clear:secret\r
a=group:BUNDLE 1 2\r
a=recvonly\r
a=odd: \xff kept as it is \t\r
m=audio 49170/2 RTP/AVP 0 97\r
i=the sound\r
c=IN IP4 233.252.0.1/127/3\r
c=IN IP4 233.252.0.9/127\r
b=AS:64\r
k=prompt\r
a=rtpmap:97 iLBC/8000\r
a=mid:1\r
a=\r
x=unknown\r
m=message 2855 TCP/MSRP *\r
c=TN RFC2543 +1-201-406-4090\r
"""
"""Every line that RFC 8866 9 knows, in its order, and one that it does not."""


def test_the_example_of_rfc_8866() -> None:
    session = parse_sdp(JDOE)
    assert session.origin == Origin("jdoe", "3724394400", "3724394405", "198.51.100.1")
    assert (session.name, session.connection, session.times) == (
        "Call to John Smith",
        Connection("198.51.100.1"),
        (TimeDescription("0 0"),),
    )
    assert [(m.kind, m.port, m.port_count, m.connection) for m in session.media] == [
        ("audio", 49170, 1, None),
        ("audio", 49180, 1, None),
        ("video", 51372, 2, Connection("2001:db8::2", "IP6")),
    ]
    assert session.media[2].attribute("rtpmap") == "99 h263-1998/90000"
    assert session.media[2].attribute("fmtp") is None
    assert serialize_sdp(session) == JDOE


def test_nothing_that_was_said_is_lost() -> None:
    session = parse_sdp(EVERYTHING)
    assert serialize_sdp(session) == EVERYTHING
    assert session.times == (
        TimeDescription(
            "3724394400 3724398000", ("604800 3600 0 90000", "7d 1h 0 25h"), ("3730928400 -1h 3749680800 0",)
        ),
        TimeDescription("3724484400 3724488000"),
    )
    audio, message = session.media
    assert audio.connections == (Connection("233.252.0.1", "IP4", 127, 3), Connection("233.252.0.9", "IP4", 127))
    assert audio.others == (("i", "the sound"), ("k", "prompt"), ("x", "unknown"))
    assert (message.formats, message.connection) == (("*",), Connection("+1-201-406-4090", "RFC2543", network="TN"))


def test_lines_may_end_in_lf_and_attributes_stand_at_both_levels() -> None:
    session = parse_sdp(
        b"v=0\no=- 1 2 IN IP4 h\nt=1 2\nt=3 4\nb=AS:64\na=sendonly\na=tool:x:y\n"
        b"m=audio 0 RTP/AVP 0 8\nb=AS:1\na=ptime: 20\n\n\n"
    )
    assert (session.attribute("sendonly"), session.attribute("tool"), session.name) == ("", "x:y", "-")
    assert [time.active for time in session.times] == ["1 2", "3 4"]
    assert session.media[0].attribute("ptime") == "20"
    assert session.media[0].attributes == Attributes([("ptime", " 20")])
    text = serialize_sdp(session)
    assert text.index(b"b=AS:64") < text.index(b"t=1 2") < text.index(b"a=sendonly") < text.index(b"m=audio")


def test_the_order_of_lines_is_relaxed() -> None:
    session = parse_sdp(b"v=0\r\ns=x\r\nr=1\r\na=inactive\r\no=- 1 2 IN IP4 h\r\nt=0 0\r\nc=in ip4 192.0.2.1")
    assert (session.name, session.connection) == ("x", Connection("192.0.2.1"))
    assert session.times == (TimeDescription("0 0", ("1",)),)
    assert serialize_sdp(session) == (
        b"v=0\r\no=- 1 2 IN IP4 h\r\ns=x\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nr=1\r\na=inactive\r\n"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"v=1\r\n",
        b" v=0\r\n",
        b"o=- 1 1 IN IP4 h\r\nv=0\r\n",
        b"v=0\r\n",
        b"v=0\r\no=- 1 IN IP4 h\r\n",
        b"v=0\r\no=- -1 1 IN IP4 h\r\n",
        "v=0\r\no=- \u0661 1 IN IP4 h\r\n".encode(),
        HEAD + b"o=- 1 1 IN IP4 h\r\n",
        HEAD + b"v=0\r\n",
        HEAD + b"\r\na=x\r\n",
        HEAD + b"c=IN IP4\r\n",
        HEAD + b"c=IN IP5 1.2.3.4\r\n",
        HEAD + b"c=IN IP6 [::1]\r\n",
        HEAD + b"c=IN IP6 fe80::1%eth0\r\n",
        HEAD + b"c=IN IP4 224.2.1.1/256\r\n",
        HEAD + b"c=IN IP4 224.2.1.1/1/0\r\n",
        HEAD + b"c=IN IP4 224.2.1.1/1/2/3\r\n",
        HEAD + b"c=IN IP6 ff00::1/1/2\r\n",
        HEAD + b"c=IN IP4 224.2.1.1/-1\r\n",
        HEAD + b"m=\r\n",
        HEAD + b"m=audio\r\n",
        HEAD + b"m=audio 1\r\n",
        HEAD + b"m=audio 1 RTP/AVP\r\n",
        HEAD + b"m=audio 65536 RTP/AVP 0\r\n",
        HEAD + b"m=audio +1 RTP/AVP 0\r\n",
        HEAD + b"m=audio 1/0 RTP/AVP 0\r\n",
        HEAD + b"m=audio 65535/2 RTP/AVP 0\r\n",
        HEAD + b"m=audio 1/x RTP/AVP 0\r\n",
        HEAD + b"m=audio 1 RTP//AVP 0\r\n",
        HEAD + b"m=audio 1 RTP/AVP 0\x0b8\r\n",
        HEAD + b"m=au(dio 1 RTP/AVP 0\r\n",
        HEAD + b"m=\xff 1 RTP/AVP 0\r\n",
        HEAD + b"m=audio " + b"9" * 5000 + b" RTP/AVP 0\r\n",
        HEAD + b"m=audio 1 RTP/AVP 0\r\n" * (MAX_MEDIA + 1),
        HEAD + b"m=audio 1 RTP/AVP" + b" 0" * (MAX_FORMATS + 1) + b"\r\n",
        HEAD + b"a=x\r\n" * MAX_LINES,
        HEAD + b"a=" + b"x" * MAX_LINE_CHARS + b"\r\n",
        HEAD + b"a=" + b"x" * MAX_BYTES + b"\r\n",
        HEAD + b"a=x\ry\r\n",
        HEAD + b"a=x\0y\r\n",
        HEAD + b"A=x\r\n",
        HEAD + b"ax\r\n",
    ],
)
def test_malformed_descriptions_are_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_sdp(body)
    assert caught.value.hint == 400


@pytest.mark.parametrize("body", [b"", b"\r\n"])
def test_no_description_is_named_as_such(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="expected a session description, found 'none'"):
        parse_sdp(body)


def test_what_is_within_the_bounds_is_read() -> None:
    assert len(parse_sdp(HEAD + b"m=audio 1 RTP/AVP 0\r\n" * MAX_MEDIA).media) == MAX_MEDIA
    assert len(parse_sdp(HEAD + b"m=audio 1 RTP/AVP" + b" 0" * MAX_FORMATS).media[0].formats) == MAX_FORMATS
    assert len(parse_sdp(HEAD + b"a=x\r\n" * (MAX_LINES - 2)).attributes) == MAX_LINES - 2
    assert parse_sdp(HEAD + b"m=audio  1   RTP/AVP  0  8 \r\n").media[0].formats == ("0", "8")


def test_addresses_of_groups_have_a_reach_and_a_number() -> None:
    assert parse_connection("IN IP4 233.252.0.1/127/3") == Connection("233.252.0.1", "IP4", 127, 3)
    assert parse_connection("IN IP6 ff00::db8:0:101/3") == Connection("ff00::db8:0:101", "IP6", None, 3)


def test_a_user_name_with_spaces_is_let_pass() -> None:
    assert parse_sdp(b"v=0\r\no=My PBX 1 2 IN IP4 h\r\n").origin == Origin("My PBX", "1", "2", "h")


LINES = [
    *EVERYTHING.split(b"\r\n"),
    b"a=sendrecv",
    b"m=audio 1 RTP/AVP 0",
    b"b=",
    b"a=:",
    b"c=IN IP4 \xff",
    b"t=",
    b"o=",
]


@given(st.lists(st.sampled_from(LINES), max_size=20), st.binary(max_size=8))
def test_shuffled_lines_are_a_description_that_survives_or_a_named_error(lines: list[bytes], tail: bytes) -> None:
    body = HEAD + b"\r\n".join(lines) + tail
    try:
        session = parse_sdp(body)
    except RemoteProtocolError:
        return
    text = serialize_sdp(session)
    assert parse_sdp(text) == session
    assert serialize_sdp(parse_sdp(text)) == text
