"""Offers and answers of one session, from the first to the last. Source: RFC 3264, RFC 6337.

A `Negotiator` says our part and reads the peer's; it keeps what was agreed last, and goes back to it when an offer is
refused. Which SIP message may carry an offer is told by `cmw.sip.offer_state`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from cmw.errors import LocalProtocolError
from cmw.sip.audio_agreement import OurSide, kind_of_host
from cmw.sip.audio_answer import Offered, read_audio
from cmw.sip.audio_choice import Chosen, choose_audio
from cmw.sip.audio_format import FIRST_DYNAMIC, AudioCodec
from cmw.sip.audio_policy import AudioPolicy, Numbers, number_formats
from cmw.sip.audio_section import describe_audio, describe_rows
from cmw.sip.format_agreement import Terms
from cmw.sip.grammar import CACHE_VALUES
from cmw.sip.negotiated_audio import NegotiatedAudio
from cmw.sip.sdp import (
    MediaDescription,
    SessionDescription,
    TimeDescription,
    describe_media,
    family_of,
    serialize_media,
    time_lines,
)
from cmw.sip.sdp_attributes import AttributeRow, Direction
from cmw.sip.sdp_parser import parse_sdp
from cmw.sip.session_refusal import REQUEST_PENDING, SdpWarning, SessionRefusedError, refuse

_NO_TIMES = (TimeDescription(),)


class _Agreement(NamedTuple):
    """What holds between exchanges."""

    audio: NegotiatedAudio | None = None
    sections: tuple[str, ...] = ()
    """Those of our last description, as text."""
    at: int | None = None
    """Index of our audio section, None when it is refused or gone."""
    direction: Direction = Direction.SENDRECV
    remote: SessionDescription | None = None


class Negotiator:
    """The offers and answers of one session.

        caller      make_offer -> read_answer              callee     make_answer
        without an offer in the INVITE, the other way round; later offers come from either side, again and again

    `direction` is what we wish, and stays so until it is changed: a hold of ours outlives the peer's, and the other way
    round. Source: RFC 6337 5.3. So hold is `make_offer(Direction.SENDONLY)` or, with no music, `Direction.INACTIVE`;
    resume is `make_offer(Direction.SENDRECV)`; what comes of it is in `audio`.

    Args:
        policy: what we offer and accept; may be replaced between exchanges.
        address: literal address that the peer shall send to; may be changed between exchanges, as the ports may.
        rtp_port: where we take RTP; RTCP is the next one unless `rtcp_port` says otherwise.
        session_id: number for the o= line, unique for this session; any random number.
        session_version: first version of the session.
        rtcp_port: where we take RTCP, None for the next one.
    """

    __slots__ = (
        "_before",
        "_is_open",
        "_numbers",
        "_offered",
        "_origin",
        "_said",
        "_session_id",
        "_state",
        "_version",
        "address",
        "local",
        "policy",
        "rtcp_port",
        "rtp_port",
    )

    def __init__(
        self,
        policy: AudioPolicy,
        *,
        address: str,
        rtp_port: int,
        session_id: int,
        session_version: int = 1,
        rtcp_port: int | None = None,
    ) -> None:
        self.policy = policy
        self.address = address
        self.rtp_port = rtp_port
        self.rtcp_port = rtcp_port
        self.local = b""
        """Our last description; empty before the first."""
        self._session_id = session_id
        self._version = session_version
        self._origin = f"{family_of(address)} {address}"
        self._said = ""
        self._state = _Agreement()
        self._before: _Agreement | None = None
        self._offered: Offered | None = None
        self._is_open = False
        self._numbers: Numbers = {}

    # Commands.

    def make_offer(self, direction: Direction | None = None, others: Iterable[MediaDescription] = ()) -> bytes:
        """Return an offer; its answer goes to `read_answer`, its refusal is a `roll_back`.

        Args:
            direction: what we wish from now on; None for what we wished before.
            others: sections that are not audio, to be added after those that there are.

        Raises:
            LocalProtocolError: our last offer is still open.
        """
        self._require_closed()
        state = self._begin()
        policy = self.policy
        wish = state.direction if direction is None else direction
        protocol = state.audio.protocol if state.audio is not None else policy.protocols[0]
        formats = number_formats(policy, self._numbers) if self._numbers else _usual_formats(policy)
        keys = policy.keying.offer() if policy.keying is not None and "SAVP" in protocol else ()
        section = self._describe(protocol, formats, policy.ptime_ms, wish, keys, mux=policy.rtcp_mux)
        at = _place(state)
        sections = (
            *state.sections[:at],
            section,
            *state.sections[at + 1 :],
            *[serialize_media(media) for media in others],
        )
        self._state = state._replace(sections=sections, at=at, direction=wish)
        side = self._side(Terms(formats, policy.own_order, answers=False, several=True), wish)
        self._offered = Offered(side, policy, protocol, at, sections)
        self._is_open = True
        return self._publish(sections)

    def read_answer(self, answer: bytes) -> NegotiatedAudio | None:
        """Take the peer's answer to our last offer, and return what was agreed; None when it leaves no audio.

        May be called again for the same offer: a 200 says again what a 183 said, and of a forked INVITE each branch
        answers; the last holds.

        Raises:
            LocalProtocolError: the last offer was not ours.
            RemoteProtocolError: hint 400 when the answer is malformed, 488 when it refuses what we need or does not fit
                the offer; nothing has changed then.
        """
        if self._offered is None:
            raise LocalProtocolError("expected an answer after an offer of ours, found none")
        offered = self._offered
        session = parse_sdp(answer)
        audio = read_audio(session, offered)
        whole = audio is not None and len(session.media) == 1
        sections = offered.sections if whole else _close(offered.sections, session)
        at = offered.at if audio is not None else None
        self._state = _Agreement(audio, sections, at, self._state.direction, session)
        self._is_open = False
        return audio

    def make_answer(self, offer: bytes, direction: Direction | None = None) -> bytes:
        """Agree to the peer's offer, the first or a later one, and return our answer.

        It has as many sections as the offer, in the same order. The first audio that we can take (the one in use before
        all others) is accepted, other kinds as the policy's `answer_other` says, and the rest is refused by port 0.

        Args:
            offer: the peer's description.
            direction: what we wish from now on; None for what we wished before. The answer gives no more than the offer
                allows.

        Raises:
            RemoteProtocolError: hint 400 when the offer is malformed, 488 with warnings when nothing in it can be
                accepted, 491 when an offer of ours is open; nothing has changed then.
        """
        if self._is_open:
            raise SessionRefusedError("an offer came while ours was open", (), hint=REQUEST_PENDING)
        session = parse_sdp(offer)
        state = self._state
        _check_sections(state, session)
        wish = state.direction if direction is None else direction
        chosen = choose_audio(session, state.at, self.policy, self._side(_answer_terms(self.policy), wish))
        sections, group = self._answer_sections(session, chosen)
        self._begin()
        if chosen is not None:
            self._remember(chosen.formats)
        audio, at = (chosen.audio, chosen.at) if chosen is not None else (None, None)
        self._state = _Agreement(audio, sections, at, wish, session)
        self._offered = None
        return self._publish(sections, session.times, group)

    def roll_back(self) -> None:
        """Undo the last offer, ours or the peer's: it was refused, and what was agreed before it stands.

        Raises:
            LocalProtocolError: there is none to undo.
        """
        if self._before is None:
            raise LocalProtocolError("expected an offer to undo, found none")
        self._state = self._before
        self._before = self._offered = None
        self._is_open = False

    # Getters.

    @property
    def audio(self) -> NegotiatedAudio | None:
        """Return what was agreed last; None before that, and while there is no audio."""
        return self._state.audio

    @property
    def remote(self) -> SessionDescription | None:
        """Return the peer's last description that we agreed to: its keys, candidates and groups are there."""
        return self._state.remote

    @property
    def direction(self) -> Direction:
        """Return what we wish, whatever the peer allows."""
        return self._state.direction

    @property
    def offered(self) -> tuple[AudioCodec, ...]:
        """Return what our open offer says that we take, under our numbers; nothing when none is open.

        The peer may send it before its answer is here. Source: RFC 3264 8.
        """
        return self._offered.side.terms.formats if self._offered is not None and self._is_open else ()

    @property
    def is_open(self) -> bool:
        """Tell whether an offer of ours waits for its answer."""
        return self._is_open

    # Private.

    def _require_closed(self) -> None:
        if self._is_open:
            raise LocalProtocolError("expected our last offer to be answered or rolled back, found it open")

    def _begin(self) -> _Agreement:
        """Keep what to go back to, and what the numbers of our last offer mean from now on."""
        if self._offered is not None:
            self._remember(self._offered.side.terms.formats)
        self._before = self._state
        return self._state

    def _side(self, terms: Terms, wish: Direction) -> OurSide:
        return OurSide(terms, wish, self.policy.rtcp_mux, kind_of_host(self.address))

    def _remember(self, formats: Iterable[AudioCodec]) -> None:
        """Keep dynamic numbers: within a session none may change its meaning. Source: RFC 3264 8.3.2."""
        for codec in formats:
            number = codec.payload_type
            if number >= FIRST_DYNAMIC and self._numbers.get(codec.key) != number:
                kept = {key: other for key, other in self._numbers.items() if other != number}
                self._numbers = {**kept, codec.key: number}

    def _answer_sections(self, session: SessionDescription, chosen: Chosen | None) -> tuple[tuple[str, ...], str]:
        """Return the sections of our answer and the group that they are in."""
        if len(session.media) == 1 and chosen is not None and not session.attributes.facts.groups:
            return (self._answer_audio(session, chosen),), ""
        sections, mids = [], []
        for at, media in enumerate(session.media):
            if chosen is not None and at == chosen.at:
                sections.append(self._answer_audio(session, chosen))
                mids.append(media.attribute("mid") if chosen.audio.rtcp_mux else None)
            else:
                other = self._answer_other(session, media)
                sections.append(serialize_media(other))
                mids.append(other.attribute("mid") if other.port and other.attribute("rtcp-mux") is not None else None)
        return tuple(sections), _answer_bundle(session, mids)

    def _answer_audio(self, session: SessionDescription, chosen: Chosen) -> str:
        audio = chosen.audio
        mid = session.media[chosen.at].attributes.facts.mid
        rows = chosen.keys if mid is None else (*chosen.keys, ("mid", mid))
        return self._describe(audio.protocol, chosen.formats, audio.ptime_ms, audio.direction, rows, mux=audio.rtcp_mux)

    def _answer_other(self, session: SessionDescription, media: MediaDescription) -> MediaDescription:
        answer = self.policy.answer_other if media.kind != "audio" and media.port else None
        accepted = answer(session, media) if answer is not None else None
        return accepted if accepted is not None else media.rejected()

    def _describe(
        self,
        protocol: str,
        formats: tuple[AudioCodec, ...],
        ptime_ms: int,
        direction: Direction,
        rows: Sequence[AttributeRow],
        *,
        mux: bool,
    ) -> str:
        """Return our audio section."""
        text = describe_audio(self.policy, protocol, formats, ptime_ms, direction, mux=mux)
        rtcp = f"a=rtcp:{self.rtcp_port}\r\n" if self.rtcp_port is not None else ""
        return f"m=audio {self.rtp_port} {text}{rtcp}{describe_rows(rows) if rows else ''}"

    def _publish(
        self, sections: Iterable[str], times: tuple[TimeDescription, ...] = _NO_TIMES, group: str = ""
    ) -> bytes:
        """Return a description under our session id, with a new version when, and only when, anything differs.

        Source: RFC 3264 8: the version in the origin field increments by one; if nothing changed it stays.
        RFC 3264 6: the t= line of an answer is that of the offer.
        """
        when = "t=0 0\r\n" if times == _NO_TIMES else "\r\n".join([*time_lines(times), ""])
        said = f"s=-\r\nc=IN {family_of(self.address)} {self.address}\r\n{when}{group}{''.join(sections)}"
        if self._said and said != self._said:
            self._version += 1
        self._said = said
        text = f"v=0\r\no=- {self._session_id} {self._version} IN {self._origin}\r\n{said}"
        self.local = text.encode("utf-8", "surrogateescape")
        return self.local


