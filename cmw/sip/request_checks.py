"""What a user agent server refuses before it looks at a request's meaning. Source: RFC 3261 8.2."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256
from typing import NamedTuple

from cmw.errors import RemoteProtocolError
from cmw.sip.date import parse_date
from cmw.sip.grammar import is_number
from cmw.sip.headers import Headers
from cmw.sip.hop import Hop
from cmw.sip.media_type import SDP_TYPE, is_acceptable
from cmw.sip.message import MalformedMessageError, Request, Response, make_response
from cmw.sip.methods import ALLOW, KNOWN_METHODS, NEEDS_DIALOG
from cmw.sip.multipart import parse_body
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.status import reason_phrase
from cmw.sip.tel_uri import parse_called_uri
from cmw.sip.uri import SipUri

MAX_BODY_BYTES = 32768
"""Longest body of a request that opens or changes a session; a longer one is refused with 413."""

_ADDRESSES = ("Contact", "Record-Route", "Reply-To")


class Refusal(NamedTuple):
    """A status to answer, the headers that go with it, and a reason phrase; "" for the usual one."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    reason: str = ""


def refuse_method(request: Request, allow: str = ALLOW) -> Refusal | None:
    """Refuse a method that is not served with 405, one that nobody knows with 501. Source: RFC 3261 8.2.1, 21.5.2."""
    if request.method in allow.replace(",", " ").split():
        return None
    return Refusal(405 if request.method in KNOWN_METHODS else 501, (("Allow", allow),))


def refuse_uri(request: Request) -> Refusal | None:
    """Refuse a Request-URI of another scheme with 416, a broken one with 400; a telephone number is let pass.

    Source: RFC 3261 8.2.2.1, 19.1.1.
    """
    try:
        uri = parse_called_uri(request.uri)
    except RemoteProtocolError as error:
        return Refusal(error.hint, (), _phrase(error) if error.hint == 400 else "")
    has_headers = isinstance(uri, SipUri) and uri.headers
    return Refusal(400, (), "Headers in the Request-URI") if has_headers else None


def refuse_routes(request: Request) -> Refusal | None:
    """Refuse addresses that our requests could not be sent along or to with 400. Source: RFC 3261 12.1.1, 8.1.1.8."""
    try:
        for name in _ADDRESSES:
            for address in request.headers.get_all(name):
                if address != "*" or request.method != "REGISTER":
                    parse_name_addr(address)
    except RemoteProtocolError as error:
        return Refusal(400, (), _phrase(error))
    return None


def refuse_values(request: Request) -> Refusal | None:
    """Refuse numbers that are none and a Date of another zone than GMT with 400. Source: RFC 3261 20.17, 20.22."""
    for name in ("Max-Forwards", "Expires"):
        value = request.headers.get(name)
        if value is not None and not is_number(value):
            return Refusal(400, (), f"Malformed {name}")
    date = request.headers.get("Date")
    return Refusal(400, (), "Malformed Date") if date is not None and parse_date(date) is None else None


def refuse_extensions(request: Request, supported: Collection[str] = ()) -> Refusal | None:
    """Refuse a required extension that is not supported with 420. Source: RFC 3261 8.2.2.3.

    Args:
        supported: option tags, in lower case.
    """
    if "Require" not in request.headers or request.method in ("ACK", "CANCEL"):
        return None
    required = [tag for tag in request.headers.get_tokens("Require") if tag.lower() not in supported]
    return Refusal(420, (("Unsupported", ", ".join(required)),)) if required else None


def refuse_accept(request: Request) -> Refusal | None:
    """Refuse an INVITE whose answer may not be SDP with 406. Source: RFC 3261 20.1, 21.4.7; RFC 4475 3.3.15."""
    if request.method not in ("INVITE", "UPDATE") or "Accept" not in request.headers:
        return None
    accepted = request.headers.get_all("Accept")
    return None if is_acceptable(SDP_TYPE, accepted) else Refusal(406, (("Accept", SDP_TYPE),))


