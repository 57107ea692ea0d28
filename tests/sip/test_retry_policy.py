"""When a registration comes back. Source: RFC 5626 4.5."""

from __future__ import annotations

import pytest

from cmw.core.clock import SECOND
from cmw.errors import LocalProtocolError
from cmw.sip.retry_policy import RetryPolicy


@pytest.mark.parametrize(
    ("failures", "least_s", "most_s"),
    [(1, 30, 60), (2, 60, 120), (3, 120, 240), (5, 480, 960), (6, 900, 1800), (100, 900, 1800)],
)
def test_the_wait_doubles_up_to_its_maximum(failures: int, least_s: int, most_s: int) -> None:
    """RFC 5626 4.5: with a base of 30 s and three failures the bound is 240 s."""
    policy = RetryPolicy()
    assert policy.wait_ns(failures, 0.0) == least_s * SECOND
    assert policy.wait_ns(failures, 0.999999999999) == pytest.approx(most_s * SECOND)


def test_the_base_is_longer_while_another_binding_stands() -> None:
    assert RetryPolicy().wait_ns(1, 0.0, others_stand=True) == 90 * SECOND


def test_retry_after_is_respected_spread_and_bounded() -> None:
    policy = RetryPolicy()
    assert policy.wait_ns(1, 0.0, retry_after_s=5) == 30 * SECOND
    assert policy.wait_ns(1, 0.0, retry_after_s=300) == 300 * SECOND
    assert policy.wait_ns(1, 0.5, retry_after_s=300) == 307.5 * SECOND
    assert policy.wait_ns(1, 0.0, retry_after_s=9_999_999_999) == 3600 * SECOND


@pytest.mark.parametrize(
    ("status", "says_when", "is_passing"),
    [
        (0, False, True),
        (408, False, True),
        (500, False, True),
        (503, False, True),
        (404, False, False),
        (404, True, True),
        (603, True, True),
        (403, True, False),
        (401, True, False),
        (501, True, False),
        (600, False, False),
    ],
)
def test_which_failures_pass(status: int, *, says_when: bool, is_passing: bool) -> None:
    assert RetryPolicy().is_passing(status, says_when=says_when) is is_passing


def test_when_to_give_up() -> None:
    policy = RetryPolicy(first_tries=3, later_tries=None)
    assert [policy.gives_up(count, has_stood=False) for count in (1, 2, 3)] == [False, False, True]
    assert not policy.gives_up(1_000_000, has_stood=True)
    assert RetryPolicy().gives_up(1, has_stood=False)


def test_a_refresh_is_tried_again_while_there_is_time() -> None:
    policy = RetryPolicy()
    assert policy.urgent_ns(60 * SECOND, 0.5) == 30 * SECOND
    assert policy.urgent_ns(5 * SECOND, 0.5) == 4 * SECOND
    assert policy.urgent_ns(4 * SECOND, 0.5) is None
    assert policy.urgent_ns(-SECOND, 0.5) is None


@pytest.mark.parametrize(
    "fields", [{"first_tries": 0}, {"later_tries": 0}, {"base_s": 0}, {"jitter": 1.5}, {"reconnect_s": -1}]
)
def test_nonsense_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(LocalProtocolError):
        RetryPolicy(**fields)  # type: ignore[arg-type]
