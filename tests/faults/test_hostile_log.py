"""Whatever a peer or a gateway sends, and at every level, a worker's log is clean lines without a secret."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.lab import Lab, Worker, free_tcp_port
from tests.support.processes import cmw
from tests.support.runs import write_accounts

pytestmark = pytest.mark.loopback

HOSTILE = b"Busy\x1b[31m\x1b]0;owned\x07\x9b2J\x00\xff\xfe\xe2\x80\xa8\xe2\x80\xaetxet\x0b\x0c\x85\xc2\x85\x7f"
"""Escapes of terminals, a NUL, bytes that are no UTF-8, separators of lines and paragraphs, a change of direction."""

SECRETS = {
    "account": "hidden-account-treasure",
    "uri": "hidden-uri-treasure",
    "hep": "hidden-hep-treasure",
    "media": "aGlkZGVuLW1lZGlhLXRyZWFzdXJlLW9mLWEtcGVlcg",
    "response": "5ec2e75ec2e75ec2e75ec2e75ec2e75e",
}
SGR = re.compile(r"\x1b\[(?:0|1|2|31|32|33|35|36)m")
"""The colours that are ours."""


def hostile_requests(target: str) -> Iterator[bytes]:
    """Return datagrams that a peer may send to a worker: no SIP, SIP with everything in it, and 64 KB of a line."""
    yield HOSTILE
    yield b"INVITE " + HOSTILE + b" SIP/2.0\r\n\r\n"
    yield b"\x1b[2J" * 16000
    head = (
        f"INVITE sip:{target} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx\r\nMax-Forwards: 70\r\n"
        f"From: <sip:a:{SECRETS['uri']}@127.0.0.1>;tag=1\r\nTo: <sip:{target}>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n"
        f"Contact: <sip:a@127.0.0.1:9>\r\nContent-Type: application/sdp\r\n"
        f'Authorization: Digest username="a",\r\n  response="{SECRETS["response"]}"\r\n'
    ).encode()
    media = (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n"
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{SECRETS['media']}\r\n"
    ).encode()
    for subject in (HOSTILE, b"x" * 60000, b'level=error\n{"level":"error"}'):
        yield head + b"Subject: " + subject + b"\r\nContent-Length: %d\r\n\r\n" % len(media) + media


@contextmanager
def hostile_peer(ip: str) -> Iterator[socket.socket]:
    """Answer each request with a refusal whose reason phrase is hostile, and 40 KB long for every other."""

    def serve() -> None:
        count = 0
        while True:
            data, source = sock.recvfrom(65535)
            if data == b"end":
                return
            if data.startswith(b"ACK") or not data:
                continue
            count += 1
            lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
            kept = [line for line in lines[1:] if line.split(b":")[0].lower() in (b"via", b"from", b"call-id", b"cseq")]
            to = next(line for line in lines if line.lower().startswith(b"to:")) + b";tag=2"
            reason = HOSTILE + b"y" * 40000 * (count % 2)
            head = [b"SIP/2.0 486 " + reason, *kept, to, b'Warning: 399 x "' + HOSTILE + b'"', b"Content-Length: 0"]
            sock.sendto(b"\r\n".join(head) + b"\r\n\r\n", source)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((ip, 5060))
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield sock
        finally:
            sock.sendto(b"end", (ip, 5060))
            thread.join(10)


def attack(directory: Path, number: int, level: str, **settings: str) -> tuple[Worker, list[str], list[str]]:
    """Return a worker that was attacked and has ended, the lines of its log, and its secrets."""
    secret_file = directory / "hep"
    secret_file.write_text(SECRETS["hep"])
    own, peer_ip = f"127.40.{number}.1", f"127.40.{number}.9"
    accounts = write_accounts(directory / "accounts.csv", {"bob": SECRETS["account"]})
    with Lab(directory, number) as lab, hostile_peer(peer_ip) as peer:
        registrar = lab.start_callee("--registrar", "--accounts", str(accounts))
        _, token = lab.create_worker()
        token_file = directory / "token"
        token_file.write_text(token + "\n")
        environment = {"LOG_LEVEL": level, "HEP_TARGET": "127.0.0.1:9", "HEP_AUTH_KEY_FILE": str(secret_file)}
        worker = lab.start_worker("", WORKER_TOKEN_FILE=str(token_file), **environment, **settings)
        lab.gateway.wait_for("worker online")
        for datagram in hostile_requests(f"{own}:5060"):
            peer.sendto(datagram[:65507], (own, 5060))
        domain = registrar.target.partition("@")[2]
        listed = [{"username": "bob", "password": SECRETS["account"]}]
        call: dict[str, Any] = {"uri": f"sip:eve@{peer_ip}"}
        groups = {
            "callees": {"endpoints": 1, "registrar": "lab", "answer": {"wait": "1s"}},
            "callers": {"endpoints": 2, "call": call, "load": {"arrivals": "all-at-once"}},
        }
        plan = {
            "version": 1,
            "name": "x",
            "duration": "1s",
            "registrars": {"lab": {"domain": domain, "accounts": listed}},
        }
        lab.until_over(lab.call("POST", "/runs", {"plan": plan | {"groups": groups}})["id"])
        worker.program.signal(signal.SIGTERM)
        assert worker.program.wait() == 143
        return worker, worker.program.lines, [token, *SECRETS.values()]


@pytest.mark.parametrize("level", ["error", "warn", "info", "debug", "trace"])
def test_pretty(tmp_path: Path, level: str) -> None:
    _, lines, secrets = attack(tmp_path, 52, level, LOG_FORMAT="pretty")
    assert (level in ("error", "warn")) or any("run prepared" in line for line in lines)
    for line in lines:
        plain = SGR.sub("", line)
        assert plain.isprintable(), ascii(line[:300])
        assert re.match(r"\d\d:\d\d:\d\d\.\d{3} (error|warn|info|debug|trace) ", plain), ascii(line[:300])
        assert level == "trace" or len(line) < 20_000
        assert not any(secret in line for secret in secrets), ascii(line[:300])
    if level == "trace":
        assert any("a=crypto:1" in line for line in lines)
        assert any('response=\\\\"' in line or "response=" in line for line in lines)
        assert any("x" * 60000 in line for line in lines)
    if level in ("info", "debug", "trace"):
        assert any("endpoint failed" in SGR.sub("", line) and "Busy" in line for line in lines)


def test_no_colour_no_escape_at_all(tmp_path: Path) -> None:
    _, lines, _ = attack(tmp_path, 53, "trace", LOG_FORMAT="pretty", NO_COLOR="1")
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("level", ["info", "trace"])
def test_json(tmp_path: Path, level: str) -> None:
    _, lines, secrets = attack(tmp_path, 54, level)
    for line in lines:
        assert line.isascii()
        entry = json.loads(line)
        assert list(entry)[:3] == ["time", "level", "event"]
        assert not any(secret in text for secret in secrets for text in map(str, entry.values()))
    [failed, *_] = [json.loads(line) for line in lines if '"endpoint failed"' in line]
    assert failed["reason"].startswith("the call was answered 486 Busy")


def test_a_hostile_gateway(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 503 " + HOSTILE + b"\r\nRetry-After: " + HOSTILE + b"\r\nContent-Length: 4\r\n\r\n\x1b[2J"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for said in (answer, HOSTILE, b"HTTP/1.1 503 " + b"z" * 60000 + b"\r\n\r\n"):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(said)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        worker = Worker(
            "cmw_" + "0" * 64,
            listener.getsockname()[1],
            "127.40.55.1",
            LOG_FORMAT="pretty",
            NO_COLOR="1",
            LOG_LEVEL="debug",
        )
        seen = 0
        for _ in range(3):
            worker.program.wait_for("link lost", after=seen)
            seen = 1 + next(at for at, line in enumerate(worker.program.lines) if at >= seen and "link lost" in line)
        worker.program.signal(signal.SIGTERM)
        assert worker.program.wait() == 143
        thread.join(10)
    assert all(line.isprintable() and len(line) < 20_000 for line in worker.program.lines)


def test_what_keeps_it_from_starting_is_clean_and_secret_too(tmp_path: Path) -> None:
    told = "no\x1b[2Jlevel\n\u2028x"
    secret = "hidden-\x1b[31m-treasure"
    environment = {
        "WORKER_TOKEN": secret,
        "CLOUD_URL": f"ws://{told}",
        "LOG_LEVEL": told,
        "CLOUD_PROXY": f"http://bob:{secret}@",
        "WORKER_NAME": told,
        "SPOOL_MAX_BYTES": told,
    }
    program = cmw("worker", environment=environment)
    assert program.wait() == 78
    assert len(program.lines) == len(environment)
    for line in program.lines:
        assert line.isprintable()
        assert line.startswith("cmw: ")
        assert "hidden" not in line


def test_levels_go_round_by_signal(tmp_path: Path) -> None:
    worker = Worker(
        "cmw_" + "0" * 64, free_tcp_port(), "127.40.56.1", LOG_LEVEL="info", LOG_FORMAT="pretty", NO_COLOR="1"
    )
    worker.program.wait_for("worker started")
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with peer:
        seen = 0
        for level in ("debug", "trace", "info"):
            worker.program.signal(signal.SIGUSR1)
            worker.program.wait_for(f"log_level={level}", after=seen)
            seen = len(worker.program.lines)
            peer.sendto(f"OPTIONS sip:at-{level}\r\n\r\n".encode(), ("127.40.56.1", 5060))
            peer.sendto(request(level, peer), ("127.40.56.1", 5060))
            assert peer.recv(65535).startswith(b"SIP/2.0 ")  # it was seen
    worker.program.signal(signal.SIGTERM)
    worker.program.wait()
    traced = [line for line in worker.program.lines if " SIP " in line and "direction=in" in line]
    assert {re.findall(r"at-([a-z]+)", line)[0] for line in traced} == {"trace"}


def request(level: str, peer: socket.socket) -> bytes:
    if peer.getsockname()[1] == 0:
        peer.bind(("127.40.56.9", 0))
    host, port = peer.getsockname()
    return (
        f"OPTIONS sip:at-{level}@127.40.56.1 SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{level}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:x@{host}>;tag=1\r\nTo: <sip:at-{level}@127.40.56.1>\r\nCall-ID: {level}\r\n"
        f"CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def test_a_pipe_for_a_secret_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    environment = {"WORKER_TOKEN_FILE": str(pipe), "HEP_AUTH_KEY_FILE": str(pipe), "CLOUD_CA_FILE": str(pipe)}
    program = cmw("worker", environment=environment | {"CLOUD_URL": "nowhere"})
    assert program.wait() == 78
    told = [line.partition(" expected ")[0] for line in program.lines]
    assert told == [
        f"cmw: WORKER_TOKEN_FILE: found {str(pipe)!r},",
        "cmw: CLOUD_URL: found 'nowhere',",
        f"cmw: CLOUD_CA_FILE: found {str(pipe)!r},",
        f"cmw: HEP_AUTH_KEY_FILE: found {str(pipe)!r},",
    ]
