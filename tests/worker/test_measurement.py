"""Figures of a call: over the time that passed, absent when unknown, exact in the end."""

from __future__ import annotations

from typing import Any

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.metrics.emodel import CODECS, Impairment, mos_from_r
from cmw.metrics.keys import COLUMNS as KNOWN_COLUMNS
from cmw.rtp.extended_report import Summary, VoipMetrics
from cmw.rtp.snapshot import StreamSnapshot
from cmw.worker.measurement import COLUMNS, CallFigures, Row
from tests.worker.stage import snapshot

START = 1000 * SECOND


def heard(packets: int, *, lost: int = 0, **changes: Any) -> StreamSnapshot:
    """Return the snapshot of a stream that sent as many packets as it received, and missed `lost` more."""
    figures: dict[str, Any] = {
        "packets_sent": packets,
        "bytes_sent": 160 * packets,
        "packets_received": packets,
        "bytes_received": 160 * packets,
        "packets_expected": packets + lost,
        "packets_lost": lost,
        "jitter_ms": 1.0,
        "jitter_mean_ms": 0.5,
    }
    return snapshot(**(figures | changes))


def figures() -> CallFigures:
    return CallFigures("PCMU", 20, START)


def row(of: CallFigures, packets: int, at_s: float, **changes: Any) -> Row:
    found = of.close_interval(heard(packets, **changes), START + int(at_s * SECOND))
    assert found is not None
    return found


def test_columns_are_those_of_the_metrics() -> None:
    assert set(COLUMNS) == set(KNOWN_COLUMNS)
    assert set(COLUMNS.values()) == {"f", "I"}


def test_no_row_before_a_whole_second() -> None:
    call = figures()
    assert call.close_interval(heard(49), START + SECOND - 1) is None
    assert row(call, 50, 1)["send.packets_sent_rate_ps"] == 50


def test_a_row_holds_only_known_columns() -> None:
    found = row(figures(), 50, 1, rtt_ms=2.0, remote_fraction_lost=0.0, remote_packets_lost=0, remote_jitter_ms=1.0)
    assert found.keys() <= COLUMNS.keys()


def test_rates_are_over_the_time_that_passed() -> None:
    call = figures()
    first = row(call, 85, 1.7)
    assert first["send.packets_sent_rate_ps"] == pytest.approx(50)
    assert first["receive.bytes_recv_rate_bps"] == pytest.approx(64000)
    late = row(call, 85 + 65, 3.0)
    assert late["receive.packets_recv_rate_ps"] == pytest.approx(50)
    assert late["send.bytes_sent_rate_bps"] == pytest.approx(64000)
    after = row(call, 150 + 35, 3.7)
    assert after["receive.packets_recv_rate_ps"] == pytest.approx(50)


def test_a_row_soon_after_a_late_one_has_counters_but_no_rates_and_loses_no_time() -> None:
    call = figures()
    row(call, 50, 1)
    row(call, 140, 2.8)
    short = row(call, 150, 3.0, lost=1)
    assert short["receive.packets_received"] == 150
    assert short["receive.packets_lost"] == 1
    assert "receive.packets_recv_rate_ps" not in short
    assert "receive.mos" not in short
    long = row(call, 200, 4.0, lost=1)
    assert long["receive.packets_recv_rate_ps"] == pytest.approx(50)
    assert long["receive.fraction_lost"] == pytest.approx(100 * 1 / 61)


def test_loss_is_of_the_last_second() -> None:
    call = figures()
    assert row(call, 45, 1, lost=5)["receive.fraction_lost"] == pytest.approx(10)
    clean = row(call, 95, 2, lost=5)
    assert clean["receive.fraction_lost"] == 0
    assert clean["receive.packets_lost"] == 5
    assert clean["receive.mos"] > 4.3


def test_a_late_packet_makes_no_negative_loss() -> None:
    call = figures()
    row(call, 45, 1, lost=5)
    found = row(call, 100, 2, lost=0)  # the five came after all
    assert found["receive.fraction_lost"] == 0
    assert found["receive.packets_lost"] == 0


def test_duplicates_never_make_a_counter_of_a_sample_negative() -> None:
    assert row(figures(), 50, 1, packets_lost=-3)["receive.packets_lost"] == 0


