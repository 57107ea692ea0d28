"""`cmw call`: a plan of one group, from flags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cmw.cli.buffer_options import DEFAULT_BUFFER, DEFAULT_LATE, BufferText, LateText, buffer_document
from cmw.cli.evidence_option import EvidenceOption, WavOption, with_evidence
from cmw.cli.hep_options import DEFAULT_CAPTURE_ID, HepCaptureId, HepKeyFile, HepOptions, HepTarget
from cmw.cli.options import DEFAULT_RTP_PORTS, DEFAULT_SIP_PORTS
from cmw.cli.report_files import ReportWish
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
from cmw.cli.sample_files import SamplesFormat, SamplesOption, require_writer
from cmw.cli.sip_options import (
    Reliable,
    SessionTimer,
    Transfers,
    headers_document,
    sip_document,
    tls_document,
)
from cmw.cli.sound_files import read_sound
from cmw.errors import RemoteProtocolError, SettingsError
from cmw.load.faults import Path as FaultPath
from cmw.load.faults import PlanError, show_path
from cmw.load.plan import Plan
from cmw.load.plan_parser import parse_plan
from cmw.load.plan_sound import SAID
from cmw.load.template import PLACE
from cmw.sip import parse_uri

OPTIONS: dict[FaultPath, str] = {
    ("groups", "callers", "call", "redirects"): "--redirects",
    ("groups", "callers", "call"): "URI",
    ("groups", "callers", "endpoints"): "--calls",
    ("groups", "callers", "load"): "--rate",
    ("groups", "callers", "audio", "codecs"): "--codec",
    ("groups", "callers", "audio", "source"): "--source",
    ("groups", "callers", "audio", "dscp"): "--dscp",
    ("groups", "callers", "audio", "ptime"): "--ptime",
    ("groups", "callers", "audio", "jitter_buffer"): "--jitter-buffer",
    ("groups", "callers", "audio", "late_after"): "--late-after",
    ("groups", "callers", "transport"): "--transport",
    ("groups", "callers", "outbound_proxy"): "--proxy",
    ("groups", "callers", "tls", "ca"): "--tls-ca",
    ("groups", "callers", "tls", "certificate"): "--tls-cert",
    ("groups", "callers", "tls", "key"): "--tls-key",
    ("groups", "callers", "tls", "server_name"): "--tls-name",
    ("groups", "callers", "tls"): "--tls-ca, --tls-insecure",
    ("groups", "callers", "identity", "display_name"): "--display-name",
    ("groups", "callers", "identity"): "--from",
    ("groups", "callers", "headers"): "--header",
    ("groups", "callers", "sip", "session_timer"): "--session-timer",
    ("groups", "callers", "sip", "reliable_provisional"): "--100rel",
    ("groups", "callers", "sip", "transfers"): "--transfers",
    ("registrars", "target", "transport"): "--transport",
    ("registrars", "target", "outbound_proxy"): "--proxy",
    ("registrars", "target", "path"): "--ws-path",
    ("registrars", "target", "tls", "ca"): "--tls-ca",
    ("registrars", "target", "tls", "certificate"): "--tls-cert",
    ("registrars", "target", "tls", "key"): "--tls-key",
    ("registrars", "target", "tls", "server_name"): "--tls-name",
    ("registrars", "target", "tls"): "--tls-ca, --tls-insecure",
    ("registrars", "target", "accounts"): "--user, --password-file, --realm, --auth-user",
    ("registrars",): "URI",
    ("duration",): "--duration",
    ("setup_timeout",): "--setup-timeout",
}
"""Which option a part of the plan comes from; the first that fits."""


_STAND_IN = "-n-"
"""For `PLACE` while a URI is taken apart."""


def call(
    uri: Annotated[
        str, typer.Argument(help="Whom to call, such as sip:600@pbx.example, sips: or tel:.", metavar="URI")
    ],
    calls: Annotated[int, typer.Option(help="How many calls.")] = 1,
    rate: Annotated[str, typer.Option(help="New calls per time, such as 10/s; all-at-once for no pause.")] = "10/s",
    duration: Annotated[str, typer.Option(help="How long each call is held.")] = "10s",
    setup_timeout: Annotated[str, typer.Option(help="How long a call may stay unanswered.")] = "60s",
    codec: Annotated[
        list[str] | None, typer.Option(help="PCMU or PCMA; repeat to offer both.", show_default="both")
    ] = None,
    source: Annotated[
        str, typer.Option(help="What is said: speech, tone, silence, a WAV file, or echo for what comes.")
    ] = "speech",
    dscp: Annotated[int, typer.Option(help="DSCP of RTP and RTCP, 0 to 63.")] = 46,
    ptime: Annotated[str, typer.Option(help="Audio in each packet: 10ms, 20ms, 30ms, 40ms or 60ms.")] = "20ms",
    rtcp_mux: Annotated[bool, typer.Option("--rtcp-mux", help="Offer RTP and RTCP on one port.")] = False,
    symmetric: Annotated[bool, typer.Option("--symmetric", help="Send RTP to where the peer's comes from.")] = False,
    jitter_buffer: BufferText = DEFAULT_BUFFER,
    late_after: LateText = DEFAULT_LATE,
    user: Annotated[str | None, typer.Option(help="Register and call as this user at the host of URI.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="File that holds the password of --user.")] = None,
    realm: Annotated[str | None, typer.Option(help="Realm to answer.", show_default="any")] = None,
    auth_user: Annotated[
        str | None, typer.Option(help="User name of the digest.", show_default="as --user", metavar="NAME")
    ] = None,
    transport: Annotated[
        str | None,
        typer.Option(help="udp, tcp, tls, ws, wss or auto.", show_default="what URI and DNS say", metavar="NAME"),
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(help="Outbound proxy, such as sip:10.0.0.1:5060; repeat for a path.", metavar="URI"),
    ] = None,
    tls_ca: Annotated[
        Path | None,
        typer.Option(help="PEM file of the authorities to trust.", show_default="the system's", metavar="FILE"),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM file of our certificate.", metavar="FILE")] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="PEM file of its key.", show_default="in --tls-cert", metavar="FILE")
    ] = None,
    tls_name: Annotated[
        str | None, typer.Option(help="Name that the certificate has to show.", show_default="the host", metavar="HOST")
    ] = None,
    tls_insecure: Annotated[bool, typer.Option("--tls-insecure", help="Check no certificate.")] = False,
    ws_path: Annotated[
        str | None,
        typer.Option(help="What a WebSocket server is asked for, with --user.", show_default="/", metavar="PATH"),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            help='Further header of the INVITE, "NAME: VALUE"; repeat for more. {n} is the number of the call.'
        ),
    ] = None,
    from_uri: Annotated[
        str | None,
        typer.Option("--from", help="Who calls, such as sip:alice@example.org, or a user part.", metavar="URI"),
    ] = None,
    display_name: Annotated[str | None, typer.Option(help="Name of who calls.", metavar="NAME")] = None,
    late_offer: Annotated[bool, typer.Option("--late-offer", help="Leave the offer to the callee.")] = False,
    redirects: Annotated[int, typer.Option(help="How many 3xx a call follows, 0 to 10.")] = 0,
    session_timer: SessionTimer = None,
    reliable: Reliable = "supported",
    transfers: Transfers = "accept",
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
    hep_target: HepTarget = None,
    hep_capture_id: HepCaptureId = DEFAULT_CAPTURE_ID,
    hep_auth_key_file: HepKeyFile = None,
    evidence: EvidenceOption = None,
    wav: WavOption = False,
    samples: SamplesOption = SamplesFormat.CSV,
) -> int:
    """Place calls to a URI and end with a verdict; the same as a plan with one group.

    With --user all calls share one account, which is registered once for each call.
    """
    group: dict[str, Any] = {
        "endpoints": calls,
        "call": {"uri": uri, "offer": "late" if late_offer else "early", "redirects": redirects},
        "load": _load(rate),
        "audio": _audio(codec, source, dscp)
        | {"ptime": ptime, "rtcp_mux": rtcp_mux, "symmetric": symmetric}
        | {"jitter_buffer": buffer_document(jitter_buffer), "late_after": late_after},
        "headers": headers_document(header or []),
        "identity": _identity(from_uri, display_name),
        "sip": sip_document(session_timer, reliable, transfers),
    }
    document = _document(uri, _known(group), duration=duration, setup_timeout=setup_timeout)
    if isinstance(group["audio"]["source"], dict):
        document["sounds"] = {source: read_sound(Path(source))}
    way = {
        "transport": transport,
        "outbound_proxy": proxy or None,
        "tls": tls_document(tls_ca, tls_cert, tls_key, tls_name, insecure=tls_insecure),
    }
    if user is not None:
        account = {"username": user, "password": _password(password_file), "realm": realm, "auth_username": auth_user}
        _add_registrar(document, uri, _known(account), calls, _known({**way, "path": ws_path}))
    elif password_file is not None or ws_path is not None:
        option = "--password-file" if password_file is not None else "--ws-path"
        raise typer.BadParameter("expected --user with it", param_hint=option)
    else:
        document["groups"]["callers"] |= _known(way)
    _add_thresholds(document, threshold or [])
    hep = HepOptions(hep_target, hep_capture_id, hep_auth_key_file)
    settings = local_settings(sip_ip, media_ip, sdp_ip, external_ip, sip_ports, rtp_ports, hep)
    plan = with_evidence(_plan(document), evidence, with_sound=wav)
    require_writer(samples)
    return run_and_report(
        plan, settings, output, json_wanted=json_wanted, wish=ReportWish(with_sound=wav, samples=samples)
    )


def _plan(document: dict[str, Any]) -> Plan:
    """Return the plan; its faults are told as those of the options that they came from."""
    try:
        return parse_plan(document, name="cmw call")
    except PlanError as error:
        told = list(dict.fromkeys(f"{_option(fault.path)}: {_worded(fault.message)}" for fault in error.faults))
        raise typer.BadParameter(told[0] if len(told) == 1 else "".join(f"\n  {line}" for line in told)) from None


def _worded(message: str) -> str:
    """Return a message in the words of options."""
    return message.replace("{file: NAME.wav}", "a WAV file")


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
    return {"codecs": codecs or ["PCMU", "PCMA"], "source": _said(source), "dscp": dscp}


def _said(source: str) -> str | dict[str, str]:
    return source if source in SAID or not Path(source).is_file() else {"file": source}


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


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _identity(from_uri: str | None, display_name: str | None) -> dict[str, Any] | None:
    """Return who calls; ``--from`` is a SIP URI, or a user part alone."""
    if from_uri is None:
        return None if display_name is None else {"display_name": display_name}
    known = _known({"display_name": display_name})
    if not from_uri.lower().startswith(("sip:", "sips:")):
        return known | {"user": from_uri}
    try:
        uri = parse_uri(from_uri.replace(PLACE, _STAND_IN))
    except RemoteProtocolError:
        expected = "a SIP URI such as sip:alice@example.org, or a user part"
        raise typer.BadParameter(f"found {from_uri!r}, expected {expected}", param_hint="--from") from None
    domain = f"[{uri.host}]" if ":" in uri.host else uri.host
    user = None if uri.user is None else uri.user.replace(_STAND_IN, PLACE)
    return known | _known({"user": user, "domain": domain})


def _add_registrar(
    document: dict[str, Any], uri: str, account: dict[str, Any], calls: int, way: dict[str, Any]
) -> None:
    """Have all calls register at the host of the URI; its transport counts unless an option says otherwise."""
    try:
        target = parse_uri(uri)
    except RemoteProtocolError:
        return  # the plan says what is wrong with it
    asked = (target.param("transport") or ("tls" if target.scheme == "sips" else "udp")).lower()
    known = _known({"port": target.port, "transport": asked}) | way
    domain = f"[{target.host}]" if ":" in target.host else target.host
    document["registrars"] = {"target": {"domain": domain, "accounts": [account] * calls} | known}
    document["groups"]["callers"]["registrar"] = "target"


def _add_thresholds(document: dict[str, Any], lines: list[str]) -> None:
    thresholds: dict[str, list[str]] = {}
    for line in lines:
        metric, colon, expression = line.partition(":")
        if not colon:
            raise typer.BadParameter(f'found {line!r}, expected "METRIC: EXPRESSION"', param_hint="--threshold")
        thresholds.setdefault(metric.strip(), []).append(expression.strip())
    document["thresholds"] = thresholds
