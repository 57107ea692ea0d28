"""What was recorded of an endpoint, made ready to leave the worker: in order, bounded, secrets masked."""

from __future__ import annotations

from collections.abc import Iterator

from cmw.core.address import Address
from cmw.core.clock import WallClock
from cmw.load.evidence import MAX_CHARS, MAX_MESSAGE_CHARS, MAX_MESSAGES, Evidence, EvidenceMessage, header_of
from cmw.load.sip_masks import mask
from cmw.worker.endpoint import Endpoint
from cmw.worker.sip_recorder import RecordedMessage
from cmw.worker.station import Station


class RecordedEndpoint:
    """The messages of an endpoint that has ended, those of its calls beside its own included; false without any.

    Args:
        endpoint: whose.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._station = station = endpoint.station
        calls = [(endpoint.registration.call_id, "outbound"), (endpoint.call.call_id, endpoint.call.direction)]
        known = dict.fromkeys(
            (call_id, direction) for call_id, direction in (*calls, *endpoint.beside.known) if call_id
        )
        self._dialogs = [_Dialog(station, call_id, direction == "inbound") for call_id, direction in known]

    def __bool__(self) -> bool:
        return any(dialog.messages for dialog in self._dialogs)

    @property
    def media_ip(self) -> str:
        """Return the address that its media was bound to."""
        return self._station.addresses.media

    def evidence(self, wall: WallClock) -> Evidence:
        """Return the evidence."""
        kept = sorted((said for dialog in self._dialogs for said in dialog.kept()), key=lambda said: said[0].at)
        shown: list[EvidenceMessage] = []
        room = MAX_CHARS
        for message, is_said in kept[:MAX_MESSAGES]:
            told = self._tell(message, wall, is_sent=is_said)
            room -= len(told.text)
            if room < 0:
                break
            shown.append(told)
        return Evidence(
            endpoint=self._endpoint.settings.index,
            name=self._endpoint.settings.name,
            messages=shown,
            messages_left_out=sum(dialog.left_out for dialog in self._dialogs) + len(kept) - len(shown),
        )

    def forget(self) -> None:
        """Let go of the messages; those of a call whose other end is here too stay until that has ended as well."""
        for dialog in self._dialogs:
            dialog.forget()

    def _tell(self, message: RecordedMessage, wall: WallClock, *, is_sent: bool) -> EvidenceMessage:
        peer, local = message.peer, self._station.local_of(message.peer.transport)
        text = mask(message.data.decode("utf-8", "backslashreplace"))
        if len(text) > MAX_MESSAGE_CHARS:
            text = f"{text[:MAX_MESSAGE_CHARS]}... ({len(message.data)} bytes)"
        return EvidenceMessage(
            at_unix_ns=wall.unix_at(message.at),
            is_sent=is_sent,
            transport=peer.transport.value,
            local_host=local.host,
            local_port=local.port,
            remote_host=peer.host,
            remote_port=peer.port,
            text=text,
        )


class _Dialog:
    """The messages of one Call-ID.

    A call between two endpoints of one station is seen twice, as it leaves and as it comes; the first is taken.

    Args:
        is_inbound: the endpoint was called.
    """

    def __init__(self, station: Station, call_id: str, is_inbound: bool) -> None:
        self.messages, self.left_out = station.recorder.look(call_id)
        self._station, self._call_id, self._is_inbound = station, call_id, is_inbound
        own = next((message for message in self.messages if self._is_to_us(message)), None)
        self._caller = _from(own) if own is not None else None

    def kept(self) -> Iterator[tuple[RecordedMessage, bool]]:
        """Yield the messages, and whether the endpoint sent each."""
        for message in self.messages:
            if message.is_sent or not self._is_to_us(message):
                yield message, self._is_said(message)

    def forget(self) -> None:
        """Let go of the messages, once the other end has too if it is here."""
        self._station.recorder.forget(self._call_id, is_shared=self._caller is not None)

    def _is_to_us(self, message: RecordedMessage) -> bool:
        peer = message.peer
        return Address(peer.host, peer.port) == self._station.local_of(peer.transport)

    def _is_said(self, message: RecordedMessage) -> bool:
        """Tell whether the endpoint sent it; of a call within the station the caller is whom From names first."""
        if not self._is_to_us(message):
            return message.is_sent
        is_of_caller = (_from(message) == self._caller) is not message.data.startswith(b"SIP/2.0 ")
        return is_of_caller is not self._is_inbound


def _from(message: RecordedMessage) -> str:
    return header_of(message.data.decode("utf-8", "backslashreplace"), "From")
