"""Bursts and gaps of RFC 3611 4.7.2, worked by hand, on both twins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmw.rtp.burst_gap import GMIN, BurstGap
from tests.support.rtp_streams import Stream


def play(stream: Stream, lost: set[int], packets: int) -> None:
    for seq in range(packets):
        if seq not in lost:
            stream.receive(seq)


def test_nothing_lost_is_one_gap(stream: Stream) -> None:
    play(stream, set(), 100)
    now = stream.now
    assert (now.burst_density, now.gap_density, now.burst_duration_ms, now.gap_duration_ms) == (0, 0, 0, 2000)
    assert now.burst_ratio == 1
    assert now.sequence_gap == 0


def test_nothing_is_known_before_the_first_packet(stream: Stream) -> None:
    now = stream.now
    assert (now.burst_density, now.gap_density, now.burst_duration_ms, now.gap_duration_ms) == (None,) * 4
    assert (now.burst_ratio, now.sequence_gap) == (None, None)


def test_a_loss_that_stands_alone_belongs_to_the_gap(stream: Stream) -> None:
    play(stream, {50}, 200)
    now = stream.now
    assert (now.burst_density, now.burst_duration_ms) == (0, 0)
    assert now.gap_density == 1 / 200
    assert now.gap_duration_ms == 4000


@pytest.mark.parametrize(("between", "bursts"), [(GMIN - 1, 1), (GMIN, 0)])
def test_gmin_packets_received_end_a_burst(stream: Stream, between: int, bursts: int) -> None:
    play(stream, {50, 50 + between + 1}, 200)
    now = stream.now
    length = between + 2
    assert now.burst_duration_ms == (20 * length if bursts else 0)
    assert now.burst_density == (2 / length if bursts else 0)
    assert now.gap_density == (0 if bursts else 2 / 200)


def test_a_burst_between_two_gaps(stream: Stream) -> None:
    # 40 received; L r L L r r L: a burst of 7 with 4 lost; 30 received, one lost alone, 30 received.
    play(stream, {40, 42, 43, 46, 77}, 108)
    now = stream.now
    assert now.burst_density == 4 / 7
    assert now.burst_duration_ms == 7 * 20
    assert now.gap_density == 1 / 101
    assert now.gap_duration_ms == 101 / 2 * 20
    assert (now.loss_bursts, now.longest_loss_burst) == (4, 2)


def test_the_burst_ratio_is_1_for_losses_alone_and_the_mean_row_for_rows(stream: Stream) -> None:
    play(stream, {50, 51, 52, 53, 100, 101}, 200)  # two rows, 3 on average, of 6 in 200
    assert stream.now.burst_ratio == pytest.approx(3 * (1 - 6 / 200))


def test_a_late_packet_heals_a_burst(stream: Stream) -> None:
    for seq in (*range(50), 53, 51, 52, 50, *range(54, 200)):
        stream.receive(seq)
    assert (stream.now.burst_density, stream.now.gap_density) == (0, 0)


def test_a_restart_closes_what_is_open(stream: Stream) -> None:
    for seq in (*range(20), 22, *range(30000, 30040)):
        stream.receive(seq)
    now = stream.now
    assert now.burst_density == 1  # both of 20 and 21
    assert now.gap_density == 0
    assert now.gap_duration_ms == (20 + 1 + 40) / 3 * 20


def test_the_longest_row_missing_now(stream: Stream) -> None:
    for seq in (*range(100), 105, 107):
        stream.receive(seq)
    assert stream.now.sequence_gap == 5
    for seq in range(108, 300):
        stream.receive(seq)
    assert stream.now.sequence_gap == 0
    assert stream.now.longest_loss_burst == 5


@given(st.lists(st.booleans(), min_size=1, max_size=400))
def test_by_the_definition(heard: list[bool]) -> None:
    """Every packet is in one burst or one gap, and the bursts are the longest rows that the definition allows."""
    found = BurstGap(0)
    for seq, came in enumerate(heard):
        if not came:
            found.record_unheard(seq)
    found.end_run(len(heard) - 1)
    groups: list[list[int]] = []
    for seq in (seq for seq, came in enumerate(heard) if not came):
        if groups and seq - groups[-1][-1] - 1 < GMIN:
            groups[-1].append(seq)
        else:
            groups.append([seq])
    bursts = [group for group in groups if len(group) > 1]
    assert found.bursts == len(bursts)
    assert found.burst_lost == sum(map(len, bursts))
    assert found.burst_packets == sum(group[-1] - group[0] + 1 for group in bursts)
    assert found.gap_lost == len(groups) - len(bursts)
    assert found.burst_packets + found.gap_packets == len(heard)
    assert found.unheard_packets == heard.count(False)
