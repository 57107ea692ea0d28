"""What a plan would do, as a table for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape

from cmw.load.forecast import Forecast

BAR_WIDTH = 40


def print_forecast(found: Forecast, console: Console) -> None:
    """Print the forecast of a plan."""
    from cmw.cli.tables import print_table

    for line in _lines(found):
        console.print(line, highlight=False, soft_wrap=True)
    console.print()
    print_table(
        ("GROUP", "ENDPOINTS", "DOES", "REGISTRAR", "ARRIVALS", "FIRST CALL", "LAST CALL", "PEAK CPS"),
        (
            (g.name, g.endpoints, g.role, g.registrar, g.arrivals, _span(g.first_call_s), _span(g.last_call_s),
             g.peak_calls_per_second)
            for g in found.groups
        ),
    )  # fmt: skip
    if found.timeline:
        console.print()
        most = max(point.standing for point in found.timeline) or 1
        bars = ("#" * round(BAR_WIDTH * point.standing / most) for point in found.timeline)
        print_table(
            ("AT", "STARTED", "STANDING", ""),
            ((_span(p.at_s), p.started, p.standing, bar) for p, bar in zip(found.timeline, bars, strict=True)),
        )


def _lines(found: Forecast) -> Iterator[str]:
    yield f"[bold]{escape(found.name)}[/]"
    if found.search:
        yield f"search         {escape(found.search)}; below is its greatest step"
    yield f"endpoints      {found.endpoints}"
    if found.registrations:
        yield f"registrations  {found.registrations}, the last begins after {_span(found.registered_after_s)}"
    held = f"held for {_span(found.hold_s)}"
    if found.longest_hold_s > found.hold_s:
        held = f"held for {_span(round(found.hold_s, 1))} in the mean, {_span(round(found.longest_hold_s, 1))} at most"
    yield f"calls          {found.calls}, {held}; at most {found.standing_calls} at a time"
    megabits = found.bandwidth_bps / 1e6
    yield f"media          {found.packets_per_second} packets/s, {megabits:.3g} Mbit/s, in each direction"
    yield f"RTP ports      {found.rtp_ports}, two for each end of a call"
    if found.last_call_ends_s is not None:
        yield f"ends           {_span(found.last_call_ends_s)} after the start when all goes well"
    yield f"               {_span(found.ends_within_s)} at the latest"


def _span(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"
