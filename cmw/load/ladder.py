"""The SIP messages of an endpoint as a ladder: who said what to whom, and when."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from cmw.load.evidence import EvidenceMessage

ROW, TOP, LEFT, GAP = 34, 56, 90, 330
"""Pixels: between messages, above the first, left of the first party, between parties."""

MAX_LABEL = 46
LONG_S = 0.5
"""A pause from here on has a line of its own in the text."""

SVG_STYLE = (
    "svg.ladder{font:12px ui-monospace,monospace;max-width:100%;height:auto}"
    ".ladder text{fill:currentColor}.ladder .time{opacity:.7}.ladder .ok{stroke:#2da44e}"
    ".ladder .bad{stroke:#cf222e}.ladder .say{stroke:#4c8dff}.ladder .life{stroke:currentColor;opacity:.35}"
)


def ladder_text(messages: Sequence[EvidenceMessage]) -> str:
    """Return the ladder for a terminal or a ticket: a line for each message."""
    if not messages:
        return "no SIP message passed\n"
    began = messages[0].at_unix_ns
    lines = [f"times are seconds after the first message; we are {_place(messages[0], is_local=True)}"]
    for before, message in zip((None, *messages), messages, strict=False):
        if before is not None and message.at_unix_ns - before.at_unix_ns >= LONG_S * 1e9:
            lines.append(f"{'':10}  ... {(message.at_unix_ns - before.at_unix_ns) / 1e9:.3f} s")
        arrow = "-->" if message.is_sent else "<--"
        what = message.head + (", SDP" if message.has_sdp else "")
        at_s = (message.at_unix_ns - began) / 1e9
        lines.append(f"{at_s:10.6f}  we {arrow} {_place(message)} {message.transport}  {what}")
    return "\n".join(map(_printable, lines)) + "\n"


def ladder_svg(messages: Sequence[EvidenceMessage], *, alone: bool = True) -> str:
    """Return the ladder as a drawing that scales.

    Args:
        alone: it is a file of its own; else a part of a page that has `SVG_STYLE`.
    """
    peers = list(dict.fromkeys(_place(message) for message in messages))
    columns = {peer: LEFT + GAP * (number + 1) for number, peer in enumerate(peers)}
    width, height = LEFT + GAP * len(peers) + 90, TOP + ROW * len(messages) + 30
    heads = {_place(messages[0], is_local=True) if messages else "we": LEFT, **columns}
    parts = [
        f'<text x="{x}" y="20" text-anchor="middle">{_text(name)}</text>'
        f'<line class="life" x1="{x}" y1="30" x2="{x}" y2="{height - 10}"/>'
        for name, x in heads.items()
    ]
    began = messages[0].at_unix_ns if messages else 0
    for number, message in enumerate(messages):
        parts.append(_arrow(message, TOP + ROW * number + 14, columns[_place(message)], began))
    style = f"<style>{SVG_STYLE} svg{{color:#1f2328;background:#fff}}</style>" if alone else ""
    drawn = "\n".join(parts)
    return (
        f'<svg class="ladder" xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img"><title>SIP messages</title>{style}\n'
        f"{drawn}</svg>\n"
    )


def _arrow(message: EvidenceMessage, y: int, column: int, began: int) -> str:
    start, end = (LEFT, column) if message.is_sent else (column, LEFT)
    tip = end - 7 if end > start else end + 7
    css = "say"
    if message.text.startswith("SIP/2.0 "):
        css = "ok" if message.text[8:9] in "12" else "bad"
    label = message.head if len(message.head) <= MAX_LABEL else message.head[: MAX_LABEL - 3] + "..."
    sdp = " +SDP" if message.has_sdp else ""
    at = f"{(message.at_unix_ns - began) / 1e9:.3f}"
    return (
        f'<text class="time" x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{at}</text>'
        f'<text x="{(LEFT + column) // 2}" y="{y - 5}" text-anchor="middle">{_text(label + sdp)}</text>'
        f'<line class="{css}" x1="{start}" y1="{y}" x2="{end}" y2="{y}"/>'
        f'<path class="{css}" fill="none" d="M{tip},{y - 4}L{end},{y}L{tip},{y + 4}"/>'
    )


def _place(message: EvidenceMessage, *, is_local: bool = False) -> str:
    host, port = (message.local_host, message.local_port) if is_local else (message.remote_host, message.remote_port)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _text(text: str) -> str:
    return escape(_printable(text))
