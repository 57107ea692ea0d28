"""Shares of a run's calls and registrations, as RFC 6076 and ITU-T E.411 and E.425 define them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from cmw.core.words import Phase
from cmw.load.outcome import EndpointReport

OF_THE_USER = frozenset({480, 486, 600, 603})
"""Answers by which the network did its work and the called user did not want to. Source: RFC 6076 4.7."""

INEFFECTIVE = frozenset({408, 500, 503, 504})
"""Answers that say that the network did not do its work. Source: RFC 6076 4.8."""

UNANSWERED = frozenset({0, 408, 487})
"""Ends of an attempt that nobody answered; it reached the called terminal when that rang. Source: ITU-T E.425 3.3."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A share from 0 to 1 of calls or registrations.

    Args:
        counts: tells whether an endpoint is in the denominator.
        holds: tells whether one of those is in the numerator.
    """

    name: str
    definition: str
    source: str
    counts: Callable[[EndpointReport], bool]
    holds: Callable[[EndpointReport], bool]

    def of(self, reports: Iterable[EndpointReport]) -> float | None:
        """Return the share; None when the denominator is 0."""
        counted = [report for report in reports if self.counts(report)]
        return sum(map(self.holds, counted)) / len(counted) if counted else None


def _is_call(report: EndpointReport) -> bool:
    return report.call.attempted


def _phase(report: EndpointReport) -> Phase:
    """Return how far an endpoint came; CLOSED for a word that this version does not know."""
    return Phase.__members__.get(report.phase, Phase.CLOSED)


def _is_placed(report: EndpointReport) -> bool:
    """Tell whether an INVITE left, or came: where none could be sent, no network had anything to do."""
    sent = report.call.direction == "inbound" or _phase(report) >= Phase.CALLING
    return report.call.attempted and sent


def _is_not_redirected(report: EndpointReport) -> bool:
    return _is_placed(report) and not 300 <= report.call.status_code <= 399


def _is_answered(report: EndpointReport) -> bool:
    return report.call.answered


def _is_completed(report: EndpointReport) -> bool:
    return report.call.answered and report.ended_well


def _answered_or(codes: frozenset[int]) -> Callable[[EndpointReport], bool]:
    return lambda report: report.call.answered or report.call.status_code in codes


def _has_reached(report: EndpointReport) -> bool:
    """Tell whether an attempt reached the called terminal, which need not have answered."""
    rang = _phase(report) >= Phase.RINGING
    return _answered_or(OF_THE_USER)(report) or (rang and report.call.status_code in UNANSWERED)


def _is_ineffective(report: EndpointReport) -> bool:
    """Tell whether the network failed an attempt; no final answer at all is a timeout, as 408 is."""
    return not report.call.answered and (report.call.status_code == 0 or report.call.status_code in INEFFECTIVE)


CALL_RATIOS: tuple[Ratio, ...] = (
    Ratio("call_success", "calls that were answered and ended well, of those attempted", "", _is_call, _is_completed),
    Ratio("asr", "answer-seizure ratio: calls answered, of those placed", "ITU-T E.411", _is_placed, _is_answered),
    Ratio("ner", "network effectiveness ratio: calls answered, busy, refused by the user, or rung without an answer, "
          "of those placed", "ITU-T E.425", _is_placed, _has_reached),
    Ratio("ser", "session establishment ratio: INVITEs that got 200, of all but those that got 3xx", "RFC 6076 4.6",
          _is_not_redirected, _is_answered),
    Ratio("seer", "session establishment effectiveness ratio: INVITEs that got 200, 480, 486, 600 or 603, of all "
          "but those that got 3xx", "RFC 6076 4.7", _is_not_redirected, _answered_or(OF_THE_USER)),
    Ratio("isa", "ineffective session attempts: INVITEs that got 408, 500, 503, 504 or no final answer, of all",
          "RFC 6076 4.8", _is_placed, _is_ineffective),
    Ratio("scr", "session completion ratio: calls that were answered and came to their proper end, of those placed",
          "RFC 6076 4.9", _is_placed, _is_completed),
)  # fmt: skip
"""Over calls, each counted once."""

REGISTRATION_RATIOS: tuple[Ratio, ...] = (
    Ratio("registration_success", "registrations that succeeded, of those attempted", "",
          lambda report: report.registration.attempted, lambda report: report.registration.succeeded),
    Ratio("ira", "ineffective registration attempts: registrations that failed, of those attempted", "RFC 6076 4.2",
          lambda report: report.registration.attempted, lambda report: not report.registration.succeeded),
)  # fmt: skip
"""Over endpoints."""

RATIOS: Mapping[str, Ratio] = {ratio.name: ratio for ratio in (*CALL_RATIOS, *REGISTRATION_RATIOS)}
"""By name, each a metric that the function ``rate`` judges."""
