"""Session descriptions for tests, in few words."""

from __future__ import annotations

from cmw.sip.sdp_parser import parse_sdp

US, PEER = "192.0.2.1", "192.0.2.2"


def sdp(*lines: str, session: str = f"c=IN IP4 {PEER}", origin: str = f"- 7 7 IN IP4 {PEER}") -> bytes:
    """Return a description of the peer's.

    Args:
        lines: from the first m= line on.
        session: what stands between s= and t=.
        origin: the o= line.
    """
    rows = ["v=0", f"o={origin}", "s=-", *([session] if session else []), "t=0 0", *lines]
    return ("\r\n".join(rows) + "\r\n").encode()


def lines_of(body: bytes) -> list[str]:
    """Return the lines of a description."""
    return body.decode().split("\r\n")


def origin_of(body: bytes) -> tuple[str, str]:
    """Return session id and version."""
    origin = parse_sdp(body).origin
    return origin.session_id, origin.session_version


def ports_of(body: bytes) -> list[int]:
    """Return the port of each section."""
    return [media.port for media in parse_sdp(body).media]
