"""Who carries which endpoint: the room of workers, filled evenly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from heapq import heapify, heappop, heapreplace
from itertools import groupby

from cmw.errors import CapacityError

Key = tuple[str, int]
"""Group and position of an endpoint."""


def deal(seats: Mapping[Key, int], workers: list[tuple[str, int]], seed: int) -> dict[Key, str]:
    """Return the worker of each endpoint: always the one that will be least full for its capacity.

    Endpoints that take much room go first, those that take as much in their order.

    Args:
        seats: the room that each endpoint takes.
        workers: id and free capacity of each.
        seed: decides which worker comes first among equals.

    Raises:
        CapacityError: when an endpoint finds no worker with room for it.
    """
    usable = [(worker, capacity) for worker, capacity in workers if capacity > 0]
    first = seed % len(usable) if usable else 0
    table = _Table(usable[first:] + usable[:first])
    carriers: dict[Key, str] = {}
    for room, keys in groupby(sorted(seats, key=lambda key: -seats[key]), key=seats.__getitem__):
        places = table.places(room)
        for key in keys:
            worker = next(places, None)
            if worker is None:
                name = f"{key[0]}-{key[1] + 1:04d}"
                raise CapacityError(f"{name} takes {room} calls at a time, no worker has room left for them")
            carriers[key] = worker
    return carriers


class _Table:
    """How full each worker is."""

    def __init__(self, workers: list[tuple[str, int]]) -> None:
        self._workers = workers
        self._taken = [0] * len(workers)

    def places(self, room: int) -> Iterator[str]:
        """Yield the worker of one endpoint after the other, each of which takes so much room, as long as any has it."""
        heap = [(self._filled(order, room), order) for order in range(len(self._workers))]
        heapify(heap)
        while heap:
            filled, order = heap[0]
            if filled > 1:
                heappop(heap)
                continue
            self._taken[order] += room
            heapreplace(heap, (self._filled(order, room), order))
            yield self._workers[order][0]

    def _filled(self, order: int, room: int) -> Fraction:
        """Return how full a worker would be with an endpoint more."""
        return Fraction(self._taken[order] + room, self._workers[order][1])
