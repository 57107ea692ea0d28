"""RTCP on its way to Homer: under its call's name, to the end of the call, a portion at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from cmw.core.clock import MILLISECOND
from cmw.net.packet_log import LoggedPacket, PacketLog
from cmw.rtp.rtcp import ReceiverReport, serialize_compound
from cmw.worker.rtcp_export import LOG_BYTES, PORTION, RtcpExport
from tests.worker.stage import Stage

REPORT = serialize_compound([ReceiverReport(77)])


class Engine:
    """Writes to its logs what the test says, as a media engine does."""

    def __init__(self) -> None:
        self.logs: Sequence[PacketLog | None] = []
        self.labels: dict[int, int] = {}

    def __len__(self) -> int:
        return 2

    def set_label(self, slot: int, label: int) -> None:
        self.labels[slot] = label

    def set_control_logs(self, logs: Sequence[PacketLog | None]) -> None:
        self.logs = list(logs)

    def note(self, slot: int, data: bytes = REPORT, *, thread: int = 0, **changes: Any) -> None:
        log = self.logs[thread]
        assert log is not None
        label = self.labels.get(slot, 0)
        packet = LoggedPacket(1000, label, True, True, 10001, "10.0.0.2", 4001, len(data), data)
        log.add(packet._replace(**changes))


class Exporter:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str, bool, int]] = []

    def send_report(self, document: Any, *, is_sent: bool, local: Any, remote: Any, at: int, call_id: str) -> None:
        self.told.append((call_id, str(local), str(remote), is_sent, document["ssrc"]))


class Scene:
    def __init__(self) -> None:
        self.stage = Stage()
        self.engine, self.exporter = Engine(), Exporter()
        self.export = RtcpExport(self.engine, self.exporter, self.stage.alarm)  # type: ignore[arg-type]

    @property
    def calls(self) -> list[str]:
        return [told[0] for told in self.exporter.told]


def test_each_report_is_told_under_its_call() -> None:
    scene = Scene()
    scene.export.name(3, "call-a", "10.0.0.1")
    scene.export.name(4, "call-b", "10.0.0.9")
    scene.engine.note(3)
    scene.engine.note(4, thread=1, is_sent=False)
    scene.stage.after(150 * MILLISECOND)
    assert scene.exporter.told == [
        ("call-a", "10.0.0.1:10001", "10.0.0.2:4001", True, 77),
        ("call-b", "10.0.0.9:10001", "10.0.0.2:4001", False, 77),
    ]
    scene.engine.note(3)
    scene.stage.after(150 * MILLISECOND)
    assert scene.calls == ["call-a", "call-b", "call-a"]


def test_the_last_report_of_a_call_is_its_own_though_another_has_its_slot() -> None:
    scene = Scene()
    scene.export.name(3, "call-a", "10.0.0.1")
    scene.engine.note(3)
    scene.export.forget(3)
    scene.export.name(3, "call-b", "10.0.0.1")
    scene.engine.note(3)
    scene.stage.after(300 * MILLISECOND)
    assert scene.calls == ["call-a", "call-b"]
    assert list(scene.export._owners.values()) == [("call-b", "10.0.0.1")]  # nothing is kept of calls that are over


def test_what_cannot_be_told_is_counted() -> None:
    scene = Scene()
    scene.engine.note(9)
    scene.export.name(3, "call-a", "10.0.0.1")
    scene.engine.note(3, REPORT + bytes(2000))
    scene.engine.note(3, b"\x80\xc8")
    scene.stage.after(150 * MILLISECOND)
    assert (scene.calls, scene.export.lost) == ([], 2)
    for _ in range(LOG_BYTES // 64 + 5):
        scene.engine.note(3)
    left_out = sum(log.left_out for log in scene.engine.logs if log is not None)
    assert left_out > 0
    scene.export.close()
    assert scene.export.lost == 2 + left_out


def test_a_flood_is_told_in_portions_and_nothing_of_it_is_lost() -> None:
    scene = Scene()
    scene.export.name(3, "call-a", "10.0.0.1")
    told_before, set_alarm = [0], scene.stage.alarm.at

    def at(due_ns: int, callback: Callable[[], None]) -> Any:
        told_before.append(len(scene.calls))
        return set_alarm(due_ns, callback)

    scene.stage.alarm.at = at  # type: ignore[method-assign]
    for _ in range(3 * PORTION + 5):
        scene.engine.note(3)
    scene.stage.after(150 * MILLISECOND)
    assert told_before[-1] == 3 * PORTION + 5
    assert max(after - before for before, after in pairwise(told_before)) == PORTION
    scene.engine.note(3)
    scene.stage.after(200 * MILLISECOND)
    assert len(scene.calls) == 3 * PORTION + 6


def test_at_its_end_it_tells_what_is_left_and_no_more() -> None:
    scene = Scene()
    scene.export.name(3, "call-a", "10.0.0.1")
    scene.engine.note(3)
    scene.export.close()
    scene.export.close()
    assert scene.calls == ["call-a"]
    assert scene.engine.logs == [None, None]
    scene.stage.after(300 * MILLISECOND)
    assert scene.calls == ["call-a"]
