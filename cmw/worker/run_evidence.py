"""What a worker keeps of the endpoints of a run for those who have to argue about it: whose, how long, how much.

SIP messages are kept of every call until it is over, for nobody knows before which calls fail. Packets are kept of so
many calls at a time as the plan says, in memory that goes from call to call; a call that comes when all of it is in use
has none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cmw.core.clock import WallClock
from cmw.load.evidence import EvidenceChoice
from cmw.load.packets import CallPacket, EvidencePackets, parts_of
from cmw.load.share import EvidenceShare
from cmw.net.packet_log import LoggedPacket, PacketLog
from cmw.worker.call_evidence import RecordedEndpoint
from cmw.worker.endpoint import Endpoint
from cmw.worker.station import Station

FIRST_BYTES = LAST_BYTES = 512 << 10
"""What is kept of a call from its beginning, and from its end: 22 s each of 20 ms G.711 both ways."""

HURRIED_STEPS = 500


@dataclass(slots=True, eq=False)
class _Case:
    """An endpoint that has ended, and that may be kept."""

    recorded: RecordedEndpoint
    log: PacketLog | None
    beside: PacketLog | None
    """Packets of the calls beside its own."""
    is_reported: bool = False
    rankings: int = 0
    """Among the worst, the slowest, or both."""


class _Ranking:
    """The first so many of all that were offered, by their value."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._held: list[tuple[float, int, _Case]] = []
        self._offered = 0

    def offer(self, value: float, case: _Case) -> _Case | None:
        """Rank a case, the lowest value first; return who lost its place, perhaps the same."""
        self._offered += 1
        self._held.append((value, self._offered, case))
        self._held.sort(key=lambda held: held[:2])
        case.rankings += 1
        if len(self._held) <= self._places:
            return None
        loser = self._held.pop()[2]
        loser.rankings -= 1
        return loser

    def __iter__(self) -> Iterator[_Case]:
        return (case for _, _, case in self._held)


