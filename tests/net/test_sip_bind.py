"""SIP ports: the first that is free for every transport, so that several workers can share a range."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cmw.core.address import PortRange
from cmw.errors import CapacityError
from cmw.net.sip_bind import Bind, bind_sip
from cmw.sip.hop import Transport

pytestmark = pytest.mark.loopback


def test_workers_share_a_range_until_it_is_used_up(loopback_ip: Callable[[], str]) -> None:
    ip = loopback_ip()
    bind = Bind((Transport.UDP, Transport.TCP), PortRange(5060, 5061))
    taken = [bind_sip(ip, bind), bind_sip(ip, bind)]
    try:
        ports = [{sock.getsockname()[1] for sock in sockets.values()} for sockets in taken]
        assert ports == [{5060}, {5061}]
        with pytest.raises(CapacityError, match=f"expected a free UDP and TCP port in 5060-5061 on {ip}, found all 2"):
            bind_sip(ip, bind)
    finally:
        for sockets in taken:
            for sock in sockets.values():
                sock.close()
