"""How long each part of a run may take: pure functions of the plan's figures, all in nanoseconds.

Instants are offsets from the start of the run (the arrival of `start_run`), spans are spans.
"""

from __future__ import annotations

from cmw.core.clock import SECOND, Nanos

WAIT_SLACK_NS: Nanos = 5 * SECOND
"""Added to a receiver's wait: workers start within each other's network delay, and a proxy in between takes time."""

TEARDOWN_NS: Nanos = 32 * SECOND
"""A BYE, CANCEL or un-REGISTER is given up after 64 * T1. Source: RFC 3261 17.1.2.2, Timer F."""

REPORT_NS: Nanos = 10 * SECOND
"""Time for the last samples and reports to reach the gateway over a live link."""

REGISTRATION_NS: Nanos = 32 * SECOND
"""A REGISTER without any answer is given up after 64 * T1. Source: RFC 3261 17.1.2.2, Timer F."""

EXTERNAL_WAIT_NS: Nanos = 60 * SECOND
"""How long a receiver of a group that nobody in the plan calls waits, unless the plan says otherwise."""


def setup_deadline(starts_at_ns: Nanos, setup_timeout_ns: Nanos) -> Nanos:
    """Return when a caller gives up on an unanswered INVITE and sends CANCEL."""
    return starts_at_ns + setup_timeout_ns


def receiver_deadline(last_arrival_ns: Nanos, setup_timeout_ns: Nanos) -> Nanos:
    """Return when a receiver that got no call ends with outcome TIMEOUT, "receiver wait timeout"."""
    return last_arrival_ns + setup_timeout_ns + WAIT_SLACK_NS


def receiver_hold_limit(hold_ns: Nanos) -> Nanos:
    """Return the longest a receiver stays in an answered call: callers hang up, a lost caller must not hold us."""
    return hold_ns + TEARDOWN_NS


def retry_span(tries: int, base_ns: Nanos, max_ns: Nanos) -> Nanos:
    """Return how long a registration may go on after its first try failed: the longest waits, and the tries."""
    waits = [min(max_ns, base_ns << min(k, 32)) for k in range(1, tries)]
    return sum(waits) + len(waits) * 2 * REGISTRATION_NS


def registration_deadline(last_register_at_ns: Nanos, retry_ns: Nanos = 0) -> Nanos:
    """Return when every registration has succeeded or failed, from the arrival of `prepare_run`.

    Twice Timer F: one unanswered try and one that follows a challenge; and what further tries may take.
    """
    return last_register_at_ns + 2 * REGISTRATION_NS + retry_ns


def repeat_span(setup_timeout_ns: Nanos, hold_ns: Nanos, pause_ns: Nanos) -> Nanos:
    """Return the longest from the start of a call to that of the next one of the same endpoint."""
    return setup_timeout_ns + receiver_hold_limit(hold_ns) + TEARDOWN_NS + pause_ns


def transfer_deadline(last_call_ns: Nanos, setup_timeout_ns: Nanos, at_ns: Nanos) -> Nanos:
    """Return when a receiver that a call is transferred to gives up.

    Args:
        last_call_ns: when the last of the calls that are transferred begins.
        setup_timeout_ns: how long a call may stay unanswered.
        at_ns: when it is transferred, from its answer.
    """
    return receiver_deadline(last_call_ns + setup_timeout_ns + at_ns, setup_timeout_ns)


def run_deadline(last_wait_ns: Nanos, hold_ns: Nanos) -> Nanos:
    """Return when every endpoint must have reported, from the arrival of `start_run`.

    Args:
        last_wait_ns: the latest instant at which a call may be answered: the greatest setup or receiver deadline.
        hold_ns: how long a call is held.
    """
    return last_wait_ns + receiver_hold_limit(hold_ns) + 2 * TEARDOWN_NS + REPORT_NS
