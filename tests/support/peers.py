"""Real SIP programs on loopback: sipp, kamailio, baresip, and tshark to look at what passed."""

from __future__ import annotations

import csv
import os
import re
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

from tests.support.presence import REQUIRE_PEERS
from tests.support.processes import PATIENCE_S, Program
from tests.support.sipp_scenario import Scenario

HERE = Path(__file__).resolve().parent.parent / "peers"


def ask_options(ip: str, port: int = 5060, program: Program | None = None) -> str:
    """Return the answer to an OPTIONS at `ip`:`port`, asked until one comes or the program has ended."""
    deadline = time.monotonic() + PATIENCE_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((ip, 0))
        probe.settimeout(0.2)
        own = probe.getsockname()[1]
        number = 0
        while time.monotonic() < deadline and not (program is not None and program.has_ended):
            number += 1
            probe.sendto(_options(ip, port, own, number), (ip, port))
            try:
                answer = probe.recv(65535).decode("utf-8", "replace")
            except (TimeoutError, ConnectionRefusedError):
                continue
            if answer.startswith("SIP/2.0 "):
                return answer
    raise AssertionError(f"nothing answers SIP at {ip}:{port}")


def _options(ip: str, port: int, own: int, number: int) -> bytes:
    return (
        f"OPTIONS sip:{ip}:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {ip}:{own};branch=z9hG4bKprobe{own}{number}\r\n"
        f"From: <sip:probe@{ip}>;tag=p{number}\r\nTo: <sip:{ip}:{port}>\r\nCall-ID: probe{own}{number}@{ip}\r\n"
        f"CSeq: {number} OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def wait_until_bound(ip: str, port: int, program: Program, protocol: str = "udp") -> None:
    """Return once somebody has bound `ip`:`port`, for programs that take an OPTIONS for a call.

    Args:
        protocol: ``udp`` or ``tcp``, where somebody has to listen.
    """
    number = int.from_bytes(socket.inet_aton(ip), "little")  # as the kernel prints it on this machine
    wanted = f" {number:08X}:{port:04X} " + ("00000000:0000 0A" if protocol == "tcp" else "")
    deadline = time.monotonic() + PATIENCE_S
    while wanted not in Path(f"/proc/net/{protocol}").read_text():
        assert not program.has_ended, f"{program.words[:4]} has ended:\n{program.output}"
        assert time.monotonic() < deadline, f"nobody has bound {ip}:{port}:\n{program.output}"
        time.sleep(0.02)


def kamailio(
    directory: Path, port: int, *defines: str, sha256: bool = False, ip: str = "127.0.0.1", certificate: str = ""
) -> Program:
    """Start a registrar and proxy over UDP and TCP on `port`; the password of user U is ``pw-U``.

    Args:
        directory: for its files.
        port: TLS is on the next one, if there is a certificate.
        defines: what ``kamailio.cfg`` offers, such as ``WSPORT=5080``.
        sha256: challenge in SHA-256.
        ip: address to bind.
        certificate: PEM file with its key.
    """
    directory.mkdir(parents=True, exist_ok=True)
    words = ["kamailio", "-f", str(HERE / "kamailio.cfg"), "-DD", "-E", "-m", "64", "-M", "8"]
    words += ["-Y", str(directory), "-P", str(directory / "kamailio.pid")]
    wanted = [f"SIPIP={ip}", f"SIPPORT={port}", *defines, *(["SHA256"] if sha256 else [])]
    if certificate:
        wanted += [f"TLSPORT={port + 1}", f'CERT="{certificate}"']
    for define in wanted:
        words += ["-A", define]
    return _until_it_answers(Program(words), ip, port)


def _until_it_answers(program: Program, ip: str, port: int) -> Program:
    """Return a program once it answers OPTIONS; end it, and tell what it said, when it does not."""
    try:
        ask_options(ip, port, program)
    except AssertionError as error:
        program.stop()
        error.add_note(program.output)
        raise
    return program


class Registrations(NamedTuple):
    """How many contacts kamailio knows now, and how many REGISTERs it has accepted, un-REGISTERs among them."""

    now: int
    accepted: int


def kamailio_registrations(ip: str, port: int = 5060) -> Registrations:
    """Ask kamailio for its registrations."""
    found = re.search(r"^X-Registrations: (\d+) now, (\d+) accepted\r$", ask_options(ip, port), re.MULTILINE)
    assert found is not None
    return Registrations(int(found[1]), int(found[2]))


def sipp(directory: Path, *words: str) -> Program:
    """Start sipp in `directory` with the words given; its counters go to ``stat.csv`` there."""
    directory.mkdir(parents=True, exist_ok=True)
    return Program(["sipp", *words, "-nostdin", "-trace_stat", "-stf", "stat.csv", "-fd", "1"], cwd=directory)


def sipp_callee(directory: Path, ip: str, *words: str, protocol: str = "udp") -> Program:
    """Start sipp as a callee at `ip`:5060, and return once calls may come by `protocol`."""
    program = sipp(directory, "-sn", "uas", "-i", ip, "-p", "5060", "-mi", ip, "-mp", "6000", *words)
    wait_until_bound(ip, 5060, program, protocol)
    return program


def sipp_scenario(
    directory: Path,
    scenario: Scenario,
    ip: str,
    mode: str,
    calls: int,
    target: str = "",
    *,
    more: Sequence[str] = (),
) -> Program:
    """Start sipp at `ip`:5060 with a scenario, for so many calls; what was unexpected is in ``errors.log``.

    Args:
        mode: ``u1`` for UDP, ``t1`` for TCP with one connection, ``tn`` for one connection a call.
        target: host and port to call; "" to be called.
        more: further words.
    """
    directory.mkdir(parents=True, exist_ok=True)
    words = ["-sf", str(scenario.write(directory / "scenario.xml")), "-t", mode, "-i", ip, "-p", "5060", "-mi", ip]
    words += ["-m", str(calls), "-r", "50", "-recv_timeout", "20000", "-timeout", "40", "-timeout_error"]
    words += ["-trace_err", "-error_file", str(directory / "errors.log"), "-max_socket", "1000"]
    program = sipp(directory, *([target] if target else []), *words, *more)
    if not target:
        wait_until_bound(ip, 5060, program, "udp" if mode[0] == "u" else "tcp")
    return program


def expect_played(directory: Path, program: Program, calls: int) -> None:
    """Fail, with what sipp found unexpected, unless it played its scenario to the end in every call."""
    code = program.wait()
    counters = sipp_counters(directory)
    result = (code, counters["SuccessfulCall(C)"], counters["FailedCall(C)"])
    assert result == (0, str(calls), "0"), sipp_told(directory, program)


def sipp_told(directory: Path, program: Program) -> str:
    """Return what sipp found unexpected, or else all it said."""
    errors = directory / "errors.log"
    return errors.read_text(errors="replace") if errors.exists() else program.output


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
ausrc_srate 48000
auplay_srate 48000
ausrc_channels 2
auplay_channels 2
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
{more}
"""


def baresip(
    directory: Path,
    port: int,
    rtp: int,
    *,
    ip: str = "127.0.0.1",
    transport: str = "udp",
    params: str = ";answermode=auto",
    more: str = "",
) -> Program:
    """Start baresip as user ``bob`` without a registrar: it answers every call with a tone in PCMU or PCMA.

    It sends RTP from the address that the route picks, on loopback 127.0.0.1, whatever address it shows.

    Args:
        directory: for its files.
        port: where it listens over UDP and TCP; with a certificate in `more` over TLS at the next one.
        rtp: the first of 200 RTP ports.
        ip: address to bind, one that an interface has.
        transport: how its own requests go.
        params: of its account.
        more: further lines of its configuration.
    """
    directory.mkdir(parents=True, exist_ok=True)
    modules = _baresip_modules()
    text = BARESIP_CONFIG.format(ip=ip, port=port, rtp=rtp, rtp_last=rtp + 198, modules=modules, more=more)
    (directory / "config").write_text(text)
    (directory / "accounts").write_text(f"<sip:bob@{ip}:{port};transport={transport}>;regint=0{params}\n")
    (directory / "contacts").write_text("")
    return _until_it_answers(Program(["baresip", "-f", str(directory)]), ip, port)


def own_baresip_ports() -> tuple[int, int]:
    """Return a SIP port and the first of 200 RTP ports that other test runs leave alone."""
    number = os.getpid() % 60
    return 15060 + number, 32768 + 200 * number


def _baresip_modules() -> Path:
    listing = subprocess.run(["dpkg", "-L", "baresip-core"], check=True, capture_output=True, text=True).stdout
    return next(Path(line).parent for line in listing.splitlines() if line.endswith("/g711.so"))


class StreamRow(NamedTuple):
    """What tshark says of one RTP stream."""

    source: tuple[str, int]
    destination: tuple[str, int]
    packets: int
    lost: int
    min_delta_ms: float
    mean_delta_ms: float
    max_delta_ms: float
    min_jitter_ms: float
    mean_jitter_ms: float
    max_jitter_ms: float


class CaptureFile:
    """A capture as tshark reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def streams(self, *, until_frame: int | None = None) -> list[StreamRow]:
        """Return the RTP streams that the session descriptions in the capture announce.

        Args:
            until_frame: the last frame to look at; the whole capture without it.
        """
        narrowing = [] if until_frame is None else ["-2", "-R", f"frame.number <= {until_frame}"]
        table = self._tshark(*narrowing, "-q", "-z", "rtp,streams")
        return [row for line in table.splitlines() if (row := _stream_row(line)) is not None]

    def frames(self, display_filter: str) -> list[int]:
        """Return the numbers of the frames that match."""
        return [int(line) for line in self._tshark("-Y", display_filter, "-T", "fields", "-e", "frame.number").split()]

    def rows(self, display_filter: str, fields: Sequence[str]) -> list[list[str]]:
        """Return these fields of the frames that match; of a frame with a field twice, both with a comma."""
        words = [word for field in fields for word in ("-e", field)]
        return [line.split("\t") for line in self._tshark("-Y", display_filter, "-T", "fields", *words).splitlines()]

    def _tshark(self, *words: str) -> str:
        command = ["tshark", "-r", str(self.path), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Capture(CaptureFile):
    """What passes on loopback from and to `ip`, written to a file by dumpcap.

    Skips the test, or fails it where nothing may be missing, when we may not capture.
    """

    def __init__(self, path: Path, ip: str) -> None:
        super().__init__(path)
        words = ["dumpcap", "-i", "lo", "-q", "-B", "64", "-f", f"udp and host {ip}", "-w", str(path)]
        self._program = Program(words)
        try:
            self._program.wait_for("File:")
        except AssertionError:
            if "permission" in self._program.output:
                _miss("the right to capture on lo (root)")
            raise

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.stop()

    def stop(self) -> None:
        """Write what has passed so far and end."""
        self._program.stop()


_STREAM_ROW = re.compile(
    r"\s*[\d.]+\s+[\d.]+\s+([\d.]+)\s+(\d+)\s+([\d.]+)\s+(\d+)\s+0x[0-9A-F]{8}\s+.*?\s(\d+)\s+(-?\d+) \([-\d.]+%\)"
    r"((?:\s+-?[\d.]+){6})"
)


def _stream_row(line: str) -> StreamRow | None:
    found = _STREAM_ROW.match(line)
    if found is None:
        return None
    source, destination = (found[1], int(found[2])), (found[3], int(found[4]))
    return StreamRow(source, destination, int(found[5]), int(found[6]), *map(float, found[7].split()))


def _miss(what: str) -> NoReturn:
    if REQUIRE_PEERS:
        pytest.fail(f"not here: {what}", pytrace=False)
    pytest.skip(f"not here: {what}")
