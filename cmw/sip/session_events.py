"""What a `UserAgent` tells of changes of a session that stands, and of its session timer."""

from __future__ import annotations

from dataclasses import field

from cmw.core.clock import Nanos
from cmw.core.facts import fact
from cmw.sip.call_events import Ending
from cmw.sip.message import Request, Response


@fact
class CallReoffered:
    """The peer wants to change the session. Go on with `answer_reoffer` or `reject_reoffer`.

    Args:
        method: where the offer came: INVITE, UPDATE or PRACK; ``2xx`` for the answer to a re-INVITE of ours that had
            no offer, which can be answered only.
        body: the new offer; empty when our answer has to carry it.
        request: the request, None for ``2xx``.
    """

    call: int
    method: str
    body: bytes
    at: Nanos
    request: Request | None = field(default=None, compare=False, repr=False)


@fact
class CallReofferWithdrawn:
    """What `CallReoffered` told is no longer to be answered: the peer cancelled it, or the call ends."""

    call: int
    at: Nanos


@fact
class CallModified:
    """A change of the session is agreed.

    Args:
        body: the peer's answer, when the offer was ours; else empty.
        by: who asked for the change.
        method: INVITE, UPDATE or PRACK.
    """

    call: int
    body: bytes
    at: Nanos
    by: Ending = Ending.REMOTE
    method: str = "INVITE"


@fact
class CallReofferRejected:
    """The peer refused a change that we asked for; the session stays as it is.

    491 and 500 with Retry-After are told only after they were tried again in vain.

    Args:
        status: the response, 0 when none came.
        response: with its Warning; None when none came.
    """

    call: int
    method: str
    status: int
    reason: str
    at: Nanos
    response: Response | None = field(default=None, compare=False, repr=False)


@fact
class CallRefreshed:
    """The session timer was wound up again, and nothing is to be done. Source: RFC 4028.

    The peer's re-INVITE or UPDATE counts as that when it offers, word for word, what is in force; so does an UPDATE
    without a body.
    """

    call: int
    by: Ending
    method: str
    at: Nanos


@fact
class SessionExpired:
    """Nobody refreshed the session; it is left standing, as `SessionTimerChoice.is_soft` wants."""

    call: int
    at: Nanos
