"""`cmw answer`: the callee, and if wanted the registrar, of a lab."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from array import array
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from pydantic import ValidationError

from cmw.cli.accounts_file import read_accounts
from cmw.cli.buffer_options import DEFAULT_BUFFER, BufferText, buffer_settings
from cmw.cli.dtmf_actions import OPTION, DtmfActions, dtmf_actions
from cmw.cli.options import DEFAULT_ANSWER_RTP_PORTS, parse_duration_option, parse_ip, parse_listen, parse_ports
from cmw.cli.sip_options import (
    Reliable,
    SessionTimer,
    Transfers,
    headers_document,
    sip_document,
)
from cmw.cli.terminal import is_coloured
from cmw.core.address import Address, PortRange
from cmw.core.ids import Ids
from cmw.errors import RemoteProtocolError, SettingsError
from cmw.load.outcome import EndpointReport
from cmw.load.plan import Answer
from cmw.load.plan_sip import SessionTimer as PlanSessionTimer
from cmw.load.plan_sip import Sip
from cmw.load.split_sip import sip_share
from cmw.net.clock import wall_clock
from cmw.net.sip_tls import TlsSettings
from cmw.rtp.source import SOURCES
from cmw.sip import CallOptions, parse_uri
from cmw.sip.listener import Listener
from cmw.sip.registrar import Registrar
from cmw.sip.registrar_events import RegistrarDiscarded, RegistrarEvent, UserRegistered, UserUnregistered
from cmw.worker.alarm import Alarm
from cmw.worker.answerer import Answerer, AnswererSettings
from cmw.worker.call_media import CODECS, AudioChoice
from cmw.worker.callee import AnswerChoice
from cmw.worker.capacity import endpoint_capacity, media_threads
from cmw.worker.choices import options_of, redirect_contacts
from cmw.worker.logs import LEVELS, configure_logging, get_logger
from cmw.worker.packet_trace import PacketTrace
from cmw.worker.settings import Addresses
from cmw.worker.sip_trace import sip_trace
from cmw.worker.sounds import read_wav
from cmw.worker.station import MakeRegistrar, SipReach, open_station

SIP_OPTIONS = {
    "session_timer": "--session-timer",
    "reliable_provisional": "--100rel",
    "transfers": "--transfers",
}

HANG_UP_PATIENCE_S = 2.0
"""How long the BYEs of the end may take to be answered."""


def answer(
    listen: Annotated[
        str, typer.Option(help="IP:PORT to bind SIP to; port 0 takes any.", metavar="IP:PORT")
    ] = "127.0.0.1:5080",
    media: Annotated[
        str,
        typer.Option(help="echo, speech, tone, silence, or a WAV file.", metavar="WHAT"),
    ] = "echo",
    codec: Annotated[list[str] | None, typer.Option(help="PCMU or PCMA; repeat for both.", show_default="both")] = None,
    rtcp_mux: Annotated[bool, typer.Option("--rtcp-mux", help="Accept RTP and RTCP on one port.")] = False,
    symmetric: Annotated[bool, typer.Option("--symmetric", help="Send RTP to where the peer's comes from.")] = False,
    jitter_buffer: BufferText = DEFAULT_BUFFER,
    delay: Annotated[str, typer.Option(help="From the INVITE to the answer; it rings meanwhile.")] = "0s",
    ring_forever: Annotated[
        bool, typer.Option("--ring-forever", help="Ring, and never answer: calls end when their callers give up.")
    ] = False,
    reject: Annotated[int | None, typer.Option(help="Refuse every call with this status.", min=300, max=699)] = None,
    redirect: Annotated[
        list[str] | None, typer.Option(help="Send every call there, with 302; repeat for more.", metavar="URI")
    ] = None,
    early_media: Annotated[
        bool, typer.Option("--early-media", help="Send media before the answer too, with 183.")
    ] = False,
    header: Annotated[
        list[str] | None, typer.Option(help='Further header of the answer, "NAME: VALUE"; repeat for more.')
    ] = None,
    session_timer: SessionTimer = None,
    reliable: Reliable = "supported",
    transfers: Transfers = "accept",
    options_status: Annotated[
        int, typer.Option("--options", help="Answer OPTIONS outside of calls with this status.", min=200, max=699)
    ] = 200,
    on_dtmf: Annotated[
        list[str] | None,
        typer.Option(
            help="What a digit does, such as 1=play:menu.wav, 2=send:42#, 9=hang-up; repeat for more.",
            metavar="DIGIT=ACTION",
        ),
    ] = None,
    max_calls: Annotated[int | None, typer.Option(help="Calls at once; more are refused with 486.", min=0)] = None,
    rtp_ports: Annotated[str, typer.Option(help="UDP ports for RTP and RTCP, FIRST-LAST.")] = DEFAULT_ANSWER_RTP_PORTS,
    sdp_ip: Annotated[str | None, typer.Option(help="Address to show in SDP.", show_default="as --listen")] = None,
    registrar: Annotated[
        bool, typer.Option("--registrar", help="Be a registrar and proxy too, with the users of --accounts.")
    ] = False,
    accounts: Annotated[Path | None, typer.Option(help="CSV of username,password[,realm].")] = None,
    realm: Annotated[
        str | None, typer.Option(help="Realm of the challenges.", show_default="address of --listen")
    ] = None,
    service_route: Annotated[
        list[str] | None,
        typer.Option(
            help="Route that registered users begin their requests with (RFC 3608); repeat for more.", metavar="URI"
        ),
    ] = None,
    flow_timer: Annotated[
        int | None,
        typer.Option(
            help="Seconds that a flow of RFC 5626 may be silent, told to users.", metavar="S", min=1, max=86400
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM file of a certificate: TLS too, on the next free port.", metavar="FILE")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="PEM file of its key.", metavar="FILE", show_default="in --tls-cert")
    ] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(
            help="PEM file of authorities: TLS and WSS clients have to show a certificate of theirs.", metavar="FILE"
        ),
    ] = None,
    ws: Annotated[
        int | None,
        typer.Option(
            help="WebSockets too, on this port, 0 for any; WSS with --tls-cert.", metavar="PORT", max=65535, min=0
        ),
    ] = None,
    log_level: Annotated[str, typer.Option(help="error, warn, info, debug or trace.")] = "info",
    json_wanted: Annotated[
        bool, typer.Option("--json", help="Log in JSON, and print the totals on stdout at the end.")
    ] = False,
) -> int:
    """Answer calls over UDP and TCP until a signal comes: every user part is taken, except users that registered here.

    With --registrar, users register with digest (SHA-256 or MD5), and calls to a registered user are sent on to it.
    """
    if registrar != (accounts is not None):
        raise typer.BadParameter("expected both or neither", param_hint="--registrar and --accounts")
    if not registrar and (service_route or flow_timer is not None):
        raise typer.BadParameter("expected --registrar with it", param_hint="--service-route and --flow-timer")
    if tls_key is not None and tls_cert is None:
        raise typer.BadParameter("expected --tls-cert with it", param_hint="--tls-key")
    if tls_client_ca is not None and tls_cert is None:
        raise typer.BadParameter("expected --tls-cert with it", param_hint="--tls-client-ca")
    if redirect and reject is not None:
        raise typer.BadParameter("expected at most one of them", param_hint="--redirect and --reject")
    if ring_forever and (redirect or reject is not None or delay != "0s"):
        raise typer.BadParameter("expected no final answer beside it", param_hint="--ring-forever")
    digits = _digits(on_dtmf or [], media)
    settings = AnswererSettings(
        audio=replace(
            _audio(media, codec or list(CODECS)),
            rtcp_mux=rtcp_mux,
            symmetric=symmetric,
            buffer=buffer_settings(jitter_buffer),
        ),
        answering=AnswerChoice(
            after_ns=parse_duration_option(delay, "--delay"),
            rings_on=ring_forever,
            reject=reject,
            redirect=redirect_contacts([_checked_uri(uri) for uri in redirect or []]),
            early_media=early_media,
            progress=183 if early_media else 180,
            headers=_headers(header or []),
        ),
        max_calls=max_calls,
        steps=digits.steps,
        options=_options(session_timer, reliable, transfers, options_status),
    )
    if log_level not in LEVELS:
        raise typer.BadParameter(f"found {log_level!r}, expected {', '.join(LEVELS)}", param_hint="--log-level")
    form = "json" if json_wanted else "pretty"
    # Who was called and who registered is what this command is asked for: every line counts.
    configure_logging(log_level, form, sys.stderr, colours=is_coloured(sys.stderr), limits_repeats=False)
    address = parse_listen(listen, "--listen")
    sdp_ip = parse_ip(sdp_ip, "--sdp-ip") if sdp_ip is not None else None
    ports = PortRange(*parse_ports(rtp_ports, "--rtp-ports"))
    if not ports.pairs():
        raise typer.BadParameter(f"found {rtp_ports!r}, expected an even port and the next", param_hint="--rtp-ports")
    make_registrar = None
    if accounts is not None:
        routes = [f"<{_checked_uri(uri, '--service-route')}>" for uri in service_route or []]
        make_registrar = _registrar_maker(accounts, realm, routes, flow_timer)
    totals, number = uvloop.run(
        _serve(
            address,
            sdp_ip,
            ports,
            settings,
            digits.sounds,
            make_registrar,
            _reach(tls_cert, tls_key, tls_client_ca, ws),
            is_traced=log_level == "trace",
        )
    )
    if json_wanted:
        json.dump(totals, sys.stdout)
        sys.stdout.write("\n")
    return 128 + number


def _audio(media: str, codecs: list[str]) -> AudioChoice:
    unknown = [name for name in codecs if name not in CODECS]
    if unknown:
        raise typer.BadParameter(f"found {unknown[0]!r}, expected {' or '.join(CODECS)}", param_hint="--codec")
    if media == "echo":
        return AudioChoice(codecs=tuple(codecs), source="silence", echo=True)
    if media not in SOURCES:
        if not Path(media).exists():
            raise SettingsError(
                f"--media: found {media!r}, expected echo, {', '.join(SOURCES)} or a WAV file that exists"
            )
        read_wav(Path(media))
    return AudioChoice(codecs=tuple(codecs), source=media)


def _digits(texts: list[str], media: str) -> DtmfActions:
    actions = dtmf_actions(texts)
    if media == "echo" and any(step.action == "play" for step in actions.steps):
        raise typer.BadParameter(
            "found play beside --media echo, expected --media silence or another", param_hint=OPTION
        )
    return actions


def _checked_uri(uri: str, option: str = "--redirect") -> str:
    try:
        return str(parse_uri(uri))
    except RemoteProtocolError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _headers(lines: list[str]) -> tuple[tuple[str, str], ...]:
    """Return header rows, checked as those of a plan are."""
    try:
        return tuple(Answer(headers=headers_document(lines)).headers.items())
    except ValidationError as error:
        raise typer.BadParameter(_told(error), param_hint="--header") from None


def _options(session_timer: str | None, reliable: str, transfers: str, options_status: int) -> CallOptions:
    """Return what calls use, checked as a plan is."""
    try:
        sip = Sip.model_validate(sip_document(session_timer, reliable, transfers))
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        raise typer.BadParameter(_told(error), param_hint=SIP_OPTIONS.get(field, field)) from None
    return options_of(sip_share(sip), options_status, rings_on=True)


def _told(error: ValidationError) -> str:
    """Return what was found and what was expected instead."""
    detail = error.errors()[0]
    model: Any = Sip if detail["loc"][0] in Sip.model_fields else Answer
    expected = detail.get("ctx", {}).get("expected") if detail["type"] == "expected" else None
    if expected is None:
        path = [part for part in detail["loc"] if isinstance(part, str)]
        if path[0] == "session_timer" and len(path) > 1:
            model, path = PlanSessionTimer, path[1:]
        expected = model.model_fields[path[0]].json_schema_extra["x-expected"]
    return f"found {detail['input']!r}, expected {expected}"


def _reach(tls_cert: Path | None, tls_key: Path | None, client_ca: Path | None, ws: int | None) -> SipReach:
    if tls_cert is None:
        return SipReach(websocket_port=ws)
    tls = TlsSettings(
        ca_file=None if client_ca is None else str(client_ca),
        certificate=str(tls_cert),
        key=None if tls_key is None else str(tls_key),
        asks_client=client_ca is not None,
    )
    return SipReach(server_tls=tls, websocket_port=ws)


def _registrar_maker(
    accounts: Path, realm: str | None, service_routes: list[str], flow_timer_s: int | None
) -> MakeRegistrar:
    passwords = {account.username: account.password.get_secret_value() for account in read_accounts(accounts)}

    def make(listeners: tuple[Listener, ...], ids: Ids) -> Registrar:
        bound = {each.transport: each.advertised or each.local for each in listeners if each.local.port}
        local = listeners[0].local
        return Registrar(
            local=local,
            others=bound,
            ids=ids,
            accounts=passwords,
            realm=realm,
            service_routes=service_routes,
            flow_timer_s=flow_timer_s,
            clock=wall_clock(),
        )

    return make


async def _serve(
    address: Address,
    sdp_ip: str | None,
    ports: PortRange,
    settings: AnswererSettings,
    sounds: Mapping[str, array[int]],
    make_registrar: MakeRegistrar | None,
    reach: SipReach,
    *,
    is_traced: bool,
) -> tuple[dict[str, Any], int]:
    """Answer until SIGINT or SIGTERM; return the totals and the number of the signal."""
    log = get_logger(component="answer")
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def receive_signal(number: int) -> None:
        if not ended.done():
            ended.set_result(number)

    for awaited in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(awaited, receive_signal, awaited)
    addresses = Addresses(address.host, address.host, sdp_ip or address.host, address.host)

    station = await open_station(
        addresses,
        address.port,
        ports,
        slots=endpoint_capacity(ports).endpoints,
        threads=media_threads(None),
        trace=sip_trace("answer") if is_traced else None,
        make_registrar=make_registrar,
        reach=reach,
    )

    for name, pcm in sounds.items():
        station.sounds.keep(name, pcm)
    for source in dict.fromkeys([settings.audio.source, *[s.source for s in settings.steps if s.source is not None]]):
        await station.sounds.prepare(source, settings.audio.codecs, settings.audio.ptime_ms)

    def report(call: EndpointReport) -> None:
        _log_call(log, call)

    station.registrar_watcher = partial(_log_registrar, log)
    packets = PacketTrace(station.engine, Alarm(loop))
    packets.set(is_traced)
    answerer = Answerer(station, Alarm(loop), settings, report)
    more = {kind.lower(): str(station.address_of(kind)) for bind in reach.binds(0)[1:] for kind in bind.transports}
    log.info(
        "listening",
        sip=str(Address(address.host, station.port)),
        **more,
        rtp_ports=str(ports),
        registrar=make_registrar is not None,
    )
    number = await ended
    answerer.hang_up()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(answerer.quiet.wait(), HANG_UP_PATIENCE_S)
    answerer.close()
    packets.set(False)
    station.close()
    return _totals(answerer), number


def _log_registrar(log: Any, event: RegistrarEvent) -> None:
    match event:
        case UserRegistered():
            log.info("registered", user=event.user, contact=event.contact, expires_s=event.expires_s)
        case UserUnregistered():
            how = "expired" if event.expired else "connection lost" if event.is_lost else "removed"
            log.info("registration ended", user=event.user, contact=event.contact, how=how)
        case RegistrarDiscarded():
            log.debug("discarded", reason=event.reason.value, source=str(event.source), detail=event.detail)


def _log_call(log: Any, call: EndpointReport) -> None:
    duration_ms = call.call.timing.get("call_duration_ms")
    log.info(
        "call ended",
        user=call.name,
        caller=call.call.target,
        outcome=call.outcome.value,
        reason=call.reason,
        duration_ms=None if duration_ms is None else round(duration_ms, 3),
        packets_sent=call.media.send.get("packets_sent"),
        packets_received=call.media.receive.get("packets_received"),
        packets_lost=call.media.receive.get("packets_lost"),
        dtmf_received=call.signalling.dtmf_received,
        actions_executed=call.signalling.scenario_actions_executed,
        actions_failed=call.signalling.scenario_actions_failed,
    )


def _totals(answerer: Answerer) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "calls": answerer.calls_total,
        "refused_busy": answerer.refused_busy_total,
        "by_outcome": {kind.value: count for kind, count in answerer.outcomes.items()},
    }
