"""`cmw answer` is reached over every transport that it was told to listen on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from cmw.core.address import Address
from cmw.net.sip_flows import FlowSettings
from cmw.net.sip_tls import TlsSettings
from cmw.rtp.source import tone_pcm
from cmw.sip.account import Account
from cmw.sip.credentials import Credentials
from cmw.sip.events import RegistrationSucceeded, RequestFailed
from cmw.sip.hop import Hop, Transport
from tests.support.certificates import Authority
from tests.support.phone import TCP, TLS, UDP, WS, WSS, phone
from tests.support.processes import Callee, cmw
from tests.support.runs import call, run_plan
from tests.support.wav_files import write_wav

pytestmark = pytest.mark.loopback

NewIp = Callable[[], str]


def call_over(
    directory: Path, callee: Callee, ip: str, transports: list[Transport], ca_file: str | None, mine: str | None = None
) -> list[int]:
    """Call over each transport, with a certificate of our own or none, and return the statuses."""
    listening = next(entry for entry in callee.log if entry["event"] == "listening")

    async def scene() -> list[int]:
        statuses = []
        async with phone(UDP, TCP, settings=FlowSettings(tls=TlsSettings(ca_file=ca_file, certificate=mine))) as caller:
            for transport in transports:
                text = listening.get(transport.lower(), listening["sip"])
                address = Address(ip, int(text.rpartition(":")[2]))
                caller.call(f"sip:600@{address}", Hop(*address, transport))
                statuses.append((await caller.outcome()).status)
        return statuses

    return asyncio.run(scene())


def test_udp_and_tcp_by_default(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip = loopback_ip()
    with Callee(tmp_path, ip) as callee:
        assert call_over(tmp_path, callee, ip, [UDP, TCP], None) == [200] * 2
        assert callee.stop()["calls"] == 2


def test_30_ms_a_packet_on_one_port_and_every_packet_told(tmp_path: Path, loopback_ip: NewIp) -> None:
    words = ("--rtcp-mux", "--symmetric", "--log-level", "trace")
    with Callee(tmp_path, loopback_ip(), *words) as callee:
        options = ("--ptime", "30ms", "--rtcp-mux", "--symmetric", "--duration", "1s")
        result = call(tmp_path, loopback_ip(), callee.target, *options)
        callee.stop()
    result.expect(0)
    packets = [entry for entry in callee.log if entry["event"] in ("RTP", "RTCP")]
    rtp = [entry for entry in packets if entry["event"] == "RTP"]
    assert {entry["size"] for entry in rtp} == {12 + 240}
    assert len(packets) > len(rtp)
    assert len({entry["local_port"] for entry in packets}) == 1
    heard = [entry["seq"] for entry in rtp if entry["direction"] == "in"]
    assert len(heard) == result.sent == result.received
    assert heard == [(heard[0] + n) % 65536 for n in range(len(heard))]
    assert len({entry["remote"] for entry in packets}) == 1, "RTP and RTCP of the caller have one port"


def test_the_jitter_buffer_of_the_callee_is_the_one_that_was_asked_for(tmp_path: Path, loopback_ip: NewIp) -> None:
    with Callee(tmp_path, loopback_ip(), "--jitter-buffer", "fixed:70ms") as callee:
        result = call(tmp_path, loopback_ip(), callee.target, "--duration", "5s")  # a first report is due within 3.1 s
        callee.stop()
    told = [float(row["send.jitter_buffer_delay_ms"]) for row in result.endpoints]
    assert told == [70.0], "the callee tells it in its reports (RFC 3611)"


def test_tls_and_secure_websockets_with_a_certificate(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip, authority = loopback_ip(), Authority(tmp_path)
    with Callee(tmp_path, ip, "--tls-cert", authority.issue(addresses=[ip]), "--ws", "0") as callee:
        assert call_over(tmp_path, callee, ip, [UDP, TCP, TLS, WSS], authority.file) == [200] * 4


def test_a_certificate_of_the_client_may_be_asked_for(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip, authority = loopback_ip(), Authority(tmp_path)
    mine = authority.issue(domains=["caller.example"])
    words = ("--tls-cert", authority.issue(addresses=[ip]), "--tls-client-ca", authority.file)
    with Callee(tmp_path, ip, *words) as callee:
        assert call_over(tmp_path, callee, ip, [TLS], authority.file) == [503]
        assert call_over(tmp_path, callee, ip, [TLS], authority.file, mine) == [200]


def test_what_registered_users_and_those_who_ask_are_told(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip = loopback_ip()
    accounts = tmp_path / "accounts.csv"
    accounts.write_text("username,password\nalice,secret\n")
    words = ("--registrar", "--accounts", str(accounts), "--service-route", "sip:127.0.0.9;lr", "--flow-timer", "25")
    with Callee(tmp_path, ip, *words, "--options", "486") as callee:
        listening = next(entry for entry in callee.log if entry["event"] == "listening")
        address = Address(ip, int(listening["sip"].rpartition(":")[2]))

        async def scene() -> None:
            async with phone(UDP) as caller:
                account = Account(
                    f"sip:alice@{ip}",
                    f"sip:{address}",
                    Credentials("alice", "secret"),
                    "alice",
                    instance="urn:uuid:00000000-0000-1000-8000-000a95a0e128",
                    reg_id=1,
                )
                run = caller.transport.run
                number = run(lambda agent, now: agent.register(account, now=now))
                await caller.until(RegistrationSucceeded)
                seen = run(lambda agent, _: agent.registration_snapshot(number)).answer
                assert seen is not None
                assert (seen.service_routes, seen.flow_timer_s) == (("<sip:127.0.0.9;lr>",), 25)
                run(lambda agent, now: agent.request("OPTIONS", f"sip:{address}", now=now))
                assert (await caller.until(RequestFailed)).status == 486

        asyncio.run(scene())


def test_a_small_ivr(tmp_path: Path, loopback_ip: NewIp) -> None:
    menu = tmp_path / "menu.wav"
    write_wav(menu, tone_pcm(hz=500, level_dbov=-20))
    actions = {"1": f"play:{menu}", "2": "send:7", "3": "send-info:8", "9": "hang-up"}
    words = [word for digit, action in actions.items() for word in ("--on-dtmf", f"{digit}={action}")]
    steps = [
        {"at": "100ms", "do": {"send_dtmf": "1", "via": "info"}},
        {"at": "300ms", "do": {"send_dtmf": "231"}},
        {"at": "2500ms", "do": {"send_dtmf": "9"}},
    ]
    with Callee(tmp_path / "callee", loopback_ip(), "--media", "silence", *words) as callee:
        callers = {"endpoints": 1, "call": {"uri": callee.target}, "audio": {"source": "silence"}, "scenario": steps}
        result = run_plan(tmp_path, loopback_ip(), {"duration": "4s", "groups": {"callers": callers}})
        callee.stop()
    [row] = result.endpoints
    assert (row["dtmf_received"], row["scenario_actions_failed"]) == ("78", "0"), row
    assert float(row["receive.audio_level_rms_dbov"]) == pytest.approx(-20, abs=0.5), "it heard the file at last"
    assert row["reason"].startswith("the remote party hung up"), row
    [report] = callee.reports
    assert report["dtmf_received"] == "12319"
    assert (report["actions_executed"], report["actions_failed"]) == (5, 0), report["reason"]


def test_websockets_without_a_certificate(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip = loopback_ip()
    with Callee(tmp_path, ip, "--ws", "0") as callee:
        assert call_over(tmp_path, callee, ip, [WS], None) == [200]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--tls-key", "x.pem"], 2, "--tls-cert"),
        (["--redirect", "sip:a@h", "--reject", "486"], 2, "expected at most one of them"),
        (["--tls-client-ca", "x.pem"], 2, "--tls-cert"),
        (["--flow-timer", "25"], 2, "expected --registrar with it"),
        (["--options", "100"], 2, "--options"),
        (["--redirect", "x"], 2, "--redirect: expected a sip or sips URI"),
        (["--session-timer", "1s"], 2, "--session-timer: found '1s', expected a duration from 90s to 24h"),
        (["--100rel", "x"], 2, "--100rel: found 'x', expected off, supported or required"),
        (["--transfers", "x"], 2, "--transfers: found 'x', expected accept or reject"),
        (["--on-dtmf", "1"], 2, "--on-dtmf: found '1', expected DIGIT=ACTION with a digit of 0123456789*#ABCD"),
        (["--on-dtmf", "12=hang-up"], 2, "--on-dtmf: found '12=hang-up'"),
        (["--on-dtmf", "1=dance"], 2, "--on-dtmf: found '1=dance'"),
        (["--on-dtmf", "1=hang-up:now"], 2, "--on-dtmf: found '1=hang-up:now'"),
        (["--on-dtmf", "1=send:12x"], 2, "--on-dtmf: found '1=send:12x'"),
        (["--on-dtmf", "1=transfer:bob"], 2, "--on-dtmf: found '1=transfer:bob'"),
        (["--on-dtmf", "1=play:tone"], 2, "found play beside --media echo, expected --media silence or another"),
        (["--on-dtmf", "1=play:/none.wav", "--media", "tone"], 78, "/none.wav: cannot be read as WAV: No such file"),
        (["--jitter-buffer", "70ms"], 2, "--jitter-buffer: found '70ms', expected fixed:40ms"),
        (["--header", "Via: x"], 2, "--header: found 'Via', expected a header that is not written anyway"),
        (["--tls-cert", "/nonexistent.pem"], 78, "TLS certificate: expected a PEM file, found none"),
    ],
)
def test_what_is_wrong_with_an_option_is_told(words: list[str], code: int, text: str) -> None:
    program = cmw("answer", "--listen", "127.0.0.1:0", *words)
    assert program.wait() == code
    assert text in program.output
