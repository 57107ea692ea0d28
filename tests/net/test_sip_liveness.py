"""The timers of a connection, in virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cmw.core.clock import SECOND
from cmw.net.sip_liveness import Due, FlowLimits, Liveness

LIMITS = FlowLimits()


def make(*, is_outbound: bool, must_pong: bool = False, unit: float = 0.0, limits: FlowLimits = LIMITS) -> Liveness:
    return Liveness(limits, is_outbound=is_outbound, must_pong=must_pong, unit=unit, now=0)


@pytest.mark.parametrize(("unit", "seconds"), [(0.0, 96), (0.5, 108)])
def test_pings_are_drawn_between_80_and_100_percent(unit: float, seconds: int) -> None:
    """RFC 5626 4.4.1."""
    liveness = make(is_outbound=True, unit=unit)
    liveness.opened(now=0)
    assert liveness.next_timeout() == seconds * SECOND
    assert liveness.handle_timeout(now=seconds * SECOND - 1) is None
    assert liveness.handle_timeout(now=seconds * SECOND) is Due.PING


@pytest.mark.parametrize("ping_s", [120, 0])
def test_a_registrar_may_ask_to_be_pinged_more_often(ping_s: int) -> None:
    """Flow-Timer, RFC 5626 4.4.1; who says that answers pings."""
    liveness = make(is_outbound=True, unit=0.5, limits=replace(LIMITS, ping_ns=ping_s * SECOND))
    liveness.opened(now=0)
    liveness.be_heard_within(30 * SECOND)
    assert liveness.next_timeout() == 27 * SECOND
    liveness.be_heard_within(300 * SECOND)
    assert liveness.handle_timeout(now=27 * SECOND) is Due.PING
    assert liveness.handle_timeout(now=37 * SECOND) is Due.PONG_LIMIT


def test_connecting_has_a_limit() -> None:
    liveness = make(is_outbound=True)
    assert liveness.handle_timeout(now=10 * SECOND) is Due.CONNECT_LIMIT


def test_a_server_that_never_answers_pings_need_not() -> None:
    liveness = make(is_outbound=True)
    liveness.opened(now=0)
    assert liveness.handle_timeout(now=96 * SECOND) is Due.PING
    assert liveness.next_timeout() == 192 * SECOND
    assert liveness.handle_timeout(now=192 * SECOND) is Due.PING


def test_a_server_that_has_answered_once_has_to() -> None:
    liveness = make(is_outbound=True)
    liveness.opened(now=0)
    assert liveness.handle_timeout(now=96 * SECOND) is Due.PING
    liveness.heard_at = 97 * SECOND
    liveness.pong_received()
    assert liveness.handle_timeout(now=193 * SECOND) is Due.PING
    assert liveness.handle_timeout(now=203 * SECOND - 1) is None
    assert liveness.handle_timeout(now=203 * SECOND) is Due.PONG_LIMIT


@pytest.mark.parametrize(
    ("must_pong", "limits"), [(True, LIMITS), (False, replace(LIMITS, pong_required=True))], ids=["WS", "required"]
)
def test_a_pong_may_be_demanded_from_the_start(must_pong: bool, limits: FlowLimits) -> None:
    liveness = make(is_outbound=True, must_pong=must_pong, limits=limits)
    liveness.opened(now=0)
    assert liveness.handle_timeout(now=96 * SECOND) is Due.PING
    assert liveness.handle_timeout(now=106 * SECOND) is Due.PONG_LIMIT


def test_anything_heard_counts_as_an_answer() -> None:
    liveness = make(is_outbound=True, must_pong=True)
    liveness.opened(now=0)
    assert liveness.handle_timeout(now=96 * SECOND) is Due.PING
    liveness.heard_at = 100 * SECOND
    assert liveness.next_timeout() == 196 * SECOND


def test_without_an_interval_nobody_is_asked() -> None:
    liveness = make(is_outbound=True, limits=replace(LIMITS, ping_ns=0))
    liveness.opened(now=0)
    assert liveness.next_timeout() is None


def test_others_have_to_say_something_and_then_may_be_silent_for_long() -> None:
    liveness = make(is_outbound=False)
    liveness.opened(now=0)
    assert liveness.handle_timeout(now=30 * SECOND) is Due.FIRST_MESSAGE_LIMIT
    liveness.message_received()
    assert liveness.next_timeout() == 7200 * SECOND
    assert liveness.handle_timeout(now=7200 * SECOND) is Due.IDLE_LIMIT
    never = make(is_outbound=False, limits=replace(LIMITS, idle_ns=0))
    never.message_received()
    assert never.next_timeout() is None


@pytest.mark.parametrize("is_outbound", [True, False])
def test_a_message_that_is_never_finished_has_a_limit(is_outbound: bool) -> None:
    """A byte a second would hold its room for ever."""
    liveness = make(is_outbound=is_outbound)
    liveness.opened(now=0)
    liveness.message_received()
    assert liveness.message_goes_on(True, now=5 * SECOND)
    liveness.heard_at = 20 * SECOND
    assert not liveness.message_goes_on(True, now=20 * SECOND)
    liveness.message_received()
    assert liveness.message_goes_on(True, now=21 * SECOND), "the next one"
    assert liveness.handle_timeout(now=51 * SECOND - 1) is None
    assert liveness.handle_timeout(now=51 * SECOND) is Due.MESSAGE_LIMIT
    assert not liveness.message_goes_on(False, now=51 * SECOND)
    assert (liveness.next_timeout() or 0) > 60 * SECOND


@pytest.mark.parametrize("is_outbound", [True, False])
def test_whoever_does_not_read_has_a_limit(is_outbound: bool) -> None:
    liveness = make(is_outbound=is_outbound)
    liveness.opened(now=0)
    liveness.message_received()
    liveness.paused(now=5 * SECOND)
    assert liveness.next_timeout() == 35 * SECOND
    liveness.resumed()
    assert liveness.handle_timeout(now=35 * SECOND) is None
    liveness.paused(now=40 * SECOND)
    assert liveness.handle_timeout(now=70 * SECOND) is Due.STALL_LIMIT
