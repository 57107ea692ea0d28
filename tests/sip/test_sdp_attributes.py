"""Values of attributes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cmw.errors import RemoteProtocolError
from cmw.sip.audio_format import PCMA, PCMU, AudioCodec
from cmw.sip.sdp_attributes import (
    AttributeFacts,
    Candidate,
    Crypto,
    Direction,
    Fingerprint,
    Group,
    parse_candidate,
    parse_crypto,
    parse_fingerprint,
    parse_group,
    parse_setup,
)


def test_directions_say_who_sends() -> None:
    """RFC 3264 5.1."""
    for direction in Direction:
        assert Direction.of(sends=direction.sends, receives=direction.receives) is direction
    assert Direction("sendonly").sends
    assert not Direction.RECVONLY.sends


def test_facts_take_the_first_of_each() -> None:
    facts = AttributeFacts(
        [
            ("sendonly", "x"),
            ("inactive", None),
            ("sendrecv", None),
            ("ptime", "0"),
            ("ptime", " 30 "),
            ("ptime", "10"),
            ("maxptime", "150"),
            ("rtcp", "5005"),
            ("rtcp", "7000"),
            ("mid", " a"),
            ("group", "BUNDLE a"),
        ]
    )
    assert (facts.direction, facts.ptime_ms, facts.max_ptime_ms) == (Direction.INACTIVE, 30, 150)
    assert (facts.rtcp, facts.mid, facts.groups) == ("5005", "a", ["BUNDLE a"])
    assert not facts.rtcp_mux


def test_formats_are_named_by_rtpmaps_and_by_the_table() -> None:
    """RFC 8866 6.6, RFC 3551 6; what has no name is passed over, and so is what comes twice."""
    facts = AttributeFacts(
        [
            ("rtpmap", "96 opus/48000/2"),
            ("rtpmap", "96 iLBC/8000"),
            ("rtpmap", "8 L16/8000"),
            ("rtpmap", "97"),
            ("fmtp", "96 stereo=1"),
            ("fmtp", "96 stereo=0"),
            ("fmtp", "0"),
        ]
    )
    assert facts.codecs(("96", "0", "8", "97", "0", "128", "x", "-1", "9999999")) == (
        AudioCodec("opus", 96, 48000, 2, "stereo=1"),
        PCMU,
        AudioCodec("L16", 8),
    )
    assert AttributeFacts([]).codecs(("8",)) == (PCMA,)


def test_what_is_made_of_attributes_is_remembered_within_bounds() -> None:
    facts = AttributeFacts([])
    for key in range(100):
        facts.remember(key, key)
    assert facts.memo[99] == 99
    assert len(facts.memo) < 20


def test_values_that_are_carried() -> None:
    assert parse_crypto("1 AES_CM_128_HMAC_SHA1_80 inline:AA|2^20|1:4;inline:BB UNENCRYPTED_SRTP") == Crypto(
        1, "AES_CM_128_HMAC_SHA1_80", ("inline:AA|2^20|1:4", "inline:BB"), ("UNENCRYPTED_SRTP",)
    )
    assert parse_fingerprint("SHA-1 4A:ad:B9") == Fingerprint("sha-1", b"\x4a\xad\xb9")
    assert [parse_setup(role) for role in ("active", " PASSIVE", "actpass", "holdconn")] == [
        "active",
        "passive",
        "actpass",
        "holdconn",
    ]
    assert parse_group("BUNDLE 1 2") == Group("BUNDLE", ("1", "2"))
    assert parse_candidate(
        "2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998 generation 0"
    ) == Candidate(
        "2",
        1,
        "udp",
        1694498815,
        "192.0.2.3",
        45664,
        "srflx",
        (("raddr", "203.0.113.141"), ("rport", "8998"), ("generation", "0")),
    )


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        (parse_crypto, ""),
        (parse_crypto, "x AES_CM_128_HMAC_SHA1_80 inline:AA"),
        (parse_crypto, "1 AES_CM_128_HMAC_SHA1_80"),
        (parse_crypto, "1234567890 A inline:AA"),
        (parse_fingerprint, "sha-1"),
        (parse_fingerprint, "sha-1 4A:A"),
        (parse_fingerprint, "sha-1 4A:G0"),
        (parse_fingerprint, "sha-1 " + ":".join(["00"] * 65)),
        (parse_setup, "never"),
        (parse_group, ""),
        (parse_group, "BUNDLE (a)"),
        (parse_candidate, ""),
        (parse_candidate, "1 1 UDP 1 h 9 type host"),
        (parse_candidate, "1 1 UDP 1 h 65536 typ host"),
        (parse_candidate, "1 -1 UDP 1 h 9 typ host"),
    ],
)
def test_malformed_values_are_refused(parse: Callable[[str], object], value: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(value)
    assert caught.value.hint == 400


def test_a_malformed_key_is_not_shown() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_crypto("1 (SUITE) inline:topsecret")
    assert "secret" not in str(caught.value)
