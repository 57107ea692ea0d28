"""What a call really was, over real sockets: every figure that audio and RTCP give, and calls that were not heard."""

from __future__ import annotations

import csv
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import pytest

from cmw.load.report import UNTRUSTED
from cmw.metrics.keys import COLUMNS
from tests.support.processes import Callee
from tests.support.runs import Run, call, write_plan

pytestmark = pytest.mark.loopback

HOST = "127.25.2"
OF_WHOLE_CALLS = {"receive.packets_after_bye"}


def test_every_figure_is_known_of_both_endpoints_of_a_call_with_rtcp(tmp_path: Path) -> None:
    """Drift and skew need three sender reports, which come every 2 to 6 s."""
    groups: dict[str, Any] = {
        "callees": {"endpoints": 1, "audio": {"source": "speech"}},
        "callers": {"endpoints": 1, "call": {"group": "callees"}, "audio": {"source": "speech"}},
    }
    plan = write_plan(tmp_path, {"name": "figures", "duration": "17s", "groups": groups})
    with Run(tmp_path, f"{HOST}.1", "run", str(plan)) as run:
        result = run.finish()
    result.expect(0)
    assert len(result.endpoints) == 2
    for row in result.endpoints:
        assert [key for key in COLUMNS if not row[key]] == [], row["name"]
        assert float(row["first_packet_delay_ms"]) < 1000
        assert float(row["first_packet_sent_delay_ms"]) < 1000
    with (tmp_path / "report" / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    known = {key for row in rows for key in COLUMNS if row[key]}
    assert set(COLUMNS) - known == OF_WHOLE_CALLS
    assert all(row[UNTRUSTED] for row in rows)
    media = result.summary["media"]
    assert (media["one_way_calls"], media["silent_calls"], media["one_way_missing"]) == (0, 0, {})


def test_a_call_in_which_only_silence_comes(tmp_path: Path) -> None:
    with Callee(tmp_path / "callee", f"{HOST}.3", "--media", "silence") as callee:
        result = call(tmp_path, f"{HOST}.4", callee.target, "--duration", "3s", "--source", "tone")
    result.expect(0)
    assert result.outcomes == {"COMPLETED_WITH_WARNINGS": 1}
    assert result.summary["media"]["silent_calls"] == 1
    [row] = result.endpoints
    assert row["reason"].startswith("silent: nothing above -60 dBov came in 3.")
    assert (row["silent"], row["one_way"], row["receive.audio_level_rms_dbov"]) == ("true", "false", "-100")


def test_who_says_nothing_expects_nothing(tmp_path: Path) -> None:
    with Callee(tmp_path / "callee", f"{HOST}.5", "--media", "silence") as callee:
        result = call(tmp_path, f"{HOST}.6", callee.target, "--duration", "3s", "--source", "silence")
    result.expect(0)
    assert (result.outcomes, result.summary["media"]["silent_calls"]) == ({"SUCCESS": 1}, 0)


class MuteOrOdd:
    """A SIP phone in as few lines as can be: answers every request, and talks in payload types of its own.

    Args:
        payload_types: of its packets, in turn; without any it sends nothing.
    """

    def __init__(self, ip: str, payload_types: tuple[int, ...]) -> None:
        self._sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sip.bind((ip, 5060))
        self._rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._rtp.bind((ip, 30000))
        self._ip = ip
        self._types = payload_types
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> MuteOrOdd:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._sip.close()
        self._thread.join(5)
        self._rtp.close()

    def _serve(self) -> None:
        self._sip.settimeout(0.2)
        while not self._over.is_set():
            try:
                data, source = self._sip.recvfrom(65536)
            except TimeoutError:
                continue
            except OSError:
                return
            head, _, body = data.decode().partition("\r\n\r\n")
            if not head.startswith("ACK"):
                self._answer(head, body, source)

    def _answer(self, head: str, body: str, source: tuple[str, int]) -> None:
        lines = head.split("\r\n")
        copied = [line for line in lines if line.lower().startswith(("via:", "from:", "call-id:", "cseq:"))]
        [to] = [line for line in lines if line.lower().startswith("to:")]
        to += "" if ";tag=" in to else ";tag=odd"
        sdp = ""
        if body:
            rows = [
                "v=0",
                f"o=- 1 1 IN IP4 {self._ip}",
                "s=-",
                f"c=IN IP4 {self._ip}",
                "t=0 0",
                "m=audio 30000 RTP/AVP 0",
            ]
            sdp = "\r\n".join([*rows, ""])
            port = int(body.partition("m=audio ")[2].split()[0])
            threading.Thread(target=self._talk, args=((source[0], port),), daemon=True).start()
        contact = [f"Contact: <sip:odd@{self._ip}:5060>", *(["Content-Type: application/sdp"] if sdp else [])]
        text = ["SIP/2.0 200 OK", *copied, to, *contact, f"Content-Length: {len(sdp)}", "", sdp]
        self._sip.sendto("\r\n".join(text).encode(), source)

    def _talk(self, to: tuple[str, int]) -> None:
        for number in range(1000):
            if not self._types or self._over.wait(0.02):
                return
            payload_type = self._types[number % len(self._types)]
            header = struct.pack("!BBHII", 0x80, payload_type, number, number * 160, 9)
            self._rtp.sendto(header + b"\x80\x00" * 80, to)


@pytest.mark.parametrize(
    ("types", "reason", "missing", "wrong"),
    [
        ((), "no RTP came in 3.", {"receive": 1}, 0),
        ((0, 8, 8, 8), "not in the agreed codec: most of what came in 3.", {}, 1),
    ],
    ids=["one-way", "wrong payload type"],
)
def test_peers_that_are_not_heard_as_agreed(
    tmp_path: Path, types: tuple[int, ...], reason: str, missing: dict[str, int], wrong: int
) -> None:
    ip = f"{HOST}.{7 if types else 9}"
    with MuteOrOdd(ip, types):
        result = call(tmp_path, f"{HOST}.8", f"sip:odd@{ip}", "--duration", "3s", "--source", "tone", "--codec", "PCMU")
    result.expect(0)
    assert result.outcomes == {"COMPLETED_WITH_WARNINGS": 1}
    assert result.endpoints[0]["reason"].startswith(reason)
    media = result.summary["media"]
    assert (media["one_way_missing"], media["wrong_payload_type_calls"]) == (missing, wrong)
