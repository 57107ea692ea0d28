"""Variables of a plan file: ``${NAME}`` in any value.

They come from ``--set``, from the plan's own ``variables``, or as ``${env:NAME}`` from the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated

import typer

from cmw.errors import SettingsError

NAME = r"[A-Za-z_][A-Za-z0-9_]{0,63}"

_REFERENCE = re.compile(r"\$(?P<escaped>\$\{)|\$\{(?P<inside>[^{}]{0,80})\}")
_INSIDE = re.compile(rf"(?P<env>env:)?(?P<name>{NAME})", re.ASCII)


class VariableError(ValueError):
    """A reference that leads nowhere; says what was found and what was expected."""


class Variables:
    """What the references of one plan stand for.

    Args:
        given: from ``--set``; counts before what the plan says.
        environment: what ``${env:NAME}`` refers to.
    """

    def __init__(self, given: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._given = dict(given or {})
        self._environment = environment if environment is not None else {}
        self._declared: dict[str, str] = {}
        self._texts: set[str] = set()
        self._used: set[str] = set()

    def declare(self, name: str, value: str, *, is_text: bool) -> None:
        """Note a variable of the plan itself; one that `is_text` stays text if it looks like a number."""
        self._declared[name] = value
        if is_text:
            self._texts.add(name)

    @property
    def unused(self) -> list[str]:
        """Return the names from ``--set`` that nothing refers to."""
        return sorted(self._given.keys() - self._used - self._declared.keys())

    def fill(self, text: str) -> str:
        """Return a text with what its references stand for; ``$${`` stands for ``${``.

        Raises:
            VariableError: a reference to nothing, or none that can be read.
        """
        return _REFERENCE.sub(self._replace, text)

    def is_plain(self, text: str) -> bool:
        """Tell whether a value is nothing but a reference to what may be a number, or another word of YAML."""
        whole = _REFERENCE.fullmatch(text)
        return whole is not None and whole["inside"] is not None and whole["inside"] not in self._texts

    def _replace(self, reference: re.Match[str]) -> str:
        if reference["escaped"]:
            return "${"
        inside = _INSIDE.fullmatch(reference["inside"])
        if inside is None:
            raise VariableError(f"found {reference[0]!r}, expected ${{NAME}} or ${{env:NAME}}; $${{ stands for ${{")
        name = inside["name"]
        if inside["env"]:
            if name not in self._environment:
                raise VariableError(f"found {reference[0]!r}, expected an environment variable that is set")
            return self._environment[name]
        self._used.add(name)
        known = {**self._declared, **self._given}
        if name not in known:
            raise VariableError(
                f"found {reference[0]!r}, expected --set {name}=VALUE, or {name} in the plan's variables"
            )
        return known[name]


SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="What ${NAME} in the plan stands for; repeat for more."),
]


def plan_variables(texts: list[str] | None) -> Variables:
    """Return the variables of a command: what ``--set`` says, and the environment."""
    return Variables(_parse(texts or []), os.environ)


def _parse(texts: list[str]) -> dict[str, str]:
    """Return what ``--set NAME=VALUE`` says.

    Raises:
        SettingsError: a text that is none, or a name that is there twice.
    """
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or re.fullmatch(NAME, name, re.ASCII) is None:
            raise SettingsError(
                f"--set: found {(name if equals else text)!r}, expected NAME=VALUE, such as HOST=10.0.0.7"
            )
        if name in given:
            raise SettingsError(f"--set: found {name} twice, expected once")
        given[name] = value
    return given
