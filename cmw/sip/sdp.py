"""Session descriptions: bytes to values and back. Source: RFC 8866 (which obsoletes RFC 4566).

Lines that no offer or answer of ours depends on (i=, u=, e=, p=, r=, z=, k=) are read over and not kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from cmw.sip.grammar import fail, is_number, is_token, parse_number

MAX_MEDIA = 64
"""Media descriptions of one session; more is refused."""

Attributes = tuple[tuple[str, str | None], ...]
"""Attributes in their order: name and raw value, None without a colon."""

_ADDRESS = re.compile(r"[0-9A-Za-z:._\-]{1,255}")


class Origin(NamedTuple):
    """Who made the session, and which version of it this is.

    Args:
        username: a word, "-" for none.
        session_id: decimal digits.
        session_version: decimal digits; one more for each change of the session.
        host: host name or literal address.
    """

    username: str
    session_id: str
    session_version: str
    host: str


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """One m= section.

    Args:
        kind: ``audio``, ``video``, ...
        port: 0 .. 65535; 0 means that the stream is refused or gone.
        protocol: such as ``RTP/AVP``.
        formats: what follows the protocol; payload types for RTP.
        connection: host of the section's own c= line, None when it has none.
        attributes: a= lines.
        bandwidths: raw b= lines.
    """

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    connection: str | None = None
    attributes: Attributes = ()
    bandwidths: tuple[str, ...] = ()

    def attribute(self, name: str) -> str | None:
        """Return the value of the first attribute called `name`; "" when it has none, None when it is absent."""
        return find_attribute(self.attributes, name)

    def rejected(self) -> MediaDescription:
        """Return this section as an answer refuses it: same formats, port 0. Source: RFC 3264 6."""
        return MediaDescription(self.kind, 0, self.protocol, self.formats)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A whole description.

    Args:
        origin: the o= line.
        name: the s= line.
        connection: host of the session's c= line, None when it has none.
        times: raw t= lines.
        attributes: a= lines before the first section.
        bandwidths: raw b= lines before the first section.
        media: the sections, in order.
    """

    origin: Origin
    name: str = "-"
    connection: str | None = None
    times: tuple[str, ...] = ("0 0",)
    attributes: Attributes = ()
    bandwidths: tuple[str, ...] = ()
    media: tuple[MediaDescription, ...] = ()

    def attribute(self, name: str) -> str | None:
        """Return the value of a session attribute; "" when it has none, None when it is absent."""
        return find_attribute(self.attributes, name)

    def with_version(self, version: int) -> SessionDescription:
        """Return this description under another version number."""
        return replace(self, origin=self.origin._replace(session_version=str(version)))


def find_attribute(attributes: Attributes, name: str) -> str | None:
    """Return the value of the first attribute called `name`; "" when it has none, None when it is absent."""
    for key, value in attributes:
        if key == name:
            return value if value is not None else ""
    return None


def parse_sdp(body: bytes) -> SessionDescription:
    """Parse a session description; lines may end in CRLF or LF.

    Raises:
        RemoteProtocolError: hint 400.
    """
    text = body.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    lines = text.split("\n")
    while lines and lines[-1] == "":
        lines.pop()
    if not lines or lines[0] != "v=0":
        fail("v=0 as the first line of a session description", lines[0] if lines else "nothing")
    sections: list[list[tuple[str, str]]] = [[]]
    for line in lines[1:]:
        if line[1:2] != "=" or not ("a" <= line[0] <= "z") or "\r" in line:
            fail("a line such as a=sendrecv", line)
        if line[0] == "m":
            sections.append([])
        sections[-1].append((line[0], line[2:]))
    if len(sections) > MAX_MEDIA + 1:
        fail(f"at most {MAX_MEDIA} media sections", str(len(sections) - 1))
    return _parse_session(sections[0], tuple([_parse_media(section) for section in sections[1:]]))


