"""SIP and packets of a call in one capture."""

from __future__ import annotations

import io

from cmw.capture import DatagramReader, read_frames
from cmw.cli.call_capture import call_capture
from tests.load.test_evidence import CALL
from tests.load.test_packets import packet, part


def test_a_capture_has_both_in_the_order_of_their_times() -> None:
    began, ended = CALL[0].at_unix_ns, CALL[-1].at_unix_ns
    received = packet(at_unix_ns=began + 5, is_sent=False, data=b"\x80" + bytes(171))
    late = packet(at_unix_ns=ended + 5, size=1600, data=b"\x80" + bytes(1499), is_after_gap=True)
    data = call_capture(CALL, [part(late, packet(at_unix_ns=began + 1), received, packets_left_out=77)])
    reader = DatagramReader()
    seen = [found for frame in read_frames(io.BytesIO(data)) if (found := reader.read(frame)) is not None]
    assert [(each.source.port, each.destination.port) for each in seen] == [
        (5060, 5060), (10000, 20000), (20000, 10000), (5060, 5060), (5060, 5060), (10000, 20000)
    ]  # fmt: skip
    assert [each.at_ns for each in seen] == sorted(each.at_ns for each in seen)
    assert (seen[2].source.host, seen[2].destination.host, seen[2].data) == ("10.0.0.2", "10.0.0.1", received.data)
    assert (seen[-1].size, len(seen[-1].data)) == (1600, 1500)
    assert b"77 packets before this one were not kept" in data
    assert call_capture([], []) == b""
