import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.errors import RemoteProtocolError
from cmw.sip.sdp import Origin, parse_connection, parse_sdp, serialize_sdp

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


def test_the_example_of_rfc_8866() -> None:
    session = parse_sdp(JDOE)
    assert session.origin == Origin("jdoe", "3724394400", "3724394405", "198.51.100.1")
    assert (session.name, session.connection, session.times) == ("Call to John Smith", "198.51.100.1", ("0 0",))
    assert [(m.kind, m.port, m.connection) for m in session.media] == [
        ("audio", 49170, None),
        ("audio", 49180, None),
        ("video", 51372, "2001:db8::2"),
    ]
    assert session.media[2].attribute("rtpmap") == "99 h263-1998/90000"
    assert session.media[2].attribute("fmtp") is None
    assert parse_sdp(serialize_sdp(session)) == session


def test_lines_may_end_in_lf_and_attributes_stand_at_both_levels() -> None:
    session = parse_sdp(
        b"v=0\no=- 1 2 IN IP4 h\nt=1 2\nt=3 4\nb=AS:64\na=sendonly\na=tool:x:y\nm=audio 0 RTP/AVP 0 8\nb=AS:1\na=ptime: 20\n"  # noqa: E501
    )
    assert (session.attribute("sendonly"), session.attribute("tool")) == ("", "x:y")
    assert session.times == ("1 2", "3 4")
    assert session.media[0].attribute("ptime") == "20"
    text = serialize_sdp(session)
    assert text.index(b"b=AS:64") < text.index(b"t=1 2") < text.index(b"a=sendonly") < text.index(b"m=audio")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"v=1\r\n",
        b"o=- 1 1 IN IP4 h\r\nv=0\r\n",
        b"v=0\r\n",
        b"v=0\r\no=- 1 IN IP4 h\r\n",
        b"v=0\r\no=- -1 1 IN IP4 h\r\n",
        b"v=0\r\no=- 1 1 IN IP4 h\r\no=- 1 1 IN IP4 h\r\n",
        b"v=0\r\no=- 1 1 IN IP4 h\r\n\r\na=x\r\n",
        b"v=0\r\no=- 1 1 IN IP4 h\r\nc=IN IP4\r\n",
        b"v=0\r\no=- 1 1 IN IP4 h\r\nc=IN IP5 1.2.3.4\r\n",
        b"v=0\r\no=- 1 1 IN IP4 h\r\nm=audio 1 RTP/AVP\r\n",
        b"v=0\r\no=- 1 1 IN IP4 h\r\nm=audio 65536 RTP/AVP 0\r\n",
        b"v=0\r\no=- 1 1 IN IP4 h\r\nm=audio +1 RTP/AVP 0\r\n",
        b"v=0\r\no=- 1 1 IN IP4 h\r\nm=\xff 1 RTP/AVP 0\r\n",
        b"v=0\r\no=- 1 1 IN IP4 h\r\n" + b"m=audio 1 RTP/AVP 0\r\n" * 65,
        b"v=0\r\no=- 1 1 IN IP4 h\r\na=x\ry\r\n",
        b"v=0\r\no=- 1 1 IN IP4 h\r\nA=x\r\n",
    ],
)
def test_malformed_descriptions_are_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_sdp(body)
    assert caught.value.hint == 400


def test_multicast_suffixes_are_dropped() -> None:
    assert parse_connection("IN IP4 233.252.0.1/127/3") == "233.252.0.1"
    assert parse_connection("IN IP6 ff00::db8:0:101/3") == "ff00::db8:0:101"


@given(
    st.lists(
        st.sampled_from([*JDOE.splitlines(), b"", b"a=", b"=", b"m=", b"c=IN IP4 \xff", b"t=", b"o="]), max_size=14
    ),
    st.binary(max_size=8),
)
def test_shuffled_lines_are_a_description_or_a_named_error(lines: list[bytes], tail: bytes) -> None:
    body = b"v=0\r\n" + b"\r\n".join(lines) + tail
    try:
        session = parse_sdp(body)
    except RemoteProtocolError:
        return
    assert parse_sdp(serialize_sdp(session)) == session


def test_a_user_name_with_spaces_is_let_pass() -> None:
    assert parse_sdp(b"v=0\r\no=My PBX 1 2 IN IP4 h\r\n").origin == Origin("My PBX", "1", "2", "h")
