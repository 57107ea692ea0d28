from __future__ import annotations

import pytest

from cmw.errors import RemoteProtocolError
from cmw.sip.media_type import is_acceptable, parse_disposition, parse_media_type


def test_types_are_taken_apart() -> None:
    kind = parse_media_type('Multipart / Mixed ; Boundary="a b" ;x')
    assert (kind.kind, kind.param("boundary"), kind.param("x"), kind.param("y")) == ("multipart/mixed", "a b", "", None)


@pytest.mark.parametrize("text", ["", "/", "a/", "/b", "a", "a/b/c", "a b/c", "a/b;;", "a/b;=", 'a/b;c="'])
def test_what_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_media_type(text)


@pytest.mark.parametrize(
    ("accepted", "answer"),
    [
        ([], False),
        ([""], False),
        (["application/sdp"], True),
        (["text/plain, Application/SDP;level=1"], True),
        (["text/plain", "application/*"], True),
        (["*/*"], True),
        (["*/*, application/sdp;q=0"], False),
        (["application/sdp;q=0.5"], True),
        (["application/sdp;q=0.0"], False),
        (["text/nobodyReadsThis"], False),
        (["nonsense, application/sdp"], True),
        (['"'], False),
    ],
)
def test_what_is_acceptable(accepted: list[str], answer: bool) -> None:
    assert is_acceptable("application/sdp", accepted) is answer


def test_dispositions() -> None:
    assert parse_disposition("session") == ("session", False)
    assert parse_disposition("Render ; HANDLING = Optional") == ("render", True)
    with pytest.raises(RemoteProtocolError):
        parse_disposition("")
