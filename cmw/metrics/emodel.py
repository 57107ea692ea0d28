"""The E-model: rating factor R and MOS from transmission parameters, and from what a live RTP stream tells.

Source: ITU-T G.107 (06/2015) clause 7, whose symbols the code keeps; impairments of codecs: ITU-T G.113 Appendix I.
Wideband codecs are rated by ITU-T G.107.1 on its own scale, which ends at 129, and brought to the one of 100.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log10, sqrt
from typing import NamedTuple

NOMINAL_JITTER_BUFFER_MS = 40.0
"""Playout delay assumed for the listener's phone: two packets of 20 ms. An adaptive buffer grows to 2 * jitter."""


@dataclass(frozen=True, slots=True)
class Impairment:
    """Equipment impairment factor and robustness against loss of a codec. Source: ITU-T G.113 Appendix I."""

    ie: float
    bpl: float


G711_PLAIN = Impairment(ie=0.0, bpl=4.3)
"""G.711 without packet loss concealment."""

G711_PLC = Impairment(ie=0.0, bpl=25.1)
"""G.711 with the concealment of G.711 Appendix I, random loss."""

CODECS: dict[str, Impairment] = {
    "PCMU": G711_PLC,
    "PCMA": G711_PLC,
    "G729": Impairment(ie=11.0, bpl=19.0),  # G.729A with VAD: the one with a published robustness
    "G723": Impairment(ie=15.0, bpl=16.1),  # 6.3 kbit/s with VAD
    "GSM-EFR": Impairment(ie=5.0, bpl=10.0),
}
"""Narrowband codecs of live streams, by encoding name. cmw does not decode: the figure is for the listener of a usual
phone or soft client, and those conceal losses. Without concealment 1 % of loss costs 18 points of R, with it 3.6."""

WIDEBAND_CODECS: dict[str, Impairment] = {"G722": Impairment(ie=13.0, bpl=4.3)}
"""Ie,WB of G.722 at 64 kbit/s. Source: ITU-T G.113 Appendix IV. A robustness of its own is not used: G.722 without
concealment is taken to be as G.711 without."""

WIDEBAND_SCALE = 1.29
"""Ro,WB is 129 where narrowband has 100. Source: ITU-T G.107.1 7.2, Annex A."""


class Quality(NamedTuple):
    """What a stream sounds like: R from 0 to 100, MOS from 1 to 4.5."""

    r_factor: float
    """Conversational: with the delay."""
    mos: float
    r_listening: float
    """As if there were no delay."""
    mos_listening: float


@dataclass(frozen=True, slots=True)
class Circuit:
    """Loudness, noise and echo of a connection at the default values of G.107 table 3; decibels but for qdu."""

    slr: float = 8.0
    rlr: float = 2.0
    stmr: float = 15.0
    ds: float = 3.0
    telr: float = 65.0
    wepl: float = 110.0
    qdu: float = 1.0
    nc: float = -70.0
    nfor: float = -64.0
    ps: float = 35.0
    pr: float = 35.0
    lstr: float = 18.0
    advantage: float = 0.0
    """A: 0 for wirebound communication, 5 within a building, 10 in a vehicle, 20 by satellite."""
    sensitivity: float = 1.0
    """sT: 1 for conversation, 0.55 and 0.4 for the low and very low sensitivity to delay of table 3."""
    least_delay_ms: float = 100.0
    """mT: what is not noticed; 120 and 150 for the same."""


DEFAULTS = Circuit()


def r_factor(
    *,
    impairment: Impairment = G711_PLC,
    loss_ratio: float = 0.0,
    one_way_delay_ms: float = 0.0,
    burst_ratio: float = 1.0,
    circuit: Circuit = DEFAULTS,
    echo_delay_ms: float | None = None,
    round_trip_ms: float | None = None,
) -> float:
    """Return R = Ro - Is - Id - Ie-eff + A, not limited at its ends.

    Args:
        loss_ratio: packets lost, 0 to 1.
        one_way_delay_ms: Ta, mouth to ear.
        burst_ratio: 1 for random loss, more for bursts.
        echo_delay_ms: T, mean one-way delay of the echo path; Ta unless it is given.
        round_trip_ms: Tr, round trip in the four-wire loop; twice T unless it is given.
    """
    t_ms = one_way_delay_ms if echo_delay_ms is None else echo_delay_ms
    tr_ms = 2 * t_ms if round_trip_ms is None else round_trip_ms
    noise, ro, fixed = _fixed(circuit)
    ist = _sidetone(circuit, t_ms)
    delay = (  # Id
        _talker_echo(circuit, noise, t_ms, ist)
        + _listener_echo(circuit, ro, tr_ms)
        + _pure_delay(circuit, one_way_delay_ms)
    )
    lost = effective_impairment(impairment, loss_ratio, burst_ratio)
    return ro - fixed - ist - delay - lost + circuit.advantage


