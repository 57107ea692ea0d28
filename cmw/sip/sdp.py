"""Session descriptions as values, and back to bytes. Source: RFC 8866 (which obsoletes RFC 4566).

Nothing that was said is lost: what offers and answers do not depend on is kept as text, and written where RFC 8866 5
wants it. `cmw.sip.sdp_parser` reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cmw.sip.grammar import is_number
from cmw.sip.sdp_attributes import AttributeFacts, AttributeRow

Line = tuple[str, str]
"""Letter and raw value of a line."""

INHERITED = frozenset(
    "sendrecv sendonly recvonly inactive fingerprint setup connection tls-id ice-ufrag ice-pwd ice-options key-mgmt "
    "extmap extmap-allow-mixed".split()
)
"""Attributes that hold for every section when they stand above the first.

Source: RFC 8866 6.7, RFC 8122, RFC 4145, RFC 8839, RFC 8285.
"""

_BEFORE_CONNECTION = ("i", "u", "e", "p")


class Attributes:
    """The a= lines of one level, in order. Equal when they say the same; never changes.

    Args:
        rows: name and raw value of each, None without a colon.
    """

    __slots__ = ("_facts", "rows")

    def __init__(self, rows: Iterable[AttributeRow] = ()) -> None:
        self.rows = tuple(rows)
        self._facts: AttributeFacts | None = None

    def first(self, name: str) -> str | None:
        """Return the value of the first called `name`, stripped; "" when it has none, None when it is absent."""
        for key, value in self.rows:
            if key == name:
                return value.strip(" \t") if value is not None else ""
        return None

    def every(self, name: str) -> tuple[str, ...]:
        """Return the values of all called `name`, in order; "" for one without."""
        return tuple([(value or "").strip(" \t") for key, value in self.rows if key == name])

    @property
    def facts(self) -> AttributeFacts:
        """Return what offers and answers depend on; gathered once."""
        if self._facts is None:
            self._facts = AttributeFacts(self.rows)
        return self._facts

    def __iter__(self) -> Iterator[AttributeRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Attributes) and self.rows == other.rows

    def __hash__(self) -> int:
        return hash(self.rows)

    def __repr__(self) -> str:
        return f"Attributes({self.rows!r})"


NO_ATTRIBUTES = Attributes()


class Origin(NamedTuple):
    """Who made the session, and which version of it this is.

    Args:
        username: a word, "-" for none.
        session_id: decimal digits.
        session_version: decimal digits; one more for each change of the session.
        host: host name or literal address.
        family: ``IP4`` or ``IP6``, as `host` is.
        network: ``IN``.
    """

    username: str
    session_id: str
    session_version: str
    host: str
    family: str = "IP4"
    network: str = "IN"


class Connection(NamedTuple):
    """One c= line.

    Args:
        host: literal address or host name.
        family: ``IP4`` or ``IP6``; other networks have other words.
        ttl: 0 .. 255, of an IPv4 multicast address; else None.
        groups: number of consecutive multicast addresses.
        network: ``IN``.
    """

    host: str
    family: str = "IP4"
    ttl: int | None = None
    groups: int = 1
    network: str = "IN"


class TimeDescription(NamedTuple):
    """One t= line with what belongs to it, as text.

    Args:
        active: start and stop; ``0 0`` for a session without bounds.
        repeats: r= lines.
        zones: z= lines.
    """

    active: str = "0 0"
    repeats: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()


class MediaDescription(NamedTuple):
    """One m= section.

    Args:
        kind: ``audio``, ``video``, ``image``, ...
        port: 0 .. 65535; 0 means that the stream is refused or gone.
        protocol: such as ``RTP/AVP``.
        formats: what follows the protocol; payload types for RTP.
        connections: the section's own c= lines.
        attributes: a= lines.
        bandwidths: raw b= lines.
        others: lines of other letters (i=, k=, unknown ones), in order.
        port_count: number of ports, as in ``49170/2``.
    """

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    connections: tuple[Connection, ...] = ()
    attributes: Attributes = NO_ATTRIBUTES
    bandwidths: tuple[str, ...] = ()
    others: tuple[Line, ...] = ()
    port_count: int = 1

    def attribute(self, name: str) -> str | None:
        """Return the value of the section's first attribute called `name`; "" when it has none, None when absent."""
        return self.attributes.first(name)

    @property
    def connection(self) -> Connection | None:
        """Return the section's own first c= line."""
        return self.connections[0] if self.connections else None

    def rejected(self) -> MediaDescription:
        """Return this section as an answer refuses it: same formats, port 0. Source: RFC 3264 6."""
        return MediaDescription(self.kind, 0, self.protocol, self.formats)


