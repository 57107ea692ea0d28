"""What there is to see of one endpoint: a page of everything, and its parts as texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from difflib import unified_diff
from html import escape
from typing import Any

from cmw.cli.call_capture import call_capture
from cmw.cli.call_sound import call_sounds
from cmw.cli.packet_chart import STYLE as PACKETS_STYLE
from cmw.cli.packet_chart import packet_chart
from cmw.load.evidence import Evidence, EvidenceMessage
from cmw.load.ladder import SVG_STYLE, ladder_svg, ladder_text
from cmw.load.outcome import EndpointReport
from cmw.load.packets import EvidencePackets

_STYLE = """
:root { color-scheme: light dark; } body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto;
  padding: 0 1rem; } h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
pre { background: #8881; padding: .6rem; overflow-x: auto; font: 12px/1.5 ui-monospace, monospace; }
.chart { width: 100%; height: auto; } .chart text { fill: currentColor; font: 11px system-ui; }
.chart line, .chart polyline { fill: none; stroke: #4c8dff; stroke-width: 1.5; }
.chart .axis { stroke: currentColor; opacity: .4; }
"""

CURVES = (
    ("receive.packets_recv_rate_ps", "packets received", "1/s"),
    ("receive.fraction_lost", "packets lost", "%"),
    ("receive.jitter_ms", "jitter", "ms"),
    ("receive.mos", "MOS", ""),
)
"""What the timeline of RTP shows, by column of the samples."""

CURVE_WIDTH, CURVE_HEIGHT, CURVE_LEFT = 900, 90, 60

Samples = Sequence[Mapping[str, Any]]


def evidence_files(
    evidence: Evidence,
    report: EndpointReport | None,
    samples: Samples,
    packets: Sequence[EvidencePackets] = (),
    *,
    with_sound: bool = False,
) -> dict[str, str | bytes]:
    """Return the files of one endpoint by name.

    Args:
        report: of the endpoint; None when it never came.
        samples: of the endpoint, by second.
        packets: of the endpoint, as far as they were kept.
        with_sound: WAV files of what was said are wanted too.
    """
    sounds = call_sounds(packets) if with_sound else []
    files: dict[str, str | bytes] = {
        f"audio-{number}.wav" if number > 1 else "audio.wav": sound for number, sound in enumerate(sounds, 1)
    }
    files |= {
        "index.html": _page(evidence, report, samples, packets, list(files)),
        "ladder.txt": ladder_text(evidence.messages),
        "ladder.svg": ladder_svg(evidence.messages),
        "messages.txt": messages_text(evidence),
    }
    if difference := sdp_difference(evidence.messages):
        files["sdp.diff"] = difference
    if timeline := rtp_timeline(samples):
        files["rtp.svg"] = timeline
    if chart := packet_chart(packets):
        files["packets.svg"] = chart
    if capture := call_capture(evidence.messages, packets):
        files["call.pcapng"] = capture
    return files


def messages_text(evidence: Evidence) -> str:
    """Return all messages with their times and addresses."""
    parts = []
    for message in evidence.messages:
        at = datetime.fromtimestamp(message.at_unix_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        way = "sent to" if message.is_sent else "received from"
        place = f"{message.remote_host} port {message.remote_port} over {message.transport}"
        text = message.text.replace("\r\n", "\n").rstrip("\n")
        parts.append(f"-- {at}.{message.at_unix_ns % 10**9 // 1000:06d}Z {way} {place}\n{text}\n")
    if evidence.messages_left_out:
        parts.append(f"-- {evidence.messages_left_out} later messages were not kept\n")
    return "\n".join(parts)


def sdp_difference(messages: Iterable[EvidenceMessage]) -> str:
    """Return how the first description that answers another in its call differs from it; "" where there are not two."""
    described = [message for message in messages if message.has_sdp]
    for at, offer in enumerate(described):
        call_id = offer.header("Call-ID")
        others = (other for other in described[at + 1 :] if other.header("Call-ID") == call_id)
        answer = next((other for other in others if other.is_sent is not offer.is_sent), None)
        if answer is not None:
            lines = unified_diff(
                offer.body.splitlines(), answer.body.splitlines(), f"offer: {offer.head}", f"answer: {answer.head}",
                lineterm="", n=20,
            )  # fmt: skip
            return "\n".join(lines) + "\n"
    return ""


def rtp_timeline(samples: Samples) -> str:
    """Return what was received over time, as a drawing; "" without any."""
    curves = list(_curves(samples))
    if not curves:
        return ""
    height = len(curves) * (CURVE_HEIGHT + 30)
    drawn = "\n".join(
        f'<g transform="translate(0,{number * (CURVE_HEIGHT + 30)})">{curve}</g>' for number, curve in enumerate(curves)
    )
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {CURVE_WIDTH + CURVE_LEFT + 20} {height}" '
        f'role="img"><title>RTP received</title><style>.chart text{{font:11px sans-serif}}.chart polyline'
        f"{{fill:none;stroke:#4c8dff;stroke-width:1.5}}.chart .axis{{stroke:#888}}</style>\n{drawn}</svg>\n"
    )


def _curves(samples: Samples) -> Iterator[str]:
    for key, title, unit in CURVES:
        known = [(row["second"], row[key]) for row in samples if row.get(key) is not None]
        if known:
            yield _curve(known, f"{title}{', ' * bool(unit)}{unit}")


def _curve(known: list[tuple[int, float]], title: str) -> str:
    first, last = known[0][0], known[-1][0]
    top = max(value for _, value in known) or 1.0
    step = CURVE_WIDTH / max(1, last - first)
    points = " ".join(
        f"{CURVE_LEFT + step * (second - first):.1f},{20 + CURVE_HEIGHT * (1 - max(0.0, value) / top):.1f}"
        for second, value in known
    )
    bottom = 20 + CURVE_HEIGHT
    return (
        f'<text x="{CURVE_LEFT}" y="12">{title}</text>'
        f'<text x="{CURVE_LEFT - 6}" y="26" text-anchor="end">{top:.4g}</text>'
        f'<text x="{CURVE_LEFT - 6}" y="{bottom}" text-anchor="end">0</text>'
        f'<text x="{CURVE_LEFT + CURVE_WIDTH}" y="{bottom - 4}" text-anchor="end">second {first} to {last}</text>'
        f'<line class="axis" x1="{CURVE_LEFT}" y1="{bottom}" x2="{CURVE_LEFT + CURVE_WIDTH}" y2="{bottom}"/>'
        f'<polyline points="{points}"/>'
    )


def _page(
    evidence: Evidence,
    report: EndpointReport | None,
    samples: Samples,
    packets: Sequence[EvidencePackets],
    sounds: Sequence[str],
) -> str:
    said = []
    if report is not None:
        said.append(f"<p><b>{escape(report.outcome)}</b> {escape(report.reason)}</p>")
        facts = [("blame", report.blame or ""), ("Call-ID", report.call.call_id), ("peer", report.call.target)]
        said.append("".join(f"<p>{name}: {escape(value)}</p>" for name, value in facts if value))
    difference, timeline = sdp_difference(evidence.messages), rtp_timeline(samples)
    said.append(f"<h2>SIP</h2>{ladder_svg(evidence.messages, alone=False)}" if evidence.messages else "<p>No SIP.</p>")
    if chart := packet_chart(packets, alone=False):
        said.append(f"<h2>Packets received</h2>{chart}")
    said += [f'<p>heard on the left, said on the right: <audio controls src="{name}"></audio></p>' for name in sounds]
    if timeline:
        said.append(f"<h2>RTP received</h2>{timeline}")
    if difference:
        said.append(f"<h2>Offer and answer</h2><pre>{escape(difference)}</pre>")
    said.append(f"<h2>Messages</h2><pre>{escape(messages_text(evidence))}</pre>")
    body = "\n".join(said)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(evidence.name)}</title>'
        f"<style>{_STYLE}{SVG_STYLE}{PACKETS_STYLE}</style></head>\n<body><h1>{escape(evidence.name)}</h1>\n{body}\n</body></html>\n"
    )
