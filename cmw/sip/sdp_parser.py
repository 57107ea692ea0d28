"""Session descriptions from bytes. Source: RFC 8866 5 and 9.

Strict: the first line is v=0; there is one o= line; every line is a small letter, an equals sign and a value; numbers
are ASCII digits in their bounds; addresses can be addresses. Lenient, because the field is: lines may end in LF alone,
blank lines may follow the last, s= and t= may be missing, lines of one level may come in any order, lines of letters
that nobody knows are kept. Every function is linear in its input and raises nothing but `RemoteProtocolError`, with the
hint 400.

What a peer says beside the o= and m= lines is mostly the same in all its calls; it is parsed once and remembered.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from cmw.sip.grammar import CACHE_VALUES, fail, is_number, is_token, parse_number
from cmw.sip.sdp import (
    Attributes,
    Connection,
    Line,
    MediaDescription,
    Origin,
    SessionDescription,
    TimeDescription,
)

MAX_BYTES = 65536
"""Bytes of a description; more is refused, and so for each of the bounds below."""

MAX_LINES = 2048
MAX_LINE_CHARS = 8192
MAX_MEDIA = 64
MAX_FORMATS = 128

_MAX_KEPT_CHARS = 1024
"""Longest part of a description that is remembered."""

_ADDRESS = re.compile(r"[0-9A-Za-z:._\-]{1,255}")
_LINE = re.compile(r"[a-z]=")
_PRINTABLE = re.compile(r"[\x21-\x7e]+(?: +[\x21-\x7e]+)*")
_PROTOCOL = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`{|}~]+(?:/[A-Za-z0-9!#$%&'*+\-.^_`{|}~]+)*")
_PLACES = {letter: place for place, letter in enumerate("iuepk")}
_FAMILIES = ("IP4", "IP6")


def parse_sdp(body: bytes) -> SessionDescription:
    """Parse a session description.

    Raises:
        RemoteProtocolError: hint 400.
    """
    if len(body) > MAX_BYTES:
        fail(f"a session description of at most {MAX_BYTES} bytes", f"{len(body)} bytes")
    text = body.decode("utf-8", "surrogateescape").replace("\r\n", "\n").rstrip("\n")
    if "\r" in text or "\0" in text:
        fail("lines ending in CRLF or LF", "a lone CR or a NUL")
    if text.count("\n") >= MAX_LINES:
        fail(f"at most {MAX_LINES} lines", str(text.count("\n") + 1))
    head, *sections = text.split("\nm=")
    if len(sections) > MAX_MEDIA:
        fail(f"at most {MAX_MEDIA} media sections", str(len(sections)))
    origin, rest = _split_origin(head)
    level = _parse_session_level(rest)
    media = tuple([_parse_media(section) for section in sections])
    return SessionDescription(
        origin, level.name, level.connections, level.times, level.attributes, level.bandwidths, level.others, media
    )


def parse_connection(text: str) -> Connection:
    """Parse ``IN IP4 host``, with the time to live and the count that a multicast address may have.

    Raises:
        RemoteProtocolError: hint 400.
    """
    network, family, host = _three_fields(text)
    if network != "IN":
        return Connection(host, family, network=network)
    host, *numbers = host.split("/")
    if family not in _FAMILIES or len(numbers) > (2 if family == "IP4" else 1) or _ADDRESS.fullmatch(host) is None:
        fail("an address such as IN IP4 192.0.2.1", text)
    ttl = parse_number(numbers.pop(0), "a time to live", maximum=255) if family == "IP4" and numbers else None
    count = parse_number(numbers[0], "a number of addresses", maximum=65535) if numbers else 1
    return Connection(host, family, ttl, count or fail("at least one address", text))


def _three_fields(text: str) -> tuple[str, str, str]:
    fields = text.split()
    if len(fields) != 3 or _PRINTABLE.fullmatch(text.strip(" ")) is None:
        fail("an address such as IN IP4 192.0.2.1", text)
    network, family, host = fields
    return network.upper(), family.upper(), host


class _Level(NamedTuple):
    """What stands before the first m= line, or after one of them."""

    name: str
    connections: tuple[Connection, ...]
    times: tuple[TimeDescription, ...]
    attributes: Attributes
    bandwidths: tuple[str, ...]
    others: tuple[Line, ...]


def _split_origin(head: str) -> tuple[Origin, str]:
    """Return the o= line, and the other lines without it and without v=0."""
    first, _, rest = head.partition("\n")
    if not head:
        fail("a session description", "none")
    if first != "v=0":
        fail("v=0 as the first line of a session description", first or "nothing")
    line, _, tail = rest.partition("\n")
    if line.startswith("o=") and "\no=" not in rest:
        return _parse_origin(line[2:]), tail
    lines = rest.split("\n")
    origins = [line for line in lines if line.startswith("o=")]
    if len(origins) != 1:
        fail("one o= line", str(len(origins)))
    return _parse_origin(origins[0][2:]), "\n".join([line for line in lines if line is not origins[0]])


def _parse_origin(text: str) -> Origin:
    """Parse an o= line; a user name with spaces, which some gateways send, is let pass."""
    fields = text.split(" ")
    if len(fields) != 6 or "" in fields:
        fields = text.split()
        if len(fields) < 6:
            fail("an o= line of six fields", text)
        fields = [" ".join(fields[:-5]), *fields[-5:]]
    username, session_id, version, network, family, host = fields
    if not (is_number(session_id) and is_number(version)) or len(text) > MAX_LINE_CHARS:
        fail("an o= line with digits as session id and version", text)
    return Origin(username, session_id, version, host, family, network)


def _parse_session_level(text: str) -> _Level:
    return _kept_session_level(text) if len(text) <= _MAX_KEPT_CHARS else _make_session_level(text)


def _make_session_level(text: str) -> _Level:
    rows = _split_lines(text)
    names = [value for letter, value in rows if letter == "s"]
    level = _make_level([row for row in rows if row[0] not in "strz"])
    return level._replace(
        name=names[0] if names else "-",
        times=_gather_times([row for row in rows if row[0] in "trz"]),
        others=(*level.others, *[("s", name) for name in names[1:]]),
    )


def _make_level(rows: list[Line]) -> _Level:
    others = [row for row in rows if row[0] not in "cab"]
    return _Level(
        name="-",
        connections=tuple([parse_connection(value) for letter, value in rows if letter == "c"]),
        times=(),
        attributes=Attributes([_split_attribute(value) for letter, value in rows if letter == "a"]),
        bandwidths=tuple([value for letter, value in rows if letter == "b"]),
        others=tuple(sorted(others, key=lambda row: _PLACES.get(row[0], len(_PLACES)))),
    )


def _make_media_level(text: str) -> _Level:
    return _make_level(_split_lines(text))


_kept_session_level = lru_cache(maxsize=CACHE_VALUES)(_make_session_level)
_kept_media_level = lru_cache(maxsize=CACHE_VALUES)(_make_media_level)


def _split_lines(text: str) -> list[Line]:
    rows = []
    for line in text.split("\n") if text else ():
        if _LINE.match(line) is None or line[0] == "v" or len(line) > MAX_LINE_CHARS:
            fail(f"a line such as a=sendrecv, of at most {MAX_LINE_CHARS} characters", line)
        rows.append((line[0], line[2:]))
    return rows


def _split_attribute(value: str) -> tuple[str, str | None]:
    name, colon, rest = value.partition(":")
    return name.rstrip(" \t"), rest if colon else None


def _gather_times(rows: list[Line]) -> tuple[TimeDescription, ...]:
    """Return t= lines with the r= and z= lines that follow them; those before the first belong to it."""
    times: list[TimeDescription] = []
    repeats: list[str] = []
    zones: list[str] = []
    active = None
    for letter, value in rows:
        if letter == "t":
            if active is not None:
                times.append(TimeDescription(active, tuple(repeats), tuple(zones)))
                repeats, zones = [], []
            active = value
        else:
            (repeats if letter == "r" else zones).append(value)
    last = TimeDescription(active if active is not None else "0 0", tuple(repeats), tuple(zones))
    return (*times, last)


def _parse_media(text: str) -> MediaDescription:
    line, _, tail = text.partition("\n")
    level = _kept_media_level(tail) if len(tail) <= _MAX_KEPT_CHARS else _make_media_level(tail)
    kind, port, protocol, formats, port_count = _parse_media_line(line)
    return MediaDescription(
        kind, port, protocol, formats, level.connections, level.attributes, level.bandwidths, level.others, port_count
    )


def _parse_media_line(line: str) -> tuple[str, int, str, tuple[str, ...], int]:
    if len(line) > MAX_LINE_CHARS:
        fail(f"an m= line of at most {MAX_LINE_CHARS} characters", line)
    kind, _, rest = line.partition(" ")
    ports, _, what = rest.lstrip(" ").partition(" ")
    protocol, formats = _parse_formats(what)
    if not is_token(kind):
        fail("a kind of media", kind)
    port, slash, count = ports.partition("/")
    number = parse_number(port, "a port", maximum=65535)
    if not slash:
        return kind, number, protocol, formats, 1
    port_count = parse_number(count, "a number of ports", maximum=65535 - number) or fail("a number of ports", ports)
    return kind, number, protocol, formats, port_count


@lru_cache(maxsize=CACHE_VALUES)
def _parse_formats(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the protocol and the formats of an m= line."""
    text = text.strip(" ")
    protocol, *formats = text.split() or [""]
    if not formats or _PRINTABLE.fullmatch(text) is None or _PROTOCOL.fullmatch(protocol) is None:
        fail("an m= line such as audio 4000 RTP/AVP 0", text)
    if len(formats) > MAX_FORMATS:
        fail(f"at most {MAX_FORMATS} formats", str(len(formats)))
    return protocol, tuple(formats)
