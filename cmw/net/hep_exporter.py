"""SIP and RTCP to a Homer server, over UDP, as they pass: what the network refuses is lost, and counted."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Mapping
from typing import Any

from cmw.core.address import Address
from cmw.errors import SettingsError
from cmw.load.evidence import header_of
from cmw.load.sip_masks import mask, shows_password
from cmw.net.clock import monotonic_ns, wall_clock
from cmw.net.hep import RTCP, TCP, UDP, encode_hep
from cmw.sip.hop import Hop, Transport

_TELLING = (b"authorization", b"authenticat", b"a=crypto", b"a=key-mgmt", b"k=")
"""A message without any of these, or a password in a URI, has nothing to mask; matched in lower case."""


class HepExporter:
    """Send what passes to a capture server.

    Args:
        target: the server; a name is resolved once, now.
        capture_id: by which the server knows us.
        auth_key: what it wants to see, "" for nothing.

    Raises:
        SettingsError: the name leads nowhere.
    """

    def __init__(self, target: Address, capture_id: int, auth_key: str = "") -> None:
        try:
            family, kind, _, _, place = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)[0]
        except OSError as error:
            raise SettingsError(f"HEP_TARGET: {target.host}: {error.strerror or error}") from None
        self._socket = socket.socket(family, kind)
        self._socket.setblocking(False)
        self._place = place
        self._capture_id = capture_id
        self._auth_key = auth_key
        self._wall = wall_clock()
        self.sent = 0
        self.lost = 0

    def send(self, data: bytes, *, is_sent: bool, local: Address, peer: Hop) -> None:
        """Tell of a message, secrets masked.

        Args:
            is_sent: it went from `local` to `peer`, else the other way.
        """
        ours, theirs = (local.host, local.port), (peer.host, peer.port)
        if (":" in local.host) != (":" in peer.host):
            self.lost += 1
            return
        text = data.decode("utf-8", "surrogateescape")
        lower = data.lower()
        is_telling = any(word in lower for word in _TELLING) or shows_password(text)
        payload = mask(text).encode("utf-8", "surrogateescape") if is_telling else data
        self._send(
            payload,
            source=ours if is_sent else theirs,
            destination=theirs if is_sent else ours,
            at_unix_ns=self._wall.unix_at(monotonic_ns()),
            protocol=UDP if peer.transport is Transport.UDP else TCP,
            correlation_id=header_of(text, "Call-ID"),
        )

    def send_report(
        self, document: Mapping[str, Any], *, is_sent: bool, local: Address, remote: Address, at: int, call_id: str
    ) -> None:
        """Tell of a datagram of RTCP.

        Args:
            document: of `cmw.rtp.report_document`.
            is_sent: it went from `local` to `remote`, else the other way.
            at: nanoseconds since 1970.
            call_id: of the call that it belongs to, "" where nobody knows.
        """
        ours, theirs = (local.host, local.port), (remote.host, remote.port)
        self._send(
            json.dumps(document, separators=(",", ":")).encode(),
            source=ours if is_sent else theirs,
            destination=theirs if is_sent else ours,
            at_unix_ns=at,
            protocol=UDP,
            correlation_id=call_id,
            kind=RTCP,
        )

    def close(self) -> None:
        """Send no more."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _send(self, payload: bytes, **facts: Any) -> None:
        datagram = encode_hep(payload, capture_id=self._capture_id, auth_key=self._auth_key, **facts)
        try:
            self._socket.sendto(datagram, self._place)
            self.sent += 1
        except OSError:  # nobody listens, or there is no room: a capture is no reason to disturb a run
            self.lost += 1