def refuse_body(request: Request) -> Refusal | None:
    """Refuse a body that is too long with 413, one that cannot be read with 400, one not understood with 415.

    What says that it may be ignored, is. Source: RFC 3261 8.2.3, 20.11; RFC 5621.
    """
    if not request.body:
        return None
    if len(request.body) > MAX_BODY_BYTES:
        return Refusal(413)
    if _is_plain_sdp(request.headers):
        return None
    try:
        body = parse_body(request.headers, request.body)
    except RemoteProtocolError as error:
        return Refusal(400, (), _phrase(error))
    missing = list(body.not_understood((SDP_TYPE,)))
    if not missing:
        return None
    if all(part.type.kind == SDP_TYPE and part.encoding for part in missing):
        return Refusal(415, (("Accept-Encoding", "identity"),))
    return Refusal(415, (("Accept", SDP_TYPE),))


def _is_plain_sdp(headers: Headers) -> bool:
    """Tell whether a body is SDP at first sight, as nearly all are."""
    if headers.get("Content-Type") not in (SDP_TYPE, None):
        return False
    return "Content-Encoding" not in headers and "Content-Disposition" not in headers


def offer_in(message: Request | Response) -> bytes:
    """Return the SDP in a message that `refuse_body` let pass, wherever it stands; empty when there is none."""
    if not message.body:
        return b""
    if _is_plain_sdp(message.headers):
        return message.body
    try:
        part = parse_body(message.headers, message.body).find(SDP_TYPE)
    except RemoteProtocolError:
        return b""
    return b"" if part is None else part.content


def refuse_request(
    request: Request, *, is_merged: bool = False, allow: str = ALLOW, supported: Collection[str] = ()
) -> Refusal | None:
    """Refuse a request outside of a dialog, None when it can be served: what is malformed first.

    Source: RFC 3261 8.2.1 to 8.2.3; RFC 4475 3.1.2.

    Args:
        request: neither ACK nor CANCEL.
        is_merged: whether the same request is being served after another path.
        allow: the methods that are served.
        supported: option tags that may be required, in lower case.
    """
    if request.method in NEEDS_DIALOG:
        return Refusal(481)
    uri = refuse_uri(request)
    malformed = uri if uri is not None and uri.status == 400 else refuse_values(request) or refuse_routes(request)
    refusal = malformed or refuse_method(request, allow)
    if refusal is None and is_merged:
        return Refusal(482)
    refusal = refusal or uri or refuse_extensions(request, supported)
    if refusal is not None or request.method not in ("INVITE", "OPTIONS"):
        return refusal
    return refuse_accept(request) or refuse_body(request)


class MalformedAnswer(NamedTuple):
    """The answer to a request that could not be read, and where it goes."""

    response: Response
    destination: Hop


def answer_malformed(error: MalformedMessageError, source: Hop) -> MalformedAnswer | None:
    """Return the answer to a request that could not be read, None when there is none to give.

    It repeats what came of Via, From, To, Call-ID and CSeq. The tag depends on the request alone, as befits a server
    without state. Source: RFC 3261 8.2.7, 18.2.2, 21.4.1.
    """
    request = error.request
    if request is None or not error.hint:
        return None
    tag = sha256(repr(list(request.headers)).encode()).hexdigest()[:16]
    response = make_response(request, error.hint, _phrase(error) if error.hint == 400 else "", to_tag=tag)
    try:
        via = request.top_via.stamped(source)
    except RemoteProtocolError:
        return MalformedAnswer(response, source)  # the Via as it came, to where it came from
    response.headers.replace_first("Via", str(via))
    return MalformedAnswer(response, via.answer_hop(source))


def _phrase(error: RemoteProtocolError) -> str:
    """Return a reason that says what is wrong. Source: RFC 3261 21.4.1, 25.1 Reason-Phrase."""
    shown = "".join([char if char.isalnum() or char in " -_.!~*'();/?:@&=+$," else "?" for char in str(error)[:120]])
    return f"{reason_phrase(400)}: {shown}"