def _parse_session(rows: list[tuple[str, str]], media: tuple[MediaDescription, ...]) -> SessionDescription:
    origins = [value for letter, value in rows if letter == "o"]
    if len(origins) != 1:
        fail("one o= line", str(len(origins)))
    names = [value for letter, value in rows if letter == "s"]
    return SessionDescription(
        origin=_parse_origin(origins[0]),
        name=names[0] if names else "-",
        connection=_find_connection(rows),
        times=tuple([value for letter, value in rows if letter == "t"]) or ("0 0",),
        attributes=_parse_attributes(rows),
        bandwidths=tuple([value for letter, value in rows if letter == "b"]),
        media=media,
    )


def _parse_origin(text: str) -> Origin:
    """Parse an o= line; a user name with spaces, which some gateways send, is let pass."""
    fields = text.split()
    if len(fields) < 6 or not is_number(fields[-5]) or not is_number(fields[-4]):
        fail("an o= line of six fields", text)
    return Origin(" ".join(fields[:-5]), fields[-5], fields[-4], fields[-1])


def _parse_media(rows: list[tuple[str, str]]) -> MediaDescription:
    fields = rows[0][1].split()
    if len(fields) < 4 or not rows[0][1].isascii():
        fail("an m= line such as audio 4000 RTP/AVP 0", rows[0][1])
    port = parse_number(fields[1].partition("/")[0], "a port", maximum=65535)
    if not is_token(fields[0]):
        fail("a kind of media", fields[0])
    return MediaDescription(
        kind=fields[0],
        port=port,
        protocol=fields[2],
        formats=tuple(fields[3:]),
        connection=_find_connection(rows),
        attributes=_parse_attributes(rows),
        bandwidths=tuple([value for letter, value in rows if letter == "b"]),
    )


def _find_connection(rows: list[tuple[str, str]]) -> str | None:
    for letter, value in rows:
        if letter == "c":
            return parse_connection(value)
    return None


def parse_connection(text: str) -> str:
    """Return the host of ``IN IP4 host`` or ``IN IP6 host``; a multicast TTL or count after a slash is dropped."""
    fields = text.split()
    if len(fields) != 3 or fields[0] != "IN" or fields[1] not in ("IP4", "IP6"):
        fail("an address such as IN IP4 192.0.2.1", text)
    host = fields[2].partition("/")[0]
    return host if _ADDRESS.fullmatch(host) is not None else fail("a host", fields[2])


def _parse_attributes(rows: list[tuple[str, str]]) -> Attributes:
    attributes = []
    for letter, value in rows:
        if letter == "a":
            name, colon, rest = value.partition(":")
            attributes.append((name.rstrip(" \t"), rest.strip(" \t") if colon else None))
    return tuple(attributes)


def serialize_sdp(session: SessionDescription) -> bytes:
    """Return the bytes of a session description, lines in the order that RFC 8866 5 asks for."""
    origin = session.origin
    lines = [
        "v=0",
        f"o={origin.username} {origin.session_id} {origin.session_version} {serialize_connection(origin.host)}",
        f"s={session.name}",
    ]
    if session.connection is not None:
        lines.append(f"c={serialize_connection(session.connection)}")
    lines += [f"b={value}" for value in session.bandwidths]
    lines += [f"t={value}" for value in session.times]
    lines += _attribute_lines(session.attributes)
    for media in session.media:
        lines.append(f"m={media.kind} {media.port} {media.protocol} {' '.join(media.formats)}")
        if media.connection is not None:
            lines.append(f"c={serialize_connection(media.connection)}")
        lines += [f"b={value}" for value in media.bandwidths]
        lines += _attribute_lines(media.attributes)
    return ("\r\n".join(lines) + "\r\n").encode("utf-8", "surrogateescape")


def serialize_connection(host: str) -> str:
    """Return ``IN IP4 host``, or IP6 when the host has colons."""
    return f"IN IP{6 if ':' in host else 4} {host}"


def _attribute_lines(attributes: Attributes) -> list[str]:
    return [f"a={name}" if value is None else f"a={name}:{value}" for name, value in attributes]
