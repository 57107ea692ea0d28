"""The driver: one input, drain until quiet, arm one timer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from cmw.core.clock import MILLISECOND, SECOND
from cmw.core.timers import Deadline
from cmw.net.driver import Driver
from cmw.net.sip_udp import RECEIVE_BATCH, UdpSocket
from cmw.sip.hop import Datagram, Hop, Transport

PEER = Hop("127.0.0.2", 5060)


class FakeTimer:
    def __init__(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.delay_s = delay_s
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeLoop:
    """As much of an event loop as the driver uses; nothing happens by itself."""

    def __init__(self) -> None:
        self.readers: dict[object, Callable[[], None]] = {}
        self.writers: dict[object, Callable[[], None]] = {}
        self.timers: list[FakeTimer] = []
        self.faults: list[dict[str, Any]] = []

    def add_reader(self, sock: object, callback: Callable[[], None]) -> None:
        self.readers[sock] = callback

    def remove_reader(self, sock: object) -> None:
        self.readers.pop(sock, None)

    def add_writer(self, sock: object, callback: Callable[[], None]) -> None:
        self.writers[sock] = callback

    def remove_writer(self, sock: object) -> None:
        self.writers.pop(sock, None)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> FakeTimer:
        self.timers.append(FakeTimer(delay_s, callback))
        return self.timers[-1]

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.faults.append(context)


class FakeSocket:
    """A socket made of two lists."""

    def __init__(self) -> None:
        self.inbox: deque[tuple[bytes, tuple[str, int]]] = deque()
        self.sent: list[tuple[bytes, Hop]] = []
        self.failures: deque[OSError] = deque()
        self.is_closed = False

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 5060

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        if not self.inbox:
            raise BlockingIOError
        return self.inbox.popleft()

    def recvmsg(self, *_: object) -> Any:
        raise BlockingIOError

    def sendto(self, data: bytes, destination: tuple[str, int]) -> None:
        if self.failures:
            raise self.failures.popleft()
        self.sent.append((data, Hop(*destination)))

    def close(self) -> None:
        self.is_closed = True


class FakeMachine:
    """Echoes datagrams, tells of each, and wakes when it is told to."""

    def __init__(self) -> None:
        self.deadline: int | None = None
        self.stops_timer_at = ""
        self.out: list[Datagram] = []
        self.events: deque[str] = deque()
        self.woken: list[int] = []
        self.failed: list[tuple[Hop, str, bytes | None]] = []

    def receive_datagram(self, data: bytes, source: Hop, *, now: int) -> None:
        self.out.append(Datagram(data.upper(), source))
        self.events.append(data.decode())
        if data.decode() == self.stops_timer_at:
            self.deadline = None

    def handle_timeout(self, *, now: int) -> None:
        self.woken.append(now)
        self.deadline = None

    def datagrams_to_send(self) -> list[Datagram]:
        out, self.out = self.out, []
        return out

    def next_event(self) -> str | None:
        return self.events.popleft() if self.events else None

    def next_timeout(self) -> Deadline | None:
        return None if self.deadline is None else Deadline(self.deadline, "test")

    def transport_failed(self, destination: Hop, reason: str, *, at_fault: bytes | None, now: int) -> None:
        self.failed.append((destination, reason, at_fault))


class Bench:
    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.sock = FakeSocket()
        self.machine = FakeMachine()
        self.now = 0
        self.told: list[str] = []
        self.traced: list[tuple[str, bytes, Hop]] = []
        self.listener: Driver[FakeMachine] = Driver(
            self.loop,  # type: ignore[arg-type]
            self.machine,
            self.take,
            trace=lambda *line: self.traced.append(line),
            clock=lambda: self.now,
        )
        udp = UdpSocket(self.loop, self.sock, self.listener)  # type: ignore[arg-type]
        self.listener.add_carrier(udp, (Transport.UDP,))

    def take(self, event: str) -> None:
        self.told.append(event)

    def receive(self, *messages: bytes) -> None:
        self.sock.inbox.extend((each, tuple(PEER)) for each in messages)  # type: ignore[misc]
        self.loop.readers[self.sock]()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_each_datagram_is_answered_before_the_next_is_read(bench: Bench) -> None:
    bench.receive(b"one", b"two")
    assert bench.sock.sent == [(b"ONE", PEER), (b"TWO", PEER)]
    assert bench.told == ["one", "two"]
    assert [line[:2] for line in bench.traced] == [("in", b"one"), ("out", b"ONE"), ("in", b"two"), ("out", b"TWO")]
    counts = bench.listener.counts
    assert (counts.datagrams_received, counts.bytes_received) == (2, 6)
    assert (counts.datagrams_sent, counts.bytes_sent) == (2, 6)


def test_a_command_is_drained(bench: Bench) -> None:
    def command(machine: FakeMachine, now: int) -> int:
        machine.out.append(Datagram(b"hello", PEER))
        return now

    bench.now = 77
    assert bench.listener.run(command) == 77
    assert bench.sock.sent == [(b"hello", PEER)]


def test_a_command_that_raises_is_drained_all_the_same(bench: Bench) -> None:
    def command(machine: FakeMachine, now: int) -> None:
        machine.out.append(Datagram(b"hello", PEER))
        raise ValueError

    with pytest.raises(ValueError):
        bench.listener.run(command)
    assert len(bench.sock.sent) == 1


def test_commands_out_of_an_event_are_drained_by_the_one_that_told_it(bench: Bench) -> None:
    def take(event: str) -> None:
        if event == "one":
            bench.listener.run(lambda machine, now: machine.events.append("inner"))
            assert bench.told == []
        bench.told.append(event)

    bench.listener._on_event = take
    bench.receive(b"one")
    assert bench.told == ["one", "inner"]


def test_a_fault_of_the_program_is_reported_and_stops_nothing(bench: Bench) -> None:
    def take(event: str) -> None:
        raise KeyError(event)

    bench.listener._on_event = take
    bench.receive(b"one", b"two")
    assert len(bench.loop.faults) == 2
    assert len(bench.sock.sent) == 2


def test_one_timer_is_armed_and_only_for_something_sooner(bench: Bench) -> None:
    bench.machine.deadline = SECOND
    bench.receive(b"one")
    bench.receive(b"two")
    assert [timer.delay_s for timer in bench.loop.timers] == [1.0]
    bench.machine.deadline = 2 * SECOND
    bench.receive(b"three")
    assert len(bench.loop.timers) == 1
    bench.machine.deadline = SECOND // 2
    bench.receive(b"four")
    assert [timer.is_cancelled for timer in bench.loop.timers] == [True, False]
    assert bench.loop.timers[-1].delay_s == 0.5


def test_a_timer_that_fires_a_little_early_counts_as_on_time(bench: Bench) -> None:
    bench.machine.deadline = SECOND
    bench.receive(b"one")
    bench.now = SECOND - MILLISECOND
    bench.loop.timers[-1].callback()
    assert bench.machine.woken == [SECOND]


def test_a_timer_that_fires_late_tells_the_truth(bench: Bench) -> None:
    bench.machine.deadline = SECOND
    bench.receive(b"one")
    bench.now = 3 * SECOND
    bench.loop.timers[-1].callback()
    assert bench.machine.woken == [3 * SECOND]


def test_after_a_stall_what_has_arrived_is_taken_before_a_timer_fires(bench: Bench) -> None:
    bench.machine.deadline = SECOND
    bench.receive(b"one")
    bench.sock.inbox.extend((b"%d" % n, tuple(PEER)) for n in range(2 * RECEIVE_BATCH))  # type: ignore[misc]
    taken_before: list[int] = []
    woken = bench.machine.handle_timeout

    def handle_timeout(*, now: int) -> None:
        taken_before.append(bench.listener.counts.datagrams_received)
        woken(now=now)

    bench.machine.handle_timeout = handle_timeout  # type: ignore[method-assign]
    bench.now = 3 * SECOND
    bench.loop.timers[-1].callback()
    assert taken_before == [1 + 2 * RECEIVE_BATCH]


def test_what_has_arrived_can_stop_the_timer_that_a_stall_made_late(bench: Bench) -> None:
    bench.machine.deadline = SECOND
    bench.receive(b"one")
    bench.machine.stops_timer_at = "answer"
    bench.sock.inbox.append((b"answer", tuple(PEER)))  # type: ignore[arg-type]
    bench.now = 3 * SECOND
    bench.loop.timers[-1].callback()
    assert bench.machine.woken == []


def test_a_program_that_closes_while_it_reads_ahead_is_not_woken(bench: Bench) -> None:
    bench.machine.deadline = SECOND
    bench.receive(b"one")
    bench.listener._on_event = lambda event: bench.listener.close()
    bench.sock.inbox.append((b"two", tuple(PEER)))  # type: ignore[arg-type]
    bench.now = 3 * SECOND
    bench.loop.timers[-1].callback()
    assert bench.machine.woken == []


def test_a_timer_for_a_deadline_that_moved_is_armed_again(bench: Bench) -> None:
    bench.machine.deadline = SECOND
    bench.receive(b"one")
    bench.machine.deadline = 5 * SECOND
    bench.now = SECOND
    bench.loop.timers[-1].callback()
    assert bench.machine.woken == []
    assert bench.loop.timers[-1].delay_s == 4.0


def test_what_does_not_fit_into_the_socket_is_sent_later_in_order(bench: Bench) -> None:
    bench.sock.failures.append(BlockingIOError())
    bench.receive(b"one", b"two")
    assert bench.sock.sent == []
    bench.loop.writers[bench.sock]()
    assert bench.sock.sent == [(b"ONE", PEER), (b"TWO", PEER)]
    assert bench.loop.writers == {}


def test_an_error_of_an_earlier_datagram_costs_nothing(bench: Bench) -> None:
    bench.sock.failures.append(ConnectionRefusedError(111, "Connection refused"))
    bench.receive(b"one")
    assert bench.sock.sent == [(b"ONE", PEER)]
    assert bench.machine.failed == []


def test_a_datagram_that_cannot_be_sent_is_reported(bench: Bench) -> None:
    bench.sock.failures.extend([OSError(101, "Network is unreachable")] * 2)
    bench.receive(b"one")
    assert bench.machine.failed == [(PEER, "Network is unreachable", None)]
    assert bench.listener.counts.send_errors == 1


def test_a_datagram_that_is_too_long_is_at_fault_itself(bench: Bench) -> None:
    bench.sock.failures.extend([OSError(90, "Message too long")] * 2)
    bench.receive(b"one")
    assert bench.machine.failed == [(PEER, "Message too long", b"ONE")]


def test_a_fault_of_the_machine_costs_one_datagram(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = bench.machine.receive_datagram

    def take(data: bytes, source: Hop, *, now: int) -> None:
        if data == b"bad":
            raise KeyError(data)
        taken(data, source, now=now)

    monkeypatch.setattr(bench.machine, "receive_datagram", take)
    bench.receive(b"bad", b"good")
    assert bench.told == ["good"]
    assert isinstance(bench.loop.faults[0]["exception"], KeyError)


def test_a_fault_at_a_timer_leaves_the_other_timers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*, now: int) -> None:
        bench.machine.deadline = 9 * SECOND
        raise KeyError

    monkeypatch.setattr(bench.machine, "handle_timeout", fail)
    bench.machine.deadline = SECOND
    bench.receive(b"one")
    bench.now = SECOND
    bench.loop.timers[-1].callback()
    assert len(bench.loop.faults) == 1
    assert bench.loop.timers[-1].delay_s == 8.0


def test_nothing_happens_after_close(bench: Bench) -> None:
    bench.machine.deadline = SECOND
    bench.receive(b"one")
    bench.listener.close()
    bench.listener.close()
    assert bench.sock.is_closed
    assert bench.loop.readers == {}
    assert bench.loop.timers[-1].is_cancelled
    bench.listener.run(lambda machine, now: machine.out.append(Datagram(b"late", PEER)))
    assert len(bench.sock.sent) == 1
