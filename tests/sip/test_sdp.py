"""Session descriptions as values."""

from __future__ import annotations

from cmw.sip.sdp import (
    Attributes,
    Connection,
    MediaDescription,
    Origin,
    SessionDescription,
    describe_media,
    family_of,
    find_bandwidth,
    serialize_sdp,
)

OURS = Origin("-", "1", "1", "192.0.2.1")


def test_attributes_are_found_by_name_and_compared_by_what_they_say() -> None:
    attributes = Attributes([("fmtp", " 0 x "), ("sendonly", None), ("fmtp", "8 y")])
    assert (attributes.first("fmtp"), attributes.first("sendonly"), attributes.first("mid")) == ("0 x", "", None)
    assert attributes.every("fmtp") == ("0 x", "8 y")
    assert len(attributes) == 3
    assert attributes == Attributes(list(attributes))
    assert hash(attributes) == hash(Attributes(list(attributes)))
    assert attributes != Attributes()
    assert "sendonly" in repr(attributes)


def test_a_section_inherits_what_stands_above_unless_it_says_its_own() -> None:
    """RFC 8866 5.7, 6.7."""
    plain = MediaDescription("audio", 4000, "RTP/AVP", ("0",))
    own = plain._replace(
        connections=(Connection("2001:db8::1", "IP6"),), attributes=Attributes([("setup", "active"), ("mid", "1")])
    )
    above = Attributes([("setup", "actpass"), ("fingerprint", "sha-1 00"), ("mid", "x"), ("ptime", "10")])
    session = SessionDescription(OURS, connections=(Connection("192.0.2.1"),), attributes=above, media=(plain, own))
    assert session.media_connection(plain) == Connection("192.0.2.1")
    assert session.media_connection(own) == Connection("2001:db8::1", "IP6")
    assert [session.media_attribute(plain, name) for name in ("setup", "fingerprint", "mid", "ptime")] == [
        "actpass",
        "sha-1 00",
        None,
        None,
    ]
    assert [session.media_attribute(own, name) for name in ("setup", "mid")] == ["active", "1"]


def test_a_refused_section_keeps_kind_protocol_and_formats() -> None:
    """RFC 3264 6."""
    media = MediaDescription("image", 4000, "udptl", ("t38",), attributes=Attributes([("T38FaxVersion", "0")]))
    assert media.rejected() == MediaDescription("image", 0, "udptl", ("t38",))
    session = SessionDescription(OURS, media=(media, media.rejected()))
    assert describe_media(session) == "image 4000 udptl t38; image 0 udptl t38"
    assert describe_media(SessionDescription(OURS)) == "no media"


def test_bandwidths_are_read_by_their_modifier() -> None:
    """RFC 8866 5.8, RFC 3556, RFC 3890."""
    lines = ("AS:64", "TIAS:50780", "RS:0", "RR:x", "X-YZ:" + "9" * 5000)
    assert [find_bandwidth(lines, name) for name in ("AS", "TIAS", "RS", "RR", "X-YZ", "CT")] == [
        64,
        50780,
        0,
        None,
        None,
        None,
    ]


def test_a_description_made_of_values_is_written() -> None:
    session = SessionDescription(OURS, connections=(Connection("2001:db8::1", family_of("2001:db8::1")),))
    assert serialize_sdp(session) == b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\n"
