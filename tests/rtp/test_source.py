"""The sounds that we make: their levels, their loops and that they can be made again."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cmw.rtp import g711, source

FRAME = 160


def frame_levels(pcm: object) -> list[float]:
    return [source.level_dbov(pcm[i : i + FRAME]) for i in range(0, len(pcm), FRAME)]  # type: ignore[index, arg-type]


@pytest.mark.parametrize("seed", [1, 2, 7, 1000])
def test_speech_has_sentences_and_pauses(seed: int) -> None:
    levels = frame_levels(source.speech_pcm(seed=seed))
    loud = [level > -45 for level in levels]
    assert 0.4 < sum(loud) / len(loud) < 0.85
    assert sum(a and not b for a, b in pairwise(loud)) >= 3, "sentences"
    assert sum(a > -32 >= b for a, b in pairwise(levels)) > 10, "syllables"


@pytest.mark.parametrize("seed", [1, 2, 7, 1000])
def test_speech_level_is_that_of_a_speech_test(seed: int) -> None:
    pcm = source.speech_pcm(seed=seed)
    assert -27 < source.level_dbov(pcm) < -20
    assert max(map(abs, pcm)) < 32767, "clipped"


def test_pauses_are_not_digital_silence() -> None:
    levels = frame_levels(source.speech_pcm())
    assert min(levels) == pytest.approx(source.BACKGROUND_LEVEL_DBOV, abs=2)
    assert levels[0] < -60
    assert levels[-1] < -60


def test_a_seed_is_a_voice() -> None:
    assert source.speech_pcm(seed=3) == source.speech_pcm(seed=3)
    assert source.speech_pcm(seed=3) != source.speech_pcm(seed=4)


def test_tone_has_its_level_and_its_frequency() -> None:
    pcm = source.tone_pcm()
    assert source.level_dbov(pcm) == pytest.approx(source.TONE_LEVEL_DBOV, abs=0.01)
    rises = sum(a < 0 <= b for a, b in zip(pcm, [*pcm[1:], pcm[0]], strict=True))
    assert rises == source.TONE_HZ


def test_silence_is_silent() -> None:
    assert source.level_dbov(source.silence_pcm()) == float("-inf")
    assert set(source.make_source("silence", "PCMU").frames) == {0xFF}
    assert set(source.make_source("silence", "PCMA").frames) == {0xD5}


@pytest.mark.parametrize("name", source.SOURCES)
@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
@pytest.mark.parametrize("ptime_ms", [10, 20, 30, 60])
def test_frames_are_whole_at_every_ptime(name: str, codec: str, ptime_ms: int) -> None:
    made = source.make_source(name, codec, ptime_ms)
    assert made.frame_bytes == 8 * ptime_ms
    assert len(made.frames) % made.frame_bytes == 0


def test_encoded_speech_sounds_like_its_samples() -> None:
    heard = g711.decode(source.make_source("speech", "PCMA", 20, 5).frames, "PCMA")
    assert source.level_dbov(heard) == pytest.approx(source.level_dbov(source.speech_pcm(seed=5)), abs=0.1)


def test_an_unknown_source_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'music'.*speech, tone, silence"):
        source.make_source("music", "PCMU")
