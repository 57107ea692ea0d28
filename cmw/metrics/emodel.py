"""The E-model: rating factor R and MOS from transmission parameters, and from what a live RTP stream tells.

Source: ITU-T G.107 (06/2015) clause 7, whose symbols the code keeps; impairments of codecs: ITU-T G.113 Appendix I.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log10, sqrt

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

CODECS: dict[str, Impairment] = {"PCMU": G711_PLC, "PCMA": G711_PLC}
"""What is used for live streams. cmw does not decode: the figure is for the listener of a usual phone or soft client,
and those conceal losses. Without concealment 1 % of loss costs 18 points of R, with it 3.6."""


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
    """A: 0 for wirebound communication."""


DEFAULTS = Circuit()


def r_factor(
    *,
    impairment: Impairment = G711_PLC,
    loss_ratio: float = 0.0,
    one_way_delay_ms: float = 0.0,
    burst_ratio: float = 1.0,
    circuit: Circuit = DEFAULTS,
) -> float:
    """Return R = Ro - Is - Id - Ie-eff + A, not limited at its ends.

    Args:
        loss_ratio: packets lost, 0 to 1.
        one_way_delay_ms: mouth to ear. It stands for T, Ta and half of Tr: the echo path is as long as the connection.
        burst_ratio: 1 for random loss, more for bursts.
    """
    noise, ro, fixed = _fixed(circuit)
    simultaneous = fixed + _sidetone(circuit, one_way_delay_ms)  # Is
    delay = (  # Id
        _talker_echo(circuit, noise, one_way_delay_ms)
        + _listener_echo(circuit, ro, 2 * one_way_delay_ms)
        + _pure_delay(one_way_delay_ms)
    )
    return ro - simultaneous - delay - effective_impairment(impairment, loss_ratio, burst_ratio) + circuit.advantage


def mos_from_r(r: float) -> float:
    """Return the mean opinion score of a rating, 1 to 4.5. Source: ITU-T G.107 Annex B.

    The cubic dips below 1 for R under 6.5; it is held at 1 there, so that a worse R never sounds better.
    """
    if r <= 0:
        return 1.0
    if r >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def one_way_delay_ms(rtt_ms: float | None, jitter_ms: float, *, ptime_ms: float = 20.0) -> float:
    """Return the mouth-to-ear delay of a live stream.

    Half the round-trip time, one packet time to collect the samples, and the playout buffer: NOMINAL_JITTER_BUFFER_MS,
    or twice the jitter when that is more. A round-trip time that is not known is left out: the figure then says the
    best that the delay can be.
    """
    network_ms = rtt_ms / 2 if rtt_ms is not None else 0.0
    return network_ms + ptime_ms + max(NOMINAL_JITTER_BUFFER_MS, 2 * jitter_ms)


def stream_quality(
    loss_ratio: float,
    rtt_ms: float | None,
    jitter_ms: float,
    *,
    codec: str = "PCMU",
    ptime_ms: float = 20.0,
    burst_ratio: float = 1.0,
) -> tuple[float, float]:
    """Return (R, MOS) of a live stream; R from 0 to 100, MOS from 1 to 4.5.

    Args:
        loss_ratio: packets lost of those expected, 0 to 1; below zero (duplicates) counts as none.
        rtt_ms: by RTCP; None when not known.
        jitter_ms: RFC 3550 6.4.1.
        codec: a key of CODECS.
    """
    delay_ms = one_way_delay_ms(rtt_ms, max(jitter_ms, 0.0), ptime_ms=ptime_ms)
    loss = min(max(loss_ratio, 0.0), 1.0)
    r = r_factor(impairment=CODECS[codec], loss_ratio=loss, one_way_delay_ms=delay_ms, burst_ratio=burst_ratio)
    r = min(max(r, 0.0), 100.0)
    return r, mos_from_r(r)


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


def _talker_echo(t: Circuit, noise: float, delay: float) -> float:
    """Return Idte, for STMR from 9 to 20 dB."""
    terv = t.telr - 40 * log10((1 + delay / 10) / (1 + delay / 150)) + 6 * exp(-0.3 * delay**2)
    re = 80 + 2.5 * (terv - 14)
    roe = -1.5 * (noise - t.rlr)
    half = (roe - re) / 2
    return (half + sqrt(half**2 + 100) - 1) * (1 - exp(-delay))


def _listener_echo(t: Circuit, ro: float, round_trip_ms: float) -> float:
    """Return Idle."""
    rle = 10.5 * (t.wepl + 7) / sqrt(sqrt(round_trip_ms + 1))
    half = (ro - rle) / 2
    return half + sqrt(half**2 + 169)


def _pure_delay(absolute_ms: float) -> float:
    """Return Idd for the default delay sensitivity, sT = 1 and mT = 100 ms."""
    if absolute_ms <= 100:
        return 0.0
    x = log10(absolute_ms / 100) / log10(2)
    return 25 * (_norm(x, 6) - 3 * _norm(x / 3, 6) + 2)


def _norm(x: float, n: int) -> float:
    """Return (1 + x^n)^(1/n), the shape of a soft threshold that the E-model uses throughout."""
    return math.pow(1 + math.pow(x, n), 1 / n)
