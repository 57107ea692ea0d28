"""`cmw doctor`: what would keep a worker here from its work, each line with a remedy."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from cmw.cli.exit_codes import ExitCode
from cmw.cli.tables import print_json
from cmw.cli.terminal import is_coloured
from cmw.errors import RemoteProtocolError
from cmw.sip import SipUri, parse_uri
from cmw.sip.grammar import is_literal
from cmw.sip.lookup import transport_of
from cmw.worker.doctor import Wanted, examine
from cmw.worker.finding import Finding, Grade

_COLOURS = {Grade.OK: "32", Grade.WARN: "33", Grade.FAIL: "31"}


def doctor(
    to: Annotated[
        list[str] | None,
        typer.Option(
            help="HOST[:PORT] or SIP URI: show the addresses chosen for it, and ask it by OPTIONS how it sees us; "
            "repeat for more.",
            metavar="TARGET",
        ),
    ] = None,
    capacity: Annotated[int | None, typer.Option(help="Endpoints that this worker is to carry.", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Check settings, gateway, addresses, ports, limits and clock of a worker that would start here.

    Each line is OK, WARN or FAIL, with a remedy. Exits with 0, or with 1 when anything is FAIL. Takes some seconds; a
    worker that runs here already holds ports that are then told as in use.
    """
    findings = []
    for finding in examine(Wanted([_destination(text) for text in to or []], capacity)):
        findings.append(finding)
        if not as_json:
            _print(finding)
    worst = max(finding.grade for finding in findings)
    if as_json:
        print_json({"schema_version": 1, "status": worst.name, "checks": [_document(each) for each in findings]})
    return ExitCode.CALLS_FAILED if worst is Grade.FAIL else ExitCode.PASSED


def _destination(text: str) -> SipUri:
    """Return the URI that a target means: one without scheme is a host, an IPv6 address in brackets or without."""
    text = text.strip()
    if not text.lower().startswith(("sip:", "sips:")):
        text = f"sip:[{text}]" if is_literal(text) and ":" in text else f"sip:{text}"
    try:
        uri = parse_uri(text)
    except RemoteProtocolError:
        uri = None
    if uri is None or transport_of(uri) is None:
        raise typer.BadParameter(f"expected HOST, HOST:PORT or a SIP URI, found {text!r}", param_hint="--to")
    return uri._replace(user=None, password=None, headers=())


def _print(finding: Finding) -> None:
    word = f"{finding.grade.name:4}"
    if is_coloured(sys.stdout):
        word = f"\x1b[{_COLOURS[finding.grade]}m{word}\x1b[0m"
    print(f"{word}  {finding.check}: {finding.found}", flush=True)
    if finding.remedy:
        print(f"      {finding.remedy}", flush=True)


def _document(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "status": finding.grade.name,
        "found": finding.found,
        "remedy": finding.remedy or None,
    }
