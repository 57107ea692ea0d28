"""Cost of agreeing on a call's media, as every call of a test does it: the offer, its answer, and the reading of it.

Session ids and ports differ from call to call, as they do in a run.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

from cmw.sip import PCMA, PCMU, AudioPolicy, NegotiatedAudio, Negotiator, parse_sdp

POLICY = AudioPolicy((PCMU, PCMA))

Benchmark = Callable[..., Any]


def caller(number: int) -> Negotiator:
    return Negotiator(POLICY, address="192.0.2.1", rtp_port=10000 + 2 * number, session_id=3723423 + number)


def callee(number: int = 0) -> Negotiator:
    return Negotiator(POLICY, address="192.0.2.2", rtp_port=40000 + 2 * number, session_id=99 + number)


OFFERS = [caller(number).make_offer() for number in range(2000)]
ANSWERS = [callee(number).make_answer(offer) for number, offer in enumerate(OFFERS)]


def test_parse_sdp(benchmark: Benchmark) -> None:
    offers = cycle(OFFERS)
    assert len(parse_sdp(OFFERS[0]).media[0].attributes) == 6
    benchmark(lambda: parse_sdp(next(offers)))


def test_make_offer(benchmark: Benchmark) -> None:
    numbers = cycle(range(2000))
    assert caller(0).make_offer() == OFFERS[0]
    benchmark(lambda: caller(next(numbers)).make_offer())


def test_make_answer(benchmark: Benchmark) -> None:
    offers = cycle(OFFERS)
    assert callee().make_answer(OFFERS[0]) == ANSWERS[0]
    benchmark(lambda: callee().make_answer(next(offers)))


def test_read_answer(benchmark: Benchmark) -> None:
    answers = cycle(ANSWERS)
    side = caller(0)
    side.make_offer()

    def read() -> NegotiatedAudio | None:
        return side.read_answer(next(answers))

    agreed = benchmark(read)
    assert agreed is not None
    assert agreed.codec == "PCMU"