@lru_cache(maxsize=CACHE_VALUES)
def _usual_formats(policy: AudioPolicy) -> tuple[AudioCodec, ...]:
    return number_formats(policy, {})


@lru_cache(maxsize=CACHE_VALUES)
def _answer_terms(policy: AudioPolicy) -> Terms:
    return Terms(_usual_formats(policy), policy.own_order, answers=True, several=policy.several)


def _place(state: _Agreement) -> int:
    """Return where our audio section goes: where it is, in the place of one that is gone, or at the end.

    Source: RFC 3264 8.1.
    """
    if state.at is not None:
        return state.at
    gone = [at for at, section in enumerate(state.sections) if section.startswith("m=audio 0 ")]
    return gone[0] if gone else len(state.sections)


def _close(sections: tuple[str, ...], session: SessionDescription) -> tuple[str, ...]:
    """Return our sections, those that the answer refuses with port 0: so they stay. Source: RFC 3264 8.2."""
    return tuple(
        [ours if theirs.port else _refuse_section(ours) for ours, theirs in zip(sections, session.media, strict=True)]
    )


def _refuse_section(section: str) -> str:
    kind, _, what = section.partition("\r\n")[0].split(" ", 2)
    return f"{kind} 0 {what}\r\n"


def _check_sections(state: _Agreement, session: SessionDescription) -> None:
    """Refuse an offer with fewer sections than before, unless another session takes its place (third party control).

    Source: RFC 3264 8.
    """
    before = state.remote
    if before is None or len(session.media) >= len(state.sections):
        return
    if session.origin.session_id == before.origin.session_id and session.origin.username == before.origin.username:
        refuse(f"at least {len(state.sections)} media sections", describe_media(session), SdpWarning.MISCELLANEOUS)


def _answer_bundle(session: SessionDescription, mids: Sequence[str | None]) -> str:
    """Return the a=group line of an answer: those of the offer's BUNDLE that share a port by our side too.

    Source: RFC 9143 7.3. Other groups are not answered, which says that they are not understood: RFC 5888 9.
    """
    for value in session.attributes.facts.groups:
        semantics, *members = value.split() or [""]
        kept = [mid for mid in members if mid in mids]
        if semantics == "BUNDLE" and kept:
            return f"a=group:BUNDLE {' '.join(kept)}\r\n"
    return ""
