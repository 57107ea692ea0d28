"""Each sound is made once; a WAV file that is none is told by name."""

from __future__ import annotations

import asyncio
import struct
from array import array
from pathlib import Path

import pytest

from cmw.errors import SettingsError
from cmw.rtp import g711
from cmw.rtp.source import make_source
from cmw.worker.sounds import Sounds, read_wav
from tests.support.wav_files import write_wav


class Store:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.sources: list[tuple[bytes, int]] = []

    def add_source(self, frames: bytes, frame_bytes: int) -> int:
        self.sources.append((frames, frame_bytes))
        return len(self.sources) - 1


def test_a_source_is_made_once_for_each_codec() -> None:
    store = Store()
    sounds = Sounds(store)
    assert [sounds.number("tone", codec, 20) for codec in ("PCMU", "PCMA", "PCMU")] == [0, 1, 0]
    assert [len(frames) % size for frames, size in store.sources] == [0, 0]
    assert {size for _, size in store.sources} == {160}


@pytest.mark.parametrize("ptime_ms", [10, 20, 30, 40, 60])
def test_a_source_is_cut_to_any_packet_time_without_a_gap(ptime_ms: int) -> None:
    store = Store()
    Sounds(store).number("speech", "PCMU", ptime_ms)
    ((frames, size),) = store.sources
    whole = make_source("speech", "PCMU", 20).frames
    assert (size, len(frames) % size) == (8 * ptime_ms, 0)
    assert frames == (whole * 8)[: len(frames)]
    assert len(frames) % len(whole) == 0


def test_prepared_twice_at_once_it_is_made_once() -> None:
    store = Store()
    sounds = Sounds(store)

    async def scene() -> None:
        await asyncio.gather(*(sounds.prepare("tone", ("PCMU", "PCMA"), 20) for _ in range(8)))

    asyncio.run(scene())
    assert len(store.sources) == 2


def test_a_wav_file_is_filled_up_with_silence(tmp_path: Path) -> None:
    store = Store()
    path = write_wav(tmp_path / "a.wav", [1000] * 200)
    Sounds(store).number(str(path), "PCMA", 20)
    frames, size = store.sources[0]
    assert (len(frames), size) == (320, 160)
    assert frames[:200] == g711.encode(array("h", [1000] * 200), "PCMA")
    assert frames[200:] == g711.encode(array("h", [0] * 120), "PCMA")


def test_a_sound_that_was_kept_counts_by_its_name(tmp_path: Path) -> None:
    store = Store()
    sounds = Sounds(store)
    sounds.keep("sound:1", array("h", [1000] * 160))
    sounds.keep("sound:1", array("h", [2000] * 160))
    assert sounds.number("sound:1", "PCMU", 20) == 0
    assert store.sources == [(g711.encode(array("h", [1000] * 160), "PCMU"), 160)]


def test_another_shape_is_made_fit(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", [500] * 3200, rate=16000, channels=2)
    pcm = read_wav(path)
    assert len(pcm) == 800
    assert set(pcm[50:-50]) == {500}


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\x00" * 100, b"RIFF\xff\xff\xff\xffWAVEfmt "])
def test_what_is_no_wav_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"a\.wav: cannot be read as WAV: "):
        read_wav(path)


def test_a_file_that_is_not_there_or_a_directory(tmp_path: Path) -> None:
    for path in (tmp_path / "none.wav", tmp_path):
        with pytest.raises(SettingsError, match="cannot be read as WAV"):
            read_wav(path)


def test_a_file_without_samples(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="found no samples"):
        read_wav(write_wav(tmp_path / "a.wav", []))


def test_a_file_that_was_cut_short_in_the_middle_of_a_sample(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", [5] * 100)
    path.write_bytes(path.read_bytes()[:-51])
    assert list(read_wav(path)) == [5] * 74


def test_an_encoding_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    body = struct.pack("<HHIIHH", 17, 1, 8000, 8000, 1, 4)
    chunks = b"fmt " + struct.pack("<I", len(body)) + body + b"data" + struct.pack("<I", 4) + bytes(4)
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)
    with pytest.raises(
        SettingsError, match=r"a\.wav: cannot be read as WAV: found format 17 \(IMA ADPCM\), expected PCM"
    ):
        read_wav(path)
