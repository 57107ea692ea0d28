"""The session timer of a call at work: refreshes by UPDATE or re-INVITE, and the end of what nobody refreshes.

Source: RFC 4028.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmw.core.clock import SECOND, Nanos
from cmw.sip.call_events import LossCause
from cmw.sip.call_state import CallTimer
from cmw.sip.headers import Headers
from cmw.sip.session_events import SessionExpired
from cmw.sip.session_timer import Due, Rows, SessionTimer

if TYPE_CHECKING:
    from cmw.sip.call import Call

AGAIN_NS: Nanos = 5 * SECOND
"""How long a refresh waits that was refused, or found another change under way."""


class SessionKeeper:
    """Keeps the session of one call alive.

    Args:
        call: the call.

    Attributes:
        timer: what was agreed on.
        peer_updates: the peer said in Allow that it serves UPDATE.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self.timer = SessionTimer(call.options.session_timer, is_caller=call.is_outbound)
        self.peer_updates = False

    def take_success(self, headers: Headers, *, now: Nanos) -> None:
        """Take a 2xx to an INVITE or UPDATE of ours."""
        self._note_peer(headers)
        self.timer.take_success(headers, now=now)
        self.arm()

    def success_rows(self, headers: Headers, *, now: Nanos) -> Rows:
        """Return what our 2xx to an INVITE or UPDATE says."""
        self._note_peer(headers)
        rows = self.timer.success_rows(headers, now=now)
        self.arm()
        return rows

    def arm(self) -> None:
        """Have the call woken when something is due."""
        at = self.timer.next_at()
        if at is None or self._call.is_over:
            self._call.timers.stop(CallTimer.SESSION)
        else:
            self._call.timers.set(CallTimer.SESSION, at)

    def fire(self, *, now: Nanos) -> None:
        """Do what is due."""
        due = self.timer.take_due(now=now)
        if due is Due.EXPIRE:
            self._expire(now)
            return
        if due is Due.REFRESH and not self._refresh(now):
            self.timer.retry_at(now + AGAIN_NS)
        self.arm()

    def refresh_failed(self, *, now: Nanos) -> None:
        """Take the refusal of a refresh: it is tried again as long as there is time. Source: RFC 4028 10."""
        self.timer.retry_at(now + AGAIN_NS)
        self.arm()

    def _refresh(self, now: Nanos) -> bool:
        """Refresh by UPDATE without a body where the peer serves it, else by the same offer again. RFC 4028 7.4."""
        call = self._call
        if self.peer_updates:
            return call.changes.refresh("UPDATE", b"", now=now)
        return call.changes.refresh("INVITE", call.local_body, now=now)

    def _expire(self, now: Nanos) -> None:
        call = self._call
        if call.options.session_timer.is_soft:
            self.timer.stop()
            self.arm()
            call.emit(SessionExpired(call.handle, now))
        else:
            call.lose(LossCause.EXPIRED, 0, "session expired", now=now)

    def _note_peer(self, headers: Headers) -> None:
        if "Allow" in headers:
            self.peer_updates = "UPDATE" in headers.get_tokens("Allow")
