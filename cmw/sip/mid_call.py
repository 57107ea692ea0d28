"""Requests that change nothing, answered at once: OPTIONS, INFO, MESSAGE, NOTIFY, SUBSCRIBE, and unknown ones.

Within a call and outside of any the answers are the same; what the user may want to know is told.
"""

from __future__ import annotations

from cmw.core.clock import Nanos
from cmw.sip.call_options import CallOptions
from cmw.sip.hop import Hop
from cmw.sip.media_type import SDP_TYPE
from cmw.sip.methods import ALLOW, KNOWN_METHODS
from cmw.sip.request_checks import Refusal
from cmw.sip.request_events import InfoReceived, MessageReceived, NotifyReceived
from cmw.sip.stack import Stack
from cmw.sip.transaction import Transaction
from cmw.sip.transfer import REFER_EVENT, event_package

ALLOW_EVENTS = (("Allow-Events", REFER_EVENT),)
"""Source: RFC 6665 8.2.2."""


def serve_mid_call(
    stack: Stack, call: int, transaction: Transaction, source: Hop, options: CallOptions, *, now: Nanos
) -> int:
    """Answer a request and tell what it brought; return the status.

    Args:
        call: handle of the call that it belongs to, 0 for none.
    """
    request = transaction.request
    answer = _answer(request.method, options, 200 if call else options.options_status)
    tag = None if call else stack.ids.tag()
    stack.respond(transaction, answer.status, to_tag=tag, headers=answer.headers, now=now)
    kind = request.headers.get("Content-Type") or ""
    if request.method == "INFO":
        stack.events.append(InfoReceived(call, kind, request.body, now, request))
    elif request.method == "MESSAGE":
        stack.events.append(MessageReceived(call, request.from_.uri, kind, request.body, source, now, request))
    elif request.method == "NOTIFY":
        package, _ = event_package(request.headers)
        stack.events.append(NotifyReceived(call, package, request.body, source, now, request))
    return answer.status


def _answer(method: str, options: CallOptions, options_status: int) -> Refusal:
    if method in ("INFO", "MESSAGE", "NOTIFY"):
        return Refusal(200)
    if method == "OPTIONS":
        # RFC 3261 11.2
        tells = (("Allow", ALLOW), ("Accept", SDP_TYPE), ("Accept-Encoding", "identity"), ("Accept-Language", "en"))
        return Refusal(options_status, (*tells, ("Supported", options.supported)))
    if method == "SUBSCRIBE":
        return Refusal(489, ALLOW_EVENTS)
    return Refusal(405 if method in KNOWN_METHODS else 501, (("Allow", ALLOW),))
