"""The media of one call: its port pair, what was offered and agreed, and the stream on the engine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from cmw.net.media import MediaMode, open_media_pair
from cmw.rtp.snapshot import StreamSnapshot
from cmw.sip import (
    PCMA,
    PCMU,
    AudioChange,
    AudioPolicy,
    Direction,
    NegotiatedAudio,
    Negotiator,
    SdpWarning,
    SessionRefusedError,
    find_changes,
)
from cmw.worker.station import Station

CODECS = {"PCMU": PCMU, "PCMA": PCMA}


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


@lru_cache(maxsize=256)
def make_policy(codecs: tuple[str, ...], ptime_ms: int) -> AudioPolicy:
    """Return what is offered and accepted; one object for all calls that choose the same.

    The packet time is the plan's, whatever the peer would like: its frames are made before the run.
    """
    return AudioPolicy(tuple([CODECS[name] for name in codecs]), ptime_ms, ptimes_ms=(ptime_ms,))


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
        self._negotiator = Negotiator(
            make_policy(audio.codecs, audio.ptime_ms),
            address=station.addresses.sdp,
            rtp_port=self._port,
            session_id=station.ids.timestamp(),
        )
        self._is_open = True
        self._payload_type: int | None = None  # of the stream, once it runs
        self.is_streaming = False

    def offer(self, direction: Direction | None = None, codecs: tuple[str, ...] = ()) -> bytes:
        """Return our description for an INVITE or for the 200 to one without any; during a call with its codec only.

        Args:
            direction: what we wish from now on, such as ``SENDONLY`` for hold; None to leave it.
            codecs: what is offered instead, names out of `CODECS`.
        """
        self.withdraw()  # an earlier one that was never answered
        if codecs:
            self._negotiator.policy = make_policy(codecs, self._audio.ptime_ms)
        return self._negotiator.make_offer(direction)

    def take_answer(self, answer: bytes) -> None:
        """Take the peer's answer, the first or one that repeats or replaces it, wherever the stream stands.

        Raises:
            RemoteProtocolError: as for `agree`.
        """
        if self.is_streaming:
            self.follow_answer(answer)
        else:
            self.agree(answer)

    def accept(self, offer: bytes) -> bytes:
        """Agree to the peer's offer, the first or a later one, and return our answer.

        Raises:
            RemoteProtocolError: it cannot be read, or names nothing that we can do; nothing has changed then, and the
                hint is the status to answer.
        """
        self.withdraw()
        answer = self._negotiator.make_answer(offer)
        self._check(answered=False)
        return answer

    def agree(self, answer: bytes) -> None:
        """Take the peer's answer to our offer; a 200 may repeat that of a 183.

        Raises:
            RemoteProtocolError: it cannot be read, or does not answer what we offered.
        """
        self._negotiator.read_answer(answer)
        self._check(answered=True)

    def withdraw(self) -> None:
        """Forget our offer, if one is open, which the peer refused: what was agreed before it stands."""
        if self._negotiator.is_open:
            self._negotiator.roll_back()
            self._keep_codec()

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
            event_payload_type=agreed.receive_telephone_event,
            mode=mode,
        )
        self.is_streaming = True
        self._payload_type = agreed.payload_type
        self._keep_codec()
        if not agreed.direction.sends:
            self._station.engine.set_sending(self._slot, False)  # and on again, when a later offer allows it

    def follow(self, offer: bytes) -> bytes:
        """Agree to a later offer of the peer's, lead the stream to where it wants it, and return our answer.

        Raises:
            RemoteProtocolError: the offer is refused; the stream goes on as it was.
        """
        before = self.agreed
        answer = self.accept(offer)
        self._lead(before)
        return answer

    def follow_answer(self, answer: bytes) -> None:
        """Take the peer's answer to an offer that we made during the call, and lead the stream to where it wants it.

        Raises:
            RemoteProtocolError: the answer cannot be used; the stream goes on as it was.
        """
        before = self.agreed
        self.agree(answer)
        self._lead(before)

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
    def agreed(self) -> NegotiatedAudio | None:
        """Return what was agreed last, None before that."""
        return self._negotiator.audio

    @property
    def local(self) -> bytes:
        """Return our description as it was sent last, empty before that."""
        return self._negotiator.local

    @property
    def is_held(self) -> bool:
        """Tell whether the peer has us on hold."""
        return self.agreed is not None and self.agreed.is_held

    @property
    def is_holding(self) -> bool:
        """Tell whether we have the peer on hold."""
        return not self._negotiator.direction.receives

    @property
    def codec(self) -> str:
        """Return the encoding name that was agreed, empty before that."""
        return self.agreed.codec if self.agreed is not None else ""

    @property
    def slot(self) -> int:
        """Return the engine's number of the stream; another call's after `close`."""
        return self._slot

    # Private.

    def _keep_codec(self) -> None:
        """Offer and accept the codec of the stream only: its frames are on their way."""
        if self._payload_type is not None and self.codec:
            self._negotiator.policy = make_policy((self.codec,), self._audio.ptime_ms)

    def _check(self, *, answered: bool) -> None:
        """Undo an agreement that the stream cannot follow.

        Args:
            answered: it came of an answer of the peer's, else of its offer.

        Raises:
            RemoteProtocolError: another address family than ours, or another payload type during the call.
        """
        agreed, ours = self.agreed, self._station.addresses.media
        assert agreed is not None, "the policy needs audio"
        problem = None
        if (":" in agreed.remote.host) != (":" in ours):
            problem = SdpWarning.ADDRESS_FORMAT, f"an address of the family of {ours}", agreed.remote.host
        elif self._payload_type is not None and agreed.payload_type != self._payload_type:
            problem = SdpWarning.MEDIA_FORMAT, f"payload type {self._payload_type} to stay", str(agreed.payload_type)
        if problem is not None:
            self._negotiator.roll_back()
            warning, expected, found = problem
            what = "answer" if answered else "offer"
            raise SessionRefusedError(f"expected {expected} in the {what}, found {found}", [warning])

    def _lead(self, before: NegotiatedAudio | None) -> None:
        """Send from now on where, and only if, it was agreed last."""
        agreed = self.agreed
        if not self.is_streaming or agreed is None:
            return
        engine = self._station.engine
        if AudioChange.ADDRESS in find_changes(before, agreed):
            engine.change_remote(
                self._slot,
                remote_ip=agreed.remote.host,
                remote_rtp_port=agreed.remote.port,
                remote_rtcp_port=agreed.remote_rtcp.port,
            )
        engine.set_sending(self._slot, agreed.direction.sends)
