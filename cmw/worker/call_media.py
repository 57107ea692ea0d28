"""The media of one call: its port pair, what was offered and agreed, and the stream on the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from cmw.errors import RemoteProtocolError
from cmw.net.media import MediaMode, open_media_pair
from cmw.rtp.snapshot import StreamSnapshot
from cmw.sip import PCMA, PCMU, AudioCodec, Direction, NegotiatedAudio, make_offer, negotiate, read_answer
from cmw.worker.station import Station

CODECS = {"PCMU": PCMU, "PCMA": PCMA}

NOT_ACCEPTABLE_HERE = 488


@dataclass(frozen=True, slots=True)
class AudioChoice:
    """What an endpoint says, and how.

    Args:
        codecs: names out of `CODECS`, the preferred one first.
        source: name of a source, or path of a WAV file; unused by an echo.
        ptime_ms: audio in each packet, milliseconds.
        dscp: 0 .. 63.
        echo: send back what comes instead of `source`.
    """

    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    source: str = "speech"
    ptime_ms: int = 20
    dscp: int = 46
    echo: bool = False

    @property
    def formats(self) -> list[AudioCodec]:
        """Return the codecs as session descriptions know them."""
        return [CODECS[name] for name in self.codecs]


class CallMedia:
    """Reserve ports, describe them, agree, stream, and give everything back.

        caller    offer -> agree -> start        callee    accept -> start, or offer -> agree -> start
        both      stop_sending -> finish -> close

    Ports are reserved before they are offered; `close` may come at any time, and more than once.

    Raises:
        CapacityError: no port pair, slot or descriptor is left.
        OSError: the media address cannot be bound.
    """

    def __init__(self, station: Station, audio: AudioChoice) -> None:
        self._station = station
        self._audio = audio
        self._slot, self._port = open_media_pair(station.engine, station.ports, station.addresses.media, audio.dscp)
        self._session_id = station.ids.timestamp()
        self._described = b""
        self._is_open = True
        self.agreed: NegotiatedAudio | None = None
        self.is_streaming = False

    def offer(self, direction: Direction = Direction.SENDRECV) -> bytes:
        """Return our description for an INVITE or for the 200 to one without any; during a call with its codec only."""
        self._described = make_offer(
            address=self._station.addresses.sdp,
            rtp_port=self._port,
            codecs=self._formats,
            ptime_ms=self._audio.ptime_ms,
            direction=direction,
            session_id=self._session_id,
            previous=self._described or None,
        )
        return self._described

    def accept(self, offer: bytes) -> bytes:
        """Agree to the peer's offer, the first or a later one, and return our answer.

        Raises:
            RemoteProtocolError: it cannot be read, or names nothing that we can do; nothing has changed then, and the
                hint is the status to answer.
        """
        described, agreed = negotiate(
            offer,
            address=self._station.addresses.sdp,
            rtp_port=self._port,
            codecs=self._formats,
            ptime_ms=self._audio.ptime_ms,
            session_id=self._session_id,
            previous=self._described or None,
        )
        self._check(agreed)
        self._described, self.agreed = described, agreed
        return self._described

    def agree(self, answer: bytes) -> None:
        """Take the peer's answer to our offer.

        Raises:
            RemoteProtocolError: it cannot be read, or does not answer what we offered.
        """
        agreed = read_answer(self._described, answer)
        self._check(agreed)
        self.agreed = agreed

    def start(self) -> None:
        """Begin to stream as agreed."""
        agreed = self.agreed
        assert agreed is not None, "nothing was agreed yet"
        mode = MediaMode.ECHO if self._audio.echo else MediaMode.SEND_RECEIVE
        ids = self._station.ids
        self._station.engine.start_stream(
            self._slot,
            remote_ip=agreed.remote.host,
            remote_rtp_port=agreed.remote.port,
            remote_rtcp_port=agreed.remote_rtcp.port,
            payload_type=agreed.payload_type,
            clock_hz=agreed.clock_hz,
            ptime_ms=agreed.ptime_ms,
            source=self._station.sounds.number(self._audio.source, agreed.codec, agreed.ptime_ms),
            ssrc=ids.ssrc(),
            sequence=ids.sequence(),
            timestamp=ids.timestamp(),
            cname=self._station.cname,
            event_payload_type=agreed.telephone_event,
            mode=mode,
        )
        self.is_streaming = True
        if not agreed.direction.sends:
            self._station.engine.set_sending(self._slot, False)  # and on again, when a later offer allows it

    def follow(self, offer: bytes) -> bytes:
        """Agree to a later offer of the peer's, lead the stream to where it wants it, and return our answer.

        Raises:
            RemoteProtocolError: the offer is refused; the stream goes on as it was.
        """
        answer = self.accept(offer)
        self._lead()
        return answer

    def follow_answer(self, answer: bytes) -> None:
        """Take the peer's answer to an offer that we made during the call, and lead the stream to where it wants it.

        Raises:
            RemoteProtocolError: the answer cannot be used; the stream goes on as it was.
        """
        self.agree(answer)
        self._lead()

    def stop_sending(self) -> None:
        """Send no more audio, but go on to receive: the peer talks until it has seen our BYE."""
        if self.is_streaming:
            self._station.engine.set_sending(self._slot, False)

    def finish(self) -> None:
        """Say RTCP BYE and freeze the figures."""
        if self.is_streaming:
            self.is_streaming = False
            self._station.engine.stop_stream(self._slot)

    def snapshot(self) -> StreamSnapshot:
        """Return the stream's figures as they are now."""
        return self._station.engine.snapshot(self._slot)

    def close(self) -> None:
        """Give the ports back."""
        if self._is_open:
            self._is_open = False
            self.is_streaming = False
            self._station.engine.close(self._slot)
            self._station.ports.release(self._port)

    @property
    def codec(self) -> str:
        """Return the encoding name that was agreed, empty before that."""
        return self.agreed.codec if self.agreed is not None else ""

    @property
    def slot(self) -> int:
        """Return the engine's number of the stream; another call's after `close`."""
        return self._slot

    # Private.

    @property
    def _formats(self) -> list[AudioCodec]:
        """Return what may be agreed: all that was chosen, but one codec alone once its frames are on their way."""
        if not self.is_streaming:
            return self._audio.formats
        return [codec for codec in self._audio.formats if codec.name == self.codec]

    def _check(self, agreed: NegotiatedAudio) -> None:
        """Refuse what the stream cannot do.

        Raises:
            RemoteProtocolError: another address family than ours, or another payload type during the call.
        """
        ours = self._station.addresses.media
        if (":" in agreed.remote.host) != (":" in ours):
            _refuse(f"an address of the family of {ours} in the session description", agreed.remote.host)
        if self.is_streaming and self.agreed is not None and agreed.payload_type != self.agreed.payload_type:
            _refuse(f"payload type {self.agreed.payload_type} to stay", str(agreed.payload_type))

    def _lead(self) -> None:
        """Send from now on where, and only if, it was agreed last."""
        agreed = self.agreed
        if not self.is_streaming or agreed is None:
            return
        engine = self._station.engine
        engine.change_remote(
            self._slot,
            remote_ip=agreed.remote.host,
            remote_rtp_port=agreed.remote.port,
            remote_rtcp_port=agreed.remote_rtcp.port,
        )
        engine.set_sending(self._slot, agreed.direction.sends)


def _refuse(expected: str, found: str) -> NoReturn:
    raise RemoteProtocolError(f"expected {expected}, found {found}", hint=NOT_ACCEPTABLE_HERE)
