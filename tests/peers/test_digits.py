"""Digits with baresip, both ways and by both means, as tshark sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest

from tests.support.baresip_control import baresip_control
from tests.support.peers import Capture, baresip, own_baresip_ports
from tests.support.runs import Run, write_plan

pytestmark = [pytest.mark.peers("baresip", "dumpcap", "tshark"), pytest.mark.loopback]

NewIp = Callable[[], str]
IP = "127.0.0.1"
FIELDS = "rtp.timestamp rtp.marker rtpevent.event_id rtpevent.end_of_event rtpevent.duration".split()


def test_both_ways_with_baresip(tmp_path: Path, loopback_ip: NewIp) -> None:
    number, rtp = own_baresip_ports()
    port = 17000 + 3 * (number - 15060)  # TLS is on the next one
    lines = ["module_app ctrl_tcp.so", f"ctrl_tcp_listen {IP}:{port + 2}"]
    steps = [
        {"at": "200ms", "do": {"send_dtmf": "1*"}},
        {"at": "800ms", "do": {"send_dtmf": "5", "via": "info"}},
        {"on": "dtmf", "digit": "#", "do": "hang_up"},
    ]
    group = {"endpoints": 1, "call": {"uri": f"sip:bob@{IP}:{port}"}, "scenario": steps}
    plan = write_plan(tmp_path, {"duration": "20s", "groups": {"callers": group}})
    ip = loopback_ip()

    async def scene() -> list[str]:
        async with baresip_control(IP, port + 2) as control:
            with Run(tmp_path, ip, "run", str(plan)) as run:
                heard = [str((await control.until("CALL_DTMF_START"))["param"]) for _ in range(3)]
                await control.order("sndcode", "7#")
                result = await asyncio.to_thread(run.finish)
        result.expect(0)
        [row] = result.endpoints
        assert (row["outcome"], row["dtmf_received"], row["scenario_actions_executed"]) == ("SUCCESS", "7#", "3"), row
        return heard

    capture = Capture(tmp_path / "digits.pcapng", ip)
    with capture, baresip(tmp_path / "baresip", port, rtp, more="\n".join(lines)):
        assert asyncio.run(scene()) == ["1", "*", "5"]
    packets = [tuple(map(int, row)) for row in capture.rows(f"rtpevent and ip.src == {ip}", FIELDS)]
    digits = [list(group) for _, group in groupby(packets, key=lambda packet: packet[0])]
    assert [digit[0][2] for digit in digits] == [1, 10], "tshark knows them by our description"
    for digit in digits:
        assert [packet[1] for packet in digit] == [1] + [0] * (len(digit) - 1)
        durations = [packet[4] for packet in digit]
        assert durations == sorted(durations)
        assert [packet[3:] for packet in digit[-4:]] == [(0, durations[-4]), *[(1, 800)] * 3], "RFC 4733 2.5.1.4"
