"""`cmw analyze --wav`: the sound of a capture, a file for each stream of G.711."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from cmw.cli.main import run_command
from cmw.rtp import g711
from cmw.rtp.wav import parse_wav
from tests.support.captures import DESTINATION, ETHERNET, SOURCE, START_NS, Captured, ethernet, packet, pcap, rtp

MS = 1_000_000


def frame(number: int, payload: bytes, *, ssrc: int = 7, payload_type: int = 0, late_ms: int = 0) -> Captured:
    data = rtp(number, ssrc=ssrc, payload=payload, payload_type=payload_type)
    return Captured(START_NS + (20 * number + late_ms) * MS, ethernet(packet(data, SOURCE, DESTINATION)))


def analyze(tmp_path: Path, frames: list[Captured], wav: Path) -> int:
    file = tmp_path / "a.pcap"
    file.write_bytes(pcap(sorted(frames, key=lambda each: each.at_ns), ETHERNET))
    return run_command(["analyze", str(file), "--wav", str(wav)])


def test_each_stream_has_its_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sounds = {codec: array("h", [level] * 160) for codec, level in (("PCMU", 4000), ("PCMA", -9000))}
    mu, a = (g711.encode(sounds[codec], codec) for codec in ("PCMU", "PCMA"))
    frames = [frame(number, mu, late_ms=45 if number == 3 else 0) for number in range(10) if number != 6]
    frames += [frame(number, a, ssrc=8, payload_type=8) for number in range(5)]
    frames += [frame(number, bytes(20), ssrc=9, payload_type=18) for number in range(5)]
    assert analyze(tmp_path, frames, tmp_path / "sounds" / "here") == 0
    first, second = sorted((tmp_path / "sounds" / "here").iterdir())
    assert first.name == "001-192.0.2.1_10000-192.0.2.2_20000-00000007.wav"
    heard = parse_wav(first.read_bytes())
    said = list(g711.decode(mu, "PCMU"))
    assert list(heard) == said * 6 + [0] * 160 + said * 3
    assert list(parse_wav(second.read_bytes())) == list(g711.decode(a, "PCMA")) * 5
    assert f"cmw: wrote {second}" in capsys.readouterr().err


def test_a_directory_that_cannot_be_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert analyze(tmp_path, [frame(number, bytes(160)) for number in range(5)], tmp_path / "file" / "x") == 78
    assert "--wav: " in capsys.readouterr().err


def test_a_crowd_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [frame(number, bytes(160), ssrc=ssrc) for ssrc in range(501) for number in range(3)]
    assert analyze(tmp_path, frames, tmp_path / "x") == 78
    assert "--wav: found 501 streams of G.711, expected at most 500" in capsys.readouterr().err
