"""The numbers of the link that both roles keep to; docs/link-protocol.md states each of them."""

from __future__ import annotations

from typing import Final

from cmw.core.clock import SECOND, Nanos

PROTOCOL: Final = 1
"""Protocol version in the hello and the welcome."""

PATH: Final = "/link/v1"
SUBPROTOCOL: Final = "cmw.link.v1"
SESSION_HEADER: Final = "Cmw-Session"
"""Header of the upgrade with the session, so that a worker that comes back takes its own stale link over."""

MAX_TO_GATEWAY_BYTES: Final = 1 << 20
"""Largest message that a worker may send, text or binary, after reassembly."""

MAX_TO_WORKER_BYTES: Final = 4 << 20
"""Largest message that a gateway may send; a share of 5000 endpoints takes about 1.5 MB."""

MAX_SAMPLES_BYTES: Final = 4 << 20
"""Largest body of a sample batch before compression that is unpacked."""

MAX_DEPTH: Final = 32
"""Deepest nesting of arrays and objects in a message."""

MAX_SEQ: Final = (1 << 53) - 1
"""Highest sequence number: what a double holds exactly, so that every JSON reader can follow."""

MAX_ERRORS: Final = 100
"""Messages of unknown type that are answered on one connection before it is closed."""

WINDOW_BYTES: Final = 512 << 10
"""Reported bytes in flight without an acknowledgement; a single larger report travels alone."""

SPOOL_MAX_BYTES: Final = 64 << 20
"""What a worker keeps for a gateway that is away, unless it is told otherwise."""

MEMORY_BYTES: Final = 8 << 20
"""How much of that is held in memory once it is on disk."""

HEARTBEAT: Final[Nanos] = 15 * SECOND
HALF_OPEN: Final[Nanos] = 45 * SECOND
"""Silence after which either role drops the connection: three heartbeats went unanswered."""

SILENCE: Final[Nanos] = 60 * SECOND
"""Silence after which a worker counts as OFFLINE."""

DIAL_LIMIT: Final[Nanos] = 15 * SECOND
"""Time for name look-up, TCP and TLS together."""

UPGRADE_LIMIT: Final[Nanos] = 10 * SECOND
"""Time for the answer to the HTTP upgrade."""

HELLO_LIMIT: Final[Nanos] = 10 * SECOND
"""Time that a gateway gives a worker for its hello."""

WELCOME_LIMIT: Final[Nanos] = 15 * SECOND
"""Time that a worker gives a gateway for its welcome."""

CLOSE_LIMIT: Final[Nanos] = 5 * SECOND
"""Time for the peer's half of the closing handshake."""
