"""Steps of a call come when they are due, and each once."""

from __future__ import annotations

from cmw.core.clock import SECOND
from cmw.load.scenario import Scenario, describe_step
from cmw.load.share_sip import StepShare


def at(seconds: int, action: str = "hold") -> StepShare:
    return StepShare(at_ns=seconds * SECOND, action=action)  # type: ignore[arg-type]


def on(event: str, digit: str | None = None, action: str = "hold") -> StepShare:
    return StepShare(on=event, digit=digit, action=action)  # type: ignore[arg-type]


def test_time_counts_from_the_answer() -> None:
    scenario = Scenario([at(5, "resume"), at(1), at(5, "hang_up")])
    assert scenario.next_at() is None
    scenario.begin(100 * SECOND)
    assert scenario.next_at() == 101 * SECOND
    assert scenario.take_due(101 * SECOND - 1) == []
    assert scenario.take_due(101 * SECOND) == [at(1)]
    assert scenario.take_due(200 * SECOND) == [at(5, "resume"), at(5, "hang_up")]  # in the order of the plan
    assert scenario.next_at() is None


def test_what_waits_for_an_event_is_done_once_in_a_call() -> None:
    scenario = Scenario([on("dtmf", "1"), on("dtmf"), on("hold"), on("hold", action="resume")])
    assert scenario.take_event("info") == []
    assert scenario.take_event("dtmf", "2") == [on("dtmf")]
    assert scenario.take_event("dtmf", "1") == [on("dtmf", "1")]
    assert scenario.take_event("dtmf", "1") == []
    assert scenario.take_event("hold") == [on("hold"), on("hold", action="resume")]
    assert scenario.take_event("hold") == []


def test_two_steps_that_are_the_same_are_two() -> None:
    scenario = Scenario([on("info"), on("info")])
    assert len(scenario.take_event("info")) == 2
    assert scenario.take_event("info") == []


def test_a_step_is_told_by_what_it_does_and_when() -> None:
    assert describe_step(at(90)) == "hold at 1m30s"
    assert describe_step(on("dtmf", "1", "send_info")) == "send_info on dtmf 1"
    assert describe_step(on("session_refreshed")) == "hold on session_refreshed"
