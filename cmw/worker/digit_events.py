"""What the media engine tells of digits (RFC 4733), handed to the call that each belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cmw.net.media import DigitEvent
from cmw.net.media_engines import MediaEngines

DigitListener = Callable[[DigitEvent], None]


class DigitEvents:
    """Listeners by media slot; `attach` to a loop, and `detach` before the engine goes."""

    def __init__(self, engine: MediaEngines) -> None:
        self._engine = engine
        self._listeners: dict[int, DigitListener] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Deliver whenever the engine has something to tell."""
        self._loop = loop
        for descriptor in self._engine.event_fds:
            loop.add_reader(descriptor, self.deliver)

    def detach(self) -> None:
        """Deliver no more."""
        loop, self._loop = self._loop, None
        if loop is not None:
            for descriptor in self._engine.event_fds:
                loop.remove_reader(descriptor)

    def listen(self, slot: int, listener: DigitListener) -> None:
        """Tell `listener` of the digits of a slot, until it is forgotten."""
        self._listeners[slot] = listener

    def forget(self, slot: int) -> None:
        """Tell nobody of the digits of a slot."""
        self._listeners.pop(slot, None)

    def __len__(self) -> int:
        """Return how many slots are listened to."""
        return len(self._listeners)

    def deliver(self) -> None:
        """Hand out what the engine has to tell."""
        events, _ = self._engine.take_events()
        for event in events:
            listener = self._listeners.get(event.slot)
            if listener is not None:
                listener(event)