def test_what_cannot_be_known_is_absent() -> None:
    call = figures()
    silent = call.close_interval(snapshot(packets_sent=50, bytes_sent=8000), START + SECOND)
    assert silent is not None
    for key in ("receive.mos", "receive.fraction_lost", "receive.jitter_ms", "receive.rtt_ms", "send.rtt_ms"):
        assert key not in silent
    for key in ("send.mos", "send.fraction_lost", "send.jitter_ms", "send.packets_lost"):
        assert key not in silent
    assert silent["receive.packets_recv_rate_ps"] == 0


def test_seconds_keep_their_codec_and_the_call_is_rated_by_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CODECS, "PCMA", Impairment(ie=20.0, bpl=25.1))
    call = figures()
    plain = row(call, 50, 1)["receive.r_factor"]
    call.change_codec("PCMA", START + int(1.5 * SECOND))
    call.change_codec("PCMA", START + 2 * SECOND)  # no change
    assert row(call, 100, 2)["receive.r_factor"] == pytest.approx(plain - 10)
    assert row(call, 150, 3)["receive.r_factor"] == pytest.approx(plain - 20)
    call.finish(heard(300), START + 6 * SECOND)
    whole = call.totals("receive")
    assert whole["r_factor"] == pytest.approx(plain - 15, abs=0.1)
    assert whole["mos"] == pytest.approx(mos_from_r(plain - 15), abs=0.01)
    assert call.codec == "PCMA"


def test_what_the_peer_reports_is_the_sending_side() -> None:
    found = row(figures(), 50, 1, remote_fraction_lost=0.25, remote_jitter_ms=7.0, remote_packets_lost=12, rtt_ms=40.0)
    assert found["send.fraction_lost"] == 25
    assert found["send.jitter_ms"] == 7
    assert found["send.packets_lost"] == 12
    assert found["send.rtt_ms"] == found["receive.rtt_ms"] == 40
    assert found["send.mos"] < 3 < found["receive.mos"]


def test_a_report_without_jitter_leaves_it_absent() -> None:
    found = row(figures(), 50, 1, remote_fraction_lost=0.0)
    assert "send.jitter_ms" not in found
    assert "send.mos" in found


def test_counters_wrap_at_32_bits() -> None:
    assert row(figures(), 50, 1, bytes_received=(1 << 32) + 5)["receive.bytes_received"] == 5


def test_the_totals_are_of_the_whole_call() -> None:
    call = figures()
    row(call, 50, 1)
    last = heard(
        490,
        lost=10,
        rtt_ms=3.0,
        remote_packets_lost=49,
        remote_fraction_lost=0.9,
        remote_jitter_ms=2.0,
        total_spacing_min_ms=1.0,
        total_spacing_mean_ms=20.0,
        total_spacing_max_ms=80.0,
        packet_spacing_max_ms=21.0,
        send_errors=2,
        kernel_drops=3,
    )
    call.finish(last, START + 10 * SECOND)
    receive, send = call.totals("receive"), call.totals("send")
    assert receive["fraction_lost"] == pytest.approx(2)
    assert receive["packets_lost"] == 10
    assert receive["jitter_ms"] == 0.5
    assert receive["max_packet_spacing"] == 80
    assert receive["packets_recv_rate_ps"] == pytest.approx(49)
    assert send["packets_sent_rate_ps"] == pytest.approx(49)
    assert send["fraction_lost"] == pytest.approx(10)  # not the 90 % of the peer's last interval
    assert (call.packets_sent, call.packets_received, call.send_errors, call.kernel_drops) == (490, 490, 2, 3)


def test_packets_that_the_peer_refused_are_no_errors_of_our_own() -> None:
    call = figures()
    call.finish(heard(500, network_errors=200), START + 10 * SECOND)
    assert call.send_errors == 0
    assert call.oddities == ["200 packets of ours were refused by the peer's host or on the way (ICMP)"]


def test_the_totals_keep_a_negative_loss() -> None:
    call = figures()
    call.finish(heard(50, packets_lost=-2), START + SECOND)
    assert call.totals("receive")["packets_lost"] == -2
    assert call.totals("receive")["fraction_lost"] == 0


