"""Which endpoint of a group that waits takes which calls: arithmetic over the groups of a plan.

A line is room for one call at a time. An endpoint that calls has one; one that waits has a line for each caller that is
paired with it. On a line calls come one after the other, as many as its caller places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from cmw.load.plan_pairing import ONE_TO_ONE

if TYPE_CHECKING:  # a plan counts its own endpoints by its lines
    from cmw.load.plan import Group


class Block(NamedTuple):
    """Endpoints side by side in a group that waits, and the lines of another group that lead to them in turn.

    Args:
        group: the one that waits.
        first: position of the first of these endpoints.
        endpoints: how many they are.
        lines: how many lead to them.
        calls: how many calls come on each line, one after the other.
        by_transfer: whether the calls are those that a transfer leads to.
    """

    group: str
    first: int
    endpoints: int
    lines: int
    calls: int
    by_transfer: bool = False

    @property
    def end(self) -> int:
        """Return the position after the last endpoint."""
        return self.first + self.endpoints

    def position_of(self, number: int) -> int:
        """Return the position of the endpoint that the line of a number, from 0, leads to."""
        return self.first + number % self.endpoints

    def lines_at(self, position: int) -> int:
        """Return how many lines lead to an endpoint of the block."""
        return self.lines // self.endpoints + (position - self.first < self.lines % self.endpoints)

    def number_of(self, position: int, line: int) -> int:
        """Return the number of a line, of which each endpoint counts its own from 0."""
        return position - self.first + line * self.endpoints


class Lines:
    """Those of all groups of a plan.

    Callers come first, group by group in the order of the plan, each group to endpoints of their own; after them come
    the transfers. The callers of a group are shared out in turn: with 5:1, ten of them call receivers 1, 2, 1, 2 and
    so on. Calls that an endpoint repeats go to the same receiver again, and so do the calls that it transfers.

    Args:
        groups: of a plan. Where too many calls lead to a group, blocks go on beyond its endpoints.
    """

    def __init__(self, groups: Mapping[str, Group]) -> None:
        self._groups = groups
        self._waiting = {name for name, group in groups.items() if group.call is None}
        self._led_to: dict[str, list[Block]] = {name: [] for name in self._waiting}
        self._calls: dict[str, Block] = {}
        self._moves: dict[str, list[Block]] = {}
        """Of a group that is called, one for each block of its callers."""
        for name, group in groups.items():
            if group.call is not None and group.call.group in self._waiting:
                receivers = (group.call.pairing or ONE_TO_ONE).receivers_of(group.endpoints)
                block = self._block(group.call.group, receivers, group.endpoints, 1 + group.repeats)
                self._calls[name] = block
        self._called = {name: list(blocks) for name, blocks in self._led_to.items()}
        for name, group in groups.items():
            if group.transfer_group in self._waiting:
                self._moves[name] = [
                    self._block(group.transfer_group, lines, lines, calls, by_transfer=True)
                    for lines, calls in self._leading(name)
                ]

    def leads_to(self, name: str) -> Block | None:
        """Return the endpoints that a group calls, None when it calls none."""
        return self._calls.get(name)

    def callee(self, name: str, position: int) -> tuple[str, int] | None:
        """Return group and position of whom an endpoint calls, None when that is no endpoint."""
        block = self._calls.get(name)
        return (block.group, block.position_of(position)) if block is not None else None

    def transferee(self, name: str, position: int, line: int) -> tuple[str, int] | None:
        """Return group and position of whom a call of an endpoint is transferred to, None when that is no endpoint."""
        moves = self._moves.get(name)
        if not moves:
            return None
        called = self._called.get(name)
        if not called:
            return moves[0].group, moves[0].position_of(position)
        for block, move in zip(called, moves, strict=True):
            if block.first <= position < block.end:
                return move.group, move.position_of(block.number_of(position, line))
        return None

    def calls_at(self, name: str, position: int) -> list[int]:
        """Return how many calls an endpoint has on each of its lines; one that nobody calls waits for one."""
        if name not in self._waiting:
            return [1 + self._groups[name].repeats]
        block = self._block_at(name, position)
        return [block.calls] * block.lines_at(position) if block is not None else [1]

    def expects_call(self, name: str, position: int) -> bool:
        """Tell whether a call must come: nobody in the plan calls the group, or somebody calls this endpoint."""
        return not self._led_to[name] or position < self.used(name)

    def is_led_to(self, name: str, position: int) -> bool:
        """Tell whether a transfer leads to an endpoint that waits."""
        block = self._block_at(name, position)
        return block is not None and block.by_transfer

    def used(self, name: str) -> int:
        """Return how many endpoints a group must have for those who call it or are transferred to it."""
        return self._led_to[name][-1].end if self._led_to[name] else 0

    def count(self, name: str) -> int:
        """Return the lines of a group: the most calls that its endpoints have at a time."""
        return sum(block.lines for block in self._led_to.get(name, [])) + self._alone(name)

    def calls(self, name: str) -> int:
        """Return the calls of all endpoints of a group, one for each endpoint that nobody calls among them."""
        if name not in self._waiting:
            return self._groups[name].endpoints * (1 + self._groups[name].repeats)
        return sum(block.lines * block.calls for block in self._led_to[name]) + self._alone(name)

    def _alone(self, name: str) -> int:
        """Return how many endpoints of a group are led to by nobody."""
        endpoints = self._groups[name].endpoints
        return max(0, endpoints - self.used(name)) if name in self._waiting else endpoints

    def _block(self, group: str, endpoints: int, lines: int, calls: int, *, by_transfer: bool = False) -> Block:
        block = Block(group, self.used(group), endpoints, lines, calls, by_transfer)
        self._led_to[group].append(block)
        return block

    def _block_at(self, name: str, position: int) -> Block | None:
        return next((block for block in self._led_to[name] if block.first <= position < block.end), None)

    def _leading(self, name: str) -> list[tuple[int, int]]:
        """Return how many lines a group transfers, and how many calls each has, as long as they have equally many."""
        group, called = self._groups[name], self._called.get(name)
        return [(block.lines, block.calls) for block in called] if called else [(group.endpoints, 1 + group.repeats)]
