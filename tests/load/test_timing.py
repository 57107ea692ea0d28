"""How long the parts of a run may take."""

from __future__ import annotations

from cmw.core.clock import SECOND
from cmw.load import timing


def test_deadlines_add_up() -> None:
    assert timing.setup_deadline(3 * SECOND, 60 * SECOND) == 63 * SECOND
    assert timing.receiver_deadline(10 * SECOND, 60 * SECOND) == 75 * SECOND
    assert timing.receiver_hold_limit(60 * SECOND) == 92 * SECOND
    assert timing.registration_deadline(SECOND) == 65 * SECOND
    assert timing.run_deadline(75 * SECOND, 60 * SECOND) == (75 + 60 + 32 + 64 + 10) * SECOND


def test_a_receiver_outlasts_every_caller_that_may_still_ring() -> None:
    assert timing.receiver_deadline(10, 20) > timing.setup_deadline(10, 20)
