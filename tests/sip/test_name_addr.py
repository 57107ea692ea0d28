import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.errors import RemoteProtocolError
from cmw.sip.name_addr import NameAddr, parse_name_addr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"Alice" <sip:alice@h>;tag=1', NameAddr("Alice", "sip:alice@h", (("tag", "1"),))),
        ("Mr.  Bob <sip:bob@h>", NameAddr("Mr.  Bob", "sip:bob@h")),
        ("Bob<sip:bob@h;lr>; Tag = 1 ;x", NameAddr("Bob", "sip:bob@h;lr", (("tag", "1"), ("x", None)))),
        ("sip:bob@h;tag=1", NameAddr("", "sip:bob@h", (("tag", "1"),))),
        ("tel:+1-201-555-0123", NameAddr("", "tel:+1-201-555-0123")),
        ('"a\\"b\\\\" <sip:h>', NameAddr('a"b\\', "sip:h")),
        (
            '<sip:h>;+sip.instance="<urn:uuid:1;2,3>";q=0.5',
            NameAddr("", "sip:h", (("+sip.instance", '"<urn:uuid:1;2,3>"'), ("q", "0.5"))),
        ),
        ('"" <sip:h>;x=', NameAddr("", "sip:h", (("x", ""),))),
        ("Jürgen <sip:j@h>", NameAddr("Jürgen", "sip:j@h")),
        ("<sip:h>;received=[::1]", NameAddr("", "sip:h", (("received", "[::1]"),))),
    ],
)
def test_an_address_is_taken_apart_and_put_together(text: str, expected: NameAddr) -> None:
    parsed = parse_name_addr(text)
    assert parsed == expected
    assert parse_name_addr(str(parsed))[1:] == expected[1:]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "<>",
        "<sip:a",
        "sip:a>",
        '"a <sip:a>',
        "a, b <sip:a>",
        "<sip:a> x",
        "<sip:a>;",
        "<sip:a>;=1",
        "<sip:a>;a b",
        "<sip:a b>",
        "<ü>",
        "alice",
        "sip:a?b=c",
        "sip:a,b",
        "<sip:a>;x=a b",
        '<sip:a>;x="a',
        "<sip:a>,<sip:b>",
        "<sip:a>;x=<",
        '"a" "b" <sip:a>',
    ],
)
def test_malformed_addresses_are_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_name_addr(text)
    assert caught.value.hint == 400


def test_tags_and_uris() -> None:
    address = parse_name_addr("<sip:a@h:5070>")
    assert address.tag is None
    tagged = parse_name_addr("<sip:a@h:5070>;tag=t")
    assert (tagged.tag, tagged.param("tag"), tagged.param("q")) == ("t", "t", None)
    assert address.sip_uri().port == 5070
    with pytest.raises(RemoteProtocolError):
        parse_name_addr("<tel:1>").sip_uri()


@given(st.text(max_size=20).filter(lambda text: text.isprintable()))
def test_any_display_name_survives(display: str) -> None:
    assert parse_name_addr(str(NameAddr(display, "sip:h"))).display == display
