import pytest

from cmw.errors import LocalProtocolError
from cmw.sip.header_names import COMPACT_FORMS
from cmw.sip.headers import Headers, canonical_name


def test_names_have_one_spelling() -> None:
    assert canonical_name("CALL-id") == "Call-ID"
    assert canonical_name("cSEQ") == "CSeq"
    assert canonical_name("www-authenticate") == "WWW-Authenticate"
    assert canonical_name("x-cisco-THING") == canonical_name("X-Cisco-Thing") == "X-Cisco-Thing"
    for letter, name in COMPACT_FORMS.items():
        assert canonical_name(letter) == canonical_name(letter.upper()) == name


@pytest.mark.parametrize("name", ["", "a b", "a:b", "ü", "\u212aind", "a\n"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        Headers([(name, "x")])


def test_rows_keep_their_order() -> None:
    headers = Headers([("v", "1"), ("From", "f"), ("VIA", "2")])
    assert list(headers) == [("Via", "1"), ("From", "f"), ("Via", "2")]
    assert (headers.get("via"), headers.get_all("v"), headers.get("To"), headers.get_all("To")) == (
        "1",
        ["1", "2"],
        None,
        [],
    )
    assert "via" in headers
    assert "to" not in headers
    assert 3 not in headers


def test_changes() -> None:
    headers = Headers([("Via", "1"), ("From", "f"), ("Via", "2")])
    other = headers.copy()
    headers.replace_first("via", "9")
    assert headers.get_all("Via") == ["9", "2"]
    headers.set("VIA", "3")
    assert list(headers) == [("Via", "3"), ("From", "f")]
    headers.set("To", "t")
    headers.add_first("v", "0")
    assert list(headers) == [("Via", "0"), ("Via", "3"), ("From", "f"), ("To", "t")]
    assert headers.remove_first("Via") == "0"
    assert headers.remove_first("Route") is None
    headers.remove("from")
    headers.replace_first("Subject", "s")
    assert list(headers) == [("Via", "3"), ("To", "t"), ("Subject", "s")]
    assert len(other) == 3
    assert other != headers
    assert other == Headers(other)


def test_tokens_of_all_rows() -> None:
    headers = Headers([("Allow", "INVITE, ACK,,BYE "), ("allow", ""), ("ALLOW", "INFO")])
    assert headers.get_tokens("Allow") == ["INVITE", "ACK", "BYE", "INFO"]


def test_tokens_of_what_cannot_be_read() -> None:
    headers = Headers([("Require", '<a, "b'), ("Require", "timer")])
    assert headers.get_tokens("Require") == ["<a", '"b', "timer"]