def wideband_r_factor(
    *, impairment: Impairment, loss_ratio: float = 0.0, one_way_delay_ms: float = 0.0, burst_ratio: float = 1.0
) -> float:
    """Return R of a wideband connection on the scale up to 129, without echo, all else at its default.

    Source: ITU-T G.107.1 7: Ro,WB = 129, Is,WB = 0, Id,WB the pure delay.
    """
    lost = effective_impairment(impairment, loss_ratio, burst_ratio)
    return 100 * WIDEBAND_SCALE - _pure_delay(DEFAULTS, one_way_delay_ms) - lost


def mos_from_r(r: float) -> float:
    """Return the mean opinion score of a rating, 1 to 4.5. Source: ITU-T G.107 Annex B.

    The cubic dips below 1 for R under 6.5; it is held at 1 there, so that a worse R never sounds better.
    """
    if r <= 0:
        return 1.0
    if r >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def one_way_delay_ms(
    rtt_ms: float | None, jitter_ms: float, *, ptime_ms: float = 20.0, buffer_ms: float | None = None
) -> float:
    """Return the mouth-to-ear delay of a live stream.

    Half the round-trip time, one packet time to collect the samples, and the playout buffer. Where the buffer is not
    known it is NOMINAL_JITTER_BUFFER_MS, or twice the jitter when that is more. A round-trip time that is not known is
    left out: the figure then says the best that the delay can be.
    """
    network_ms = rtt_ms / 2 if rtt_ms is not None else 0.0
    return network_ms + ptime_ms + (max(NOMINAL_JITTER_BUFFER_MS, 2 * jitter_ms) if buffer_ms is None else buffer_ms)


def is_rated(codec: str) -> bool:
    """Tell whether the impairment of a codec, by its encoding name, is known."""
    return codec in CODECS or codec in WIDEBAND_CODECS


def stream_quality(
    loss_ratio: float,
    rtt_ms: float | None,
    jitter_ms: float,
    *,
    codec: str = "PCMU",
    ptime_ms: float = 20.0,
    burst_ratio: float = 1.0,
    buffer_ms: float | None = None,
) -> Quality:
    """Return the quality of a live stream.

    Args:
        loss_ratio: packets lost, or discarded by the jitter buffer, of those expected, 0 to 1; below zero (duplicates)
            counts as none.
        rtt_ms: by RTCP; None when not known.
        jitter_ms: RFC 3550 6.4.1.
        codec: one that `is_rated`.
        burst_ratio: mean row of losses against that of random loss.
        buffer_ms: what the jitter buffer waits; None when not known.
    """
    delay_ms = one_way_delay_ms(rtt_ms, max(jitter_ms, 0.0), ptime_ms=ptime_ms, buffer_ms=buffer_ms)
    loss = min(max(loss_ratio, 0.0), 1.0)
    r, listening = (_bounded(_rate(codec, loss, ms, burst_ratio)) for ms in (delay_ms, 0.0))
    return Quality(r, mos_from_r(r), listening, mos_from_r(listening))


def _rate(codec: str, loss_ratio: float, delay_ms: float, burst_ratio: float) -> float:
    """Return R on the scale up to 100, whichever the codec's band."""
    wide = WIDEBAND_CODECS.get(codec)
    if wide is None:
        return _without_codec(delay_ms) - effective_impairment(CODECS[codec], loss_ratio, burst_ratio)
    return (
        wideband_r_factor(impairment=wide, loss_ratio=loss_ratio, one_way_delay_ms=delay_ms, burst_ratio=burst_ratio)
        / WIDEBAND_SCALE
    )


@lru_cache(maxsize=256)
def _without_codec(delay_ms: float) -> float:
    """Return R of a connection that only delays: a rating a second and stream is needed, and most delays repeat."""
    return r_factor(impairment=Impairment(0.0, 1.0), one_way_delay_ms=delay_ms)


