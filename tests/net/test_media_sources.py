"""Whose packets are the stream's, on both engines: the peer's, those of strangers, those that come early or late."""

from __future__ import annotations

import struct

import pytest

from cmw.core.address import PortRange
from cmw.net._media import MediaEngine
from cmw.net.media import MediaMode
from cmw.rtp.ports import PortPool
from tests.support.media_ends import FRAME, IP, Outsider, Party, wait_until

pytestmark = pytest.mark.loopback

PORTS = PortRange(24000, 24599)


def test_another_address_is_a_stranger(engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
    party = Party(engine, pool)
    party.start(outsider.port, MediaMode.RECEIVE_ONLY, remote_ip="127.0.0.9")
    outsider.say(party.port, 1)
    wait_until(lambda: party.seen.strangers == 1)
    assert party.seen.packets_received == 0


def test_another_port_is_a_stranger_once_the_peer_has_spoken(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party, other = Party(engine, pool), Outsider()
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    outsider.say(party.port, 1)
    wait_until(lambda: party.seen.packets_received == 1)
    other.say(party.port, 2)
    wait_until(lambda: party.seen.strangers == 1)
    assert (party.seen.packets_received, party.seen.ssrc_switches) == (1, 0)
    other.socket.close()


def test_a_peer_that_sends_from_another_port_is_followed(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party = Party(engine, pool)
    party.start(1, MediaMode.RECEIVE_ONLY, remote_rtcp_port=0)
    for seq in range(5):
        outsider.say(party.port, seq)
    wait_until(lambda: party.seen.packets_received == 5)
    assert party.seen.strangers == 0


def test_from_another_port_nothing_counts_before_two_packets_in_a_row(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party, stray = Party(engine, pool), Outsider()
    party.start(1, MediaMode.RECEIVE_ONLY, remote_rtcp_port=0)
    outsider.say(party.port, 10)
    stray.say(party.port, 500, ssrc=9)  # one packet of somebody else shuts nobody out
    outsider.say(party.port, 11, ssrc=8)  # another source
    outsider.say(party.port, 13, ssrc=8)  # not in a row
    stray.socket.sendto(b"hello", (IP, party.port))
    wait_until(lambda: party.seen.strangers == 5)
    assert (party.seen.packets_received, party.seen.first_packet_at_ns) == (0, None)
    outsider.say(party.port, 14, ssrc=8)
    outsider.say(party.port, 15, ssrc=8)
    wait_until(lambda: party.seen.packets_received == 3)
    assert (party.seen.packets_lost, party.seen.strangers, party.seen.ssrc_switches) == (0, 4, 0)
    stray.say(party.port, 501, ssrc=9)
    stray.say(party.port, 502, ssrc=9)
    wait_until(lambda: party.seen.strangers == 6)
    stray.socket.close()


class TestSymmetric:
    def test_rtp_goes_where_the_description_says_whoever_speaks(
        self, engine: MediaEngine, pool: PortPool, outsider: Outsider
    ) -> None:
        party, other = Party(engine, pool), Outsider()
        party.start(outsider.port)
        for seq in range(4):
            other.say(party.port, seq)
        wait_until(lambda: party.seen.packets_received == 4)
        sent = party.seen.packets_sent
        wait_until(lambda: party.seen.packets_sent > sent + 2)
        assert len([outsider.hear() for _ in range(sent)]) == sent
        other.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.hear()
        other.socket.close()

    @pytest.mark.parametrize("remote_ip", ["127.23.0.9", IP])
    def test_it_goes_once_to_where_two_packets_in_a_row_came_from(
        self, engine: MediaEngine, pool: PortPool, outsider: Outsider, remote_ip: str
    ) -> None:
        party, other = Party(engine, pool), Outsider()
        party.start(9, remote_ip=remote_ip, remote_rtcp_port=10, symmetric=True)
        other.say(party.port, 1)
        outsider.say(party.port, 70, ssrc=5)
        outsider.say(party.port, 71, ssrc=5)
        assert struct.unpack("!I", outsider.hear()[8:12]) == (party.ssrc,)
        for seq in range(2, 6):
            other.say(party.port, seq)
        wait_until(lambda: party.seen.strangers == 5)
        assert (party.seen.packets_received, party.seen.packets_lost) == (2, 0)
        other.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.hear()
        other.socket.close()

    def test_a_peer_that_speaks_from_the_negotiated_address_ends_the_search(
        self, engine: MediaEngine, pool: PortPool, outsider: Outsider
    ) -> None:
        party, other = Party(engine, pool), Outsider()
        party.start(outsider.port, symmetric=True)
        outsider.say(party.port, 1)
        wait_until(lambda: party.seen.packets_received == 1)
        for seq in range(3):
            other.say(party.port, seq)
        wait_until(lambda: party.seen.strangers == 3)
        assert party.seen.packets_received == 1
        other.socket.close()

    @pytest.mark.parametrize("shared", [False, True])
    def test_rtcp_follows(self, engine: MediaEngine, pool: PortPool, outsider: Outsider, shared: bool) -> None:
        party, control = Party(engine, pool), Outsider()
        party.start(
            9, MediaMode.SEND_RECEIVE, remote_ip="127.23.0.9", remote_rtcp_port=9 if shared else 10, symmetric=True
        )
        outsider.say(party.port, 1)
        outsider.say(party.port, 2)
        wait_until(lambda: party.seen.packets_received == 2)
        report = struct.pack("!BBHI", 0x80, 201, 1, 77)
        speaker = outsider if shared else control
        speaker.socket.sendto(report, (IP, party.port if shared else party.port + 1))
        wait_until(lambda: party.seen.rtcp_received == 1 and party.seen.packets_sent > 0)
        engine.stop_stream(party.slot)
        wait_until(lambda: 200 <= speaker.hear()[1] <= 201)
        control.socket.close()

    def test_a_new_agreement_is_learnt_anew(self, engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
        party, other = Party(engine, pool), Outsider()
        party.start(9, remote_ip="127.23.0.9", symmetric=True)
        outsider.say(party.port, 1)
        outsider.say(party.port, 2)
        wait_until(lambda: party.seen.packets_received == 2)
        engine.change_remote(party.slot, remote_ip="127.23.0.8", remote_rtp_port=9, remote_rtcp_port=10, symmetric=True)
        other.say(party.port, 3)
        other.say(party.port, 4)
        assert len(other.hear()) == 12 + FRAME
        other.socket.close()


def test_the_negotiated_port_wins_over_one_that_spoke_first(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party, early = Party(engine, pool), Outsider()
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    for seq in range(3):
        early.say(party.port, 900 + seq, ssrc=1)
    wait_until(lambda: party.seen.packets_received == 3)
    outsider.say(party.port, 1)
    outsider.say(party.port, 2)
    wait_until(lambda: party.seen.packets_received == 2)
    early.say(party.port, 903, ssrc=1)
    wait_until(lambda: party.seen.strangers == 4)
    seen = party.seen
    assert (seen.packets_received, seen.packets_lost, seen.ssrc_switches) == (2, 0, 0)
    early.socket.close()


def test_one_datagram_from_the_negotiated_port_takes_nothing_from_the_one_that_speaks(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    """A peer may keep its address translation open where it listens (RFC 6263), and speak from elsewhere."""
    party, speaker = Party(engine, pool), Outsider()
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    outsider.socket.sendto(b"\0", (IP, party.port))
    wait_until(lambda: party.seen.malformed == 1)
    for seq in range(4):
        speaker.say(party.port, seq)
    wait_until(lambda: party.seen.packets_received == 4)
    outsider.socket.sendto(b"\0", (IP, party.port))
    outsider.say(party.port, 9, ssrc=1)
    speaker.say(party.port, 4)
    wait_until(lambda: party.seen.packets_received == 5 and party.seen.strangers == 2)
    assert party.seen.packets_lost == 0
    speaker.socket.close()


def test_a_source_that_comes_to_speak_from_the_negotiated_port_keeps_its_figures(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party, early = Party(engine, pool), Outsider()
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    for seq in range(3):
        early.say(party.port, seq)
    wait_until(lambda: party.seen.packets_received == 3)
    for seq in range(3, 6):
        outsider.say(party.port, seq)
    wait_until(lambda: party.seen.packets_received == 6)
    assert (party.seen.packets_lost, party.seen.strangers) == (0, 0)
    early.socket.close()


@pytest.mark.parametrize("symmetric", [False, True])
def test_what_is_no_rtp_is_never_followed(
    engine: MediaEngine, pool: PortPool, outsider: Outsider, symmetric: bool
) -> None:
    party = Party(engine, pool)
    party.start(9, remote_ip="127.23.0.9" if symmetric else IP, symmetric=symmetric)
    headers = [struct.pack("!BBHII", first, 0, seq, 0, 5) for first in (0xA0, 0x90, 0x8F, 0x40) for seq in (1, 2)]
    for header in headers:  # padding of no bytes, extensions and sources that are not there, another version
        outsider.socket.sendto(header + bytes.fromhex("0000ffff00"), (IP, party.port))
    wait_until(lambda: party.seen.strangers == len(headers))
    outsider.say(party.port, 1)
    outsider.say(party.port, 2)
    wait_until(lambda: party.seen.packets_received == 2)
    assert (party.seen.malformed, party.seen.strangers) == (0, len(headers))


def test_wrong_payload_type_and_nonsense_are_counted_apart(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party = Party(engine, pool)
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    outsider.say(party.port, 1)
    outsider.say(party.port, 2, payload_type=8)
    outsider.socket.sendto(b"not rtp at all", (IP, party.port))
    outsider.socket.sendto(b"", (IP, party.port))
    outsider.say(party.port, 3)
    wait_until(lambda: party.seen.packets_received == 3 and party.seen.malformed == 2)
    assert party.seen.wrong_payload_type == 1


def test_packets_outside_the_stream_are_counted_apart(engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
    party = Party(engine, pool)
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    outsider.say(party.port, 2)
    wait_until(lambda: party.seen.packets_received == 1)
    engine.stop_stream(party.slot)
    frozen = party.seen
    outsider.say(party.port, 3)
    wait_until(lambda: party.seen.packets_after_stop == 1)
    assert party.seen == frozen._replace(packets_after_stop=1)


def test_what_came_before_sending_was_kept_back_is_known(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party = Party(engine, pool)
    party.start(outsider.port)
    outsider.say(party.port, 1)
    wait_until(lambda: party.seen.packets_received == 1)
    assert party.seen.packets_at_mute is None
    engine.set_sending(party.slot, False)
    for sequence in (2, 3):
        outsider.say(party.port, sequence)
    wait_until(lambda: party.seen.packets_received == 3)
    assert party.seen.packets_at_mute == 1


def test_packets_that_overtake_the_answer_count_when_the_stream_starts(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    party = Party(engine, pool)
    for sequence in (7, 8, 10):
        outsider.say(party.port, sequence)
    wait_until(lambda: party.seen.packets_before_start == 3)
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    seen = party.seen
    assert (seen.packets_before_start, seen.packets_received, seen.packets_lost) == (0, 3, 1)
    assert seen.early_packets == 3
    outsider.say(party.port, 9)
    wait_until(lambda: party.seen.packets_received == 4)
    assert party.seen.early_packets == 3
    assert (party.seen.packets_lost, party.seen.out_of_order_packets) == (0, 1)


@pytest.mark.parametrize("symmetric", [False, True])
def test_they_may_come_from_another_port_than_was_negotiated(
    engine: MediaEngine, pool: PortPool, outsider: Outsider, symmetric: bool
) -> None:
    party = Party(engine, pool)
    for sequence in range(6):
        outsider.say(party.port, sequence)
    wait_until(lambda: party.seen.packets_before_start == 6)
    party.start(1, MediaMode.RECEIVE_ONLY, remote_rtcp_port=0, symmetric=symmetric)
    seen = party.seen
    assert (seen.packets_before_start, seen.packets_received, seen.packets_lost, seen.strangers) == (0, 6, 0, 0)


def test_a_report_before_the_stream_is_no_early_media(engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
    party = Party(engine, pool)
    outsider.say(party.port + 1, 0, payload_type=200)  # on the control port, whatever it says
    wait_until(lambda: party.seen.rtcp_strangers == 1)
    assert party.seen.packets_before_start == 0


def test_early_packets_of_others_and_of_an_earlier_opening_do_not_count(
    engine: MediaEngine, pool: PortPool, outsider: Outsider
) -> None:
    earlier = Party(engine, pool)
    outsider.say(earlier.port, 1)
    wait_until(lambda: earlier.seen.packets_before_start == 1)
    engine.close(earlier.slot)
    party = Party(engine, pool)
    assert party.slot == earlier.slot
    outsider.say(party.port, 1)
    wait_until(lambda: party.seen.packets_before_start == 1)
    party.start(outsider.port, MediaMode.RECEIVE_ONLY, remote_ip="127.0.0.2")
    assert (party.seen.packets_received, party.seen.strangers) == (0, 1)


def test_the_oldest_early_packets_give_way(engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
    party = Party(engine, pool)
    count = 2048 + 10
    for sequence in range(count):
        outsider.say(party.port, sequence)
        if sequence % 64 == 63:
            wait_until(lambda sequence=sequence: party.seen.packets_before_start == sequence + 1)  # type: ignore[misc]
    wait_until(lambda: party.seen.packets_before_start == count)
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    assert (party.seen.packets_received, party.seen.packets_lost, party.seen.packets_before_start) == (2048, 0, 10)


def test_what_waits_in_the_socket_counts_when_the_stream_stops(pool: PortPool, outsider: Outsider) -> None:
    engine = MediaEngine(slots=1)  # never started: nobody reads the socket but stop_stream
    party = Party(engine, pool)
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    for seq in range(40):
        outsider.say(party.port, seq)
    engine.stop_stream(party.slot)
    assert (party.seen.packets_received, party.seen.packets_lost) == (40, 0)
    engine.close(party.slot)


def test_packets_that_the_kernel_dropped_are_counted(pool: PortPool, outsider: Outsider) -> None:
    engine = MediaEngine(slots=1)
    party = Party(engine, pool)
    party.start(outsider.port, MediaMode.RECEIVE_ONLY)
    for seq in range(1000):
        outsider.say(party.port, seq)
    engine.start()
    wait_until(lambda: party.seen.packets_received > 0)
    outsider.say(party.port, 1000)
    wait_until(lambda: party.seen.kernel_drops > 0)
    wait_until(lambda: party.seen.packets_received + party.seen.kernel_drops == 1001)
    assert party.seen.packets_lost == party.seen.kernel_drops
    engine.stop()
    engine.close(party.slot)


def test_a_closed_port_at_the_peer_costs_errors_but_no_packets(engine: MediaEngine, pool: PortPool) -> None:
    gone = Outsider()
    gone.socket.close()
    party = Party(engine, pool)
    party.start(gone.port)
    wait_until(lambda: party.seen.network_errors >= 5)
    assert party.seen.packets_sent >= 5
    assert party.seen.send_errors == 0, "our own kernel refused none"
    engine.stop_stream(party.slot)


class TestMovedPeer:
    """What is under way from the address before counts for a while; RFC 3264 8.3.1."""

    def test_it_belongs_to_the_stream_and_the_new_address_starts_nothing_anew(
        self, engine: MediaEngine, pool: PortPool, outsider: Outsider
    ) -> None:
        party, moved = Party(engine, pool), Outsider()
        party.start(outsider.port, MediaMode.RECEIVE_ONLY)
        for seq in range(10):
            outsider.say(party.port, seq)
        wait_until(lambda: party.seen.packets_received == 10)
        engine.change_remote(party.slot, remote_ip=IP, remote_rtp_port=moved.port, remote_rtcp_port=0)
        for seq in range(10, 14):
            outsider.say(party.port, seq)
        wait_until(lambda: party.seen.packets_received == 14)
        for seq in range(14, 20):
            moved.say(party.port, seq)
        wait_until(lambda: party.seen.packets_received == 20)
        outsider.say(party.port, 20)
        wait_until(lambda: party.seen.packets_received == 21)
        assert (party.seen.packets_lost, party.seen.strangers, party.seen.ssrc_switches) == (0, 0, 0)
        moved.socket.close()

    def test_it_may_speak_from_elsewhere_before_and_after(
        self, engine: MediaEngine, pool: PortPool, outsider: Outsider
    ) -> None:
        party, moved, new = Party(engine, pool), Outsider(), Outsider()
        party.start(1, MediaMode.RECEIVE_ONLY, remote_rtcp_port=0)
        for seq in range(3):
            outsider.say(party.port, seq)
        wait_until(lambda: party.seen.packets_received == 3)
        engine.change_remote(party.slot, remote_ip=IP, remote_rtp_port=moved.port, remote_rtcp_port=0)
        outsider.say(party.port, 3)
        for seq in (50, 51):
            new.say(party.port, seq, ssrc=5)
        wait_until(lambda: party.seen.packets_received == 6)
        for seq in (800, 801):
            moved.say(party.port, seq, ssrc=6)
        wait_until(lambda: party.seen.packets_received == 8)
        seen = party.seen
        assert (seen.packets_lost, seen.strangers, seen.ssrc_switches, seen.packets_expected) == (0, 0, 2, 8)
        moved.socket.close()
        new.socket.close()

    def test_it_does_not_tell_a_symmetric_stream_where_to_send(
        self, engine: MediaEngine, pool: PortPool, outsider: Outsider
    ) -> None:
        party, moved = Party(engine, pool), Outsider()
        party.start(9, remote_ip="127.23.0.9", symmetric=True)
        for seq in range(2):
            outsider.say(party.port, seq)
        wait_until(lambda: party.seen.packets_received == 2)
        engine.change_remote(party.slot, remote_ip="127.23.0.8", remote_rtp_port=9, remote_rtcp_port=0, symmetric=True)
        for seq in range(2, 6):
            outsider.say(party.port, seq)
        wait_until(lambda: party.seen.packets_received == 6)
        for seq in range(6, 8):
            moved.say(party.port, seq)
        assert len(moved.hear()) == 12 + FRAME
        assert (party.seen.packets_received, party.seen.packets_lost, party.seen.strangers) == (8, 0, 0)
        moved.socket.close()

    def test_its_reports_too(self, engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
        party = Party(engine, pool)
        party.start(outsider.port, MediaMode.RECEIVE_ONLY)
        engine.change_remote(party.slot, remote_ip="127.23.0.8", remote_rtp_port=9, remote_rtcp_port=10)
        outsider.socket.sendto(struct.pack("!BBHI", 0x80, 201, 1, 77), (IP, party.port + 1))
        wait_until(lambda: party.seen.rtcp_received == 1)
        assert party.seen.rtcp_strangers == 0


def test_changing_the_remote_keeps_the_figures(engine: MediaEngine, pool: PortPool, outsider: Outsider) -> None:
    party, moved = Party(engine, pool), Outsider()
    party.start(outsider.port)
    outsider.say(party.port, 1)
    wait_until(lambda: party.seen.packets_received == 1)
    first = struct.unpack("!H", outsider.hear()[2:4])[0]
    engine.change_remote(party.slot, remote_ip=IP, remote_rtp_port=moved.port, remote_rtcp_port=0)
    later = struct.unpack("!H", moved.hear()[2:4])[0]
    assert 0 < (later - first) & 0xFFFF < 1000
    moved.say(party.port, 2)
    wait_until(lambda: party.seen.packets_received == 2)
    assert party.seen.packets_lost == 0
    moved.socket.close()
