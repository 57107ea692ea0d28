"""What each side remembers of commands, so that one that comes twice is carried out once.

The gateway's `CommandOutbox` outlives connections: a command stays in it until it is done or rejected, and every
welcome sends the outstanding ones again. The worker's `CommandJournal` outlives them too: a command that it knows
already is answered again from memory.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from cmw.errors import LocalProtocolError
from cmw.link.messages import Command, CommandAccepted, CommandDone, CommandRejected
from cmw.link.strict_json import serialize_json

Answer = CommandAccepted | CommandDone | CommandRejected

MAX_OUTSTANDING: Final = 256
"""Commands that a worker carries out at a time; more are rejected as BUSY."""

REMEMBERED: Final = 256
"""Finished commands whose answer a worker can repeat."""


class CommandOutbox:
    """The commands of one worker that are not finished; kept by the gateway for as long as it knows the worker."""

    def __init__(self) -> None:
        self._outstanding: OrderedDict[str, Command] = OrderedDict()
        self._accepted: OrderedDict[str, None] = OrderedDict()
        self._finished: OrderedDict[str, None] = OrderedDict()

    def submit(self, command: Command) -> None:
        """Remember `command` until it is finished.

        Raises:
            LocalProtocolError: there is an unfinished command of the same id, or its data is no JSON.
        """
        if command.id in self._outstanding:
            raise LocalProtocolError(f"command {command.id} is outstanding already")
        serialize_json(command.data)
        self._outstanding[command.id] = command

    def settle(self, answer: Answer) -> bool:
        """Take an answer in; return False if it says nothing new.

        An answer to a command that this outbox never held is new: a gateway that was restarted still wants to know.
        One to a finished command that was submitted again is not, but it takes the command out again.
        """
        is_new = answer.id not in self._finished
        if isinstance(answer, CommandAccepted):
            return is_new and _remember(self._accepted, answer.id)
        self.forget(answer.id)
        return is_new

    def forget(self, command_id: str) -> None:
        """Send this command no more, and take no further answers to it."""
        self._outstanding.pop(command_id, None)
        self._accepted.pop(command_id, None)
        _remember(self._finished, command_id)

    def outstanding(self) -> list[Command]:
        """Return the unfinished commands, oldest first."""
        return list(self._outstanding.values())


def _remember(ids: OrderedDict[str, None], command_id: str) -> bool:
    """Add an id, forgetting the oldest beyond the bound; return whether it is new."""
    if command_id in ids:
        return False
    ids[command_id] = None
    if len(ids) > MAX_OUTSTANDING + REMEMBERED:
        ids.popitem(last=False)
    return True


@dataclass(slots=True)
class _Entry:
    answer: Answer | None = None
    is_sent: bool = field(default=True)


class CommandJournal:
    """The commands that a worker process has seen, and what it last answered to each."""

    def __init__(self) -> None:
        self._open: dict[str, _Entry] = {}
        self._finished: OrderedDict[str, _Entry] = OrderedDict()

    def is_full(self) -> bool:
        """Tell whether no further command can be taken."""
        return len(self._open) >= MAX_OUTSTANDING

    def is_known(self, command_id: str) -> bool:
        """Tell whether this command has come before."""
        return command_id in self._open or command_id in self._finished

    def receive(self, command_id: str) -> bool:
        """Note a command; return True if it is new and has to be carried out."""
        if self.is_known(command_id):
            return False
        self._open[command_id] = _Entry()
        return True

    def answer_of(self, command_id: str) -> Answer | None:
        """Return the last answer to a command, None if there is none yet."""
        entry = self._open.get(command_id) or self._finished.get(command_id)
        return entry.answer if entry is not None else None

    def answer(self, answer: Answer, *, is_sent: bool) -> None:
        """Note an answer; `is_sent` is False when there was no link to send it on.

        Raises:
            LocalProtocolError: the command is unknown or finished.
        """
        entry = self._open.get(answer.id)
        if entry is None:
            raise LocalProtocolError(f"command {answer.id} is unknown or finished")
        entry.answer, entry.is_sent = answer, is_sent
        if isinstance(answer, CommandAccepted):
            return
        del self._open[answer.id]
        self._finished[answer.id] = entry
        if len(self._finished) > REMEMBERED:
            self._finished.popitem(last=False)

    def take_unsent(self) -> list[Answer]:
        """Return the answers that no link has carried yet, and count them as sent."""
        entries = [entry for entry in (*self._finished.values(), *self._open.values()) if not entry.is_sent]
        for entry in entries:
            entry.is_sent = True
        return [entry.answer for entry in entries if entry.answer is not None]
