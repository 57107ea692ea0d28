"""The four transaction machines of RFC 3261 17, corrected by RFC 6026, as tables.

Each row reads `(state, input): (next state, actions)`. The tables are total: what has no effect is written down
as ignored. `transaction.py` carries the actions out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from cmw.sip.timing import Timer


class State(Enum):
    """Where a transaction stands. Source: RFC 3261 figures 5 to 8, RFC 6026 figures 1 and 2."""

    __hash__ = object.__hash__  # members are singletons; the one of Enum is slow

    CALLING = auto()
    TRYING = auto()
    PROCEEDING = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    ACCEPTED = auto()
    TERMINATED = auto()


class Input(Enum):
    """What happens to a transaction; a timer that fires is an input too."""

    __hash__ = object.__hash__  # members are singletons; the one of Enum is slow

    RX_1XX = auto()
    """A provisional response came."""
    RX_2XX = auto()
    """A success response came."""
    RX_3XX_6XX = auto()
    """A failure response came."""
    RX_REQUEST = auto()
    """The request came again."""
    RX_ACK = auto()
    """The ACK came."""
    TX_1XX = auto()
    """Our user sends a provisional response."""
    TX_2XX = auto()
    """Our user sends a success response."""
    TX_3XX_6XX = auto()
    """Our user sends a failure response."""
    TRANSPORT_FAILED = auto()
    """The network says that what we sent did not arrive."""


class Action(Enum):
    """What a transaction does on the way to its next state."""

    __hash__ = object.__hash__  # members are singletons; the one of Enum is slow

    SEND = auto()
    """Send the message that the user gave, and keep it."""
    SEND_AGAIN = auto()
    """Send the kept message once more."""
    SEND_ACK = auto()
    """Acknowledge a failure response. Source: RFC 3261 17.1.1.3."""
    PASS_UP = auto()
    """Hand the message to the user."""
    TIME_OUT = auto()
    """Tell the user that the other side was silent."""
    FAIL = auto()
    """Tell the user that the transport failed."""
    START_A = auto()
    START_B = auto()
    START_D = auto()
    START_E = auto()
    START_F = auto()
    START_G = auto()
    START_H = auto()
    START_I = auto()
    START_J = auto()
    START_K = auto()
    START_L = auto()
    START_M = auto()
    DOUBLE_A = auto()
    DOUBLE_E = auto()
    DOUBLE_G = auto()
    E_AT_T2 = auto()
    """Arm timer E for T2. Source: RFC 3261 17.1.2.2."""
    STOP_ALL = auto()
    """Forget every timer of the transaction."""


Key = tuple[State, "Input | Timer"]
Row = tuple[State, tuple[Action, ...]]

Step = tuple[Action | None, bool, Timer | None, Action | None, tuple[Action, ...]]
"""What the actions of a row come to: what is sent, whether the timers are stopped first, which timer ends the
transaction, what becomes of the one that sends again, and what is left for the layer."""

_SENDING = frozenset((Action.SEND, Action.SEND_AGAIN, Action.SEND_ACK))
_FOR_THE_LAYER = frozenset((Action.PASS_UP, Action.TIME_OUT, Action.FAIL))
_ENDS = {
    Action.START_B: Timer.B,
    Action.START_D: Timer.D,
    Action.START_F: Timer.F,
    Action.START_H: Timer.H,
    Action.START_I: Timer.I,
    Action.START_J: Timer.J,
    Action.START_K: Timer.K,
    Action.START_L: Timer.L,
    Action.START_M: Timer.M,
}
REPEATING = {
    Action.START_A: Timer.A,
    Action.START_E: Timer.E,
    Action.START_G: Timer.G,
    Action.DOUBLE_A: Timer.A,
    Action.DOUBLE_E: Timer.E,
    Action.DOUBLE_G: Timer.G,
    Action.E_AT_T2: Timer.E,
}
"""The actions that arm a timer which sends again."""


def step_of(actions: tuple[Action, ...]) -> Step:
    """Return what the actions of a row come to: no row sends twice, or arms two timers of a kind."""
    sends = next((each for each in actions if each in _SENDING), None)
    end = next((_ENDS[each] for each in actions if each in _ENDS), None)
    repeats = next((each for each in actions if each in REPEATING), None)
    left = tuple([each for each in actions if each in _FOR_THE_LAYER])
    return sends, Action.STOP_ALL in actions, end, repeats, left


@dataclass(frozen=True, slots=True)
class Table:
    """One machine: the row it begins with, then its transitions; and what their actions come to, worked out once.

    Args:
        name: the machine's name in the RFC.
        inputs: everything that can happen to it.
        start: state and actions at creation.
        rows: the transitions, total over the states that occur and `inputs`.

    Attributes:
        is_client: it is a client's, which begins by sending.
        first_step: what the actions at creation come to.
        steps: the transitions with what their actions come to, None for nothing.
    """

    name: str
    inputs: tuple[Input | Timer, ...]
    start: Row
    rows: Mapping[Key, Row]

    is_client: bool = field(init=False)
    first_step: Step = field(init=False)
    steps: Mapping[Key, tuple[State, Step | None]] = field(init=False)

    def __post_init__(self) -> None:
        steps = {key: (state, step_of(actions) if actions else None) for key, (state, actions) in self.rows.items()}
        object.__setattr__(self, "is_client", Action.SEND in self.start[1])
        object.__setattr__(self, "first_step", step_of(self.start[1]))
        object.__setattr__(self, "steps", steps)


def ignore(state: State, *inputs: Input | Timer) -> dict[Key, Row]:
    """Return rows that stay in `state` and do nothing."""
    return {(state, each): (state, ()) for each in inputs}


_RX_RESPONSES = (Input.RX_1XX, Input.RX_2XX, Input.RX_3XX_6XX)
_TX_RESPONSES = (Input.TX_1XX, Input.TX_2XX, Input.TX_3XX_6XX)

# Source: RFC 3261 17.1.1.2 and figure 5; RFC 6026 7.2 and figure 2.
INVITE_CLIENT = Table(
    name="INVITE client",
    inputs=(*_RX_RESPONSES, Timer.A, Timer.B, Timer.D, Timer.M, Input.TRANSPORT_FAILED),
    start=(State.CALLING, (Action.SEND, Action.START_A, Action.START_B)),
    rows={
        (State.CALLING, Timer.A): (State.CALLING, (Action.SEND_AGAIN, Action.DOUBLE_A)),
        (State.CALLING, Timer.B): (State.TERMINATED, (Action.TIME_OUT,)),
        (State.CALLING, Input.TRANSPORT_FAILED): (State.TERMINATED, (Action.FAIL,)),
        # "The client transaction SHOULD NOT retransmit the request any longer."
        (State.CALLING, Input.RX_1XX): (State.PROCEEDING, (Action.STOP_ALL, Action.PASS_UP)),
        (State.CALLING, Input.RX_2XX): (State.ACCEPTED, (Action.STOP_ALL, Action.START_M, Action.PASS_UP)),
        (State.CALLING, Input.RX_3XX_6XX): (
            State.COMPLETED,
            (Action.STOP_ALL, Action.SEND_ACK, Action.START_D, Action.PASS_UP),
        ),
        **ignore(State.CALLING, Timer.D, Timer.M),
        (State.PROCEEDING, Input.RX_1XX): (State.PROCEEDING, (Action.PASS_UP,)),
        (State.PROCEEDING, Input.RX_2XX): (State.ACCEPTED, (Action.START_M, Action.PASS_UP)),
        (State.PROCEEDING, Input.RX_3XX_6XX): (
            State.COMPLETED,
            (Action.SEND_ACK, Action.START_D, Action.PASS_UP),
        ),
        **ignore(State.PROCEEDING, Timer.A, Timer.B, Timer.D, Timer.M, Input.TRANSPORT_FAILED),
        # "Any retransmissions of the final response MUST cause the ACK to be re-passed to the transport layer."
        (State.COMPLETED, Input.RX_3XX_6XX): (State.COMPLETED, (Action.SEND_ACK,)),
        (State.COMPLETED, Timer.D): (State.TERMINATED, ()),
        (State.COMPLETED, Input.TRANSPORT_FAILED): (State.TERMINATED, (Action.FAIL,)),
        **ignore(State.COMPLETED, Input.RX_1XX, Input.RX_2XX, Timer.A, Timer.B, Timer.M),
        # RFC 6026 7.2: every 2xx reaches the core, which acknowledges each of them.
        (State.ACCEPTED, Input.RX_2XX): (State.ACCEPTED, (Action.PASS_UP,)),
        (State.ACCEPTED, Timer.M): (State.TERMINATED, ()),
        **ignore(State.ACCEPTED, Input.RX_1XX, Input.RX_3XX_6XX, Timer.A, Timer.B, Timer.D, Input.TRANSPORT_FAILED),
    },
)

# Source: RFC 3261 17.1.2.2 and figure 6.
NON_INVITE_CLIENT = Table(
    name="non-INVITE client",
    inputs=(*_RX_RESPONSES, Timer.E, Timer.F, Timer.K, Input.TRANSPORT_FAILED),
    start=(State.TRYING, (Action.SEND, Action.START_E, Action.START_F)),
    rows={
        (State.TRYING, Timer.E): (State.TRYING, (Action.SEND_AGAIN, Action.DOUBLE_E)),
        (State.TRYING, Timer.F): (State.TERMINATED, (Action.TIME_OUT,)),
        (State.TRYING, Input.TRANSPORT_FAILED): (State.TERMINATED, (Action.FAIL,)),
        (State.TRYING, Input.RX_1XX): (State.PROCEEDING, (Action.PASS_UP,)),
        (State.TRYING, Input.RX_2XX): (State.COMPLETED, (Action.STOP_ALL, Action.START_K, Action.PASS_UP)),
        (State.TRYING, Input.RX_3XX_6XX): (State.COMPLETED, (Action.STOP_ALL, Action.START_K, Action.PASS_UP)),
        **ignore(State.TRYING, Timer.K),
        # "If Timer E fires while in the Proceeding state, Timer E MUST be reset with a value of T2 seconds."
        (State.PROCEEDING, Timer.E): (State.PROCEEDING, (Action.SEND_AGAIN, Action.E_AT_T2)),
        (State.PROCEEDING, Timer.F): (State.TERMINATED, (Action.TIME_OUT,)),
        (State.PROCEEDING, Input.TRANSPORT_FAILED): (State.TERMINATED, (Action.FAIL,)),
        (State.PROCEEDING, Input.RX_1XX): (State.PROCEEDING, (Action.PASS_UP,)),
        (State.PROCEEDING, Input.RX_2XX): (State.COMPLETED, (Action.STOP_ALL, Action.START_K, Action.PASS_UP)),
        (State.PROCEEDING, Input.RX_3XX_6XX): (
            State.COMPLETED,
            (Action.STOP_ALL, Action.START_K, Action.PASS_UP),
        ),
        **ignore(State.PROCEEDING, Timer.K),
        (State.COMPLETED, Timer.K): (State.TERMINATED, ()),
        **ignore(State.COMPLETED, *_RX_RESPONSES, Timer.E, Timer.F, Input.TRANSPORT_FAILED),
    },
)

# Source: RFC 3261 17.2.1 and figure 7; RFC 6026 7.1, 8.8 and figure 1.
INVITE_SERVER = Table(
    name="INVITE server",
    inputs=(
        Input.RX_REQUEST,
        Input.RX_ACK,
        *_TX_RESPONSES,
        Timer.G,
        Timer.H,
        Timer.I,
        Timer.L,
        Input.TRANSPORT_FAILED,
    ),
    start=(State.PROCEEDING, (Action.PASS_UP,)),
    rows={
        # "the most recent provisional response that was received from the TU MUST be passed to the transport layer"
        (State.PROCEEDING, Input.RX_REQUEST): (State.PROCEEDING, (Action.SEND_AGAIN,)),
        (State.PROCEEDING, Input.TX_1XX): (State.PROCEEDING, (Action.SEND,)),
        (State.PROCEEDING, Input.TX_2XX): (State.ACCEPTED, (Action.SEND, Action.START_L)),
        (State.PROCEEDING, Input.TX_3XX_6XX): (State.COMPLETED, (Action.SEND, Action.START_G, Action.START_H)),
        # RFC 6026 8.8: a transport error leaves the state as it is; the timers end the transaction.
        **ignore(State.PROCEEDING, Input.RX_ACK, Timer.G, Timer.H, Timer.I, Timer.L, Input.TRANSPORT_FAILED),
        (State.COMPLETED, Input.RX_REQUEST): (State.COMPLETED, (Action.SEND_AGAIN,)),
        (State.COMPLETED, Input.RX_ACK): (State.CONFIRMED, (Action.STOP_ALL, Action.START_I)),
        (State.COMPLETED, Timer.G): (State.COMPLETED, (Action.SEND_AGAIN, Action.DOUBLE_G)),
        (State.COMPLETED, Timer.H): (State.TERMINATED, (Action.TIME_OUT,)),
        **ignore(State.COMPLETED, *_TX_RESPONSES, Timer.I, Timer.L, Input.TRANSPORT_FAILED),
        (State.CONFIRMED, Timer.I): (State.TERMINATED, ()),
        **ignore(
            State.CONFIRMED,
            Input.RX_REQUEST,
            Input.RX_ACK,
            *_TX_RESPONSES,
            Timer.G,
            Timer.H,
            Timer.L,
            Input.TRANSPORT_FAILED,
        ),
        # RFC 6026 7.1: retransmissions of the INVITE are absorbed; the core sends the 2xx again until the ACK.
        (State.ACCEPTED, Input.TX_2XX): (State.ACCEPTED, (Action.SEND_AGAIN,)),
        (State.ACCEPTED, Input.RX_ACK): (State.ACCEPTED, (Action.PASS_UP,)),
        (State.ACCEPTED, Timer.L): (State.TERMINATED, ()),
        **ignore(
            State.ACCEPTED,
            Input.RX_REQUEST,
            Input.TX_1XX,
            Input.TX_3XX_6XX,
            Timer.G,
            Timer.H,
            Timer.I,
            Input.TRANSPORT_FAILED,
        ),
    },
)

# Source: RFC 3261 17.2.2 and figure 8.
NON_INVITE_SERVER = Table(
    name="non-INVITE server",
    inputs=(Input.RX_REQUEST, *_TX_RESPONSES, Timer.J, Input.TRANSPORT_FAILED),
    start=(State.TRYING, (Action.PASS_UP,)),
    rows={
        (State.TRYING, Input.TX_1XX): (State.PROCEEDING, (Action.SEND,)),
        (State.TRYING, Input.TX_2XX): (State.COMPLETED, (Action.SEND, Action.START_J)),
        (State.TRYING, Input.TX_3XX_6XX): (State.COMPLETED, (Action.SEND, Action.START_J)),
        **ignore(State.TRYING, Input.RX_REQUEST, Timer.J, Input.TRANSPORT_FAILED),
        (State.PROCEEDING, Input.RX_REQUEST): (State.PROCEEDING, (Action.SEND_AGAIN,)),
        (State.PROCEEDING, Input.TX_1XX): (State.PROCEEDING, (Action.SEND,)),
        (State.PROCEEDING, Input.TX_2XX): (State.COMPLETED, (Action.SEND, Action.START_J)),
        (State.PROCEEDING, Input.TX_3XX_6XX): (State.COMPLETED, (Action.SEND, Action.START_J)),
        (State.PROCEEDING, Input.TRANSPORT_FAILED): (State.TERMINATED, (Action.FAIL,)),
        **ignore(State.PROCEEDING, Timer.J),
        # "any other final responses passed by the TU to the server transaction MUST be discarded"
        (State.COMPLETED, Input.RX_REQUEST): (State.COMPLETED, (Action.SEND_AGAIN,)),
        (State.COMPLETED, Timer.J): (State.TERMINATED, ()),
        (State.COMPLETED, Input.TRANSPORT_FAILED): (State.TERMINATED, (Action.FAIL,)),
        **ignore(State.COMPLETED, *_TX_RESPONSES),
    },
)


_SENT_AGAIN_BY = frozenset((Action.START_A, Action.START_E, Action.START_G, Action.E_AT_T2))
_ZERO_IF_RELIABLE = frozenset((Action.START_D, Action.START_I, Action.START_J, Action.START_K))
_ONLY_UNRELIABLE = frozenset((Timer.A, Timer.D, Timer.E, Timer.G, Timer.I, Timer.J, Timer.K))


def over_reliable(table: Table) -> Table:
    """Return a machine as it is over a transport that loses nothing: nothing is sent again by a timer.

    Timers A, E and G never start; D, I, J and K last for no time at all, so their transaction ends at once.
    Source: RFC 3261 17.1.1.2, 17.1.2.2, 17.2.1, 17.2.2 and table 4.
    """

    def reduce(row: Row) -> Row:
        state, actions = row
        if not _ZERO_IF_RELIABLE.isdisjoint(actions):
            state = State.TERMINATED
        return state, tuple([each for each in actions if each not in _SENT_AGAIN_BY | _ZERO_IF_RELIABLE])

    rows = {key: reduce(row) for key, row in table.rows.items() if key[1] not in _ONLY_UNRELIABLE}
    reached = {table.start[0]}
    for _ in State:
        reached |= {state for (before, _), (state, _) in rows.items() if before in reached}
    return Table(
        name=f"{table.name}, reliable",
        inputs=tuple([each for each in table.inputs if each not in _ONLY_UNRELIABLE]),
        start=reduce(table.start),
        rows={key: row for key, row in rows.items() if key[0] in reached},
    )


TABLES = (INVITE_CLIENT, NON_INVITE_CLIENT, INVITE_SERVER, NON_INVITE_SERVER)
RELIABLE_TABLES = tuple([over_reliable(table) for table in TABLES])

CLIENT_TABLES = {
    (True, False): INVITE_CLIENT,
    (False, False): NON_INVITE_CLIENT,
    (True, True): RELIABLE_TABLES[0],
    (False, True): RELIABLE_TABLES[1],
}
"""The machine of a client transaction by whether it is an INVITE's, and over a reliable transport."""

SERVER_TABLES = {
    (True, False): INVITE_SERVER,
    (False, False): NON_INVITE_SERVER,
    (True, True): RELIABLE_TABLES[2],
    (False, True): RELIABLE_TABLES[3],
}
"""The machine of a server transaction, likewise."""
