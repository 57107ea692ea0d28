"""Structured logs: five levels, one JSON object a line or text for people, secrets masked whatever is logged.

docs/logging.md is what users read of it.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TextIO

import structlog

from cmw.core.address import Address
from cmw.load.sip_masks import mask_beside_credentials
from cmw.sip.hop import Hop
from cmw.worker.values import MASK

LEVELS = {"error": 40, "warn": 30, "info": 20, "debug": 10, "trace": 5}
"""The levels by name, as the standard library numbers them; `trace` lies below its lowest."""

TALKATIVE = ("aiosqlite",)
"""Libraries whose debug logs would be all there is to see: two lines for each statement of the store, with its data."""

FIELD_CHARS = 2048
"""Of a field below level trace; what is longer is cut, and told."""

REPEATS = 25
"""Lines with the same event and level that are shown within `REPEATS_SPAN_S`; more are counted."""

REPEATS_SPAN_S = 1.0

_COLOURS = {"error": "31", "warn": "33", "info": "32", "debug": "36", "trace": "35"}

EventDict = MutableMapping[str, Any]

_SECRET_KEYS = frozenset({"password", "passwd", "secret", "token", "worker_token", "api_key", "authorization"})
_TOKEN = re.compile(r"\b(cmw_|cmk_)[0-9a-zA-Z]{16,}")
_AUTHORIZATION = re.compile(r"(?i)((?:proxy-)?authorization[ \t]*:)([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)")
_RESPONSE = re.compile(r'(?i)\b(response[ \t]*=[ \t]*"?)[^",\s]+')
_CREDENTIALS = re.compile(r"(?i)\b(basic|bearer)([ \t]+)[^\s,\"]+")
_URL_PASSWORD = re.compile(r"(//[^\s:@/]{1,256}:)[^\s@/]++@")
_MEDIA_KEY = re.compile(r"(?i)\b(inline:)[0-9A-Za-z+/=]{16,}+")


class Log(structlog.BoundLoggerBase):
    """A logger with the five levels; `set_level` replaces the ones below by nothing at all, everywhere at once."""

    def error(self, event: str, **fields: Any) -> None:
        """Log a failure that someone must look at."""
        self._write("error", event, fields)

    def warn(self, event: str, **fields: Any) -> None:
        """Log what may become a failure."""
        self._write("warn", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Log a step of normal operation."""
        self._write("info", event, fields)

    def debug(self, event: str, **fields: Any) -> None:
        """Log what helps to find a fault."""
        self._write("debug", event, fields)

    def trace(self, event: str, **fields: Any) -> None:
        """Log raw messages; very many."""
        self._write("trace", event, fields)

    warning = warn
    critical = error

    def exception(self, event: str, **fields: Any) -> None:
        """Log a failure with the traceback of the exception being handled."""
        self._write("error", event, {"exception": traceback.format_exc(), **fields})

    def _write(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        self._proxy_to_logger(level, event, **fields)


def configure_logging(
    level: str = "info",
    format: str = "json",
    stream: TextIO | None = None,
    *,
    colours: bool | None = None,
    limits_repeats: bool = True,
) -> None:
    """Send all logs of the process to `stream`, those of libraries too.

    Args:
        level: one of LEVELS; what is below it costs next to nothing.
        format: ``json`` or ``pretty``.
        stream: standard output when None.
        colours: of ``pretty``; None means yes unless NO_COLOR is set.
        limits_repeats: whether lines of one event are counted instead of shown once there are many in a second.
    """
    out = stream or sys.stdout
    coloured = colours if colours is not None else not os.environ.get("NO_COLOR")
    render = render_json if format == "json" else _PrettyRenderer(coloured)
    structlog.configure(
        processors=[*([RepeatLimit(render)] if limits_repeats else []), _stamp, mask_secrets, render],
        wrapper_class=_ActiveLog,
        context_class=dict,
        logger_factory=lambda name="", *_: _Writer(out, name),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_LibraryHandler()], force=True)
    set_level(level)


def set_level(level: str) -> None:
    """Log from `level` on, in every logger that there is or will be."""
    for name, number in {**LEVELS, "warning": LEVELS["warn"]}.items():
        setattr(_ActiveLog, name, getattr(Log, name) if number >= LEVELS[level] else _nothing)
    logging.getLogger().setLevel(LEVELS[level])
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(LEVELS[level], LEVELS["info"]))


def get_logger(name: str = "", **fields: Any) -> Log:
    """Return a logger that adds its name and `fields` to every line; call `configure_logging` before."""
    log: Log = structlog.get_logger(name).bind(**fields)
    return log


def mask(text: str) -> str:
    """Return `text` without tokens, API keys, what answers a digest challenge, passwords in URIs and keys of media."""
    if "cmw_" in text or "cmk_" in text:
        text = _TOKEN.sub(rf"\g<1>{MASK}", text)
    if "@" in text:
        text = _URL_PASSWORD.sub(rf"\g<1>{MASK}@", mask_beside_credentials(text))
    return _AUTHORIZATION.sub(_mask_header, _MEDIA_KEY.sub(rf"\g<1>{MASK}", text))


def mask_secrets(logger: Any, level: str, event_dict: EventDict) -> EventDict:
    """Make every field plain and mask what is secret in it: the last line of defence, not the first."""
    plain = {key: MASK if key.lower() in _SECRET_KEYS and value else _plain(value) for key, value in event_dict.items()}
    return plain if level == "trace" else {key: _bounded(key, value) for key, value in plain.items()}


