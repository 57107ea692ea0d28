"""Both sides of a measurement of capacity, as processes that are ours: started, asked, and ended with us."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from cmw.core.address import PortRange
from cmw.errors import CmwError
from cmw.load.capacity import Measured, Window, judge
from cmw.load.outcome import RunTotals
from cmw.worker.capacity_load import SETUP_PATIENCE_S, LoadSpec

START_PATIENCE_S = 30.0
ANSWER_PATIENCE_S = 10.0
"""Beyond what was asked for: a machine under too much load answers late."""

SETTLING_S = 1.0
"""Between the last call and the window: the first packets of a stream cost more."""

BARE_S = 1.5
"""How long the bare exchange is measured."""


class LoadError(CmwError):
    """A process of the measurement ended or said nothing."""


class Child:
    """A process of this program that answers each line with a line of JSON. Ended with the context, whatever it does.

    Ctrl-C does not reach it: it is for us to end it.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._module = module
        self._pending = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def say(self, line: str) -> None:
        """Write a line to its stdin."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # why it ended is told by `hear`
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def hear(self, patience_s: float) -> Any:
        """Return its next line, parsed.

        Raises:
            LoadError: it ended, or said nothing for so long.
        """
        assert self._process.stdout is not None
        deadline = time.monotonic() + patience_s
        while b"\n" not in self._pending:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise LoadError(f"{self._module} said nothing for {patience_s:.0f} s")
            if select.select([self._process.stdout], [], [], left_s)[0]:
                data = os.read(self._process.stdout.fileno(), 1 << 16)
                if not data:
                    raise LoadError(f"{self._module} ended: {self._last_words()}")
                self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return json.loads(line)

    def ask(self, line: str, patience_s: float) -> Any:
        """Say a line and return the answer."""
        self.say(line)
        return self.hear(patience_s)

    def _last_words(self) -> str:
        assert self._process.stderr is not None
        text = self._process.stderr.read().decode("utf-8", "replace").strip()
        return text.splitlines()[-1] if text else f"exit code {self._process.wait()}"


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores each side has: the same for both where there is only one."""

    worker: tuple[int, ...]
    peer: tuple[int, ...]

    @classmethod
    def divide(cls, cpus: Sequence[int]) -> Cores:
        """Give the first half, rounded up, to the worker."""
        half = (len(cpus) + 1) // 2
        return cls(tuple(cpus[:half]), tuple(cpus[half:]) or tuple(cpus))


@dataclass(frozen=True, slots=True)
class Ground:
    """Where measurements take place.

    Args:
        ip: loopback address of both sides.
        rtp_ports: divided between them.
        rate: calls begun each second.
    """

    ip: str
    rtp_ports: PortRange
    cores: Cores
    rate: float = 200.0

    @property
    def halves(self) -> tuple[PortRange, PortRange]:
        """Return the ports of the worker and of its peer."""
        first, last = self.rtp_ports.first, self.rtp_ports.last
        middle = first + (last + 1 - first) // 4 * 2
        return PortRange(first, middle - 1), PortRange(middle, last)


@contextmanager
def both_sides(ground: Ground, endpoints: int, *, registers: bool = False) -> Iterator[tuple[Child, Child]]:
    """Have a worker that calls, and a peer that answers, run until the context ends; nothing is registered yet.

    Raises:
        LoadError: one of them could not start.
    """
    ours, theirs = ground.halves
    with Child("cmw.worker.capacity_load") as peer, Child("cmw.worker.capacity_load") as worker:
        answering = _spec(ground, theirs, ground.cores.peer, endpoints, role="answer", registers=registers)
        target = peer.ask(answering.model_dump_json(), START_PATIENCE_S)["sip"]
        calling = _spec(
            ground, ours, ground.cores.worker, endpoints, role="call", registers=registers, rate=ground.rate
        ).model_copy(update={"target": target})
        worker.ask(calling.model_dump_json(), START_PATIENCE_S)
        yield worker, peer


def measure(ground: Ground, endpoints: int, seconds: float, pacing_p99_us: float, *, bare: bool = True) -> Measured:
    """Have `endpoints` calls up, look at both sides for some seconds, and return what the worker took.

    Args:
        bare: whether the bare exchange is measured too, right after.

    Raises:
        LoadError: one of the sides ended early.
    """
    with both_sides(ground, endpoints) as (worker, peer):
        worker.ask("register", START_PATIENCE_S)
        setup = worker.ask("call", endpoints / ground.rate + SETUP_PATIENCE_S + ANSWER_PATIENCE_S)
        time.sleep(SETTLING_S)
        for side in (worker, peer):
            side.say(f"window {seconds}")
        windows = [read_window(side.hear(seconds + START_PATIENCE_S)) for side in (worker, peer)]
    return judge(
        endpoints,
        *windows,
        pacing_p99_us=pacing_p99_us,
        bare_us_per_pair=bare_us_per_pair(ground, endpoints) if bare else None,
        setup_cpu_seconds=setup["signalling_cpu_seconds"],
    )


def bare_us_per_pair(ground: Ground, endpoints: int, seconds: float = BARE_S) -> float | None:
    """Return the CPU microseconds of a packet sent and one received by two processes that do nothing else.

    None where it cannot be measured.
    """
    places = (ground.cores.worker, ground.cores.peer)
    with contextlib.ExitStack() as stack:
        ends = [
            stack.enter_context(
                Child("cmw.net.yardstick", ground.ip, str(endpoints), str(seconds), ",".join(map(str, cpus)))
            )
            for cpus in places
        ]
        try:
            peers = [end.hear(START_PATIENCE_S) for end in ends]
            for end, others in zip(ends, reversed(peers), strict=True):
                end.say(json.dumps(others))
            costs = [end.hear(seconds + ANSWER_PATIENCE_S) for end in ends]
        except LoadError:
            return None
    sent, received, cpu_seconds = costs[0]
    return 2e6 * cpu_seconds / (sent + received) if sent + received else None


def seconds_of(ground: Ground, endpoints: int, seconds: float) -> float:
    """Return how long `measure` takes, about."""
    return 2.5 + endpoints / ground.rate + SETTLING_S + seconds + BARE_S


def read_window(document: dict[str, Any]) -> Window:
    """Return the window of an answer."""
    return Window(
        **document | {"totals": RunTotals.model_validate(document["totals"]), "cpus": tuple(document["cpus"])}
    )


def _spec(
    ground: Ground,
    ports: PortRange,
    cpus: tuple[int, ...],
    endpoints: int,
    **more: Any,
) -> LoadSpec:
    return LoadSpec(
        ip=ground.ip,
        rtp_port_first=ports.first,
        rtp_port_last=ports.last,
        cpus=list(cpus),
        endpoints=endpoints,
        **more,
    )
