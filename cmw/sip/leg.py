"""One dialog of a call, early or confirmed: a forked INVITE has several until one of them is answered."""

from __future__ import annotations

from cmw.sip.dialog import Dialog
from cmw.sip.hop import Hop
from cmw.sip.message import Request, Response
from cmw.sip.offer_state import Offer, OfferState
from cmw.sip.reliable_provisional import ReliableReceiver


class Leg:
    """A dialog, whose offer is open in it, and what came reliably in it.

    The dialog of a caller is made only when something is sent in it: most calls never need an early one.

    Args:
        remote_tag: the peer's tag.
        offer: whose offer is open.
        dialog: the dialog, where there is one already.
    """

    __slots__ = ("_dialog", "_origin", "body", "is_answered", "is_confirmed", "offers", "receiver", "remote_tag")

    def __init__(self, remote_tag: str, offer: Offer, dialog: Dialog | None = None) -> None:
        self.remote_tag = remote_tag
        self.offers = OfferState(offer)
        self.receiver: ReliableReceiver | None = None
        self.body = b""
        """The last session description that came from the peer in it: what is in force, unless its offer is open."""
        self.is_answered = False
        """The first offer has its answer."""
        self.is_confirmed = False
        """The 2xx came, or went."""
        self._dialog = dialog
        self._origin: tuple[Request, Response, Hop] | None = None

    def remember(self, invite: Request, response: Response, source: Hop) -> None:
        """Keep what the caller's dialog can be made of: a provisional response with a tag."""
        if self._dialog is None:
            self._origin = invite, response, source

    def confirm(self, invite: Request, response: Response, source: Hop) -> Dialog:
        """Take the 2xx: routes and target are its own, numbers go on. Source: RFC 3261 13.2.2.4."""
        confirmed = Dialog.of_caller(invite, response, source)
        if self._dialog is not None:
            confirmed.local_seq = max(confirmed.local_seq, self._dialog.local_seq)
            confirmed.remote_seq = self._dialog.remote_seq
        self._dialog, self._origin, self.is_confirmed = confirmed, None, True
        return confirmed

    @property
    def dialog(self) -> Dialog:
        """Return the dialog."""
        if self._dialog is None:
            assert self._origin is not None
            self._dialog = Dialog.of_caller(*self._origin)
            self._origin = None
        return self._dialog

    def close(self) -> None:
        """Let go of the dialog, which is over; the tag still tells a repeated 2xx from one of another callee."""
        self._dialog = self._origin = self.receiver = None
        self.body = b""
