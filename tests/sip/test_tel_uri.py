from __future__ import annotations

import pytest

from cmw.errors import RemoteProtocolError
from cmw.sip.tel_uri import OtherUri, TelUri, is_same_uri, parse_any_uri, parse_tel_uri
from cmw.sip.uri import SipUri


def test_numbers_are_taken_apart_and_put_together() -> None:
    number = parse_tel_uri("TEL:+1-201-555-0123;EXT=7;isub=%41b")
    assert number == TelUri("+1-201-555-0123", (("ext", "7"), ("isub", "%41b")))
    assert (number.is_global, number.digits, number.param("ext")) == (True, "+12015550123", "7")
    assert parse_tel_uri(str(number)) == number
    local = parse_tel_uri("tel:863-12(34);phone-context=example.com")
    assert (local.is_global, local.digits) == (False, "8631234")
    assert parse_tel_uri("tel:*21#;phone-context=+1").digits == "*21#"


@pytest.mark.parametrize(
    "text",
    [
        "tel:",
        "tel:+",
        "tel:+-",
        "tel:1234",
        "tel:12 34;phone-context=x",
        "tel:+1;",
        "tel:+1;a=",
        "tel:+1;ext=1;EXT=2",
        "tel:+1g",
        "tel:+٣",
        "tel:+1;a=%zz",
        "tel:+1" + ";a" * 65,
    ],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_tel_uri(text)
    assert caught.value.hint == 400


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        # RFC 3966 4
        ("tel:+1-201-555-0123", "tel:+12015550123", True),
        ("tel:+1(201)555.0123;a=b;ext=1-2", "TEL:+12015550123;ext=12;A=B", True),
        ("tel:+12015550123", "tel:+12015550124", False),
        ("tel:+1", "tel:+1;ext=1", False),
        ("tel:7042;phone-context=example.com", "tel:70-42;phone-context=EXAMPLE.com", True),
        ("tel:7042;phone-context=example.com", "tel:7042;phone-context=+1", False),
        ("tel:7042;phone-context=+1-914", "tel:7042;phone-context=+1914", True),
        ("tel:7042;phone-context=a-b.c", "tel:7042;phone-context=ab.c", False),
        ("tel:+1", "sip:+1@h", False),
        ("sip:a@h", "sip:a@H", True),
        ("sip:a@h", "isbn:1", False),
        ("isbn:1", "ISBN:1", True),
        ("isbn:1", "isbn:2", False),
    ],
)
def test_sameness(one: str, other: str, same: bool) -> None:
    assert is_same_uri(parse_any_uri(one), parse_any_uri(other)) is same
    assert is_same_uri(parse_any_uri(other), parse_any_uri(one)) is same


def test_any_uri() -> None:
    assert isinstance(parse_any_uri("sips:h"), SipUri)
    assert parse_any_uri("urn:service:sos") == OtherUri("urn", "service:sos")
    assert str(parse_any_uri("Urn:Service:sos")) == "urn:Service:sos"
    for text in ("", ":", "a", "a b:c", "a:", "a:<b>", "1:b", "ü:b"):
        with pytest.raises(RemoteProtocolError) as caught:
            parse_any_uri(text)
        assert caught.value.hint == 400


def test_a_number_reached_at_a_gateway() -> None:
    """RFC 3261 19.1.6."""
    uri = parse_tel_uri("tel:+358-555-1234567;postd=pp22").to_sip("foo.com")
    assert str(uri) == "sip:+3585551234567;postd=pp22@foo.com;user=phone"
