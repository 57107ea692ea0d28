"""Whose offer is open in a dialog, and when another may be made. Source: RFC 3264, 6337, 3311.

The state machine is a table; a move that it does not hold is one that the standards forbid at that moment.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType

from cmw.core.clock import MILLISECOND, Nanos
from cmw.core.ids import Ids


class Offer(Enum):
    """Whose offer waits for its answer."""

    __hash__ = object.__hash__  # members are singletons; the one of Enum is slow

    NONE = "NONE"
    """Nobody's: a new one may be made."""
    LOCAL = "LOCAL"
    """Ours is out."""
    REMOTE = "REMOTE"
    """The peer's waits for us."""


class Move(Enum):
    """What is done with an offer."""

    __hash__ = object.__hash__  # members are singletons; the one of Enum is slow

    SEND_OFFER = "SEND_OFFER"
    RECEIVE_OFFER = "RECEIVE_OFFER"
    SEND_ANSWER = "SEND_ANSWER"
    """An answer, or a refusal of the peer's offer."""
    RECEIVE_ANSWER = "RECEIVE_ANSWER"
    """An answer, or a refusal of ours."""


MOVES: MappingProxyType[tuple[Offer, Move], Offer] = MappingProxyType(
    {
        (Offer.NONE, Move.SEND_OFFER): Offer.LOCAL,
        (Offer.NONE, Move.RECEIVE_OFFER): Offer.REMOTE,
        (Offer.LOCAL, Move.RECEIVE_ANSWER): Offer.NONE,
        (Offer.REMOTE, Move.SEND_ANSWER): Offer.NONE,
    }
)
"""Every move that is legal. Source: RFC 3264 4: no new offer before the one that is open was answered or refused."""

REFUSALS: MappingProxyType[Offer, int] = MappingProxyType({Offer.NONE: 0, Offer.LOCAL: 491, Offer.REMOTE: 500})
"""What refuses another offer of the peer, by whose is open; 0 lets it pass. Source: RFC 3261 14.2, RFC 3311 5.2."""


class OfferState:
    """Whose offer is open in one dialog, early or confirmed."""

    __slots__ = ("offer",)

    def __init__(self, offer: Offer = Offer.NONE) -> None:
        self.offer = offer

    def allows(self, move: Move) -> bool:
        """Tell whether `move` is legal now."""
        return (self.offer, move) in MOVES

    def take(self, move: Move) -> bool:
        """Make a move; return False, changing nothing, if it is not legal."""
        after = MOVES.get((self.offer, move))
        if after is None:
            return False
        self.offer = after
        return True

    @property
    def refusal(self) -> int:
        """Return the status that refuses another offer of the peer, 0 when it may be let pass."""
        return REFUSALS[self.offer]


def glare_delay_ns(ids: Ids, *, owns_call_id: bool) -> Nanos:
    """Return how long to wait after a 491 before the same change is tried again. Source: RFC 3261 14.1.

    Args:
        ids: source of chance.
        owns_call_id: we made the Call-ID: 2.1 to 4 s, else 0 to 2 s; both in steps of 10 ms.
    """
    least, most = (210, 400) if owns_call_id else (0, 200)
    return (least + int(ids.unit() * (most - least + 1))) * 10 * MILLISECOND


def crossing_retry_after_s(ids: Ids) -> int:
    """Return the Retry-After of a 500 to a crossing request, 0 to 10 s. Source: RFC 3261 14.2, RFC 3311 5.2."""
    return int(ids.unit() * 11)
