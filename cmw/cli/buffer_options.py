"""Options about the listener's jitter buffer, which every command that has them reads in the same way."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from cmw.load.plan_jitter_buffer import JitterBuffer, LateNs
from cmw.rtp.jitter_buffer import BufferSettings

_EXPECTED = "fixed:40ms, adaptive:40ms or adaptive:40ms:20ms:200ms, with durations from 0s to 10s"

BufferText = Annotated[
    str,
    typer.Option(
        "--jitter-buffer",
        help="The listener's jitter buffer, a model: fixed or adaptive, what it waits, and within what.",
        metavar="MODE:NOMINAL[:MIN:MAX]",
    ),
]
LateText = Annotated[
    str, typer.Option("--late-after", help="A packet later than the fastest by more than this counts as late.")
]
DEFAULT_BUFFER = "adaptive:40ms:20ms:200ms"
DEFAULT_LATE = "100ms"


def buffer_document(text: str) -> dict[str, Any]:
    """Return the `jitter_buffer` of a plan's `audio`."""
    names = ("mode", "nominal", "min", "max")
    words = text.split(":")
    if len(words) not in (2, 4):
        raise typer.BadParameter(f"found {text!r}, expected {_EXPECTED}", param_hint="--jitter-buffer")
    return dict(zip(names, words, strict=False))


def buffer_settings(text: str) -> BufferSettings:
    """Return the bounds of the buffer, for measuring without a plan."""
    try:
        described = JitterBuffer.model_validate(buffer_document(text))
    except ValidationError:
        raise typer.BadParameter(f"found {text!r}, expected {_EXPECTED}", param_hint="--jitter-buffer") from None
    if (misfit := described.fault()) is not None:
        raise typer.BadParameter(f"{misfit[0]}: {misfit[1]}", param_hint="--jitter-buffer")
    return described.settings()


def late_limit_ns(text: str) -> int:
    """Return what is late."""
    try:
        return int(TypeAdapter(LateNs).validate_python(text))
    except ValidationError:
        raise typer.BadParameter(
            f"found {text!r}, expected a duration from 1ms to 60s", param_hint="--late-after"
        ) from None