def _bounded(r: float) -> float:
    return min(max(r, 0.0), 100.0)


def effective_impairment(impairment: Impairment, loss_ratio: float, burst_ratio: float = 1.0) -> float:
    """Return Ie-eff."""
    percent = 100 * loss_ratio
    if percent <= 0:
        return impairment.ie
    return impairment.ie + (95 - impairment.ie) * percent / (percent / burst_ratio + impairment.bpl)


@lru_cache(maxsize=8)
def _fixed(circuit: Circuit) -> tuple[float, float, float]:
    """Return what no delay changes: No, the noise; Ro, the signal-to-noise ratio; Iolr + Iq of Is."""
    noise = _circuit_noise(circuit)
    ro = 15 - 1.5 * (circuit.slr + noise)
    return noise, ro, _loudness(circuit, noise) + _quantizing(circuit, ro)


def _circuit_noise(t: Circuit) -> float:
    """Return No, the power sum of all noise, dBm0p."""
    olr = t.slr + t.rlr
    nos = t.ps - t.slr - t.ds - 100 + 0.004 * (t.ps - olr - t.ds - 14) ** 2
    pre = t.pr + 10 * log10(1 + 10 ** ((10 - t.lstr) / 10))
    nor = t.rlr - 121 + pre + 0.008 * (pre - 35) ** 2
    nfo = t.nfor + t.rlr
    return 10 * log10(sum(10 ** (n / 10) for n in (t.nc, nos, nor, nfo)))


def _loudness(t: Circuit, noise: float) -> float:
    """Return Iolr: a connection that is too loud."""
    x = t.slr + t.rlr + 0.2 * (64 + noise - t.rlr)
    return 20 * (_norm(x / 8, 8) - x / 8)


def _sidetone(t: Circuit, delay_ms: float) -> float:
    """Return Ist: a sidetone that is not as it should be."""
    stmro = -10 * log10(10 ** (-t.stmr / 10) + exp(-delay_ms / 4) * 10 ** (-t.telr / 10))
    return 12 * _norm((stmro - 13) / 6, 8) - 28 * _norm((stmro + 1) / 19.4, 35) - 13 * _norm((stmro - 3) / 33, 13) + 29


def _quantizing(t: Circuit, ro: float) -> float:
    """Return Iq: quantizing distortion."""
    q = 37 - 15 * log10(t.qdu)
    g = 1.07 + 0.258 * q + 0.0602 * q**2
    y = (ro - 100) / 15 + 46 / 8.4 - g / 9
    z = 46 / 30 - g / 40
    return 15 * log10(1 + 10**y + 10**z)


def _talker_echo(t: Circuit, noise: float, delay: float, ist: float) -> float:
    """Return Idte; beyond a STMR of 9 to 20 dB the sidetone is part of it."""
    terv = t.telr - 40 * log10((1 + delay / 10) / (1 + delay / 150)) + 6 * exp(-0.3 * delay**2)
    if t.stmr < 9:
        terv += ist / 2
    re = 80 + 2.5 * (terv - 14)
    roe = -1.5 * (noise - t.rlr)
    half = (roe - re) / 2
    idte = (half + sqrt(half**2 + 100) - 1) * (1 - exp(-delay))
    return sqrt(idte**2 + ist**2) if t.stmr > 20 else idte


def _listener_echo(t: Circuit, ro: float, round_trip_ms: float) -> float:
    """Return Idle."""
    rle = 10.5 * (t.wepl + 7) / sqrt(sqrt(round_trip_ms + 1))
    half = (ro - rle) / 2
    return half + sqrt(half**2 + 169)


def _pure_delay(t: Circuit, absolute_ms: float) -> float:
    """Return Idd."""
    if absolute_ms <= t.least_delay_ms:
        return 0.0
    x = log10(absolute_ms / t.least_delay_ms) / log10(2)
    n = 6 * t.sensitivity
    return 25 * (_norm(x, n) - 3 * _norm(x / 3, n) + 2)


def _norm(x: float, n: float) -> float:
    """Return (1 + x^n)^(1/n), the shape of a soft threshold that the E-model uses throughout."""
    return math.pow(1 + math.pow(x, n), 1 / n)
