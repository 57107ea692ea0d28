"""What a call may use beyond RFC 3261, and what it says of its caller; for calls placed and calls taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cmw.errors import LocalProtocolError
from cmw.sip.argument_checks import check_sip_address
from cmw.sip.hop import Transport
from cmw.sip.identity import Identity
from cmw.sip.option_tags import Support
from cmw.sip.redirect import RedirectPolicy
from cmw.sip.reliable_provisional import RELIABLE
from cmw.sip.replaces import REPLACES, Replaces
from cmw.sip.session_timer import TIMER, SessionTimerChoice
from cmw.sip.transfer import NO_SUBSCRIPTION

_AGREE = SessionTimerChoice()
_FOLLOW_NONE = RedirectPolicy()


@dataclass(frozen=True, slots=True)
class CallOptions:
    """Options of one call; the defaults agree to what the peer wants and ask for nothing.

    Args:
        reliable: provisional responses acknowledged with PRACK (RFC 3262). ``supported`` lets the peer decide,
            ``required`` sends ours so and refuses, or is refused by, a peer without: 421, 420.
        session_timer: refreshes and their interval (RFC 4028).
        redirects: what is done with a 3xx to our INVITE.
        takes_transfers: a REFER of the peer is told with `TransferRequested`; else it is declined with 603.
        routes: Route values that our INVITE begins with, such as ``<sip:proxy.example;lr>``; it goes to the first.
        transport: how our INVITE goes to a URI, or a first route, that does not say; None for what the account says, or
            the usual way.
        identity: P-Asserted-Identity, P-Preferred-Identity, Privacy and Remote-Party-ID of our INVITE.
        display_name: stands before our URI in From.
        replaces: the dialog that our INVITE takes the place of (RFC 3891).
        options_status: what OPTIONS outside of calls is answered, 200 .. 699: as an INVITE would be now, such as 486.
        rings_on: a call to us that is not decided rings until its caller gives up, or as long as its Expires says; else
            it is refused with 480 once Timer C would have ended it.
        defers_prack: each reliable provisional response waits for `acknowledge`, whose body is an offer in PRACK.
    """

    reliable: Support = Support.SUPPORTED
    session_timer: SessionTimerChoice = _AGREE
    redirects: RedirectPolicy = _FOLLOW_NONE
    takes_transfers: bool = False
    routes: tuple[str, ...] = ()
    transport: Transport | None = None
    identity: Identity | None = None
    display_name: str = ""
    replaces: Replaces | None = None
    defers_prack: bool = False
    rings_on: bool = False
    options_status: int = 200
    supported: str = field(init=False, repr=False)
    """Value of Supported, made once."""
    required: str = field(init=False, repr=False)
    """Value of Require in our INVITE, "" for none."""
    known: frozenset[str] = field(init=False, repr=False)
    """The option tags that a peer may require."""

    def __post_init__(self) -> None:
        for route in self.routes:
            check_sip_address(route, "route")
        if not 200 <= self.options_status <= 699:
            raise LocalProtocolError(f"expected a status of 200 to 699 to answer, found {self.options_status}")
        if not self.display_name.isprintable():
            raise LocalProtocolError(f"expected a display name of one line, found {self.display_name!a}")
        modes = ((RELIABLE, self.reliable), (TIMER, self.session_timer.mode))
        tags = [REPLACES, NO_SUBSCRIPTION, *[tag for tag, mode in modes if mode is not Support.OFF]]
        required = [tag for tag, mode in modes if mode is Support.REQUIRED]
        if self.replaces is not None:
            required.append(REPLACES)
        object.__setattr__(self, "supported", ", ".join(tags))
        object.__setattr__(self, "required", ", ".join(required))
        object.__setattr__(self, "known", frozenset(tags))

    def invite_rows(self) -> Iterator[tuple[str, str]]:
        """Yield the rows of our INVITE that these options ask for, those of the session timer apart."""
        if self.required:
            yield "Require", self.required
        if self.replaces is not None:
            yield "Replaces", str(self.replaces)
        if self.identity is not None:
            yield from self.identity.rows()


PLAIN = CallOptions()
"""The defaults."""
