"""The live view of a run on stderr: a few lines that move on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cmw.cli.run_figures import Pace, health_text, quality_text
from cmw.core.words import OutcomeKind, Phase
from cmw.gateway.views import RunView

LINE_PERIOD_S = 5.0
"""How often a line is written where nothing can move."""

SHOWN_PHASES = (Phase.REGISTERED, Phase.CALLING, Phase.RINGING, Phase.NEGOTIATING, Phase.INCALL, Phase.CLOSED)


class Progress:
    """Show each `RunView` that `update` gets; use it as a context manager."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self._console = console or Console(file=sys.stderr)
        self._quiet = quiet
        self._began_at = time.monotonic()
        self._line_at = -LINE_PERIOD_S
        self._line = ""
        self._live: Live | None = None
        self._pace = Pace()

    def __enter__(self) -> Progress:
        if self._console.is_interactive and not self._quiet:
            self._live = Live(console=self._console, transient=True, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, run: RunView) -> None:
        """Show how the run stands."""
        if self._quiet:
            return
        self._pace.take(run.progress)
        if self._live is not None:
            self._live.update(self._draw(run))
            return
        elapsed_s = time.monotonic() - self._began_at
        line = _describe(run)
        if line != self._line and (run.status.is_final or elapsed_s - self._line_at >= LINE_PERIOD_S):
            self._line, self._line_at = line, elapsed_s
            self._console.print(f"{elapsed_s:6.1f} s  {line}", highlight=False, soft_wrap=True)

    def tell(self, line: str) -> None:
        """Show a line that stays, above what moves."""
        if not self._quiet:
            elapsed_s = time.monotonic() - self._began_at
            self._console.print(f"{elapsed_s:6.1f} s  {line}", highlight=False, soft_wrap=True, markup=False)

    def _draw(self, run: RunView) -> Group:
        phases = _phases(run)
        failed = _failed(run)
        bar = Table.grid(padding=(0, 1))  # a bar alone does not end its line
        bar.add_row("", ProgressBar(total=max(1, run.endpoints), completed=phases.get(Phase.CLOSED.name, 0), width=60))
        head = Text.assemble(
            (f" {run.name} ", "bold"), f"{run.status}  ", (f"{time.monotonic() - self._began_at:.0f} s", "dim")
        )
        table = Table.grid(padding=(0, 1))
        for phase in SHOWN_PHASES:
            table.add_column(justify="right", min_width=len(phase.name) + 1)
        table.add_row(*(Text(phase.name.lower(), style="dim") for phase in SHOWN_PHASES))
        table.add_row(*(Text(str(phases.get(phase.name, 0)), style="bold") for phase in SHOWN_PHASES))
        placed, answered = (run.progress.get(name, 0) for name in ("calls_attempted", "calls_answered"))
        calls = Text(f" calls: {placed} placed, {answered} answered, ")
        calls.append(f"{failed} endpoints failed", style="bold red" if failed else "green")
        if pace := self._pace.text:
            calls.append(f"; {pace}")
        return Group(head, bar, table, calls, *_audio_and_health(run))


def _audio_and_health(run: RunView) -> list[Text]:
    if "second" not in run.progress:
        return []
    line = Text(" ")
    if quality := quality_text(run.progress):
        line.append(f"audio: {quality}  ", style="bold")
    line.append(health_text(run.progress), style="yellow" if _is_limit(run) else "dim")
    return [line]


def _describe(run: RunView) -> str:
    phases = ", ".join(f"{name.lower()} {count}" for name, count in sorted(_phases(run).items()) if count)
    answered = f"{run.progress.get('calls_answered', 0)} of {run.progress.get('calls_attempted', 0)} calls answered"
    parts = [phases, quality_text(run.progress), health_text(run.progress) if _is_limit(run) else ""]
    return f"{run.status}: {answered}; {'; '.join(filter(None, parts))}" if phases else f"{run.status}"


def _is_limit(run: RunView) -> bool:
    return bool(run.progress.get("untrusted_seconds"))


def _phases(run: RunView) -> dict[str, int]:
    found = run.progress.get("by_phase")
    return found if isinstance(found, dict) else {}


def _failed(run: RunView) -> int:
    outcomes = run.progress.get("by_outcome")
    if not isinstance(outcomes, dict):
        return 0
    return sum(count for name, count in outcomes.items() if OutcomeKind(name).severity >= 10)
