"""When a registration that failed is tried again. Source: RFC 5626 4.5, RFC 3261 20.33."""

from __future__ import annotations

from dataclasses import dataclass

from cmw.core.clock import SECOND, Nanos
from cmw.errors import LocalProtocolError

_PASSING = frozenset((408, 430, 480, 500, 502, 503, 504, 580))
"""Statuses that say nothing against the same request later; 430 is a lost flow. Source: RFC 3261 21, RFC 5626 11.5."""

_PASSING_IF_TOLD_WHEN = frozenset((404, 413, 486, 600, 603))
"""Statuses that may carry Retry-After besides. Source: RFC 3261 20.33."""

_MAX_DOUBLINGS = 32


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a registration waits after a failure, and when it gives up.

    After n failures in a row the wait is a random part of min(`maximum_s`, base * 2^n), from 1 - `jitter` of it up:
    with the defaults 30 to 60 s after the first failure, 60 to 120 s after the second, 15 to 30 min in the end.

    Args:
        first_tries: REGISTERs until the first success before `RegistrationFailed`; None goes on until it succeeds.
        later_tries: failures in a row, after it stood once, before `RegistrationFailed`; None goes on.
        base_s: base while nothing else of the address of record is registered from here.
        base_with_others_s: base while another binding of it stands.
        maximum_s: bound of the wait before it is made random.
        jitter: the random share of the wait, 0 .. 1.
        urgent_s: shortest wait after a refresh that failed while the binding still stands: half of the time left is
            waited, or this.
        reconnect_s: after the loss of a connection that had lived for `stable_s` the registration comes back within
            this time, so that those who lost it together do not come back together.
        stable_s: a connection lost earlier counts as a failure.
        longest_retry_after_s: what a registrar may ask for with Retry-After; more is cut.
    """

    first_tries: int | None = 1
    later_tries: int | None = None
    base_s: float = 30.0
    base_with_others_s: float = 90.0
    maximum_s: float = 1800.0
    jitter: float = 0.5
    urgent_s: float = 4.0
    reconnect_s: float = 1.0
    stable_s: float = 120.0
    longest_retry_after_s: int = 3600

    def __post_init__(self) -> None:
        tries = (self.first_tries, self.later_tries)
        if any(count is not None and count < 1 for count in tries):
            raise LocalProtocolError(f"expected at least one try, found {tries}")
        spans = (self.base_s, self.base_with_others_s, self.maximum_s, self.urgent_s)
        if min(spans) <= 0 or min(self.reconnect_s, self.stable_s, self.longest_retry_after_s) < 0:
            raise LocalProtocolError(f"expected spans above zero, found {self}")
        if not 0 <= self.jitter <= 1:
            raise LocalProtocolError(f"expected a jitter of 0 to 1, found {self.jitter}")

    def is_passing(self, status: int, *, says_when: bool) -> bool:
        """Tell whether the same REGISTER may succeed later.

        Args:
            status: of the response; 0 when none came.
            says_when: it carries Retry-After.
        """
        return status == 0 or status in _PASSING or (says_when and status in _PASSING_IF_TOLD_WHEN)

    def gives_up(self, failures: int, *, has_stood: bool) -> bool:
        """Tell whether `failures` in a row are enough."""
        tries = self.later_tries if has_stood else self.first_tries
        return tries is not None and failures >= tries

    def wait_ns(
        self, failures: int, unit: float, *, others_stand: bool = False, retry_after_s: int | None = None
    ) -> Nanos:
        """Return how long to wait from now.

        Args:
            failures: in a row, at least 1.
            unit: a random number in [0, 1).
            others_stand: another binding of the same address of record stands.
            retry_after_s: what the registrar asked for. All whom it told the same come back spread over half the base.
        """
        base_s = self.base_with_others_s if others_stand else self.base_s
        bound_s = min(self.maximum_s, base_s * 2 ** min(failures, _MAX_DOUBLINGS))
        wait_s = bound_s * (1 - self.jitter * (1 - unit))
        if retry_after_s is not None:
            told_s = min(retry_after_s, self.longest_retry_after_s)
            wait_s = max(wait_s, told_s + unit * base_s / 2)
        return int(wait_s * SECOND)

    def urgent_ns(self, left_ns: Nanos, unit: float) -> Nanos | None:
        """Return how long to wait while a binding stands for `left_ns` more, None when that is too short."""
        urgent_ns = int(self.urgent_s * SECOND)
        wait_ns = max(urgent_ns, int(left_ns * (0.4 + 0.2 * unit)))
        return wait_ns if wait_ns < left_ns else None

    def reconnect_ns(self, unit: float) -> Nanos:
        """Return how long to wait after the loss of a connection that had lived long enough."""
        return int(self.reconnect_s * unit * SECOND)


DEFAULT_RETRY_POLICY = RetryPolicy()
"""What an account has that says nothing else."""
