"""Options about SIP itself, which `cmw call` and `cmw answer` read in the same way, as parts of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cmw.cli.document import read_text
from cmw.errors import SettingsError
from cmw.load.plan_fields import MAX_PEM
from cmw.net.sip_tls import TlsSettings, client_context

SessionTimer = Annotated[
    str | None,
    typer.Option(
        help="Session timers: an interval such as 1800s, required:1800s to insist, or off.",
        metavar="[MODE:]INTERVAL",
        show_default="as the peer wants",
    ),
]
Reliable = Annotated[
    str,
    typer.Option("--100rel", help="Provisional responses with PRACK: off, supported or required.", metavar="MODE"),
]
Transfers = Annotated[
    str, typer.Option(help="What is done when the peer asks us to call somebody else: accept or reject.")
]


def sip_document(session_timer: str | None, reliable: str, transfers: str) -> dict[str, Any]:
    """Return the `sip` of a group."""
    document: dict[str, Any] = {"reliable_provisional": reliable, "transfers": transfers}
    if session_timer == "off":
        document["session_timer"] = {"mode": "disabled"}
    elif session_timer is not None:
        mode, colon, interval = session_timer.rpartition(":")
        document["session_timer"] = {"expires": interval} | ({"mode": mode} if colon else {})
    return document


def headers_document(lines: list[str]) -> dict[str, str]:
    """Return the headers that ``Name: value`` lines name."""
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not value.strip():
            raise typer.BadParameter(f'found {line!r}, expected "NAME: VALUE"', param_hint="--header")
        headers[name.strip()] = value.strip()
    return headers


def tls_document(
    ca: Path | None, certificate: Path | None, key: Path | None, name: str | None, *, insecure: bool
) -> dict[str, Any] | None:
    """Return the `tls` of a group or registrar, None when no option asks for any.

    Raises:
        SettingsError: a file cannot be read, or is not what it should be.
    """
    document: dict[str, Any] = {"verify": "skip"} if insecure else {}
    files = {"ca": ca, "certificate": certificate, "key": key}
    for field, file in files.items():
        if file is not None:
            document[field] = read_text(file, MAX_PEM, "PEM file")
    if name is not None:
        document["server_name"] = name
    if document and not (insecure and ca is not None):
        paths = {field: None if file is None else str(file) for field, file in files.items()}
        settings = TlsSettings(paths["ca"], paths["certificate"], paths["key"], is_verified=not insecure)
        try:
            client_context(settings, checks_host=False)
        except SettingsError as error:
            option = "--tls-ca" if "CA file" in str(error) else "--tls-cert, --tls-key"
            raise SettingsError(f"{option}: {error}") from None
    return document or None
