"""The link of one worker while its connection lasts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from starlette.websockets import WebSocket

from cmw.gateway.workers import WorkerRow
from cmw.link.gateway_link import GatewayLink
from cmw.link.gateway_states import GatewayState
from cmw.link.messages import Heartbeat
from cmw.link.refusal import CloseCode, Refusal
from cmw.net.clock import monotonic_ns


@dataclass(eq=False, slots=True)
class LiveLink:
    """One WebSocket and the machine behind it.

    Args:
        session: what the upgrade said of the worker process, None if nothing.
    """

    worker: WorkerRow
    session: str | None
    websocket: WebSocket
    machine: GatewayLink
    heartbeat: Heartbeat | None = None
    unhandled_bytes: int = 0
    is_held_up: bool = False
    """Whether we do not read what the worker says."""
    has_output: asyncio.Event = field(default_factory=asyncio.Event)
    has_events: asyncio.Event = field(default_factory=asyncio.Event)
    has_room: asyncio.Event = field(default_factory=asyncio.Event)
    is_handled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the link has ended and everything that came over it was handed on."""

    @property
    def worker_id(self) -> str:
        """Return the worker's id."""
        return str(self.worker["id"])

    @property
    def name(self) -> str:
        """Return what the worker calls itself, or else what it was called when it was created."""
        said = self.machine.hello.name if self.machine.hello is not None else None
        return str(said or self.worker["name"])

    @property
    def fault(self) -> str:
        """Return why the worker says that it cannot work, "" when it can."""
        said = self.heartbeat or self.machine.hello
        return said.fault if said is not None else ""

    @property
    def is_open(self) -> bool:
        """Tell whether the worker was welcomed."""
        return self.machine.state is GatewayState.OPEN

    @property
    def is_over(self) -> bool:
        """Tell whether the link has ended, though its connection may not be closed yet."""
        return self.machine.state is GatewayState.CLOSED

    def refuse(self, refusal: Refusal) -> None:
        """End the link with the exact message."""
        self.machine.refuse(refusal, now=monotonic_ns())
        self.wake()

    def end(self, code: CloseCode, reason: str) -> None:
        """End the link for another reason."""
        self.machine.end(code, reason, now=monotonic_ns())
        self.wake()

    def wake(self) -> None:
        """Have what the machine wants sent, and what it has to tell, looked after."""
        self.has_output.set()
        self.has_events.set()
