import pytest

from cmw.errors import RemoteProtocolError
from cmw.sip.auth_fields import MAX_FIELDS, decode_extended, encode_extended, parse_authorization, parse_fields


def test_fields_without_a_scheme() -> None:
    assert parse_fields('nextnonce="a,b", QOP=auth , nc=00000001') == {
        "nextnonce": "a,b",
        "qop": "auth",
        "nc": "00000001",
    }


@pytest.mark.parametrize("value", ["", ",", "a", "a=1,", "a=1,,b=2", "a=1,a=2", 'a="1', "Digest a=1", 'a="1"2'])
def test_malformed_fields_are_refused(value: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_fields(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Digest",
        "Digest ,",
        "Basic a=1",
        "a=1",
        "Digest a=1, a=2",
        "Digest a=1, Digest b=2",
        "Digest a=1, Basic",
        "Digest a=1,",
    ],
)
def test_malformed_authorizations_are_refused(value: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_authorization(value)
    assert caught.value.hint == 400


def test_fields_without_end_are_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        parse_fields(",".join([f"a{n}=1" for n in range(MAX_FIELDS + 1)]))


@pytest.mark.parametrize("name", ["Jäsøn Doe", "a\r\nb: c", "%", "", "'''", "\x00"])
def test_names_are_escaped_and_back(name: str) -> None:
    encoded = encode_extended(name)
    assert encoded.isprintable()
    assert encoded.isascii()
    assert not set(encoded) & set('",; ')
    assert decode_extended(encoded) == name


def test_a_name_of_rfc_7616() -> None:
    """RFC 7616 3.4, which names this form."""
    assert encode_extended("Jäsøn Doe") == "UTF-8''J%C3%A4s%C3%B8n%20Doe"
    assert decode_extended("utf-8'en'J%c3%a4s") == "Jäs"


@pytest.mark.parametrize("value", ["", "UTF-8", "UTF-8'", "ISO-8859-1''a", "UTF-8''%FF", "UTF-8''\udcff"])
def test_names_of_other_charsets_are_refused(value: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_extended(value)
