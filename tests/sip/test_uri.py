import pytest

from cmw.errors import RemoteProtocolError
from cmw.sip.uri import SipUri, escape, parse_uri, unescape


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sip:alice@atlanta.com", SipUri("sip", "alice", None, "atlanta.com")),
        ("SIPS:alice@atlanta.com:5061", SipUri("sips", "alice", None, "atlanta.com", 5061)),
        ("sip:192.0.2.1", SipUri("sip", None, None, "192.0.2.1")),
        ("sip:pbx_1:5060;lr", SipUri("sip", None, None, "pbx_1", 5060, (("lr", None),))),
        ("sip:[2001:db8::10]:5070", SipUri("sip", None, None, "2001:db8::10", 5070)),
        ("sip:a@[::ffff:192.0.2.1]", SipUri("sip", "a", None, "::ffff:192.0.2.1")),
        (
            "sip:alice:secret%3a@h;Transport=TCP",
            SipUri("sip", "alice", "secret%3a", "h", None, (("transport", "TCP"),)),
        ),
        (
            "sip:+1-212-555-1212:1234@gateway.com;user=phone",
            SipUri("sip", "+1-212-555-1212", "1234", "gateway.com", None, (("user", "phone"),)),
        ),
        ("sip:alice;day=tuesday@atlanta.com", SipUri("sip", "alice;day=tuesday", None, "atlanta.com")),
        (
            "sip:a@h?subject=x%20y&to=sip:b%40c",
            SipUri("sip", "a", None, "h", None, (), (("subject", "x%20y"), ("to", "sip:b%40c"))),
        ),
        # RFC 4475 3.1.1.13 (escaped characters) and 3.1.2.? shapes
        ("sip:sips%3Auser%40example.com@example.net", SipUri("sip", "sips:user@example.com", None, "example.net")),
        ("sip:null-%00-null@example.com", SipUri("sip", "null-\0-null", None, "example.com")),
        ("sip:user;par=u%40example.net@example.com", SipUri("sip", "user;par=u@example.net", None, "example.com")),
        (
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
            SipUri(
                "sip",
                "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
                "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)",
                "example.com",
            ),
        ),
    ],
)
def test_a_uri_is_taken_apart_and_put_together(text: str, expected: SipUri) -> None:
    uri = parse_uri(text)
    assert uri == expected
    assert parse_uri(str(uri)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "sip:",
        "sip:@h",
        "sip:a@",
        "sip:a@b@c",
        "sip:a b@h",
        "sip:a@h:",
        "sip:a@h:0",
        "sip:a@h:65536",
        "sip:a@h:+1",
        "sip:a@h:१",
        "sip:a@h;",
        "sip:a@h;;lr",
        "sip:a@h;x=",
        "sip:a@h?",
        "sip:a@h?x",
        "sip:%zz@h",
        "sip:%4@h",
        "sip:a@h;x=%",
        "sip:a@999.1.1.1",
        "sip:a@1.2.3",
        "sip:a@[::g]",
        "sip:a@[1:2]",
        "sip:a@[1:2:3:4:5:6:7:8:9]",
        "sip:a@::1",
        "sip:a@h..x",
        "sip:a@-h",
        "sip:ü@h",
        "sip:a@ü",
        "sip:a@h\n",
        "sip:a@h;ü=1",
        "sip:<a@h>",
    ],
)
def test_malformed_uris_are_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_uri(text)
    assert caught.value.hint == 400


@pytest.mark.parametrize(
    "text", ["tel:+1", "http://x", "alice", "", "nobodyKnowsThisScheme:totallyopaquecontent", "ſip:a@h", "sıp:a@h"]
)
def test_other_schemes_are_refused_by_their_own_status(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_uri(text)
    assert caught.value.hint == 416


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        # RFC 3261 19.1.4
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp", True),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", True),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5", True),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            True,
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            True,
        ),
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", False),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", False),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", False),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", False),
        ("sip:a@h", "sips:a@h", False),
    ],
)
def test_equivalence(one: str, other: str, same: bool) -> None:
    assert parse_uri(one).is_equivalent(parse_uri(other)) is same
    assert parse_uri(other).is_equivalent(parse_uri(one)) is same


def test_escapes_survive_both_ways() -> None:
    for user in ("ü", "a b", "a@b", "100%", "*72#", "a\0", "\udcff", "a:b"):
        assert unescape(escape(user)) == user
        assert parse_uri(f"sip:{escape(user)}@h").user == user


def test_repr_hides_the_password_and_long_input_is_cut() -> None:
    assert "secret" not in repr(parse_uri("sip:a:secret@h"))
    with pytest.raises(RemoteProtocolError) as caught:
        parse_uri("sip:" + "<" * 60000)
    assert len(str(caught.value)) < 200
