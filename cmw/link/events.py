"""The facts that the two roles of the link report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cmw.core.clock import Nanos
from cmw.link.messages import Heartbeat, Hello
from cmw.link.samples import SampleBatch

# Both roles.


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """The peer did not understand something that we sent."""

    code: str
    detail: str


# WorkerLink.


@dataclass(frozen=True, slots=True)
class ConnectDue:
    """It is time to open a connection; answer with `connect` or `connect_failed`."""

    attempt: int


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """The gateway has welcomed this worker."""

    worker_id: str
    name: str
    acknowledged: int
    """Highest sequence number of this session that the gateway holds."""
    capacity: int | None = None
    """Endpoints that this worker was set up for on the gateway; None when it does not say."""


@dataclass(frozen=True, slots=True)
class LinkRefused:
    """The gateway refused the token; `message` is the page's, word for word."""

    status: int
    """HTTP status before the upgrade, close code after it."""
    message: str
    retry_at: Nanos


@dataclass(frozen=True, slots=True)
class LinkLost:
    """There is no connection any more, or none came about."""

    reason: str
    retry_at: Nanos | None
    """When the next try is due; None on the gateway's side and after `close`."""


@dataclass(frozen=True, slots=True)
class LinkClosed:
    """The link has ended because its owner asked for it."""


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A new command: answer with `accept` or `reject`, then `done` or `reject`."""

    id: str
    name: str
    run_id: str | None
    data: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The gateway has committed everything up to and with `seq`."""

    seq: int


@dataclass(frozen=True, slots=True)
class EarlierReportsDelivered:
    """The gateway has committed everything that an earlier process of this worker left."""

    session: str
    reports: int


@dataclass(frozen=True, slots=True)
class EarlierReportsAbandoned:
    """The gateway closed three times over what an earlier process left: it is given up."""

    session: str
    reports: int
    reason: str


@dataclass(frozen=True, slots=True)
class ClockMeasured:
    """A heartbeat came back: the offset of the best of the last round trips."""

    offset_ms: float
    rtt_ms: float


# GatewayLink.


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """A worker introduced itself: answer with `welcome` or `refuse`."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class HeartbeatReceived:
    """The worker is alive; the reply is queued already."""

    heartbeat: Heartbeat


@dataclass(frozen=True, slots=True)
class ReportReceived:
    """A report that is new in this session: commit it, then call `committed(seq)`."""

    seq: int
    kind: str
    run_id: str | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SamplesReceived:
    """A sample batch that is new in this session: commit it, then call `committed(seq)`.

    `data` is the frame as it came, for those who store it as it is.
    """

    seq: int
    batch: SampleBatch
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CommandWasAccepted:
    """The worker has begun to carry out a command."""

    id: str


@dataclass(frozen=True, slots=True)
class CommandWasDone:
    """The worker has carried out a command."""

    id: str
    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CommandWasRejected:
    """The worker cannot carry out a command."""

    id: str
    code: str
    detail: str


WorkerEvent = (
    ConnectDue
    | LinkOpened
    | LinkRefused
    | LinkLost
    | LinkClosed
    | CommandReceived
    | Acknowledged
    | EarlierReportsDelivered
    | EarlierReportsAbandoned
    | ClockMeasured
    | ErrorReceived
)
GatewayEvent = (
    HelloReceived
    | HeartbeatReceived
    | ReportReceived
    | SamplesReceived
    | CommandWasAccepted
    | CommandWasDone
    | CommandWasRejected
    | ErrorReceived
    | LinkLost
)
