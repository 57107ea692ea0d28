"""The states of the worker's role, as a table."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from cmw.core.clock import Nanos
from cmw.link.limits import CLOSE_LIMIT, DIAL_LIMIT, UPGRADE_LIMIT, WELCOME_LIMIT


class LinkState(Enum):
    """Where the link stands."""

    IDLE = auto()
    """Not started."""
    WAITING = auto()
    """No connection; the back-off runs."""
    DIALLING = auto()
    """The driver opens a connection."""
    UPGRADING = auto()
    """The HTTP upgrade is on its way."""
    GREETING = auto()
    """The hello is on its way."""
    OPEN = auto()
    """Welcomed."""
    CLOSING = auto()
    """Our close frame is on its way."""
    CLOSED = auto()
    """Ended for good."""


class Input(Enum):
    """What moves the link."""

    START = auto()
    DIAL_DUE = auto()
    CONNECTED = auto()
    UPGRADED = auto()
    WELCOMED = auto()
    LOST = auto()
    REFUSED = auto()
    HANDED_OVER = auto()
    """Everything that an earlier process left is committed."""
    CLOSE = auto()


class Action(Enum):
    """What a transition does, in this order."""

    ASK_DIAL = auto()
    SEND_REQUEST = auto()
    SEND_HELLO = auto()
    OPEN = auto()
    SEND_CLOSE = auto()
    DROP = auto()
    RETRY = auto()
    RETRY_SLOWLY = auto()
    GO_ON_SOON = auto()
    SAY_CLOSED = auto()


_S, _I, _A = LinkState, Input, Action
_LOSE: Final = (_S.WAITING, (_A.DROP, _A.RETRY))
_REFUSE: Final = (_S.WAITING, (_A.DROP, _A.RETRY_SLOWLY))
_END: Final = (_S.CLOSED, (_A.DROP, _A.SAY_CLOSED))
_SAY_BYE: Final = (_S.CLOSING, (_A.SEND_CLOSE,))

TRANSITIONS: Final[dict[tuple[LinkState, Input], tuple[LinkState, tuple[Action, ...]]]] = {
    (_S.IDLE, _I.START): (_S.DIALLING, (_A.ASK_DIAL,)),
    (_S.IDLE, _I.CLOSE): _END,
    (_S.WAITING, _I.DIAL_DUE): (_S.DIALLING, (_A.ASK_DIAL,)),
    (_S.WAITING, _I.CLOSE): _END,
    (_S.DIALLING, _I.CONNECTED): (_S.UPGRADING, (_A.SEND_REQUEST,)),
    (_S.DIALLING, _I.LOST): _LOSE,
    (_S.DIALLING, _I.CLOSE): _END,
    (_S.UPGRADING, _I.UPGRADED): (_S.GREETING, (_A.SEND_HELLO,)),
    (_S.UPGRADING, _I.LOST): _LOSE,
    (_S.UPGRADING, _I.REFUSED): _REFUSE,
    (_S.UPGRADING, _I.CLOSE): _END,
    (_S.GREETING, _I.WELCOMED): (_S.OPEN, (_A.OPEN,)),
    (_S.GREETING, _I.LOST): _LOSE,
    (_S.GREETING, _I.REFUSED): _REFUSE,
    (_S.GREETING, _I.CLOSE): _SAY_BYE,
    (_S.OPEN, _I.LOST): _LOSE,
    (_S.OPEN, _I.REFUSED): _REFUSE,
    (_S.OPEN, _I.HANDED_OVER): (_S.WAITING, (_A.SEND_CLOSE, _A.DROP, _A.GO_ON_SOON)),
    (_S.OPEN, _I.CLOSE): _SAY_BYE,
    (_S.CLOSING, _I.LOST): _END,
    (_S.CLOSING, _I.REFUSED): _END,
}
"""(state, input) -> (next state, what to do). What is in neither this nor `IGNORED` is illegal."""

IGNORED: Final = frozenset(
    {
        (_S.CLOSING, _I.CLOSE),
        (_S.CLOSED, _I.CLOSE),
        (_S.CLOSED, _I.LOST),
        (_S.CLOSED, _I.REFUSED),
    }
)
"""Pairs that are legal and change nothing."""

STATE_LIMITS: Final[dict[LinkState, Nanos]] = {
    LinkState.DIALLING: DIAL_LIMIT,
    LinkState.UPGRADING: UPGRADE_LIMIT,
    LinkState.GREETING: WELCOME_LIMIT,
    LinkState.CLOSING: CLOSE_LIMIT,
}
"""How long the link may stay in a state before the connection counts as lost."""
