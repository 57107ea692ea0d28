"""What a `UserAgent` tells of a call's life: how it began, was answered, and ended.

Every call ends with exactly one of `CallRejected`, `CallTimedOut`, `CallCancelled` and `CallEnded`. Here and in its
sisters, events that carry a message carry it whole, for headers that only the user knows; it may be kept, and is not to
be changed.
"""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum

from cmw.core.clock import Nanos
from cmw.core.facts import fact
from cmw.sip.hop import Hop
from cmw.sip.identity import Identity, read_identity
from cmw.sip.message import Request, Response
from cmw.sip.retry_after import RetryAfter, parse_retry_after


class Ending(StrEnum):
    """Who ended a call, or changed it."""

    LOCAL = "local"
    REMOTE = "remote"


class TimeoutStage(StrEnum):
    """What a call was waiting for in vain."""

    INVITE = "invite"
    """No response to our INVITE at all (timer B)."""
    RINGING = "ringing"
    """No final response after a provisional one (timer C)."""
    EXPIRED = "expired"
    """The Expires of the INVITE ran out; it was refused with 487. Source: RFC 3261 13.3.1."""
    PRACK = "prack"
    """No PRACK of our reliable provisional response (64*T1); the INVITE was refused with 504. Source: RFC 3262 3."""
    ACK = "ack"
    """No ACK of our 200 (64*T1); the call was released with BYE."""


class LossCause(StrEnum):
    """Why a call that stood is given up, although neither party hung up."""

    GONE = "gone"
    """The peer answered a request within the call as one who does not know it. Source: RFC 5057 5.1."""
    SILENCE = "silence"
    """The peer did not answer a re-INVITE or UPDATE. Source: RFC 3261 14.1."""
    EXPIRED = "expired"
    """Nobody refreshed the session in time. Source: RFC 4028 10."""
    UNANSWERED = "unanswered"
    """Our user did not answer the offer in a 2xx before the peer gave up on our ACK."""


@fact
class CallOffered:
    """An INVITE came; 100 is queued already. Go on with `ring`, `answer` or `reject`.

    Args:
        request_user: user part of the Request-URI, "" when it has none.
        body: the offer; empty when our answer has to carry it.
        source: where the INVITE came from.
        replaces: the call that the new one takes the place of; it is released once this one is answered.
        request: the INVITE.
    """

    call: int
    request_user: str
    request_uri: str
    from_uri: str
    call_id: str
    body: bytes
    source: Hop
    at: Nanos
    replaces: int | None = None
    request: Request = field(default_factory=lambda: Request("INVITE", ""), compare=False, repr=False)

    @property
    def display_name(self) -> str:
        """Return the name in From, "" when there is none."""
        return self.request.from_.display

    @property
    def identity(self) -> Identity:
        """Return what the network says of the caller: P-Asserted-Identity and the like."""
        return read_identity(self.request.headers)


@fact
class CallProceeding:
    """A provisional response to our INVITE came, 100 to 199.

    Args:
        body: a session description for early media, empty for none.
        remote_tag: which early dialog it belongs to; several when the INVITE was forked.
        is_reliable: it is acknowledged with PRACK; its body is the answer to our offer then.
        wants_answer: its PRACK waits for `acknowledge`: our INVITE had no offer, so that the body is one; or we defer.
        response: the response.
    """

    call: int
    status: int
    reason: str
    body: bytes
    at: Nanos
    remote_tag: str = ""
    is_reliable: bool = False
    wants_answer: bool = False
    response: Response | None = field(default=None, compare=False, repr=False)


@fact
class CallAnswered:
    """A 2xx to our INVITE came; the ACK is queued already, unless `wants_answer`.

    Args:
        body: the answer to our offer, from a reliable provisional response if it came there; else an offer.
        remote: where the 2xx came from.
        wants_answer: our INVITE had no offer, so that the body is one: the ACK waits for `acknowledge`.
        response: the 2xx.
    """

    call: int
    status: int
    body: bytes
    remote: Hop
    at: Nanos
    wants_answer: bool = False
    response: Response | None = field(default=None, compare=False, repr=False)


@fact
class CallConfirmed:
    """The ACK of our 2xx came.

    Args:
        body: the answer, when our 2xx carried the offer.
    """

    call: int
    body: bytes
    at: Nanos


@fact
class CallRedirected:
    """A 3xx to our INVITE, or a failure after one, is followed: the INVITE goes to another target."""

    call: int
    status: int
    target: str
    at: Nanos


@fact
class CallLost:
    """A call that stood is given up by us, although nobody hung up: BYE is out, `CallEnded` (local) follows.

    Args:
        status: the response that told, 0 when it was silence.
    """

    call: int
    cause: LossCause
    status: int
    reason: str
    at: Nanos


@fact
class CallReplaced:
    """Another call takes the place of this one, which is released; `CallEnded` (local) follows. Source: RFC 3891.

    Args:
        by_call: the new call.
    """

    call: int
    by_call: int
    at: Nanos


@fact
class CallRejected:
    """Our INVITE had a final response of 300 or more; a call's last event.

    Args:
        is_response: False when nobody answered and the network refused the INVITE; the status is 503 then.
            Source: RFC 3261 8.1.3.1.
        response: the response, None when nobody answered.
    """

    call: int
    status: int
    reason: str
    at: Nanos
    is_response: bool = True
    response: Response | None = field(default=None, compare=False, repr=False)

    @property
    def retry_after(self) -> RetryAfter | None:
        """Return when to call again, None when the response does not say."""
        return None if self.response is None else parse_retry_after(self.response.headers)


@fact
class CallTimedOut:
    """The peer stayed silent; a call's last event."""

    call: int
    stage: TimeoutStage
    at: Nanos


@fact
class CallCancelled:
    """The caller gave up before we answered; a call's last event.

    Args:
        reason: Reason of its CANCEL, "" for none. Source: RFC 3326.
    """

    call: int
    at: Nanos
    reason: str = ""


@fact
class CallEnded:
    """A call is over after its answer, or because we hung up or rejected it; a call's last event.

    Args:
        by: who ended it; when both did at once, remote.
        reason: Reason of the peer's BYE (RFC 3326) or ``BYE``; the phrase of the response for what we ended.
        status: the peer's answer to our BYE, 0 when none came; 487 (or what came) for an INVITE that we cancelled;
            what we answered, for a call that we rejected and for the peer's BYE.
        unanswered_realm: whose challenge (401, 407) ended our BYE, as no credentials of ours are for it; "" when it
            names none that can be read, None when that is not what happened. The call is over all the same.
    """

    call: int
    by: Ending
    reason: str
    status: int
    at: Nanos
    unanswered_realm: str | None = None
