"""What an INVITE is refused for by the options of whoever is called, and which call it wants to replace."""

from __future__ import annotations

from cmw.errors import RemoteProtocolError
from cmw.sip.call import Call
from cmw.sip.call_options import CallOptions
from cmw.sip.call_state import CallState
from cmw.sip.message import Request
from cmw.sip.option_tags import Support, supports
from cmw.sip.reliable_provisional import RELIABLE
from cmw.sip.replaces import REFUSALS, Replaced, Replaces, parse_replaces
from cmw.sip.request_checks import Refusal
from cmw.sip.session_timer import SessionTimer


def require_extensions(request: Request, options: CallOptions) -> Refusal | None:
    """Refuse an INVITE that lacks what we require with 421, a session interval that will not do with 422.

    Source: RFC 3261 21.4.16, RFC 4028 9.
    """
    headers = request.headers
    if options.reliable is Support.REQUIRED and not supports(headers, RELIABLE):
        return Refusal(421, (("Require", RELIABLE),))
    choice = options.session_timer
    if choice.mode is Support.REQUIRED or "Session-Expires" in headers or "Min-SE" in headers:
        refusal = SessionTimer(choice, is_caller=False).refuse(headers)
        return None if refusal is None else Refusal(*refusal)
    return None


def read_replaces(request: Request) -> Replaces | Refusal | None:
    """Return which dialog an INVITE wants to replace; None when it wants none. Source: RFC 3891 3."""
    values = request.headers.get_all("Replaces")
    if not values:
        return None
    try:
        return parse_replaces(values[0]) if len(values) == 1 else Refusal(400, (), "Several Replaces")
    except RemoteProtocolError as error:
        return Refusal(error.hint, (), "Malformed Replaces")


def refuse_replacement(call: Call | None, replaces: Replaces) -> Refusal | None:
    """Refuse to let a call be replaced that is not there, or not in the right state.

    Args:
        call: the call with the Call-ID and our tag, None for none.
        replaces: what was asked for.
    """
    status = REFUSALS[_what_is(call, replaces), replaces.early_only]
    return Refusal(status) if status else None


def _what_is(call: Call | None, replaces: Replaces) -> Replaced:
    if call is None or not call.matches_dialog(replaces.from_tag):
        return Replaced.NOTHING
    if call.is_over or call.state is CallState.CANCELLING:
        return Replaced.ENDED
    if call.state in (CallState.CONFIRMED, CallState.ACCEPTED):
        return Replaced.CONFIRMED
    return Replaced.EARLY_OURS if call.is_outbound else Replaced.EARLY_THEIRS
