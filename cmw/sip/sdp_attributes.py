"""Values of attributes in session descriptions, each read on demand; what is malformed raises with the hint 400.

What an offer or answer depends on is gathered once for each list of attributes, as `AttributeFacts`. The rest is
carried: keys, fingerprints, candidates and groups are values here, and what they mean is for others to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from cmw.sip.audio_format import MAX_PAYLOAD_TYPE, STATIC_CODECS, AudioCodec, parse_rtpmap
from cmw.sip.grammar import fail, is_hex, is_number, is_token, parse_number

AttributeRow = tuple[str, str | None]
"""Name and raw value, None without a colon."""

_MAX_MEMO = 8
_MAX_FMTP_CHARS = 2048


class Direction(StrEnum):
    """Who sends, seen from the side that says it. Source: RFC 3264 5.1, RFC 8866 6.7."""

    __hash__ = str.__hash__  # a member is its text

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        """Tell whether the side that says it sends."""
        return self is Direction.SENDRECV or self is Direction.SENDONLY

    @property
    def receives(self) -> bool:
        """Tell whether the side that says it receives."""
        return self is Direction.SENDRECV or self is Direction.RECVONLY

    @staticmethod
    def of(*, sends: bool, receives: bool) -> Direction:
        """Return the direction that does just this."""
        if sends:
            return Direction.SENDRECV if receives else Direction.SENDONLY
        return Direction.RECVONLY if receives else Direction.INACTIVE


_DIRECTIONS = {direction.value: direction for direction in Direction}


class AttributeFacts:
    """What offers and answers depend on in the attributes of one level.

    direction         the first of sendrecv, sendonly, recvonly, inactive; None when there is none
    ptime_ms          packet duration wished for, 1 .. 1000; None when absent or without sense
    max_ptime_ms      longest packet taken; likewise
    rtcp_mux          RTP and RTCP may share a port: RFC 5761
    rtcp_mux_only     they must: RFC 8858
    rtcp              where RTCP goes, raw: RFC 3605; None when absent
    mid               name of the section: RFC 5888; None when absent
    groups            raw values of the a=group lines
    memo              what others made of these attributes; they live as long
    """

    __slots__ = (
        "_maps",
        "_parameters",
        "direction",
        "groups",
        "max_ptime_ms",
        "memo",
        "mid",
        "ptime_ms",
        "rtcp",
        "rtcp_mux",
        "rtcp_mux_only",
    )

    def __init__(self, rows: Iterable[AttributeRow]) -> None:
        self._maps: dict[int, AudioCodec] = {}
        self._parameters: dict[str, str] = {}
        self.memo: dict[object, object] = {}
        self.direction: Direction | None = None
        self.ptime_ms: int | None = None
        self.max_ptime_ms: int | None = None
        self.rtcp_mux = self.rtcp_mux_only = False
        self.rtcp: str | None = None
        self.mid: str | None = None
        self.groups: list[str] = []
        for name, value in rows:
            if value is None:
                self._take_flag(name)
            else:
                self._take_value(name, value)

    def codecs(self, formats: tuple[str, ...]) -> tuple[AudioCodec, ...]:
        """Return those formats that can be named, in their order and without repetition.

        Args:
            formats: what stands in the m= line; payload types.
        """
        return tuple(self._name(formats))

    def remember(self, key: object, value: object) -> None:
        """Keep in `memo` what was made of these attributes; a few things only."""
        if len(self.memo) >= _MAX_MEMO:
            self.memo.clear()
        self.memo[key] = value

    # Private.

    def _name(self, formats: tuple[str, ...]) -> Iterable[AudioCodec]:
        for text in dict.fromkeys(formats):
            number = int(text) if is_number(text) and len(text) <= 3 else MAX_PAYLOAD_TYPE + 1
            codec = self._maps.get(number) or STATIC_CODECS.get(number)
            if codec is not None:
                yield codec._replace(parameters=self._parameters[text]) if text in self._parameters else codec

    def _take_flag(self, name: str) -> None:
        if name in _DIRECTIONS:
            self.direction = self.direction or _DIRECTIONS[name]
        elif name == "rtcp-mux":
            self.rtcp_mux = True
        elif name == "rtcp-mux-only":
            self.rtcp_mux = self.rtcp_mux_only = True

    def _take_value(self, name: str, value: str) -> None:
        if name == "rtpmap":
            codec = parse_rtpmap(value) if len(value) <= _MAX_FMTP_CHARS else None
            if codec is not None:
                self._maps.setdefault(codec.payload_type, codec)
        elif name == "fmtp":
            number, _, parameters = value.strip(" ").partition(" ")
            if len(parameters) <= _MAX_FMTP_CHARS:
                self._parameters.setdefault(number, parameters.strip(" "))
        elif name == "ptime":
            self.ptime_ms = self.ptime_ms or _read_ptime(value)
        elif name == "maxptime":
            self.max_ptime_ms = self.max_ptime_ms or _read_ptime(value)
        elif name == "rtcp":
            self.rtcp = value.strip(" ") if self.rtcp is None else self.rtcp
        elif name == "mid":
            self.mid = self.mid or value.strip(" ")
        elif name == "group":
            self.groups.append(value)


def _read_ptime(value: str) -> int | None:
    """Return whole milliseconds; what is no plain number of 1 .. 1000 is passed over. Source: RFC 8866 6.4."""
    text = value.strip(" \t").partition(".")[0]
    number = int(text) if is_number(text) and len(text) <= 4 else 0
    return number if 1 <= number <= 1000 else None


class Crypto(NamedTuple):
    """Keys of one SRTP suite, in clear. Source: RFC 4568 9.1."""

    tag: int
    suite: str
    key_params: tuple[str, ...]
    session_params: tuple[str, ...] = ()


def parse_crypto(value: str) -> Crypto:
    """Parse ``1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^20 UNENCRYPTED_SRTP``."""
    fields = value.split(" ")
    if len(fields) < 3 or not is_token(fields[1]) or not fields[2]:
        fail("a crypto attribute of tag, suite and key", "one that is malformed")  # never shows keys
    return Crypto(
        tag=parse_number(fields[0], "a crypto tag", maximum=999_999_999),
        suite=fields[1],
        key_params=tuple(fields[2].split(";")),
        session_params=tuple([field for field in fields[3:] if field]),
    )


class Fingerprint(NamedTuple):
    """Hash of a certificate. Source: RFC 8122 5.

    Args:
        hash_function: in lower case, such as ``sha-256``.
        digest: its bytes.
    """

    hash_function: str
    digest: bytes


def parse_fingerprint(value: str) -> Fingerprint:
    """Parse ``sha-256 4A:AD:...``; lower-case digits are let pass."""
    name, _, text = value.strip(" ").partition(" ")
    pairs = text.strip(" ").split(":")
    if not is_token(name) or not all(len(pair) == 2 and is_hex(pair) for pair in pairs) or len(pairs) > 64:
        fail("a fingerprint such as sha-256 4A:AD", value)
    return Fingerprint(name.lower(), bytes([int(pair, 16) for pair in pairs]))


SETUP_ROLES = ("active", "passive", "actpass", "holdconn")


def parse_setup(value: str) -> str:
    """Return who opens the connection: one of `SETUP_ROLES`. Source: RFC 4145 4."""
    role = value.strip(" ").lower()
    return role if role in SETUP_ROLES else fail("active, passive, actpass or holdconn", value)


class Group(NamedTuple):
    """Sections that belong together. Source: RFC 5888 5, RFC 9143.

    Args:
        semantics: such as ``BUNDLE`` or ``LS``.
        mids: identifications of the sections, in order.
    """

    semantics: str
    mids: tuple[str, ...]


def parse_group(value: str) -> Group:
    """Parse ``BUNDLE audio video``."""
    semantics, *mids = [field for field in value.split(" ") if field] or [""]
    if not all(is_token(field) for field in (semantics, *mids)):
        fail("a group of mids", value)
    return Group(semantics, tuple(mids))


class Candidate(NamedTuple):
    """A transport address that ICE may try. Source: RFC 8839 5.1.

    Args:
        component: 1 for RTP, 2 for RTCP.
        transport: in lower case.
        kind: ``host``, ``srflx``, ``prflx``, ``relay``.
        extensions: names and values after the kind, raddr and rport too.
    """

    foundation: str
    component: int
    transport: str
    priority: int
    host: str
    port: int
    kind: str
    extensions: tuple[tuple[str, str], ...] = ()


def parse_candidate(value: str) -> Candidate:
    """Parse ``1 1 UDP 2130706431 192.0.2.1 8998 typ host``."""
    fields = [field for field in value.split(" ") if field]
    if len(fields) < 8 or fields[6] != "typ":
        fail("a candidate of eight fields", value)
    rest = fields[8:]
    return Candidate(
        foundation=fields[0],
        component=parse_number(fields[1], "a component", maximum=256),
        transport=fields[2].lower(),
        priority=parse_number(fields[3], "a priority", maximum=2**31 - 1),
        host=fields[4],
        port=parse_number(fields[5], "a port", maximum=65535),
        kind=fields[7],
        extensions=tuple(zip(rest[::2], rest[1::2], strict=False)),
    )
