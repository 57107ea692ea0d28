"""Whose offer is open: the table is total in what it forbids, and nothing that is forbidden changes anything."""

from __future__ import annotations

import itertools

import pytest

from cmw.core.clock import MILLISECOND
from cmw.sip.offer_state import (
    MOVES,
    REFUSALS,
    Move,
    Offer,
    OfferState,
    crossing_retry_after_s,
    glare_delay_ns,
)
from tests.support.ids import CountingIds


@pytest.mark.parametrize(("offer", "move"), list(itertools.product(Offer, Move)))
def test_every_move_is_made_or_refused(offer: Offer, move: Move) -> None:
    state = OfferState(offer)
    allowed = state.allows(move)
    assert state.take(move) is allowed
    assert state.offer is (MOVES[offer, move] if allowed else offer)


def test_an_offer_can_be_made_only_while_none_is_open_and_every_offer_can_be_closed() -> None:
    for offer in Offer:
        assert (
            OfferState(offer).allows(Move.SEND_OFFER)
            is OfferState(offer).allows(Move.RECEIVE_OFFER)
            is (offer is Offer.NONE)
        )
    assert {offer for (offer, _), after in MOVES.items() if after is Offer.NONE} == {Offer.LOCAL, Offer.REMOTE}


def test_crossing_offers_are_refused_as_rfc_3311_5_2_says() -> None:
    assert OfferState(Offer.LOCAL).refusal == 491
    assert OfferState(Offer.REMOTE).refusal == 500
    assert OfferState().refusal == 0
    assert set(REFUSALS) == set(Offer)


class Chance(CountingIds):
    def __init__(self, unit: float) -> None:
        super().__init__()
        self._unit = unit

    def unit(self) -> float:
        return self._unit


def test_the_pause_after_glare_is_that_of_rfc_3261_14_1() -> None:
    almost_one = Chance(1 - 1e-9)
    assert glare_delay_ns(Chance(0), owns_call_id=True) == 2100 * MILLISECOND
    assert glare_delay_ns(almost_one, owns_call_id=True) == 4000 * MILLISECOND
    assert glare_delay_ns(Chance(0), owns_call_id=False) == 0
    assert glare_delay_ns(almost_one, owns_call_id=False) == 2000 * MILLISECOND
    assert glare_delay_ns(Chance(0.123456), owns_call_id=True) % (10 * MILLISECOND) == 0


def test_a_500_asks_for_0_to_10_seconds() -> None:
    assert crossing_retry_after_s(Chance(0)) == 0
    assert crossing_retry_after_s(Chance(1 - 1e-9)) == 10
