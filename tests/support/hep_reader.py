"""A reader of HEP3, written from its specification and apart from the writer."""

from __future__ import annotations

from ipaddress import ip_address


def read_hep(datagram: bytes) -> dict[int, bytes]:
    """Return the chunks of a datagram by their type; the whole of it has to be chunks."""
    assert datagram[:4] == b"HEP3"
    assert int.from_bytes(datagram[4:6], "big") == len(datagram)
    chunks, at = {}, 6
    while at < len(datagram):
        vendor, kind, size = (int.from_bytes(datagram[at + k : at + k + 2], "big") for k in (0, 2, 4))
        assert vendor == 0
        assert size >= 6
        assert at + size <= len(datagram)
        assert kind not in chunks
        chunks[kind] = datagram[at + 6 : at + size]
        at += size
    return chunks


def ends_of(chunks: dict[int, bytes]) -> tuple[str, str]:
    """Return source and destination as ``host:port``."""
    first, second = (3, 4) if chunks[1] == b"\x02" else (5, 6)
    ports = (int.from_bytes(chunks[kind], "big") for kind in (7, 8))
    source, destination = (
        f"{ip_address(chunks[kind])}:{port}" for kind, port in zip((first, second), ports, strict=True)
    )
    return source, destination