class SessionDescription(NamedTuple):
    """A whole description.

    Args:
        origin: the o= line.
        name: the s= line.
        connections: c= lines before the first section; one, by the standard.
        times: t= lines, at least one.
        attributes: a= lines before the first section.
        bandwidths: raw b= lines before the first section.
        others: lines of other letters (i=, u=, e=, p=, k=, unknown ones) before the first section, in order.
        media: the sections, in order.
    """

    origin: Origin
    name: str = "-"
    connections: tuple[Connection, ...] = ()
    times: tuple[TimeDescription, ...] = (TimeDescription(),)
    attributes: Attributes = NO_ATTRIBUTES
    bandwidths: tuple[str, ...] = ()
    others: tuple[Line, ...] = ()
    media: tuple[MediaDescription, ...] = ()

    def attribute(self, name: str) -> str | None:
        """Return the value of a session attribute; "" when it has none, None when it is absent."""
        return self.attributes.first(name)

    @property
    def connection(self) -> Connection | None:
        """Return the c= line that holds for every section without its own."""
        return self.connections[0] if self.connections else None

    def media_attribute(self, media: MediaDescription, name: str) -> str | None:
        """Return an attribute of a section, or of the session where that holds for its sections (`INHERITED`)."""
        value = media.attributes.first(name)
        return self.attributes.first(name) if value is None and name in INHERITED else value

    def media_connection(self, media: MediaDescription) -> Connection | None:
        """Return where a section's packets go. Source: RFC 8866 5.7."""
        return media.connection or self.connection


def find_bandwidth(bandwidths: Iterable[str], modifier: str) -> int | None:
    """Return a bandwidth: kbit/s for ``AS`` and ``CT``, bit/s for ``TIAS``, ``RS`` and ``RR``; None when there is none.

    Source: RFC 8866 5.8, RFC 3556, RFC 3890.
    """
    for text in bandwidths:
        name, _, value = text.partition(":")
        value = value.strip(" ")
        if name.strip(" ").upper() == modifier and is_number(value) and len(value) <= 12:
            return int(value)
    return None


def serialize_sdp(session: SessionDescription) -> bytes:
    """Return the bytes of a session description, lines in the order that RFC 8866 5 asks for."""
    origin = session.origin
    address = f"{origin.network} {origin.family} {origin.host}"
    lines = [
        "v=0",
        f"o={origin.username} {origin.session_id} {origin.session_version} {address}",
        f"s={session.name}",
        *_other_lines(session.others, _BEFORE_CONNECTION),
        *[f"c={serialize_connection(connection)}" for connection in session.connections],
        *[f"b={value}" for value in session.bandwidths],
    ]
    lines += time_lines(session.times)
    lines += [*_other_lines(session.others, ("k",)), *_attribute_lines(session.attributes)]
    lines += _unplaced_lines(session.others, (*_BEFORE_CONNECTION, "k"))
    text = "\r\n".join(lines) + "\r\n" + "".join([serialize_media(media) for media in session.media])
    return text.encode("utf-8", "surrogateescape")


def time_lines(times: Iterable[TimeDescription]) -> list[str]:
    """Return t= lines with the r= and z= lines that follow them."""
    lines = []
    for time in times:
        lines += [f"t={time.active}", *[f"r={text}" for text in time.repeats], *[f"z={text}" for text in time.zones]]
    return lines


def serialize_media(media: MediaDescription) -> str:
    """Return the text of one section, ending in CRLF."""
    port = str(media.port) if media.port_count == 1 else f"{media.port}/{media.port_count}"
    lines = [
        f"m={media.kind} {port} {media.protocol} {' '.join(media.formats)}",
        *_other_lines(media.others, ("i",)),
        *[f"c={serialize_connection(connection)}" for connection in media.connections],
        *[f"b={value}" for value in media.bandwidths],
        *_other_lines(media.others, ("k",)),
        *_attribute_lines(media.attributes),
        *_unplaced_lines(media.others, ("i", "k")),
    ]
    return "\r\n".join(lines) + "\r\n"


def serialize_connection(connection: Connection) -> str:
    """Return ``IN IP4 host``, with time to live and count of a group."""
    ttl = "" if connection.ttl is None else f"/{connection.ttl}"
    count = "" if connection.groups == 1 else f"/{connection.groups}"
    return f"{connection.network} {connection.family} {connection.host}{ttl}{count}"


def describe_media(session: SessionDescription) -> str:
    """Return the m= lines in short, for messages."""
    lines = [f"{m.kind} {m.port} {m.protocol} {' '.join(m.formats)}" for m in session.media[:4]]
    return "; ".join(lines) or "no media"


def family_of(host: str) -> str:
    """Return ``IP6`` for a literal with colons, else ``IP4``."""
    return "IP6" if ":" in host else "IP4"


def _attribute_lines(attributes: Attributes) -> list[str]:
    return [f"a={name}" if value is None else f"a={name}:{value}" for name, value in attributes]


def _other_lines(others: tuple[Line, ...], letters: tuple[str, ...]) -> list[str]:
    return [f"{letter}={value}" for wanted in letters for letter, value in others if letter == wanted]


def _unplaced_lines(others: tuple[Line, ...], placed: tuple[str, ...]) -> list[str]:
    return [f"{letter}={value}" for letter, value in others if letter not in placed]
