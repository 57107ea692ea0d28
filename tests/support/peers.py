"""Real SIP programs on loopback: sipp, kamailio, baresip, and tshark to look at what passed."""

from __future__ import annotations

import csv
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import PATIENCE_S, Program

HERE = Path(__file__).resolve().parent.parent / "peers"


def wait_until_sip_answers(ip: str, port: int) -> None:
    """Return once something answers OPTIONS at `ip`:`port`."""
    deadline = time.monotonic() + PATIENCE_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((ip, 0))
        probe.settimeout(0.2)
        own = probe.getsockname()[1]
        number = 0
        while time.monotonic() < deadline:
            number += 1
            probe.sendto(_options(ip, port, own, number), (ip, port))
            try:
                if probe.recv(65535).startswith(b"SIP/2.0 "):
                    return
            except (TimeoutError, ConnectionRefusedError):
                continue
    raise AssertionError(f"nothing answers SIP at {ip}:{port}")


def _options(ip: str, port: int, own: int, number: int) -> bytes:
    return (
        f"OPTIONS sip:{ip}:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {ip}:{own};branch=z9hG4bKprobe{number}\r\n"
        f"From: <sip:probe@{ip}>;tag=p{number}\r\nTo: <sip:{ip}:{port}>\r\nCall-ID: probe{number}@{ip}\r\n"
        f"CSeq: {number} OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def kamailio(directory: Path, port: int, *, sha256: bool = False, ip: str = "127.0.0.1") -> Program:
    """Start a registrar and proxy; the password of user U is ``pw-U``."""
    directory.mkdir(parents=True, exist_ok=True)
    words = ["kamailio", "-f", str(HERE / "kamailio.cfg"), "-DD", "-E", "-m", "64", "-M", "8"]
    words += ["-Y", str(directory), "-P", str(directory / "kamailio.pid"), "-A", f"SIPIP={ip}", "-A", f"SIPPORT={port}"]
    program = Program([*words, "-A", "SHA256"] if sha256 else words)
    wait_until_sip_answers(ip, port)
    return program


def sipp(directory: Path, *words: str) -> Program:
    """Start sipp in `directory` with the words given; its counters go to ``stat.csv`` there."""
    directory.mkdir(parents=True, exist_ok=True)
    return Program(["sipp", *words, "-nostdin", "-trace_stat", "-stf", "stat.csv", "-fd", "1"], cwd=directory)


def sipp_counters(directory: Path) -> Mapping[str, str]:
    """Return the last row of sipp's statistics by the names of its columns."""
    with (directory / "stat.csv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    return rows[-1]


BARESIP_CONFIG = """\
poll_method epoll
sip_listen {ip}:{port}
net_interface {ip}
call_max_calls 200
audio_source ausine,440
audio_player aubridge,sink
audio_alert aubridge,alert
rtp_ports {rtp}-{rtp_last}
rtcp_mux no
rtp_stats yes
module_path {modules}
module g711.so
module ausine.so
module aubridge.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
"""


def baresip(directory: Path, port: int, rtp: int, *, ip: str = "127.0.0.1") -> Program:
    """Start baresip as user ``bob`` without a registrar: it answers every call with a tone in PCMU or PCMA."""
    directory.mkdir(parents=True, exist_ok=True)
    modules = _baresip_modules()
    text = BARESIP_CONFIG.format(ip=ip, port=port, rtp=rtp, rtp_last=rtp + 198, modules=modules)
    (directory / "config").write_text(text)
    (directory / "accounts").write_text(f"<sip:bob@{ip}:{port};transport=udp>;regint=0;answermode=auto\n")
    (directory / "contacts").write_text("")
    program = Program(["baresip", "-f", str(directory)])
    wait_until_sip_answers(ip, port)
    return program


def _baresip_modules() -> Path:
    listing = subprocess.run(["dpkg", "-L", "baresip-core"], check=True, capture_output=True, text=True).stdout
    return next(Path(line).parent for line in listing.splitlines() if line.endswith("/g711.so"))


class Capture:
    """What passes on loopback between two ports of UDP, written to a file by dumpcap."""

    def __init__(self, path: Path, first_port: int, last_port: int) -> None:
        self.path = path
        words = ["dumpcap", "-i", "lo", "-q", "-B", "64", "-f", f"udp portrange {first_port}-{last_port}", "-w", str(path)]
        self._program = Program(words)
        self._program.wait_for("File:")

    def stop(self) -> None:
        self._program.stop()
