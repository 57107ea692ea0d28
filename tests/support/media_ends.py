"""Two kinds of ends for tests of the media engine: a slot of it, and a plain socket."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from cmw.net._media import MediaEngine
from cmw.net.media import MediaMode, open_media_pair
from cmw.rtp.ports import PortPool
from cmw.rtp.snapshot import StreamSnapshot
from cmw.rtp.source import make_source

IP = "127.0.0.1"
GENEROUS_S = 20.0
FRAME = 160


def wait_until(condition: Callable[[], bool]) -> None:
    """Look until it is so; the deadline is there to end a broken run, not to measure."""
    deadline = time.monotonic() + GENEROUS_S
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.002)


class Party:
    """One end: a slot and what it needs to start."""

    def __init__(
        self, engine: MediaEngine, pool: PortPool, *, ip: str = IP, codec: str = "PCMU", ssrc: int = 1
    ) -> None:
        self.engine = engine
        self.ip = ip
        self.slot, self.port = open_media_pair(engine, pool, ip, 46)
        self.source = engine.add_source(*make_source("tone", codec))
        self.payload_type = 0 if codec == "PCMU" else 8
        self.ssrc = ssrc

    def start(self, remote_port: int, mode: int = MediaMode.SEND_RECEIVE, **changes: Any) -> None:
        arguments: dict[str, Any] = {
            "remote_ip": self.ip,
            "remote_rtp_port": remote_port,
            "remote_rtcp_port": remote_port + 1,
            "payload_type": self.payload_type,
            "clock_hz": 8000,
            "ptime_ms": 20,
            "source": self.source,
            "ssrc": self.ssrc,
            "sequence": 65530,
            "timestamp": 0xFFFFFF00,
            "cname": b"me@here",
            "mode": mode,
        }
        self.engine.start_stream(self.slot, **(arguments | changes))

    @property
    def seen(self) -> StreamSnapshot:
        return self.engine.snapshot(self.slot)


class Outsider:
    """A plain socket that plays the peer, or somebody else."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((IP, 0))
        self.socket.settimeout(GENEROUS_S)
        self.port: int = self.socket.getsockname()[1]

    def say(self, to: int, seq: int, *, ssrc: int = 77, payload_type: int = 0, payload: bytes = bytes(FRAME)) -> None:
        header = struct.pack("!BBHII", 0x80, payload_type, seq & 0xFFFF, seq * FRAME & 0xFFFFFFFF, ssrc)
        self.socket.sendto(header + payload, (IP, to))

    def hear(self) -> bytes:
        return self.socket.recv(2048)
