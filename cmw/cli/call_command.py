"""`cmw call`: a plan of one group, from flags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cmw.cli.options import DEFAULT_RTP_PORTS, DEFAULT_SIP_PORTS
from cmw.cli.run_command import (
    ExternalIp,
    Json,
    MediaIp,
    Output,
    RtpPorts,
    SdpIp,
    SipIp,
    SipPorts,
    local_settings,
    run_and_report,
)
from cmw.errors import RemoteProtocolError, SettingsError
from cmw.load.faults import Path as FaultPath
from cmw.load.faults import PlanError, show_path
from cmw.load.plan import Plan
from cmw.load.plan_parser import parse_plan
from cmw.sip import parse_uri

OPTIONS: dict[FaultPath, str] = {
    ("groups", "callers", "call"): "URI",
    ("groups", "callers", "endpoints"): "--calls",
    ("groups", "callers", "load"): "--rate",
    ("groups", "callers", "audio", "codecs"): "--codec",
    ("groups", "callers", "audio", "source"): "--source",
    ("groups", "callers", "audio", "dscp"): "--dscp",
    ("registrars", "target", "accounts"): "--user, --password-file, --realm",
    ("registrars",): "URI",
    ("duration",): "--duration",
    ("setup_timeout",): "--setup-timeout",
}
"""Which option a part of the plan comes from; the first that fits."""


def call(
    uri: Annotated[str, typer.Argument(help="Whom to call, such as sip:600@pbx.example.", metavar="URI")],
    calls: Annotated[int, typer.Option(help="How many calls.")] = 1,
    rate: Annotated[str, typer.Option(help="New calls per time, such as 10/s; all-at-once for no pause.")] = "10/s",
    duration: Annotated[str, typer.Option(help="How long each call is held.")] = "10s",
    setup_timeout: Annotated[str, typer.Option(help="How long a call may stay unanswered.")] = "60s",
    codec: Annotated[
        list[str] | None, typer.Option(help="PCMU or PCMA; repeat to offer both.", show_default="both")
    ] = None,
    source: Annotated[str, typer.Option(help="What is said: speech, tone or silence.")] = "speech",
    dscp: Annotated[int, typer.Option(help="DSCP of RTP and RTCP, 0 to 63.")] = 46,
    user: Annotated[str | None, typer.Option(help="Register and call as this user at the host of URI.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="File that holds the password of --user.")] = None,
    realm: Annotated[str | None, typer.Option(help="Realm to answer.", show_default="any")] = None,
    threshold: Annotated[
        list[str] | None, typer.Option(help='What must hold, such as "mos: p(5) >= 4.0"; repeat for more.')
    ] = None,
    json_wanted: Json = False,
    output: Output = None,
    sip_ip: SipIp = None,
    media_ip: MediaIp = None,
    sdp_ip: SdpIp = None,
    external_ip: ExternalIp = None,
    sip_ports: SipPorts = DEFAULT_SIP_PORTS,
    rtp_ports: RtpPorts = DEFAULT_RTP_PORTS,
) -> int:
    """Place calls to a URI and end with a verdict; the same as a plan with one group.

    With --user all calls share one account, which is registered once for each call.
    """
    document = _document(
        uri,
        {"endpoints": calls, "call": {"uri": uri}, "load": _load(rate), "audio": _audio(codec, source, dscp)},
        duration=duration,
        setup_timeout=setup_timeout,
    )
    if user is not None:
        _add_account(document, uri, {"username": user, "password": _password(password_file), "realm": realm}, calls)
    elif password_file is not None:
        raise typer.BadParameter("expected --user with it", param_hint="--password-file")
    _add_thresholds(document, threshold or [])
    settings = local_settings(sip_ip, media_ip, sdp_ip, external_ip, sip_ports, rtp_ports)
    return run_and_report(_plan(document), settings, output, json_wanted=json_wanted)


def _plan(document: dict[str, Any]) -> Plan:
    """Return the plan; its faults are told as those of the options that they came from."""
    try:
        return parse_plan(document, name="cmw call")
    except PlanError as error:
        told = list(dict.fromkeys(f"{_option(fault.path)}: {fault.message}" for fault in error.faults))
        raise typer.BadParameter(told[0] if len(told) == 1 else "".join(f"\n  {line}" for line in told)) from None


def _option(path: FaultPath) -> str:
    """Return the option that a place in the document came from."""
    if path[:1] == ("thresholds",) and len(path) > 1:
        return f"--threshold {path[1]}"
    for known, option in OPTIONS.items():
        if path[: len(known)] == known:
            return option
    return show_path(path).removesuffix(": ")


def _document(uri: str, group: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"version": 1, "name": f"call {uri}"[:128], **settings, "groups": {"callers": group}}


def _load(rate: str) -> dict[str, str]:
    return {"arrivals": "all-at-once"} if rate == "all-at-once" else {"arrivals": "constant", "rate": rate}


def _audio(codecs: list[str] | None, source: str, dscp: int) -> dict[str, Any]:
    return {"codecs": codecs or ["PCMU", "PCMA"], "source": source, "dscp": dscp}


def _password(file: Path | None) -> str:
    if file is None:
        raise typer.BadParameter(
            "expected with --user; a password on the command line would show in the process list",
            param_hint="--password-file",
        )
    try:
        password = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise SettingsError(f"--password-file: {file} cannot be read: {why}") from None
    if not password:
        raise SettingsError(f"--password-file: {file} is empty")
    return password


def _add_account(document: dict[str, Any], uri: str, account: dict[str, str | None], calls: int) -> None:
    try:
        target = parse_uri(uri)
    except RemoteProtocolError:
        return  # the plan says what is wrong with it
    known = {key: value for key, value in account.items() if value is not None}
    domain = f"[{target.host}]" if ":" in target.host else target.host
    document["registrars"] = {"target": {"domain": domain, "port": target.port or 5060, "accounts": [known] * calls}}
    document["groups"]["callers"]["registrar"] = "target"


def _add_thresholds(document: dict[str, Any], lines: list[str]) -> None:
    thresholds: dict[str, list[str]] = {}
    for line in lines:
        metric, colon, expression = line.partition(":")
        if not colon:
            raise typer.BadParameter(f'found {line!r}, expected "METRIC: EXPRESSION"', param_hint="--threshold")
        thresholds.setdefault(metric.strip(), []).append(expression.strip())
    document["thresholds"] = thresholds
