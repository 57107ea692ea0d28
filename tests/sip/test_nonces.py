"""Nonces that nobody remembers before they are used, in bounded memory."""

import pytest

from cmw.sip import nonces
from cmw.sip.nonces import REPEAT_NS, WINDOW, Nonces
from tests.support.ids import CountingIds

LIFE_NS = 1000


@pytest.fixture
def made() -> Nonces:
    return Nonces(CountingIds(), life_ns=LIFE_NS)


def test_a_nonce_is_known_by_its_key_only(made: Nonces) -> None:
    nonce = made.make(now=7)
    assert nonce != made.make(now=7)
    assert made.age_ns(nonce, now=9) == 2
    for other in ("", nonce[:-1], nonce.upper(), "0" * 56, nonce[:15] + "8" + nonce[16:], "é" * 56):
        assert made.age_ns(other, now=9) is None
    assert Nonces(CountingIds(9), life_ns=LIFE_NS).age_ns(nonce, now=9) is None


def test_a_nonce_ends_with_its_life(made: Nonces) -> None:
    nonce = made.make(now=0)
    assert made.use(nonce, 1, None, now=LIFE_NS)
    assert not made.use(nonce, 2, None, now=LIFE_NS + 1)


@pytest.mark.parametrize("behind", [1, 2, WINDOW - 1, WINDOW])
def test_a_count_may_come_late_but_once(made: Nonces, behind: int) -> None:
    nonce, top = made.make(now=0), WINDOW + 5
    assert made.use(nonce, top, None, now=0)
    assert made.use(nonce, top - behind, None, now=0) is (behind < WINDOW)
    assert not made.use(nonce, top - behind, None, now=0)
    assert not made.use(nonce, top, None, now=0)


def test_a_jump_of_the_count_leaves_nothing_behind(made: Nonces) -> None:
    nonce = made.make(now=0)
    assert all(made.use(nonce, count, None, now=0) for count in (1, 2**32 - 1, 2**32 - 2))
    assert not made.use(nonce, 2, None, now=0)


def test_the_same_request_may_come_again(made: Nonces) -> None:
    made.life_ns = 2 * REPEAT_NS
    nonce = made.make(now=0)
    assert all(made.use(nonce, count, count, now=0) for count in (1, 2, 1, 2))
    assert not made.use(nonce, 1, 2, now=0)
    assert not made.use(nonce, 1, 1, now=REPEAT_NS + 1)


def test_memory_is_bounded(made: Nonces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonces, "MAX_NONCES", 3)
    monkeypatch.setattr(nonces, "MAX_USES", 3)
    used = [made.make(now=now) for now in range(10)]
    for nonce in used:
        assert made.use(nonce, 1, 5, now=10)
        made.keep_first_cnonce(nonce, "c")
    assert [len(kept) for kept in (made._windows, made._uses, made._first_cnonces)] == [3, 3, 3]
    assert [made.use(nonce, 2, None, now=10) for nonce in used] == [False] * 7 + [True] * 3
