"""Whose messages and packets are kept: memory goes round, those that the plan names come first, the rest by rank."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cmw.core.clock import MILLISECOND, WallClock
from cmw.core.words import Outcome, OutcomeKind
from cmw.load.packets import CallPacket, EvidencePackets
from cmw.load.share import EvidenceShare
from cmw.net.packet_log import LoggedPacket, PacketLog
from cmw.sip import Hop
from cmw.worker import run_evidence
from cmw.worker.endpoint_records import CallsBeside
from cmw.worker.run_evidence import RunEvidence
from cmw.worker.sip_recorder import SipRecorder

INVITE = b"INVITE sip:600@10.0.0.2 SIP/2.0\r\nCall-ID: %b\r\nFrom: <sip:a@x>\r\n\r\n"


class Kept:
    """The evidence of a run with these endpoints, and what was reported of it."""

    def __init__(self, names: list[str], **share: Any) -> None:
        self.recorder = SipRecorder(lambda: 0)
        self.told: list[dict[str, Any]] = []
        self.recording: list[bool] = []
        self.station: Any = SimpleNamespace(
            recorder=self.recorder,
            addresses=SimpleNamespace(media="10.0.0.1"),
            local_of=lambda _: SimpleNamespace(host="10.0.0.1", port=5060),
            record_sip=self.recording.append,
        )
        self.names = names
        wall = WallClock(0, 10**18)
        self.evidence = RunEvidence(EvidenceShare(**share), names, [self.station], self.told.append, wall)
        for _ in self.evidence.make_memory():
            pass

    def tell(self) -> None:
        while self.evidence.is_untold:
            self.evidence.step()

    def finish(self) -> None:
        self.evidence.finish()
        self.tell()

    def begin(self, name: str) -> PacketLog | None:
        return self.evidence.lend(name)

    def end(
        self, name: str, log: PacketLog | None = None, *, failed: bool = False, mos: float | None = None,
        setup_ms: int | None = None,
        beside: PacketLog | None = None,
    ) -> bool:  # fmt: skip
        self.recorder.note("out", INVITE % name.encode(), Hop("10.0.0.2", 5060))
        times = SimpleNamespace(invite_at=0, answered_at=None if setup_ms is None else setup_ms * MILLISECOND)
        call = SimpleNamespace(call_id=name, direction="outbound", status=486 if failed else 200, times=times)
        kind = OutcomeKind.CALL_FAILED if failed else OutcomeKind.SUCCESS
        endpoint: Any = SimpleNamespace(
            station=self.station,
            lifecycle=SimpleNamespace(outcome=Outcome(kind)),
            settings=SimpleNamespace(index=self.names.index(name), name=name),
            registration=SimpleNamespace(call_id="", status=0),
            call=call,
            packets=log,
            beside=CallsBeside(packets=beside),
            figures=None if mos is None else SimpleNamespace(totals=lambda side: {"mos": mos}),
        )
        return self.evidence.take(endpoint)

    @property
    def kept(self) -> list[str]:
        return [told["name"] for told in self.told if told["kind"] == "evidence"]

    def packets(self, name: str) -> list[CallPacket]:
        number = self.names.index(name)
        parts = [told for told in self.told if told["kind"] == "evidence_packets" and told["endpoint"] == number]
        assert [part["part"] for part in parts] == list(range(len(parts)))
        return [packet for part in parts for packet in EvidencePackets.model_validate(part).packets()]


def fill(log: PacketLog | None, count: int) -> None:
    assert log is not None
    for number in range(count):
        log.add(LoggedPacket(number, 0, True, False, 10000, "10.0.0.2", 4000, 172, bytes(172)))


def test_packets_of_a_failed_call_follow_its_messages_and_its_memory_is_used_again() -> None:
    run = Kept(["a", "b", "c"], calls=20, rtp=1)
    log = run.begin("a")
    fill(log, 3000)
    assert run.begin("b") is None
    assert run.end("a", log, failed=True)
    run.evidence.step()
    assert (run.kept, run.packets("a")) == (["a"], [])
    assert run.begin("c") is None  # until the packets are told
    run.tell()
    assert [packet.at_unix_ns for packet in run.packets("a")] == list(range(3000))
    assert run.begin("c") is log
    assert log is not None
    assert (list(log), log.left_out) == ([], 0)


def test_packets_of_a_call_that_went_well_are_forgotten() -> None:
    run = Kept(["a", "b"], calls=20, rtp=1)
    log = run.begin("a")
    fill(log, 10)
    assert not run.end("a", log)
    assert run.begin("b") is log
    run.finish()
    assert run.told == []
    assert len(run.recorder) == 0


def test_memory_waits_for_the_endpoints_that_the_plan_names() -> None:
    run = Kept(["a", "b", "named-0001", "c"], endpoints=["named-0001", "of-another-worker-0001"], rtp=2)
    first = run.begin("a")
    assert first is not None
    assert run.begin("b") is None
    named = run.begin("named-0001")
    fill(named, 1)
    run.end("a", first)
    assert run.begin("c") is first
    assert run.end("named-0001", named)
    run.finish()
    assert run.kept == ["named-0001"]
    assert len(run.packets("named-0001")) == 1


def test_an_endpoint_that_ended_without_a_call_is_waited_for_no_more() -> None:
    run = Kept(["a", "named-0001"], endpoints=["named-0001"], rtp=1)
    assert run.begin("a") is None
    run.end("named-0001")
    assert run.begin("a") is not None


def test_the_worst_and_the_slowest_are_known_at_the_end() -> None:
    names = [f"c-{number}" for number in range(8)]
    run = Kept(names, calls=0, worst=2, slowest=1, rtp=1)
    for number, (mos, setup_ms) in enumerate(
        [(4.3, 10), (3.1, 20), (4.4, 900), (None, 30), (2.0, None), (4.0, 800), (3.0, 40), (4.1, 50)]
    ):
        log = run.begin(names[number])
        fill(log, number + 1)
        assert not run.end(names[number], log, mos=mos, setup_ms=setup_ms)
        assert run.told == []
    run.finish()
    assert sorted(run.kept) == ["c-2", "c-4", "c-6"]
    assert [len(run.packets(name)) for name in ("c-2", "c-4", "c-6")] == [3, 5, 7]


def test_one_that_failed_and_is_the_worst_is_told_once() -> None:
    run = Kept(["a"], calls=20, worst=1, slowest=1, rtp=1)
    log = run.begin("a")
    fill(log, 2)
    assert run.end("a", log, failed=True, mos=1.5, setup_ms=10)
    run.finish()
    assert (run.kept, len(run.packets("a"))) == (["a"], 2)


def test_a_gap_is_told_where_it_is() -> None:
    run = Kept(["a"], endpoints=["a"], rtp=1)
    log = run.begin("a")
    fill(log, 20_000)
    run.end("a", log)
    run.finish()
    packets = run.packets("a")
    (gap,) = [place for place, packet in enumerate(packets) if packet.is_after_gap]
    left_out = {told["packets_left_out"] for told in run.told if told["kind"] == "evidence_packets"}
    assert left_out == {20_000 - len(packets)} == {packets[gap].at_unix_ns - packets[gap - 1].at_unix_ns - 1}


def test_sip_is_recorded_until_the_end() -> None:
    run = Kept(["a"], calls=1)
    assert run.begin("a") is None
    run.evidence.close()
    assert run.recording == [True, False]


def test_what_is_left_when_there_is_no_time_is_told_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_evidence, "HURRIED_STEPS", 3)
    run = Kept(["a", "b"], endpoints=["a", "b"], rtp=2)
    for name in ("a", "b"):
        log = run.begin(name)
        fill(log, 10)
        run.end(name, log)
    run.evidence.hurry()
    assert run.kept == ["a"]
    assert len(run.packets("a")) == 10
    assert not run.evidence.is_untold


def test_packets_of_a_call_beside_follow_those_of_its_own_and_their_memory_is_used_again() -> None:
    run = Kept(["a", "b"], calls=20, rtp=2)
    own, beside = run.begin("a"), run.begin("a")
    fill(own, 600)
    fill(beside, 20)
    assert run.begin("b") is None
    run.end("a", own, beside=beside, failed=True)
    run.tell()
    packets = run.packets("a")
    assert [packet.is_beside for packet in packets] == [False] * 600 + [True] * 20
    assert {run.begin("b"), run.begin("b")} == {own, beside}
    assert not run.end("b", own, beside=beside)
    assert {run.begin("a"), run.begin("a")} == {own, beside}
