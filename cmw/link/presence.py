"""What a worker says of itself, in the hello and in every heartbeat."""

from __future__ import annotations

from dataclasses import dataclass, field

from cmw.core.clock import MILLISECOND
from cmw.link.limits import PROTOCOL
from cmw.link.messages import Heartbeat, Hello, Load, make_message
from cmw.link.offset import ClockOffset
from cmw.link.spool import Spool


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What the hello says of this worker; none of it changes while the process lives."""

    capacity: int
    name: str | None = None
    version: str = ""
    host: str = ""
    sip_ip: str = ""
    media_ip: str = ""
    engine: str = ""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What the next hello and heartbeat say of this worker's present."""

    capacity: int
    endpoints: int = 0
    calls: int = 0
    loop_lag_ms: float | None = None
    runs: tuple[str, ...] = field(default=())
    draining: bool = False
    fault: str = ""


def make_hello(info: WorkerInfo, status: WorkerStatus, session: str, spool: Spool) -> Hello:
    """Return the hello of a connection.

    Raises:
        LocalProtocolError: a value that no hello can hold.
    """
    return make_message(
        Hello,
        protocol=PROTOCOL,
        session=session,
        name=info.name,
        version=info.version,
        host=info.host,
        capacity=status.capacity,
        sip_ip=info.sip_ip,
        media_ip=info.media_ip,
        engine=info.engine,
        runs=list(status.runs),
        draining=status.draining,
        fault=status.fault,
        dropped_samples=spool.dropped_samples,
        dropped_reports=spool.dropped_progress,
    )


def make_heartbeat(status: WorkerStatus, sent_at_unix_ns: int, spool: Spool, clock: ClockOffset) -> Heartbeat:
    """Return one heartbeat.

    Raises:
        LocalProtocolError: a value that no heartbeat can hold.
    """
    return make_message(
        Heartbeat,
        sent_at_unix_ns=sent_at_unix_ns,
        load=make_message(Load, endpoints=status.endpoints, calls=status.calls),
        capacity=status.capacity,
        loop_lag_ms=status.loop_lag_ms,
        clock_offset_ms=clock.offset_ns / MILLISECOND if clock.is_known else None,
        rtt_ms=clock.rtt_ns / MILLISECOND if clock.is_known else None,
        fault=status.fault,
        spooled_bytes=spool.size_bytes,
        dropped_samples=spool.dropped_samples,
        dropped_reports=spool.dropped_progress,
    )
