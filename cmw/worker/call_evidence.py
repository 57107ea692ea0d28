"""What was recorded of an endpoint, made ready to leave the worker: in order, bounded, secrets masked."""

from __future__ import annotations

from cmw.core.address import Address
from cmw.core.clock import WallClock
from cmw.load.evidence import MAX_CHARS, MAX_MESSAGE_CHARS, MAX_MESSAGES, Evidence, EvidenceMessage, header_of, mask
from cmw.worker.endpoint import Endpoint
from cmw.worker.sip_recorder import RecordedMessage


class RecordedEndpoint:
    """The messages of an endpoint that has ended; false when there are none.

    A call between two endpoints of one station is seen twice, as it leaves and as it comes; the first is taken.

    Args:
        endpoint: whose.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._station = station = endpoint.station
        self._call_ids = [each for each in (endpoint.registration.call_id, endpoint.call.call_id) if each]
        found = [station.recorder.look(call_id) for call_id in self._call_ids]
        self._messages = sorted((each for messages, _ in found for each in messages), key=lambda each: each.at)
        self._left_out = sum(more for _, more in found)
        own = next((message for message in self._messages if self._is_to_us(message)), None)
        self._caller = _from(own) if own is not None else None

    def __bool__(self) -> bool:
        return bool(self._messages)

    @property
    def media_ip(self) -> str:
        """Return the address that its media was bound to."""
        return self._station.addresses.media

    def evidence(self, wall: WallClock) -> Evidence:
        """Return the evidence."""
        kept = [message for message in self._messages if message.is_sent or not self._is_to_us(message)]
        shown: list[EvidenceMessage] = []
        room = MAX_CHARS
        for message in kept[:MAX_MESSAGES]:
            told = self._tell(message, wall)
            room -= len(told.text)
            if room < 0:
                break
            shown.append(told)
        return Evidence(
            endpoint=self._endpoint.settings.index,
            name=self._endpoint.settings.name,
            messages=shown,
            messages_left_out=self._left_out + len(kept) - len(shown),
        )

    def forget(self) -> None:
        """Let go of the messages, unless the caller of a call is an endpoint of ours too, and still has to end."""
        if self._caller is not None and self._endpoint.call.direction == "inbound":
            return
        for call_id in self._call_ids:
            self._station.recorder.forget(call_id)

    def _tell(self, message: RecordedMessage, wall: WallClock) -> EvidenceMessage:
        peer, local = message.peer, self._station.local_of(message.peer.transport)
        text = mask(message.data.decode("utf-8", "backslashreplace"))
        if len(text) > MAX_MESSAGE_CHARS:
            text = f"{text[:MAX_MESSAGE_CHARS]}... ({len(message.data)} bytes)"
        return EvidenceMessage(
            at_unix_ns=wall.unix_at(message.at),
            is_sent=self._is_said(message),
            transport=peer.transport.value,
            local_host=local.host,
            local_port=local.port,
            remote_host=peer.host,
            remote_port=peer.port,
            text=text,
        )

    def _is_to_us(self, message: RecordedMessage) -> bool:
        peer = message.peer
        return Address(peer.host, peer.port) == self._station.local_of(peer.transport)

    def _is_said(self, message: RecordedMessage) -> bool:
        """Tell whether the endpoint sent it; of a call within the station the caller is whom From names first."""
        if not self._is_to_us(message):
            return message.is_sent
        is_of_caller = (_from(message) == self._caller) is not message.data.startswith(b"SIP/2.0 ")
        return is_of_caller is (self._endpoint.call.direction == "outbound")


def _from(message: RecordedMessage) -> str:
    return header_of(message.data.decode("utf-8", "backslashreplace"), "From")
