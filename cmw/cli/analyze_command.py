"""`cmw analyze`: the receive statistics of every RTP stream in a capture, by the same code as live."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from cmw.cli.buffer_options import DEFAULT_BUFFER, DEFAULT_LATE, BufferText, LateText, buffer_settings, late_limit_ns
from cmw.cli.capture_analysis import Analysis, analyze_capture, sounds_of
from cmw.cli.capture_report import capture_report
from cmw.cli.plotting import plotting_library
from cmw.cli.tables import print_json, print_table
from cmw.errors import SettingsError
from cmw.rtp.flows import Measuring

_COLUMNS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "SOURCE": lambda stream: stream["source"],
    "DESTINATION": lambda stream: stream["destination"],
    "SSRC": lambda stream: stream["ssrc"],
    "CODEC": lambda stream: stream["codec"] or stream["payload_type"],
    "PACKETS": lambda stream: stream["packets_received"],
    "LOST": lambda stream: stream["packets_lost"],
    "LOST %": lambda stream: _decimals(_percent(stream), 2),
    "DUP": lambda stream: stream["duplicate_packets"],
    "REORDERED": lambda stream: stream["out_of_order_packets"],
    "RESETS": lambda stream: stream["sequence_number_resets"],
    "LONGEST LOSS": lambda stream: stream["longest_loss_burst"],
    "JITTER MEAN ms": lambda stream: _decimals(stream["jitter_ms"]["mean"], 3),
    "MAX": lambda stream: _decimals(stream["jitter_ms"]["max"], 3),
    "SPACING MAX ms": lambda stream: _decimals(stream["packet_spacing_ms"]["max"], 2),
    "MOS": lambda stream: _decimals(stream["mos"], 2),
}


def analyze(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A pcap or pcapng file; it may be compressed by gzip.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    jitter_buffer: BufferText = DEFAULT_BUFFER,
    late_after: LateText = DEFAULT_LATE,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write a page with loss, jitter and spacing over time; it opens offline.", metavar="FILE.html"
        ),
    ] = None,
    wav: Annotated[
        Path | None,
        typer.Option(help="Write the sound of each stream of G.711 into this directory.", metavar="DIR"),
    ] = None,
) -> None:
    """Print loss, jitter and quality of every RTP stream in a capture, by the code that measures live calls."""
    measuring = Measuring(buffer_settings(jitter_buffer), late_limit_ns(late_after), timelines=report is not None)
    library = plotting_library() if report is not None else ""
    if library is None:
        raise SettingsError("--report needs plotly, which is not installed: pip install 'cmw[report]'")
    with _named(file), _opened(file) as stream:
        found = analyze_capture(stream, measuring)
        sounds = sounds_of(stream, found, wav) if wav is not None else []
    if as_json:
        print_json(found.document())
    else:
        _print(found)
    for sound in sounds:
        print(f"cmw: wrote {sound}", file=sys.stderr)
    if report is not None:
        _write(report, capture_report(found, file.name, _COLUMNS, library))
    if found.damage:
        raise SettingsError(f"{file}: {found.damage}; what came before it is reported")


def _write(file: Path, page: str) -> None:
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"--report: {file} cannot be written: {error.strerror}") from None
    print(f"cmw: wrote {file}", file=sys.stderr)


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Let every error about the file begin with its name."""
    try:
        yield
    except SettingsError as error:
        raise SettingsError(f"{file}: {error}") from error
    except (OSError, EOFError) as error:
        raise SettingsError(f"{file}: cannot read the capture: {getattr(error, 'strerror', None) or error}") from error


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    with file.open("rb") as stream:
        if not stream.seekable():
            raise SettingsError("expected a file: a capture is read twice, first for SIP and then for RTP")
        compressed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        if compressed:
            with gzip.GzipFile(fileobj=stream) as plain:
                yield plain  # type: ignore[misc]  # a BinaryIO in all but name
        else:
            yield stream


def _print(found: Analysis) -> None:
    document = found.document()
    if document["streams"]:
        print_table(list(_COLUMNS), ([show(stream) for show in _COLUMNS.values()] for stream in document["streams"]))
    else:
        print("no RTP streams")
    for problem in document["problems"]:
        print(f"cmw: {problem}", file=sys.stderr)


def _percent(stream: dict[str, Any]) -> float | None:
    expected = stream["packets_expected"]
    return 100 * stream["packets_lost"] / expected if expected else None


def _decimals(value: float | None, places: int) -> str | None:
    return None if value is None else f"{value:.{places}f}"