def printable(text: str) -> str:
    """Return `text` with escapes for whatever would move a cursor, change a colour or begin a line."""
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)


def render_json(logger: Any, level: str, event_dict: EventDict) -> str:
    """Return one line of ASCII that is one JSON object, whatever the fields hold."""
    return json.dumps(event_dict, separators=(",", ":"), allow_nan=False)


class RepeatLimit:
    """Let so many lines of one event pass in a second, and tell how many more there were, once the second is over.

    What is to be seen whole is exempt: lines of level trace.

    Args:
        render: the last processor; the line about what was left out goes through it.
        clock: seconds of a monotonic clock.
    """

    def __init__(self, render: structlog.types.Processor, clock: Callable[[], float] = time.monotonic) -> None:
        self._render = render
        self._clock = clock
        self._span_ends = 0.0
        self._seen: Counter[tuple[str, str]] = Counter()

    def __call__(self, logger: Any, level: str, event_dict: EventDict) -> EventDict:
        """Return the line, or drop it."""
        if level == "trace":
            return event_dict
        now = self._clock()
        if now >= self._span_ends:
            self._tell(logger)
            self._span_ends = now + REPEATS_SPAN_S
        key = level, str(event_dict.get("event", ""))
        self._seen[key] += 1
        if self._seen[key] > REPEATS:
            raise structlog.DropEvent
        return event_dict

    def _tell(self, logger: Any) -> None:
        left_out = [(key, count - REPEATS) for key, count in self._seen.items() if count > REPEATS]
        self._seen.clear()
        for (level, event), count in left_out:
            line = {"event": "lines left out", "of_event": event, "count": count}
            logger.write(self._render(logger, level, mask_secrets(logger, level, _stamp(logger, level, line))))


class _PrettyRenderer:
    """One line for people: time, level, event, then key=value; nothing unprintable reaches the terminal.

    The lines of a traceback follow it, further in: none of them can pose as a line of the log.
    """

    def __init__(self, coloured: bool) -> None:
        self._paint: Callable[[str, str], str] = _paint if coloured else lambda text, colour: text

    def __call__(self, logger: Any, level: str, event_dict: EventDict) -> str:
        fields = dict(event_dict)
        exception = fields.pop("exception", None)
        time, word, event = fields.pop("time"), fields.pop("level"), fields.pop("event")
        parts = [
            self._paint(time[11:23], "2"),
            self._paint(f"{word:5}", _COLOURS[word]),
            self._paint(printable(str(event)), "1"),
        ]
        parts += [f"{self._paint(printable(key), '36')}={_shown(value)}" for key, value in fields.items()]
        line = " ".join(parts)
        return line if exception is None else "\n    ".join([line, *map(printable, str(exception).splitlines())])


class _Writer:
    """The end of the line: one write for each, and a reader that went away is no reason to stop working."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self.name = name

    def __getattr__(self, level: str) -> Callable[[str], None]:
        return self.write

    def write(self, line: str) -> None:
        try:
            try:
                self._stream.write(line + "\n")
            except UnicodeEncodeError:
                self._stream.write(line.encode("ascii", "backslashreplace").decode() + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return


class _LibraryHandler(logging.Handler):
    """Hand records of the standard library's logging to ours, so that a line is a line of the same kind."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {}
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception"] = "".join(traceback.format_exception(*record.exc_info))
        level = next((name for name, number in LEVELS.items() if record.levelno >= number), "trace")
        try:
            message = record.getMessage()
        except Exception:
            message = str(record.msg)
        getattr(get_logger(record.name), level)(message, **fields)


class _ActiveLog(Log):
    """The class of all loggers; `set_level` changes its methods, and so those of every logger that is there already."""


def _nothing(self: Log, event: str, **fields: Any) -> None:
    return None


def _stamp(logger: Any, level: str, event_dict: EventDict) -> EventDict:
    event = event_dict.pop("event", "")
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = {key: value for key, value in event_dict.items() if key not in ("time", "level")}
    named = {"logger": logger.name} if logger.name else {}
    return {"time": time, "level": level, "event": event, **named, **fields}


def _mask_header(match: re.Match[str]) -> str:
    value = _RESPONSE.sub(rf"\g<1>{MASK}", match[2])
    return match[1] + _CREDENTIALS.sub(rf"\g<1>\g<2>{MASK}", value)


def _plain(value: Any) -> Any:
    """Return `value` as JSON knows it, its text masked."""
    if value is None or isinstance(value, bool) or type(value) is int:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (bytes, bytearray)):
        return mask(value.decode(errors="backslashreplace"))
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, (Address, Hop)) or not isinstance(value, (list, tuple, Mapping)):
        return mask(str(value))
    if isinstance(value, Mapping):
        return mask_secrets(None, "", {str(key): item for key, item in value.items()})
    return [_plain(item) for item in value]


def _bounded(key: str, value: Any) -> Any:
    """Return a field that a peer may have filled with a whole datagram at a length that can be read."""
    if not isinstance(value, str) or len(value) <= FIELD_CHARS or key == "exception":
        return value
    return f"{value[:FIELD_CHARS]}... ({len(value) - FIELD_CHARS} more characters)"


def _paint(text: str, colour: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if text.isprintable() and text and " " not in text else json.dumps(text)