class RunEvidence:
    """Lend memory for packets to calls, choose among those that are over, and report what is chosen.

    Args:
        share: what the plan says.
        names: of the endpoints that this worker carries.
        stations: where SIP is recorded.
        report: hands an event to the gateway.
        wall: when it was.
    """

    def __init__(
        self,
        share: EvidenceShare,
        names: Iterable[str],
        stations: Sequence[Station],
        report: Callable[[dict[str, Any]], None],
        wall: WallClock,
    ) -> None:
        carried = frozenset(names)
        self._choice = EvidenceChoice(share)
        self._named = carried.intersection(share.endpoints)
        self._named_to_come = set(self._named)
        self._at_a_time = share.rtp
        self._lent = 0
        self._free: list[PacketLog] = []
        most = 2 * len(carried)  # a call, and one beside it
        self._calls = min(most, share.rtp + share.worst + share.slowest if share.rtp else 0)
        self._worst, self._slowest = _Ranking(share.worst), _Ranking(share.slowest)
        self._stations = stations
        self._report = report
        self._wall = wall
        self._untold: deque[Iterator[dict[str, Any]]] = deque()
        for station in stations:
            station.record_sip(True)

    # Memory.

    def make_memory(self) -> Iterator[None]:
        """Make the memory that `lend` lends, before the run: yields after that of each call, half a millisecond."""
        for _ in range(self._calls):
            self._free.append(PacketLog(FIRST_BYTES, LAST_BYTES))
            yield

    def lend(self, name: str) -> PacketLog | None:
        """Return memory for the packets of a call that begins, None when there is none; `take` has it back.

        Endpoints that the plan names come first: memory waits for those that have not called yet.
        """
        self._named_to_come.discard(name)
        waiting = 0 if name in self._named else len(self._named_to_come)
        if self._lent + waiting >= self._at_a_time or not self._free:
            return None  # with none free, the packets of calls that are over are still to be told
        self._lent += 1
        return self._free.pop()

    # Ends.

    def take(self, endpoint: Endpoint) -> bool:
        """Take what is kept of an endpoint that has ended; report it, now or later, or let go of it.

        Returns:
            whether there is something to report: `step` does.
        """
        outcome, name = endpoint.lifecycle.outcome, endpoint.settings.name
        self._named_to_come.discard(name)
        kept, endpoint.packets = endpoint.packets, None
        beside, endpoint.beside.packets = endpoint.beside.packets, None
        self._lent -= (kept is not None) + (beside is not None)
        recorded = RecordedEndpoint(endpoint)
        case = _Case(recorded, kept, beside)
        if recorded and outcome is not None:
            status = endpoint.call.status or endpoint.registration.status
            if self._choice.takes(name, outcome.kind, status):
                self._tell(case)
            for loser in self._rank(endpoint, case):
                self._let_go(loser)
        recorded.forget()
        self._let_go(case)
        return self.is_untold

    @property
    def is_untold(self) -> bool:
        """Tell whether something that was chosen is still to be reported."""
        return bool(self._untold)

    def step(self) -> None:
        """Report a part of what is to be told, two milliseconds of work."""
        document = next(self._untold[0], None) if self._untold else None
        if document is not None:
            self._report(document)
        elif self._untold:
            self._untold.popleft()

    def hurry(self) -> None:
        """Report what is left at once, for there is no time; what would take longer than a second is lost."""
        self.finish()
        for _ in range(HURRIED_STEPS):
            self.step()
        self._untold.clear()

    def finish(self) -> bool:
        """Choose the last: nobody comes any more who would be worse or slower; tell whether `step` has work."""
        for case in (*self._worst, *self._slowest):
            self._tell(case)
        return self.is_untold

    def close(self) -> None:
        """Record no more."""
        for station in self._stations:
            station.record_sip(False)

    # Private.

    def _rank(self, endpoint: Endpoint, case: _Case) -> list[_Case]:
        """Rank a case, and return those that lost a place by it."""
        values = ((self._worst, _badness(endpoint)), (self._slowest, _slowness(endpoint)))
        losers = [ranking.offer(value, case) for ranking, value in values if value is not None]
        return [loser for loser in losers if loser is not None]

    def _tell(self, case: _Case) -> None:
        if case.is_reported:
            return
        case.is_reported = True
        kept, beside, case.log, case.beside = case.log, case.beside, None, None
        self._untold.append(self._documents(case.recorded, kept, beside))

    def _documents(
        self, recorded: RecordedEndpoint, kept: PacketLog | None, beside: PacketLog | None
    ) -> Iterator[dict[str, Any]]:
        told = recorded.evidence(self._wall)
        yield told.model_dump(mode="json")
        number = 0
        for log in (kept, beside):
            if log is None:
                continue
            left_out = log.left_out
            for data in parts_of(_packets(log, is_beside=log is beside)):
                part = EvidencePackets(
                    endpoint=told.endpoint,
                    part=number,
                    local_host=recorded.media_ip,
                    packets_left_out=left_out,
                    data=data,
                )
                yield part.model_dump(mode="json")
                number += 1
            self._give_back(log)

    def _let_go(self, case: _Case) -> None:
        """Give the memory of a case back that nobody wants any more."""
        if case.rankings:
            return
        logs, case.log, case.beside = (case.log, case.beside), None, None
        for log in logs:
            if log is not None:
                self._give_back(log)

    def _give_back(self, log: PacketLog) -> None:
        log.clear()
        self._free.append(log)


def _badness(endpoint: Endpoint) -> float | None:
    """Return the MOS of what an endpoint received; None where nothing can be said of it."""
    return endpoint.figures.totals("receive").get("mos") if endpoint.figures is not None else None


def _slowness(endpoint: Endpoint) -> float | None:
    """Return how long its call took to be answered, below 0; None for a call that was not, or not placed here."""
    times = endpoint.call.times
    if endpoint.call.direction != "outbound" or times.invite_at is None or times.answered_at is None:
        return None
    return float(times.invite_at - times.answered_at)


def _packets(log: PacketLog, *, is_beside: bool) -> Iterator[CallPacket]:
    for packet in log.first():
        yield _packet(packet, is_after_gap=False, is_beside=is_beside)
    is_after_gap = log.left_out > 0
    for packet in log.last():
        yield _packet(packet, is_after_gap=is_after_gap, is_beside=is_beside)
        is_after_gap = False


def _packet(packet: LoggedPacket, *, is_after_gap: bool, is_beside: bool) -> CallPacket:
    at, _, sent, control, local_port, ip, port, size, data = packet
    return CallPacket(at, sent, control, local_port, ip, port, min(size, 0xFFFF), data, is_after_gap, is_beside)
