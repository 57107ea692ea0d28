"""What the program says when something is wrong, collected from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROGRAMS = ("capture", "cli", "gateway", "link", "load", "net", "worker")
"""Packages whose errors people read; those of `sip` and `rtp` tell programmers how to call them."""

ERRORS = {"SettingsError", "CapacityError", "AuthenticationError", "ConnectionError", "CaptureError"}
"""What ends a command with its text: wrong settings or files, no room, refused, nobody there, no capture."""

LEVELS = {"warn", "warning", "error", "exception", "critical"}
"""Methods of a logger for lines that ask somebody to look."""


class Message(NamedTuple):
    """One text of the source, in the pieces that are the same each time."""

    where: str
    pieces: tuple[str, ...]

    @property
    def key(self) -> str:
        """The longest piece: what somebody would search for."""
        return max((piece.strip(" ,:;.()") for piece in self.pieces), key=len, default="")


def errors_raised(root: Path) -> list[Message]:
    """Return the texts of ERRORS that are raised with one; an error that hands another's text on has none."""
    found = [
        Message(where, pieces_of(node.exc.args[0]))
        for where, node in nodes(root)
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and node.exc.func.id in ERRORS
        and node.exc.args
    ]
    return [message for message in found if len(message.key) > 3]


def events_logged(root: Path) -> list[Message]:
    """Return the events of lines at `warn` and above."""
    found = [
        Message(where, pieces_of(node.args[0]))
        for where, node in nodes(root)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LEVELS
        and node.args
    ]
    return [message for message in found if message.key]


REFUSALS = {"conflict": 0, "forbidden": 0, "CommandError": 1, "RequestError": 2}
"""How gateway and commands refuse a request, and which argument is the text."""


def requests_refused(root: Path) -> list[Message]:
    """Return the texts with which the gateway, or the command that asks it, refuses a request."""
    found = [
        Message(where, pieces_of(node.exc.args[REFUSALS[node.exc.func.id]]))
        for where, node in nodes(root)
        if where.startswith(("gateway/", "cli/"))
        and isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and node.exc.func.id in REFUSALS
    ]
    return [message for message in found if len(message.key) > 3]


def texts_said(root: Path) -> list[Message]:
    """Return what a command says in words of its own when an error ends it."""
    found = [
        Message(where, pieces_of(node.args[0]))
        for where, node in nodes(root)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_say"
    ]
    return [message for message in found if message.key]


def kinds_of_values(root: Path) -> list[Message]:
    """Return what settings of the worker are expected to be."""
    found = []
    for where, node in nodes(root):
        if not where.startswith(("worker/values.py", "worker/settings.py")):
            continue
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "").endswith("_EXPECTED"):
            found.append(Message(where, pieces_of(node.value)))
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("_number", "ValueError"):
            found.append(Message(where, pieces_of(node.args[-1])))
    return [message for message in found if message.key]


def nodes(root: Path) -> Iterator[tuple[str, ast.AST]]:
    """Yield every node of the programs, with the place that it stands at."""
    for package in PROGRAMS:
        for path in sorted((root / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                yield f"{path.relative_to(root)}:{getattr(node, 'lineno', 0)}", node


def pieces_of(text: ast.expr) -> tuple[str, ...]:
    """Return what is literal in a text; nothing for what is put together elsewhere."""
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        return (text.value,)
    if isinstance(text, ast.JoinedStr):
        parts = (part.value for part in text.values if isinstance(part, ast.Constant))
        return tuple(part for part in parts if isinstance(part, str))
    return ()
