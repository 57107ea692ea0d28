"""Bodies of several parts. Source: RFC 5621, RFC 2046 5.1."""

from __future__ import annotations

# ruff: noqa: E501  (a case is one line)
import pytest

from cmw.errors import RemoteProtocolError
from cmw.sip.headers import Headers
from cmw.sip.message import Request
from cmw.sip.multipart import MAX_PARTS, parse_body, split_parts
from cmw.sip.request_checks import MAX_BODY_BYTES, offer_in, refuse_body

SDP = b"v=0\r\n"
SESSION = b"Content-Type: application/sdp\r\n\r\n" + SDP
TEXT = b"Content-Type: text/plain\r\n\r\nhi"
OPTIONAL = b"Content-Type: text/plain\r\nContent-Disposition: render; handling=optional\r\n\r\nhi"


def join(*parts: bytes, boundary: str = "b") -> bytes:
    return b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts) + f"--{boundary}--\r\n".encode()


def invite(body: bytes, kind: str = "multipart/mixed;boundary=b", **rows: str) -> Request:
    headers = [("Content-Type", kind), *((name.replace("_", "-"), value) for name, value in rows.items())]
    return Request("INVITE", "sip:a@h", Headers(headers), body)


def status(request: Request) -> int:
    refusal = refuse_body(request)
    return 0 if refusal is None else refusal.status


@pytest.mark.parametrize(
    ("kind", "parts", "refused", "offer"),
    [
        ("multipart/mixed", [SESSION], 0, SDP),
        ("multipart/mixed", [OPTIONAL, SESSION], 0, SDP),
        ("multipart/mixed", [TEXT, SESSION], 415, SDP),
        ("multipart/mixed", [OPTIONAL], 0, b""),
        ("multipart/mixed", [b"\r\nhi"], 415, b""),
        ("multipart/alternative", [TEXT, SESSION], 0, SDP),
        ("multipart/alternative", [SESSION, TEXT], 0, SDP),
        ("multipart/alternative", [TEXT], 415, b""),
        ("multipart/alternative", [SESSION, SESSION.replace(b"v=0", b"v=1")], 0, b"v=1\r\n"),
        ("multipart/related", [SESSION, TEXT], 0, SDP),
        ("multipart/related", [TEXT, SESSION], 415, b""),
        ('multipart/related;start="<s@h>"', [TEXT, b"Content-ID: <s@h>\r\n" + SESSION], 0, SDP),
        ("multipart/unheard-of", [SESSION], 0, SDP),
        ("MULTIPART/Mixed", [SESSION], 0, SDP),
        ("multipart/mixed", [b"Content-Encoding: gzip\r\n" + SESSION], 415, b""),
        ("multipart/mixed", [b"Content-Transfer-Encoding: base64\r\nc: application/sdp\r\n\r\ndj0wDQo="], 0, SDP),
        ("multipart/mixed", [b"Content-Transfer-Encoding: quoted-printable\r\nc: application/sdp\r\n\r\nv=3D0=0D=0A"], 0, SDP),
        ("multipart/mixed", [b"Content-Transfer-Encoding: x-zip\r\nc: application/sdp\r\n\r\nv"], 400, b""),
        ("multipart/mixed", [b"Content-Type: sdp\r\n\r\nv"], 400, b""),
        ("multipart/mixed", [b"no header\r\n\r\nv"], 400, b""),
    ],
)  # fmt: skip
def test_the_session_is_found(kind: str, parts: list[bytes], refused: int, offer: bytes) -> None:
    request = invite(join(*parts), f"{kind};boundary=b")
    assert status(request) == refused
    assert offer_in(request) == offer


def test_parts_inside_of_parts() -> None:
    inner = b'Content-Type: multipart/alternative;boundary="b2"\r\n\r\n' + join(TEXT, SESSION, boundary="b2")
    request = invite(join(OPTIONAL, inner))
    assert (status(request), offer_in(request)) == (0, SDP)
    deep = SESSION
    for level in range(6):
        deep = b"Content-Type: multipart/mixed;boundary=x%d\r\n\r\n" % level + join(deep, boundary=f"x{level}")
    assert status(invite(join(deep))) == 400


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/mixed",
        "multipart/mixed;boundary=",
        'multipart/mixed;boundary=""',
        "multipart/mixed;boundary=" + "a" * 71,
        "multipart/mixed;boundary=other",
        "multipart",
        "multipart/mixed;;",
    ],
)
def test_boundaries_that_are_none_are_refused(kind: str) -> None:
    assert status(invite(join(SESSION), kind)) == 400
    assert offer_in(invite(join(SESSION), kind)) == b""


def test_what_stands_around_the_parts_is_passed_over() -> None:
    body = b"preamble\r\n--b \t\r\n" + SESSION + b"\r\n--bb\r\n--b--\r\nepilogue\r\n--b\r\n" + TEXT
    assert split_parts(body, b"b") == [SESSION + b"\r\n--bb"]
    assert split_parts(b"--b\n1\n--b\n2", b"b") == [b"1", b"2"]
    assert split_parts(b"--b\r\n\r\n--b--", b"b") == [b""]


def test_parts_are_bounded() -> None:
    assert status(invite(join(*[OPTIONAL] * (MAX_PARTS - 1), SESSION))) == 0
    assert status(invite(join(*[OPTIONAL] * (MAX_PARTS + 1)))) == 400


def test_bodies_are_bounded() -> None:
    assert status(invite(b"v" * MAX_BODY_BYTES, "application/sdp")) == 0
    assert status(invite(b"v" * (MAX_BODY_BYTES + 1), "application/sdp")) == 413


def test_plain_bodies() -> None:
    assert status(invite(SDP, "application/sdp ; charset=x")) == 0
    assert offer_in(invite(SDP, "Application/SDP")) == SDP
    assert status(invite(SDP, "application/sdp", Content_Encoding="gzip")) == 415
    assert status(invite(SDP, "text/plain", Content_Disposition="x;Handling=Optional")) == 0
    assert status(invite(SDP, "text/plain", Content_Disposition="x;handling=required")) == 415
    assert offer_in(invite(b"", "application/sdp")) == b""
    assert offer_in(Request("INVITE", "sip:a", body=SDP)) == SDP


def test_the_tree_can_be_looked_at() -> None:
    body = parse_body(Headers([("Content-Type", "multipart/mixed;boundary=b")]), join(OPTIONAL, SESSION))
    assert body.is_multipart
    assert [(part.type.kind, part.disposition) for part in body.parts] == [
        ("text/plain", ("render", True)),
        ("application/sdp", ("session", False)),
    ]
    with pytest.raises(RemoteProtocolError):
        parse_body(Headers([("Content-Type", "multipart/mixed;boundary=b"), ("Content-Disposition", ";")]), join(TEXT))
