"""What a capture server is told, and that its absence disturbs nobody."""

from __future__ import annotations

import socket

import pytest

from cmw.core.address import Address
from cmw.errors import SettingsError
from cmw.net.hep_exporter import HepExporter
from cmw.sip import Hop
from cmw.sip.hop import Transport
from tests.support.hep_reader import ends_of, read_hep

HERE = Address("10.0.0.1", 5060)
REGISTER = (
    b"REGISTER sip:x SIP/2.0\r\nCall-ID: c1\r\n"
    b'Authorization: Digest username="u", nonce="n0nce", response="s3cret"\r\n\r\n'
)


@pytest.mark.loopback
def test_both_ways_are_told_with_secrets_masked() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as homer:
        homer.bind(("127.0.0.1", 0))
        homer.settimeout(5)
        exporter = HepExporter(Address("localhost", homer.getsockname()[1]), 7, "key")
        exporter.send(REGISTER, is_sent=True, local=HERE, peer=Hop("10.0.0.2", 5060))
        with_password = b"SIP/2.0 200 OK\r\nContact: <sip:u:s3cret@10.0.0.2>\r\n\r\n"
        exporter.send(with_password, is_sent=False, local=HERE, peer=Hop("10.0.0.2", 5061, Transport.TLS))
        exporter.send(b"x", is_sent=True, local=HERE, peer=Hop("::1", 5060))
        sent, received = (read_hep(homer.recv(65535)) for _ in range(2))
        exporter.close()
    assert ends_of(sent) == ("10.0.0.1:5060", "10.0.0.2:5060")
    assert ends_of(received) == ("10.0.0.2:5061", "10.0.0.1:5060")
    assert (sent[14], sent[17], received[2]) == (b"key", b"c1", b"\x06")
    assert b"s3cret" not in sent[15]
    assert b'username="u"' in sent[15]
    assert b"Contact: <sip:u:***@10.0.0.2>\r\n" in received[15]
    assert (exporter.sent, exporter.lost) == (2, 1)
    exporter.send(b"x", is_sent=True, local=HERE, peer=Hop("10.0.0.2", 5060))
    assert exporter.lost == 2


def test_a_name_that_leads_nowhere_is_told_by_its_variable() -> None:
    with pytest.raises(SettingsError, match=r"HEP_TARGET: homer\.invalid: "):
        HepExporter(Address("homer.invalid", 9060), 1)
