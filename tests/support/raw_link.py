"""A peer of the gateway that writes its own bytes: an upgrade, and whatever comes after it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from tests.support.rfc6455 import TEXT, Frame, Read, read_frames

HELLO = '{"type":"hello","protocol":1,"session":"%s","capacity":10}'


class RawLink:
    """One TCP connection to a gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.raw = b""
        self.read = Read()

    @classmethod
    async def connect(cls, port: int, host: str = "127.0.0.1") -> RawLink:
        return cls(*await asyncio.open_connection(host, port))

    @classmethod
    async def upgraded(cls, port: int, token: str, *, session: str = "a" * 32) -> RawLink:
        """Return a connection whose upgrade was allowed."""
        link = await cls.connect(port)
        head = await link.ask(token, session=session)
        assert head.startswith("HTTP/1.1 101 "), head
        return link

    @classmethod
    async def welcomed(cls, port: int, token: str, *, session: str = "a" * 32) -> RawLink:
        """Return a connection whose hello was answered."""
        link = await cls.upgraded(port, token, session=session)
        link.send(Frame(TEXT, (HELLO % session).encode()))
        await link.until(lambda read: any('"welcome"' in text for text in read.texts))
        return link

    async def ask(self, token: str, *, session: str = "a" * 32, path: str = "/link/v1") -> str:
        """Ask for an upgrade; return the head of the answer."""
        self.writer.write(
            f"GET {path} HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: cmw.link.v1\r\n"
            f"Authorization: Bearer {token}\r\nCmw-Session: {session}\r\n\r\n".encode()
        )
        async with asyncio.timeout(20):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    def send(self, *frames: Frame) -> None:
        """Write frames."""
        self.writer.write(b"".join(frame.wire(from_client=True) for frame in frames))

    def say(self, text: str) -> None:
        """Write one text message."""
        self.send(Frame(TEXT, text.encode()))

    async def until(self, holds: Callable[[Read], bool]) -> Read:
        """Read until what has come holds."""
        async with asyncio.timeout(20):
            while not holds(self.read):
                assert await self._more(), f"the gateway closed: {self.read}"
        return self.read

    async def to_the_end(self) -> Read:
        """Read until the gateway closes the WebSocket, or the connection."""
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionResetError):
                while self.read.code is None and await self._more():
                    pass
        return self.read

    async def _more(self) -> bytes:
        data = await self.reader.read(65536)
        self.raw += data[: 4096 - len(self.raw)] if len(self.raw) < 4096 else b""
        read_frames(self.read.rest + data, self.read)
        return data

    def close(self) -> None:
        """Let go of the connection."""
        self.writer.transport.abort()
