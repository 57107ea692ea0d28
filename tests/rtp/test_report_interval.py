"""The timing rules of RFC 3550 6.2 and 6.3, on both twins."""

from __future__ import annotations

from itertools import pairwise
from types import ModuleType

import pytest

from cmw.rtp import Goodbye, ReceiverReport, serialize_compound
from cmw.rtp.report_interval import ReportInterval
from tests.support.rtp_streams import SECOND, SSRC, Stream

LOW, HIGH = 0.5 / 1.21828, 1.5 / 1.21828


def run(stream: Stream, seconds: int) -> list[int]:
    """Look every 64 ms, as the engine does, and return when reports left."""
    sent = []
    for now in range(0, seconds * SECOND, 64_000_000):
        if stream.table.rtcp_due(0, now=now):
            stream.table.build_rtcp(0, now=now)
            sent.append(now)
    return sent


def test_reconsideration_makes_the_mean_interval_five_seconds(rtp_impl: ModuleType) -> None:
    spans: list[int] = []
    for seed in range(40):
        sent = run(Stream(rtp_impl, seed=seed), 200)
        spans += [later - earlier for earlier, later in pairwise(sent)]
    mean_s = sum(spans) / len(spans) / SECOND
    assert 4.7 < mean_s < 5.3
    assert min(spans) > 5 * LOW * SECOND - 1
    assert max(spans) < 5 * HIGH * SECOND + 64_000_000


def test_the_first_report_comes_in_half_the_time(rtp_impl: ModuleType) -> None:
    first = [run(Stream(rtp_impl, seed=seed), 10)[0] for seed in range(40)]
    assert all(2.5 * LOW * SECOND - 1 < at < 2.5 * HIGH * SECOND + 64_000_000 for at in first)


def test_a_look_before_the_time_changes_nothing(stream: Stream) -> None:
    at = stream.table.next_rtcp_due(0)
    assert not stream.table.rtcp_due(0, now=at - 1)
    assert stream.table.next_rtcp_due(0) == at


def test_when_the_time_comes_it_is_drawn_anew(rtp_impl: ModuleType) -> None:
    put_off = 0
    for seed in range(200):
        stream = Stream(rtp_impl, seed=seed)
        at = stream.table.next_rtcp_due(0)
        if not stream.table.rtcp_due(0, now=at):
            assert stream.table.next_rtcp_due(0) > at
            put_off += 1
    assert 50 < put_off < 150


def test_a_peer_that_leaves_brings_the_next_report_nearer(rtp_impl: ModuleType) -> None:
    """6.3.4: of two members one remains, so half of the time is left."""
    stream = Stream(rtp_impl)
    stream.receive(1, at_ns=0)
    stream.table.receive_rtcp(0, serialize_compound([ReceiverReport(SSRC)]), SECOND)
    stream.table.build_rtcp(0, now=SECOND)
    due = stream.table.next_rtcp_due(0)
    bye = serialize_compound([ReceiverReport(SSRC), Goodbye((SSRC,))])
    stream.table.receive_rtcp(0, bye, 2 * SECOND)
    assert stream.table.next_rtcp_due(0) == 2 * SECOND + (due - 2 * SECOND) // 2


def test_the_time_between_the_peers_reports(stream: Stream) -> None:
    report = serialize_compound([ReceiverReport(SSRC)])
    stream.table.receive_rtcp(0, report, SECOND)
    assert stream.now.rtcp_interval_ms is None
    stream.table.receive_rtcp(0, report, 6 * SECOND + 250_000_000)
    assert stream.now.rtcp_interval_ms == 5250


class TestBandwidth:
    """6.3.1, with packets so large that they, not the least interval, decide."""

    @staticmethod
    def interval(members: int, senders: int, *, we_sent: bool, size: int = 10_000) -> float:
        """Return Td in seconds."""
        spans = []
        for seed in range(300):
            timer = ReportInterval(seed, 0)
            for _ in range(300):
                timer.add_size(size - 28)
            timer.sent(size - 28, 0, members, senders, we_sent=we_sent)
            assert timer.next_due is not None
            spans.append(timer.next_due * 1.21828 / SECOND)
        return (min(spans) + max(spans)) / 2

    @pytest.mark.parametrize(
        ("members", "senders", "we_sent", "expected_s"),
        [
            (2, 2, True, 2 * 10_000 / 500),  # many senders: all share all of it
            (8, 2, True, 2 * 10_000 / 125),  # few: the senders share a quarter
            (8, 2, False, 6 * 10_000 / 375),  # and the others the rest
            (1, 0, False, 10_000 / 375),
        ],
    )
    def test_shares(self, members: int, senders: int, we_sent: bool, expected_s: float) -> None:
        assert self.interval(members, senders, we_sent=we_sent) == pytest.approx(expected_s, rel=0.02)

    def test_never_under_five_seconds(self) -> None:
        assert self.interval(2, 2, we_sent=True, size=100) == pytest.approx(5, rel=0.02)
