"""Session timers: who refreshes a call, when, and when it is given up as dead. Source: RFC 4028.

Pure arithmetic beside a dialog: it writes and reads header rows and names instants; its user sends what has to be sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from cmw.core.clock import SECOND, Nanos
from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.grammar import MAX_DELTA_S, fail, get_param, parse_number, parse_params
from cmw.sip.headers import Headers
from cmw.sip.option_tags import Support, supports

SMALLEST_MIN_SE_S = 90
"""No interval may be shorter. Source: RFC 4028 4."""

MAX_RAISES = 3
"""How many 422 one request answers: one for each element on the way that has a bound of its own, within reason."""

TIMER = "timer"
"""The option tag. Source: RFC 4028 3."""

Rows = list[tuple[str, str]]


class Refresher(StrEnum):
    """Who refreshes, by the roles in the transaction that says so."""

    UAC = "uac"
    UAS = "uas"


@dataclass(frozen=True, slots=True)
class SessionTimerChoice:
    """What one party wants of session timers.

    Args:
        mode: whether they are used at all.
        expires_s: interval to ask for, at least 90; 0 asks for none and agrees to what the peer asks for.
        min_se_s: shortest interval to accept, at least 90.
        refresher: who should refresh: ``uac`` is the caller; None leaves it to the callee, who takes it on himself.
        is_soft: a session that was not refreshed is told of and left standing, instead of released with BYE.
    """

    mode: Support = Support.SUPPORTED
    expires_s: int = 0
    min_se_s: int = SMALLEST_MIN_SE_S
    refresher: Refresher | None = None
    is_soft: bool = False

    def __post_init__(self) -> None:
        if not SMALLEST_MIN_SE_S <= self.min_se_s <= MAX_DELTA_S:
            raise LocalProtocolError(f"expected a Min-SE of at least {SMALLEST_MIN_SE_S} s, found {self.min_se_s}")
        if self.expires_s and not self.min_se_s <= self.expires_s <= MAX_DELTA_S:
            raise LocalProtocolError(f"expected an interval of at least {self.min_se_s} s, found {self.expires_s}")


class SessionExpires(NamedTuple):
    """A Session-Expires value: interval in seconds, and who refreshes if it says so."""

    expires_s: int
    refresher: Refresher | None = None

    def __str__(self) -> str:
        return str(self.expires_s) if self.refresher is None else f"{self.expires_s};refresher={self.refresher}"


def parse_session_expires(text: str) -> SessionExpires:
    """Parse a Session-Expires value. Raises `RemoteProtocolError` with the hint 400. Source: RFC 4028 4."""
    number, _, rest = text.partition(";")
    expires_s = parse_number(number.strip(" \t"), "a session interval", maximum=MAX_DELTA_S)
    refresher = get_param(parse_params(f";{rest}"), "refresher") if rest else None
    if refresher is None:
        return SessionExpires(expires_s)
    if refresher.lower() not in ("uac", "uas"):
        fail("a refresher of uac or uas", refresher)
    return SessionExpires(expires_s, Refresher(refresher.lower()))


def parse_min_se(headers: Headers) -> int:
    """Return the shortest interval that a message allows, 90 where it says nothing. Source: RFC 4028 5.

    Raises `RemoteProtocolError` with the hint 400.
    """
    text = headers.get("Min-SE")
    if text is None:
        return SMALLEST_MIN_SE_S
    number = text.partition(";")[0].strip(" \t")
    return max(SMALLEST_MIN_SE_S, parse_number(number, "a Min-SE", maximum=MAX_DELTA_S))


# Who refreshes, for a request that may name one. Key: UAC supports timers, refresher in the request.
# None: the UAS chooses. Source: RFC 4028 table 2.
REFRESHER_TABLE: dict[tuple[bool, Refresher | None], Refresher | None] = {
    (False, None): Refresher.UAS,
    (False, Refresher.UAC): Refresher.UAS,  # "NA" in the table: a client without support cannot refresh
    (False, Refresher.UAS): Refresher.UAS,
    (True, None): None,
    (True, Refresher.UAC): Refresher.UAC,
    (True, Refresher.UAS): Refresher.UAS,
}


class Due(StrEnum):
    """What a session timer asks for."""

    REFRESH = "refresh"
    """Half of the interval is over and the refreshing is ours."""
    EXPIRE = "expire"
    """Nobody refreshed the session in time."""


class SessionTimer:
    """The session timer of one dialog.

    Args:
        choice: what we want.
        is_caller: we sent the first INVITE; `choice.refresher` is in its roles.

    Attributes:
        interval_s: the interval agreed on, 0 while there is none.
        is_refresher: the refreshing is ours.
    """

    __slots__ = ("_choice", "_due", "_expires_s", "_is_caller", "_min_se_s", "_raises", "interval_s", "is_refresher")

    def __init__(self, choice: SessionTimerChoice, *, is_caller: bool) -> None:
        self._choice = choice
        self._is_caller = is_caller
        self._expires_s = choice.expires_s
        self._min_se_s = choice.min_se_s
        self._raises = 0
        self._due: dict[Due, Nanos] = {}
        self.interval_s = 0
        self.is_refresher = False

    # as the client of an INVITE or UPDATE

    def request_rows(self) -> Rows:
        """Return Session-Expires and Min-SE for an INVITE or UPDATE of ours. Source: RFC 4028 7.1, 7.4.

        Once a session timer runs, its interval and its refresher are kept.
        """
        rows: Rows = []
        if self.interval_s:
            # the roles are those of this request, in which we are the UAC
            refresher: Refresher | None = Refresher.UAC if self.is_refresher else Refresher.UAS
            rows.append(("Session-Expires", str(SessionExpires(max(self.interval_s, self._min_se_s), refresher))))
        elif self._expires_s:
            refresher = self._choice.refresher if self._is_caller else self._mirrored(self._choice.refresher)
            rows.append(("Session-Expires", str(SessionExpires(self._expires_s, refresher))))
        if self._min_se_s > SMALLEST_MIN_SE_S or self._raises:
            rows.append(("Min-SE", str(self._min_se_s)))
        return rows

    def begin(self) -> None:
        """Say that a new request begins; 422s of earlier ones no longer count."""
        self._raises = 0

    def raise_interval(self, headers: Headers) -> bool:
        """Take the Min-SE of a 422; return whether to send the request again. Source: RFC 4028 7.3."""
        if self._raises >= MAX_RAISES or "Min-SE" not in headers:
            return False
        try:
            wanted_s = parse_min_se(headers)
        except RemoteProtocolError:
            return False
        if wanted_s <= self._min_se_s and wanted_s <= max(self._expires_s, self.interval_s):
            return False
        self._raises += 1
        self._min_se_s = max(self._min_se_s, wanted_s)
        self._expires_s = max(self._expires_s, wanted_s)
        self.interval_s = max(self.interval_s, wanted_s) if self.interval_s else 0
        return True

    def take_success(self, headers: Headers, *, now: Nanos) -> None:
        """Take a 2xx to an INVITE or UPDATE of ours; without Session-Expires no session expires. Source: 7.2."""
        text = headers.get("Session-Expires")
        try:
            agreed = parse_session_expires(text) if text is not None else None
        except RemoteProtocolError:
            agreed = None
        if agreed is None or self._choice.mode is Support.OFF:
            self.stop()
            return
        # A 2xx that names no refresher was written by a proxy for a callee without support: the UAC has to do it.
        self._start(agreed.expires_s, is_refresher=agreed.refresher is not Refresher.UAS, now=now)

    # as the server of an INVITE or UPDATE

    def refuse(self, headers: Headers) -> tuple[int, tuple[tuple[str, str], ...]] | None:
        """Return the refusal of an INVITE or UPDATE: 400, 421 or 422 and its header rows. Source: RFC 4028 9."""
        try:
            text = headers.get("Session-Expires")
            asked = parse_session_expires(text) if text is not None else None
            parse_min_se(headers)
        except RemoteProtocolError as error:
            return error.hint, ()
        can = supports(headers, TIMER)
        if self._choice.mode is Support.REQUIRED and not can:
            return 421, (("Require", TIMER),)
        # "if it does not indicate support ... MUST NOT" be refused for its interval
        if asked is not None and can and self._choice.mode is not Support.OFF and asked.expires_s < self._min_se_s:
            return 422, (("Min-SE", str(self._min_se_s)),)
        return None

    def success_rows(self, request: Headers, *, now: Nanos) -> Rows:
        """Return Session-Expires and Require for our 2xx, and let the interval begin. Source: RFC 4028 9.

        Args:
            request: the headers of a request that `refuse` let pass.
        """
        text = request.get("Session-Expires")
        can = supports(request, TIMER)
        asked = parse_session_expires(text) if text is not None else None
        if self._choice.mode is Support.OFF or (asked is None and not (can and self._expires_s)):
            self.stop()
            return []
        expires_s = self._granted_s(asked, parse_min_se(request))
        refresher = REFRESHER_TABLE[can, asked.refresher if asked is not None else None] or self._preferred()
        self._start(expires_s, is_refresher=refresher is Refresher.UAS, now=now)
        rows = [("Session-Expires", str(SessionExpires(expires_s, refresher)))]
        return [*rows, ("Require", TIMER)] if can else rows

    # time

    def next_at(self) -> Nanos | None:
        """Return the instant of the next thing due, None when nothing is."""
        return min(self._due.values(), default=None)

    def take_due(self, *, now: Nanos) -> Due | None:
        """Return what is due at `now` and forget it; None when nothing is. Expiry goes before a refresh."""
        for due in (Due.EXPIRE, Due.REFRESH):
            if self._due.get(due, now + 1) <= now:
                del self._due[due]
                return due
        return None

    def retry_at(self, at: Nanos) -> None:
        """Ask for another refresh at `at`, after one was refused; not after the session's end."""
        if self.interval_s and at < self._due.get(Due.EXPIRE, at):
            self._due[Due.REFRESH] = at

    def stop(self) -> None:
        """Let the session stand without end."""
        self.interval_s = 0
        self.is_refresher = False
        self._due.clear()

    # private

    def _start(self, interval_s: int, *, is_refresher: bool, now: Nanos) -> None:
        self.interval_s = max(1, interval_s)
        self.is_refresher = is_refresher
        interval_ns = self.interval_s * SECOND
        # "the minimum of 32 seconds and one third of the session interval" before the end. RFC 4028 10
        self._due = {Due.EXPIRE: now + interval_ns - min(32 * SECOND, interval_ns // 3)}
        if is_refresher:
            self._due[Due.REFRESH] = now + interval_ns // 2

    def _granted_s(self, asked: SessionExpires | None, least_s: int) -> int:
        """Return the interval of our 2xx: not above what was asked for, not below any Min-SE of the request."""
        if asked is None:
            return max(self._expires_s, least_s)
        wanted_s = min(self._expires_s or asked.expires_s, asked.expires_s)
        return max(wanted_s, least_s, min(self._min_se_s, asked.expires_s))

    def _preferred(self) -> Refresher:
        """Return who refreshes where the choice is ours, in the roles of a request that we answer."""
        if self.interval_s:
            return Refresher.UAS if self.is_refresher else Refresher.UAC
        wanted = self._mirrored(self._choice.refresher) if self._is_caller else self._choice.refresher
        return wanted or Refresher.UAS

    @staticmethod
    def _mirrored(refresher: Refresher | None) -> Refresher | None:
        if refresher is None:
            return None
        return Refresher.UAS if refresher is Refresher.UAC else Refresher.UAC
