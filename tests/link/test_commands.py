"""What both sides remember of commands."""

from __future__ import annotations

import pytest

from cmw.errors import LocalProtocolError
from cmw.link.commands import MAX_OUTSTANDING, REMEMBERED, CommandJournal, CommandOutbox
from cmw.link.messages import Command, CommandAccepted, CommandDone, CommandRejected


def test_the_journal_knows_what_came_and_what_was_answered() -> None:
    journal = CommandJournal()
    assert journal.receive("a")
    assert not journal.receive("a")
    assert journal.answer_of("a") is None
    journal.answer(CommandAccepted(id="a"), is_sent=True)
    assert journal.answer_of("a") == CommandAccepted(id="a")
    journal.answer(CommandDone(id="a"), is_sent=False)
    assert not journal.receive("a")
    assert journal.take_unsent() == [CommandDone(id="a")]
    assert journal.take_unsent() == []


@pytest.mark.parametrize("command_id", ["never", "finished"])
def test_the_journal_takes_no_answer_out_of_place(command_id: str) -> None:
    journal = CommandJournal()
    journal.receive("finished")
    journal.answer(CommandRejected(id="finished", code="NO"), is_sent=True)
    with pytest.raises(LocalProtocolError):
        journal.answer(CommandDone(id=command_id), is_sent=True)
    assert journal.answer_of("finished") == CommandRejected(id="finished", code="NO")


def test_the_journal_is_bounded_and_forgets_no_open_command() -> None:
    journal = CommandJournal()
    for number in range(REMEMBERED + 10):
        journal.receive(f"{number}")
        journal.answer(CommandDone(id=f"{number}"), is_sent=True)
    assert not journal.is_known("9")
    assert journal.is_known("10")
    for number in range(MAX_OUTSTANDING):
        assert not journal.is_full()
        journal.receive(f"open-{number}")
    assert journal.is_full()
    assert journal.is_known("open-0")


def test_the_outbox_keeps_commands_until_they_are_finished() -> None:
    outbox = CommandOutbox()
    outbox.submit(Command(id="a", name="drain"))
    outbox.submit(Command(id="b", name="drain"))
    assert outbox.settle(CommandAccepted(id="a"))
    assert not outbox.settle(CommandAccepted(id="a"))
    assert [command.id for command in outbox.outstanding()] == ["a", "b"]
    assert outbox.settle(CommandDone(id="a"))
    assert not outbox.settle(CommandDone(id="a"))
    assert not outbox.settle(CommandAccepted(id="a"))
    assert [command.id for command in outbox.outstanding()] == ["b"]


def test_the_outbox_takes_news_of_commands_from_before_a_restart() -> None:
    assert CommandOutbox().settle(CommandDone(id="old"))


def test_a_forgotten_command_is_neither_sent_nor_heard_of_again() -> None:
    outbox = CommandOutbox()
    outbox.submit(Command(id="a", name="drain"))
    outbox.forget("a")
    assert outbox.outstanding() == []
    assert not outbox.settle(CommandDone(id="a"))


def test_data_that_is_no_json_is_refused() -> None:
    outbox = CommandOutbox()
    with pytest.raises(LocalProtocolError):
        outbox.submit(Command(id="a", name="drain", data={"x": float("nan")}))
    assert outbox.outstanding() == []


def test_a_command_that_is_submitted_again_is_settled_again_and_tells_nothing_new() -> None:
    outbox = CommandOutbox()
    for is_new in (True, False):
        outbox.submit(Command(id="stop-r", name="stop_run"))
        assert outbox.settle(CommandDone(id="stop-r")) is is_new
        assert outbox.outstanding() == []
