"""The packets that a call received, one by one, as a drawing: when each came, which never did, and the jitter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from cmw.core.clock import MILLISECOND, SECOND
from cmw.load.packets import EvidencePackets, joined
from cmw.rtp.g711 import CLOCK_HZ
from cmw.rtp.jitter import JitterEstimate
from cmw.rtp.packet import PacketError, RtpHeader, parse_header
from cmw.rtp.recording import CODECS
from cmw.rtp.sequence import extend_seq

WIDTH, HEIGHT, LEFT, GAP = 900, 110, 60, 34
"""Pixels: of each plot, to the left of it, and between two."""

STYLE = (
    ".packets text{font:11px system-ui,sans-serif;fill:currentColor}.packets path{fill:none;stroke:#4c8dff}"
    ".packets .dots{stroke-width:2.5;stroke-linecap:round}.packets .lost{stroke:#cf222e;stroke-width:1.5}"
    ".packets .axis{stroke:currentColor;opacity:.4}.packets .gap{fill:currentColor;opacity:.12}"
)


class Arrival(NamedTuple):
    """A packet of audio that came."""

    at: int
    """Nanoseconds since 1970."""
    seq: int
    """Extended."""
    jitter_ms: float


def arrivals_of(parts: Iterable[EvidencePackets]) -> list[list[Arrival]]:
    """Return the audio received, in spans without a change of call or source, or a gap in what was kept."""
    spans: list[list[Arrival]] = []
    before: RtpHeader | None = None
    jitter = JitterEstimate(CLOCK_HZ)
    is_gap = is_beside = False
    for packet in joined(parts):
        is_gap = is_gap or packet.is_after_gap
        header = _audio(packet.data) if not (packet.is_sent or packet.is_control) else None
        if header is None:
            continue
        if before is None or is_gap or header.ssrc != before.ssrc or packet.is_beside is not is_beside:
            spans.append([])
            jitter, is_gap = JitterEstimate(CLOCK_HZ), False
        seq = extend_seq(header.seq, spans[-1][-1].seq) if spans[-1] else header.seq
        jitter.update(header.timestamp, packet.at_unix_ns)
        spans[-1].append(Arrival(packet.at_unix_ns, seq, jitter.jitter_q12 / 4096 * 1000 / CLOCK_HZ))
        before, is_beside = header, packet.is_beside
    return spans


def lost_of(span: Sequence[Arrival]) -> list[int]:
    """Return when packets that never came would have, by those around them."""
    known = {arrival.seq: arrival.at for arrival in span}
    found = []
    for before, after in pairwise(sorted(known)):
        for seq in range(before + 1, after):
            found.append(known[before] + (known[after] - known[before]) * (seq - before) // (after - before))
    return found


def packet_chart(parts: Iterable[EvidencePackets], *, alone: bool = True) -> str:
    """Return the drawing, "" when no audio came.

    Args:
        alone: it is a file of its own; else a part of a page that has `STYLE`.
    """
    spans = arrivals_of(parts)
    if not spans:
        return ""
    began, ended = spans[0][0].at, max(arrival.at for span in spans for arrival in span)
    scale = _Scale(began, max(ended - began, 1))
    lost = [at for span in spans for at in lost_of(span)]
    spacings = [(b.at, (b.at - a.at) / MILLISECOND) for span in spans for a, b in pairwise(span)]
    received = sum(map(len, spans))
    title = f"time since the packet before, ms: {received} packets received, {len(lost)} lost (red)"
    body = "\n".join([*_gaps(spans, scale), _plot(title, spacings, scale, lost), _jitter(spans, scale)])
    height = 2 * (HEIGHT + GAP)
    style = f"<style>{STYLE} svg{{color:#1f2328;background:#fff}}</style>" if alone else ""
    return (
        f'<svg class="chart packets" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + LEFT + 20} {height}" '
        f'role="img"><title>Packets received</title>{style}\n{body}</svg>\n'
    )


class _Scale(NamedTuple):
    """From nanoseconds to pixels."""

    began: int
    span: int

    def x(self, at: int) -> float:
        return LEFT + WIDTH * (at - self.began) / self.span


def _audio(data: bytes) -> RtpHeader | None:
    try:
        header = parse_header(data)
    except PacketError:
        return None
    return header if header.payload_type in CODECS else None


def _plot(title: str, values: Sequence[tuple[int, float]], scale: _Scale, lost: Sequence[int]) -> str:
    top = max((value for _, value in values), default=1.0) or 1.0
    bottom = 20 + HEIGHT
    dots = "".join(f"M{scale.x(at):.1f} {bottom - HEIGHT * max(0.0, value) / top:.1f}h0" for at, value in values)
    ticks = "".join(f"M{scale.x(at):.1f} {bottom}v-14" for at in lost)
    lines = f'<path class="dots" d="{dots}"/>' + (f'<path class="lost" d="{ticks}"/>' if lost else "")
    return f"<g>{_frame(title, top, scale)}{lines}</g>"


def _jitter(spans: Sequence[Sequence[Arrival]], scale: _Scale) -> str:
    top = max(arrival.jitter_ms for span in spans for arrival in span) or 1.0
    bottom = 20 + HEIGHT
    lines = "".join(
        "M" + " ".join(f"{scale.x(each.at):.1f},{bottom - HEIGHT * each.jitter_ms / top:.1f}" for each in span)
        for span in spans
    )
    return (
        f'<g transform="translate(0,{HEIGHT + GAP})">{_frame("jitter, ms (RFC 3550)", top, scale)}'
        f'<path class="jitter" d="{lines}"/></g>'
    )


def _frame(title: str, top: float, scale: _Scale) -> str:
    bottom = 20 + HEIGHT
    return (
        f'<text x="{LEFT}" y="12">{title}</text><text x="{LEFT - 6}" y="26" text-anchor="end">{top:.4g}</text>'
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">0</text>'
        f'<text x="{LEFT + WIDTH}" y="12" text-anchor="end">{scale.span / SECOND:.3f} s</text>'
        f'<path class="axis" d="M{LEFT} {bottom}h{WIDTH}"/>'
    )


def _gaps(spans: Sequence[Sequence[Arrival]], scale: _Scale) -> Iterator[str]:
    """Shade what lies between two spans."""
    for before, after in pairwise(spans):
        start, end = scale.x(before[-1].at), scale.x(after[0].at)
        yield f'<rect class="gap" x="{start:.1f}" y="20" width="{max(1.0, end - start):.1f}" height="{HEIGHT}"/>'