def test_time_after_we_hung_up_is_no_time_of_the_call() -> None:
    call = figures()
    call.stop(START + 10 * SECOND)
    call.stop(START + 11 * SECOND)
    talked_on = heard(500, packets_received=550, bytes_received=88_000, last_packet_at_ns=START + 11 * SECOND)
    call.finish(talked_on, START + 42 * SECOND)
    assert call.elapsed_ns == 10 * SECOND
    assert call.totals("send")["packets_sent_rate_ps"] == pytest.approx(50)
    assert call.totals("receive")["packets_recv_rate_ps"] == pytest.approx(50)


def test_a_peer_that_fell_silent_has_a_low_mean_rate() -> None:
    call = figures()
    call.finish(heard(250, last_packet_at_ns=START + 5 * SECOND), START + 10 * SECOND)
    assert call.totals("receive")["packets_recv_rate_ps"] == pytest.approx(25)


def test_a_call_without_any_length_divides_by_nothing() -> None:
    call = figures()
    call.finish(heard(0), START)
    assert call.totals("send")["packets_sent_rate_ps"] == 0
    assert call.elapsed_ns > 0


def test_nothing_is_known_before_the_end() -> None:
    call = figures()
    row(call, 50, 1)
    assert call.totals("send") == {}
    assert (call.packets_sent, call.packets_received) == (0, 0)


