"""From one rate to another: what telephony carries stays, what it cannot carry goes."""

from __future__ import annotations

from array import array
from math import log10, pi, sin

import pytest

from cmw.rtp.resample import resample


def tone(hz: float, rate: int, seconds: float = 0.25) -> list[float]:
    return [10_000 * sin(2 * pi * hz * k / rate) for k in range(int(rate * seconds))]


def gain_db(before: list[float], after: array[float]) -> float:
    """Return what became of the power, both ends left out."""
    middle = after[400:-400]
    return 10 * log10((sum(x * x for x in middle) / len(middle) + 1e-9) / (sum(x * x for x in before) / len(before)))


@pytest.mark.parametrize("rate", [6_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000])
def test_what_telephony_carries_keeps_its_level_and_its_length(rate: int) -> None:
    for hz in (300, 1_000, 2_400):
        before = tone(hz, rate)
        after = resample(before, rate, 8_000)
        assert len(after) == pytest.approx(2_000, abs=1)
        assert gain_db(before, after) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_what_it_cannot_carry_does_not_come_back_as_another_tone(rate: int) -> None:
    for hz in (4_300, 5_000, 7_000):
        before = tone(hz, rate)
        assert gain_db(before, resample(before, rate, 8_000)) < -55


def test_rates_with_nothing_in_common() -> None:
    before = tone(1_000, 11_127)
    after = resample(before, 11_127, 8_000)
    expected = tone(1_000, 8_000)
    assert max(abs(x - y) for x, y in zip(after[200:-200], expected[200:-200], strict=False)) < 60


def test_the_sound_keeps_its_place_in_time() -> None:
    click = array("d", bytes(8 * 4_800))
    click[2_400] = 10_000.0
    after = resample(click, 48_000, 8_000)
    assert max(range(len(after)), key=lambda k: after[k]) == 400


def test_a_constant_stays_what_it_is() -> None:
    after = resample([1_000.0] * 4_410, 44_100, 8_000)
    assert all(x == pytest.approx(1_000) for x in after[100:-100])


@pytest.mark.parametrize("count", [0, 1, 5])
def test_hardly_anything(count: int) -> None:
    assert len(resample([0.0] * count, 48_000, 8_000)) == min(count, 1)
