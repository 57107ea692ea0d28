"""Where a call stands, when it came by its stations, and what it counted: the words of calls."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from cmw.core.clock import Nanos
from cmw.core.facts import fact


class CallState(StrEnum):
    """Where a call stands."""

    CALLING = "CALLING"
    """Outbound: no response yet."""
    PROCEEDING = "PROCEEDING"
    """No final response yet; outbound: a provisional one came."""
    CANCELLING = "CANCELLING"
    """Outbound: we gave up, the final response is still to come."""
    ACCEPTED = "ACCEPTED"
    """Inbound: our 2xx is out, or waits for a PRACK; its ACK is still to come."""
    CONFIRMED = "CONFIRMED"
    """The call stands."""
    DISCONNECTING = "DISCONNECTING"
    """Our BYE is out."""
    ENDED = "ENDED"
    """The last event is out."""


class CallTimer(Enum):
    """The timers of a call."""

    __hash__ = object.__hash__  # members are singletons; the one of Enum is slow

    SUCCESS_AGAIN = "SUCCESS_AGAIN"
    """Our 2xx is sent again; T1, doubling up to T2. Source: RFC 3261 13.3.1.4."""
    ACK_DUE = "ACK_DUE"
    """Our 2xx has had no ACK; 64*T1. Source: RFC 3261 13.3.1.4."""
    FINAL_DUE = "FINAL_DUE"
    """No final response after a provisional one; timer C. Source: RFC 3261 16.6."""
    EXPIRY = "EXPIRY"
    """The time that the INVITE gives for an answer is over. Source: RFC 3261 13.2.1, 13.3.1."""
    RING_AGAIN = "RING_AGAIN"
    """Proxies have to be told again that it still rings. Source: RFC 3261 13.3.1.1."""
    CANCEL_DUE = "CANCEL_DUE"
    """No final response after CANCEL; 64*T1. Source: RFC 3261 9.1."""
    ANSWER_DUE = "ANSWER_DUE"
    """The peer's offer in a 2xx has had no answer of our user for an ACK; 64*T1, when the peer gives up too."""
    PROVISIONAL = "PROVISIONAL"
    """Our reliable provisional response is sent again, or given up. Source: RFC 3262 3."""
    CHANGE_AGAIN = "CHANGE_AGAIN"
    """A change that was refused with 491 or 500 is tried again. Source: RFC 3261 14.1."""
    CHANGE_DUE = "CHANGE_DUE"
    """Our re-INVITE has had a provisional response only; timer C, then 64*T1 after its CANCEL or the call's end."""
    SESSION = "SESSION"
    """The session is refreshed, or is over. Source: RFC 4028 10."""
    TRANSFER_DUE = "TRANSFER_DUE"
    """Nothing was heard of a transfer any more. Source: RFC 3515 2.4.4."""


@dataclass(init=False)
class CallInstants:
    """When a call came by each of its stations: instants of `now`, None for those that it has not reached.

    A message that we send counts when it is queued, which the driver sends before it does anything else.

    Args:
        invite_at: first INVITE, sent or received.
        trying_at: 100.
        ringing_at: first 180.
        progress_at: first 183 with a body.
        prack_at: first PRACK, sent or received.
        answered_at: 2xx.
        acked_at: its ACK.
        modified_at: last change of the session that was agreed.
        refreshed_at: last refresh of the session, by either side.
        transfer_at: last REFER, sent or received.
        bye_at: BYE, sent or received.
        ended_at: the last event.
    """

    invite_at: Nanos | None = None
    trying_at: Nanos | None = None
    ringing_at: Nanos | None = None
    progress_at: Nanos | None = None
    prack_at: Nanos | None = None
    answered_at: Nanos | None = None
    acked_at: Nanos | None = None
    modified_at: Nanos | None = None
    refreshed_at: Nanos | None = None
    transfer_at: Nanos | None = None
    bye_at: Nanos | None = None
    ended_at: Nanos | None = None


@dataclass(init=False)
class CallCounts:
    """How often something happened to a call; what never did is not written down, for there are thousands of these.

    Args:
        challenges: 401 and 407 answered.
        early_dialogs: callees that a provisional response came from.
        forks_released: further callees whose 2xx was acknowledged and ended with BYE.
        forks_ignored: responses of callees beyond the bound of those that one INVITE is forked to.
        redirections: 3xx followed.
        pracks: PRACK sent or received.
        changes_sent: re-INVITE and UPDATE of ours that were agreed to, refreshes apart.
        changes_received: those of the peer.
        glares: 491 sent or received.
        refreshes_sent: refreshes of ours that succeeded.
        refreshes_received: those of the peer.
        transfers: REFER sent or received.
        retransmissions_received: repetitions of the peer's 2xx.
    """

    challenges: int = 0
    early_dialogs: int = 0
    forks_released: int = 0
    forks_ignored: int = 0
    redirections: int = 0
    pracks: int = 0
    changes_sent: int = 0
    changes_received: int = 0
    glares: int = 0
    refreshes_sent: int = 0
    refreshes_received: int = 0
    transfers: int = 0
    retransmissions_received: int = 0


@fact
class CallSnapshot:
    """A call as it is at this moment.

    Args:
        status: status of the last final response to the INVITE, 0 before.
        reason: its phrase.
        instants: the call's own, not a copy: it goes on changing.
        counts: the call's own as well.
        retransmissions_sent: how often our INVITE or our responses to it had to be sent again.
        session_interval_s: interval of the session timer, 0 while there is none.
        is_refresher: it is us who refreshes.
    """

    call: int
    call_id: str
    is_outbound: bool
    state: CallState
    status: int
    reason: str
    local_uri: str
    remote_uri: str
    instants: CallInstants
    counts: CallCounts
    retransmissions_sent: int
    session_interval_s: int = 0
    is_refresher: bool = False