def test_a_late_tick_loses_no_packet_of_the_rates() -> None:
    """Rate times time adds up to the counters, however the ticks fall."""
    call = figures()
    at, before, total = START, START, 0.0
    for step_ms in (1000, 1000, 1900, 100, 1400, 600, 1050, 950, 2700, 300, 1000, 1000):
        at += step_ms * MILLISECOND
        packets = (at - START) // (20 * MILLISECOND)
        found = call.close_interval(heard(packets), at)
        assert found is not None
        if "receive.packets_recv_rate_ps" in found:
            total += found["receive.packets_recv_rate_ps"] * (at - before) / SECOND
            before = at
    assert total == pytest.approx((before - START) // (20 * MILLISECOND))


def test_where_the_losses_lie_is_told_each_second_and_for_the_call() -> None:
    call = figures()
    bursts: dict[str, Any] = {
        "burst_density": 0.5,
        "gap_density": 0.01,
        "burst_duration_ms": 80.0,
        "gap_duration_ms": 900.0,
        "sequence_gap": 2,
        "longest_loss_burst": 3,
        "late_packets": 4,
        "timestamp_jumps": 1,
        "rtcp_interval_ms": 5000.0,
        "clock_drift_ppm": -12.0,
        "clock_skew_ppm": 3.0,
        "buffer_delay_ms": 25.0,
        "buffer_jitter_ms": 0.5,
        "buffer_pushed": 40,
        "buffer_late": 2,
        "duplicate_packets": 1,
    }
    wanted = {
        "receive.burst_density": 0.5,
        "receive.gap_density": 0.01,
        "receive.burst_duration": 80.0,
        "receive.gap_duration": 900.0,
        "receive.late_packets": 4,
        "receive.timestamp_jumps": 1,
        "receive.rtcp_sr_rr_interval_ms": 5000.0,
        "receive.clock_drift_estimate": -12.0,
        "receive.clock_skew_estimate": 3.0,
        "receive.jitter_buffer_delay_ms": 25.0,
        "receive.average_jitter_ms": 0.5,
        "receive.jitter_buffer_packets_pushed": 40,
        "receive.jitter_buffer_late_packets": 2,
        "receive.jitter_buffer_duplicates": 1,
    }
    found = row(call, 50, 1, **bursts)
    assert found.items() >= (wanted | {"receive.sequence_number_gaps": 2}).items()
    call.finish(heard(500, **bursts), START + 10 * SECOND)
    totals = {f"receive.{key}": value for key, value in call.totals("receive").items()}
    assert totals.items() >= (wanted | {"receive.sequence_number_gaps": 3}).items()


def test_what_the_jitter_buffer_discards_is_heard_as_loss_and_is_no_loss() -> None:
    clean = row(figures(), 50, 1, buffer_delay_ms=20.0)
    late = row(figures(), 50, 1, buffer_delay_ms=20.0, buffer_late=5)
    assert late["receive.fraction_lost"] == clean["receive.fraction_lost"] == 0
    assert late["receive.mos"] < clean["receive.mos"] - 0.5


def test_bursts_and_a_long_buffer_cost_quality() -> None:
    plain = row(figures(), 45, 1, lost=5, buffer_delay_ms=20.0, burst_ratio=1.0)
    bursty = row(figures(), 45, 1, lost=5, buffer_delay_ms=20.0, burst_ratio=3.0)
    slow = row(figures(), 45, 1, lost=5, buffer_delay_ms=400.0, burst_ratio=1.0)
    assert bursty["receive.mos"] < plain["receive.mos"]
    assert slow["receive.mos"] < plain["receive.mos"]
    assert slow["receive.mos_listening"] == plain["receive.mos_listening"]


def test_the_level_is_of_the_last_second_and_of_the_call() -> None:
    call = figures()
    full = float(1 << 30)
    loud = row(call, 50, 1, received_energy=100 * full, received_samples=100)
    assert loud["receive.audio_level_rms_dbov"] == 0
    quiet = row(call, 100, 2, received_energy=100 * full, received_samples=200)
    assert quiet["receive.audio_level_rms_dbov"] == -100
    unheard = row(call, 150, 3, received_energy=100 * full, received_samples=200)
    assert "receive.audio_level_rms_dbov" not in unheard
    call.finish(heard(150, received_energy=100 * full, received_samples=200), START + 3 * SECOND)
    assert call.totals("receive")["audio_level_rms_dbov"] == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize(
    ("first_at", "delay_ms"), [(START + 35 * MILLISECOND, 35.0), (START - 20 * MILLISECOND, 0.0), (None, None)]
)
def test_how_long_the_first_packet_took(first_at: int | None, delay_ms: float | None) -> None:
    call = figures()
    call.finish(heard(50, first_packet_at_ns=first_at), START + SECOND)
    assert call.first_packet_delay_ms == delay_ms


def test_packets_after_the_bye_are_counted() -> None:
    call = figures()
    call.finish(heard(55, packets_at_mute=50), START + SECOND)
    assert call.totals("receive")["packets_after_bye"] == 5
    never_muted = figures()
    never_muted.finish(heard(55), START + SECOND)
    assert "packets_after_bye" not in never_muted.totals("receive")


def test_what_else_came_is_counted() -> None:
    found = row(
        figures(),
        50,
        1,
        strangers=3,
        wrong_payload_type=2,
        payload_type_changes=1,
        early_packets=4,
        signal_level_dbov=-20.0,
    )
    assert found["receive.stranger_packets"] == 3
    assert found["receive.wrong_payload_type_packets"] == 2
    assert found["receive.payload_type_changes"] == 1
    assert found["receive.early_packets"] == 4
    assert found["receive.signal_level_dbov"] == -20


VOIP = VoipMetrics(1, 8, 32, 64, 3, 120, 4000, 7, 80, -16, -66, 127, 16, 71, 127, 38, 36, 0x30, 60, 120, 200)


def test_what_the_peer_says_in_its_extended_report_is_the_sending_side() -> None:
    found = row(figures(), 50, 1, remote_voip=VOIP)
    assert (found["send.reported_r_factor"], found["send.reported_mos"]) == (71, pytest.approx(3.6))
    assert found["send.reported_mos_listening"] == pytest.approx(3.8)
    assert found["send.signal_level_dbov"] == pytest.approx(-22.2)
    assert found["send.noise_level_dbov"] == pytest.approx(-72.2)
    assert (found["send.burst_density"], found["send.burst_duration"]) == (0.25, 120)
    assert (found["send.gap_density"], found["send.gap_duration"]) == (3 / 256, 4000)
    assert (found["send.fraction_discarded"], found["send.jitter_buffer_delay_ms"]) == (12.5, 60)


def test_the_peers_statistics_summary_is_the_sending_side() -> None:
    found = row(figures(), 50, 1, remote_summary=Summary(1, 5, 255, 3, 2, 0, 88, 16, 8), send_clock_hz=16_000)
    told = {key.removeprefix("send.reported_"): value for key, value in found.items() if ".reported_" in key}
    assert told == {
        "interval_lost": 3,
        "interval_duplicates": 2,
        "jitter_min_ms": 0,
        "jitter_max_ms": 5.5,
        "jitter_mean_ms": 1,
        "jitter_deviation_ms": 0.5,
    }
    found = row(figures(), 50, 1, remote_summary=Summary(1, 5, 255, None, 2, None, None, None, None))
    assert [key for key in found if ".reported_" in key] == ["send.reported_interval_duplicates"]


def test_digits_sent_are_counted_each_second_and_for_the_call() -> None:
    call = figures()
    assert row(call, 50, 1)["send.dtmf_digits_sent"] == 0
    call.digits_sent = 3
    assert row(call, 100, 2)["send.dtmf_digits_sent"] == 3
    call.finish(heard(100), START + 2 * SECOND)
    assert call.totals("send")["dtmf_digits_sent"] == 3


def test_what_the_peer_does_not_know_is_absent() -> None:
    unknown = VOIP._replace(signal_level_db=127, noise_level_db=127, r_factor=127, mos_lq_q10=127, mos_cq_q10=127)
    found = row(figures(), 50, 1, remote_voip=unknown)
    assert not [key for key in found if key.startswith("send.reported") or "level" in key]


def test_discards_and_buffer_of_the_peer_count_for_what_it_hears() -> None:
    plain = row(figures(), 50, 1, remote_fraction_lost=0.0, remote_packets_lost=0)
    told = row(figures(), 50, 1, remote_fraction_lost=0.0, remote_packets_lost=0, remote_voip=VOIP)
    patient = VOIP._replace(discard_rate=0, buffer_nominal_ms=300)
    waits = row(figures(), 50, 1, remote_fraction_lost=0.0, remote_packets_lost=0, remote_voip=patient)
    assert told["send.mos_listening"] < plain["send.mos_listening"] == waits["send.mos_listening"]
    assert waits["send.mos"] < plain["send.mos"]


def test_our_extended_reports_say_the_mean_of_the_call_so_far() -> None:
    call = figures()
    assert call.rating == (127, 127, 127)
    good = row(call, 50, 1)
    assert call.rating == (round(good["receive.r_factor"]), 44, 44)
    bad = row(call, 90, 2, lost=10)
    mean = (good["receive.r_factor"] + bad["receive.r_factor"]) / 2
    assert call.rating[0] == round(mean)
    assert call.rating[2] == round(10 * mos_from_r(mean))


def test_concealed_is_what_never_came_and_what_came_too_late() -> None:
    found = row(figures(), 48, 1, lost=2, duplicate_packets=1, buffer_late=4)
    assert found["receive.jitter_buffer_concealed_packets"] == 2 + 1 + 4
    assert found["receive.fraction_discarded"] == pytest.approx(100 * 4 / 50)


def ended(**changes: Any) -> CallFigures:
    """Return the figures of a call of four seconds."""
    call = figures()
    call.finish(heard(changes.pop("packets", 200), **changes), START + 4 * SECOND)
    return call


def test_first_packets_of_both_directions() -> None:
    call = ended(first_packet_at_ns=START + 30 * MILLISECOND, first_sent_at_ns=START + 7 * MILLISECOND)
    assert (call.first_packet_delay_ms, call.first_packet_sent_delay_ms) == (30, 7)
    early = ended(first_packet_at_ns=START - SECOND)
    assert (early.first_packet_delay_ms, early.first_packet_sent_delay_ms) == (0, None)


@pytest.mark.parametrize(
    ("changes", "missing", "is_silent"),
    [
        ({}, "", False),
        ({"packets_received": 0}, "receive", False),
        ({"packets_sent": 0}, "send", False),
        ({"packets_received": 0, "packets_sent": 0}, "", True),
        ({"remote_fraction_lost": 1.0, "remote_packets_lost": 190}, "send", False),
        ({"remote_fraction_lost": 1.0, "remote_packets_lost": 50}, "", False),  # it heard the rest
        ({"received_samples": 8000, "noise_level_dbov": -100.0}, "", True),
        ({"received_samples": 8000, "signal_level_dbov": -20.0}, "", False),
    ],
)
def test_which_way_a_call_was_heard(changes: dict[str, Any], missing: str, is_silent: bool) -> None:
    call = ended(**changes)
    assert (call.missing, call.is_silent) == (missing, is_silent)


def test_a_peer_that_heard_nothing_is_quoted() -> None:
    call = ended(remote_fraction_lost=1.0, remote_packets_lost=200)
    assert call.oddities == ["by the peer's reports none of our 200 packets arrived"]
