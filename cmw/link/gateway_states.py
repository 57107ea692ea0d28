"""The states of the gateway's role, as a table."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class GatewayState(Enum):
    """How far the connection has come."""

    AWAITING_HELLO = auto()
    """The upgrade is done; the worker has 10 s for its hello."""
    AWAITING_WELCOME = auto()
    """The hello is there; the store is asked what it has of the session."""
    OPEN = auto()
    """Welcomed."""
    CLOSED = auto()
    """Over, or our close frame is on its way."""


class GatewayInput(Enum):
    """What moves the link: messages of the worker, and what we decide."""

    HELLO = auto()
    HEARTBEAT = auto()
    REPORT = auto()
    SAMPLES = auto()
    ANSWER = auto()
    """A command was accepted, done or rejected."""
    ERROR = auto()
    UNKNOWN = auto()
    """A well-formed message of a type that we do not know."""
    WELCOME = auto()
    """We welcome the worker."""
    END = auto()
    """We close: a refusal, a time-out, a broken message, our own end."""
    LOST = auto()
    """The connection is gone."""


class GatewayAction(Enum):
    """What a transition does."""

    GREET = auto()
    OPEN = auto()
    REPLY = auto()
    TAKE = auto()
    SETTLE = auto()
    TELL = auto()
    ANSWER_ERROR = auto()
    REFUSE = auto()
    """The message may not come now: close with 1008."""
    CLOSE = auto()
    FORGET = auto()
    IGNORE = auto()


_S, _I, _A = GatewayState, GatewayInput, GatewayAction
_WORK: Final = (_I.HEARTBEAT, _I.REPORT, _I.SAMPLES, _I.ANSWER)

TRANSITIONS: Final[dict[tuple[GatewayState, GatewayInput], tuple[GatewayState, GatewayAction]]] = {
    (_S.AWAITING_HELLO, _I.HELLO): (_S.AWAITING_WELCOME, _A.GREET),
    (_S.AWAITING_HELLO, _I.ERROR): (_S.AWAITING_HELLO, _A.TELL),
    (_S.AWAITING_HELLO, _I.UNKNOWN): (_S.AWAITING_HELLO, _A.ANSWER_ERROR),
    **{(_S.AWAITING_HELLO, given): (_S.CLOSED, _A.REFUSE) for given in _WORK},
    (_S.AWAITING_WELCOME, _I.HELLO): (_S.CLOSED, _A.REFUSE),
    (_S.AWAITING_WELCOME, _I.ERROR): (_S.AWAITING_WELCOME, _A.TELL),
    (_S.AWAITING_WELCOME, _I.UNKNOWN): (_S.AWAITING_WELCOME, _A.ANSWER_ERROR),
    (_S.AWAITING_WELCOME, _I.WELCOME): (_S.OPEN, _A.OPEN),
    **{(_S.AWAITING_WELCOME, given): (_S.CLOSED, _A.REFUSE) for given in _WORK},
    (_S.OPEN, _I.HELLO): (_S.CLOSED, _A.REFUSE),
    (_S.OPEN, _I.HEARTBEAT): (_S.OPEN, _A.REPLY),
    (_S.OPEN, _I.REPORT): (_S.OPEN, _A.TAKE),
    (_S.OPEN, _I.SAMPLES): (_S.OPEN, _A.TAKE),
    (_S.OPEN, _I.ANSWER): (_S.OPEN, _A.SETTLE),
    (_S.OPEN, _I.ERROR): (_S.OPEN, _A.TELL),
    (_S.OPEN, _I.UNKNOWN): (_S.OPEN, _A.ANSWER_ERROR),
    **{(state, _I.END): (_S.CLOSED, _A.CLOSE) for state in _S if state is not _S.CLOSED},
    **{(state, _I.LOST): (_S.CLOSED, _A.FORGET) for state in _S if state is not _S.CLOSED},
    **{(_S.CLOSED, given): (_S.CLOSED, _A.IGNORE) for given in _I if given is not _I.WELCOME},
}
"""(state, input) -> (next state, what to do). What is not here is illegal: a welcome that nobody waits for."""
