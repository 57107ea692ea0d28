"""Whether our count of losses is the truth: streams over a path that writes down every packet it drops.

    python -m bench.known_loss --runs 20 --seconds 30

Each run is one stream through a relay of its own on loopback, which loses packets one by one and in bursts, by other
odds in each run. What the media engine says was lost is compared with what was dropped, packet for packet.
"""

from __future__ import annotations

import argparse
import json
import random
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import groupby
from typing import Any, NamedTuple

from cmw.core.address import PortRange
from cmw.net._media import MediaEngine
from cmw.net.media import MediaMode, open_media_pair
from cmw.rtp.ports import PortPool
from cmw.rtp.snapshot import StreamSnapshot
from cmw.rtp.source import make_source

IP = "127.25.3.1"
PORTS = PortRange(20000, 29999)
PATIENCE_S = 30.0


class Truth(NamedTuple):
    """What was dropped between the first and the last packet that came through."""

    received: int
    lost: int
    bursts: int
    longest: int


class Path:
    """The way of one stream: a socket that it goes into, one that it comes out of, and the book of what was dropped."""

    def __init__(self, seed: int, to: int) -> None:
        self.kept: list[bool] = []
        self.inside = _socket()
        self._outside = _socket()
        self._to = (IP, to)
        self._odds = _gilbert(random.Random(seed))

    @property
    def ports(self) -> tuple[int, int]:
        """Return where it goes in, and where it comes from."""
        return self.inside.getsockname()[1], self._outside.getsockname()[1]

    def carry(self) -> None:
        """Pass one packet on, or drop it."""
        data = self.inside.recv(2048)
        kept = next(self._odds)
        self.kept.append(kept)
        if kept:
            self._outside.sendto(data, self._to)

    def truth(self) -> Truth:
        first = self.kept.index(True)
        last = len(self.kept) - self.kept[::-1].index(True)
        between = self.kept[first:last]
        rows = [len(list(row)) for kept, row in groupby(between) if not kept]
        return Truth(sum(between), sum(rows), len(rows), max(rows, default=0))

    def close(self) -> None:
        self.inside.close()
        self._outside.close()


def measure(runs: int, seconds: float, *, seed: int = 1) -> list[tuple[Truth, StreamSnapshot]]:
    """Return for each run what was dropped, and what the receiver measured."""
    with ExitStack() as stack:
        engine = MediaEngine(slots=2 * runs)
        engine.start()
        stack.callback(engine.stop)
        pool = PortPool(PORTS)
        ends = [open_media_pair(engine, pool, IP, 0) for _ in range(2 * runs)]
        speakers, listeners = ends[:runs], ends[runs:]
        paths = [Path(seed + number, port) for number, (_, port) in enumerate(listeners)]
        for path in paths:
            stack.callback(path.close)
        over = threading.Event()
        carrier = threading.Thread(target=_carry, args=(paths, over))
        carrier.start()
        stack.callback(carrier.join)
        stack.callback(over.set)
        source = engine.add_source(*make_source("tone", "PCMU"))
        for path, (speaker, _), (listener, _) in zip(paths, speakers, listeners, strict=True):
            into, out_of = path.ports
            _start(engine, listener, out_of, source, MediaMode.RECEIVE_ONLY)
            _start(engine, speaker, into, source, MediaMode.SEND_RECEIVE)
        time.sleep(seconds)
        for speaker, _ in speakers:
            engine.stop_stream(speaker)
        found = []
        for path, (speaker, _), (listener, _) in zip(paths, speakers, listeners, strict=True):
            sent = engine.snapshot(speaker).packets_sent
            _wait(lambda path=path, sent=sent: len(path.kept) == sent)  # type: ignore[misc]
            kept = sum(path.kept)
            _wait(lambda slot=listener, kept=kept: engine.snapshot(slot).packets_received == kept)  # type: ignore[misc]
            found.append((path.truth(), engine.snapshot(listener)))
        return found


def _gilbert(rng: random.Random) -> Iterator[bool]:
    """Yield which packets are kept, by a model of two states: in one few are lost, in the other most."""
    begins, ends = rng.uniform(0.001, 0.05), rng.uniform(0.1, 0.6)
    odds = {False: rng.uniform(0.0, 0.05), True: rng.uniform(0.5, 1.0)}
    is_bad = False
    while True:
        is_bad = rng.random() >= ends if is_bad else rng.random() < begins
        yield rng.random() >= odds[is_bad]


def _carry(paths: list[Path], over: threading.Event) -> None:
    with selectors.DefaultSelector() as selector:
        for path in paths:
            selector.register(path.inside, selectors.EVENT_READ, path)
        while not over.is_set():
            for key, _ in selector.select(0.1):
                key.data.carry()


def _start(engine: MediaEngine, slot: int, port: int, source: int, mode: MediaMode) -> None:
    engine.start_stream(
        slot,
        remote_ip=IP,
        remote_rtp_port=port,
        remote_rtcp_port=0,
        payload_type=0,
        clock_hz=8000,
        ptime_ms=20,
        source=source,
        ssrc=1000 + slot,
        sequence=65500,
        timestamp=0,
        cname=b"bench",
        mode=mode,
    )


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((IP, 0))
    return made


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "packets that were not dropped never came"
        time.sleep(0.01)


def report(found: list[tuple[Truth, StreamSnapshot]]) -> dict[str, Any]:
    """Return what was found; `equal` says whether every count was the truth."""
    rows = [
        {"dropped": truth._asdict(), "measured": Truth(
            seen.packets_received, seen.packets_lost, seen.loss_bursts, seen.longest_loss_burst)._asdict()}
        for truth, seen in found
    ]  # fmt: skip
    return {
        "runs": len(rows),
        "packets": sum(truth.received + truth.lost for truth, _ in found),
        "dropped": sum(truth.lost for truth, _ in found),
        "equal": all(row["dropped"] == row["measured"] for row in rows),
        "rows": rows,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    told = report(measure(options.runs, options.seconds, seed=options.seed))
    print(json.dumps(told, indent=2))
    raise SystemExit(0 if told["equal"] else 1)
