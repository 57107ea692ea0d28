"""The WAV files that a plan names, read into the plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from cmw.cli.document import Source
from cmw.errors import SettingsError
from cmw.load.faults import Path
from cmw.load.plan_sound import MAX_SOUND_S, encode_sound
from cmw.rtp.g711 import CLOCK_HZ
from cmw.worker.sounds import read_wav


def take_sounds(source: Source, directory: FilePath) -> None:
    """Put what each WAV file of a plan holds under its `sounds`, unless something is there under its name already.

    Args:
        directory: where names begin.
    """
    document = source.document
    sounds = document.get("sounds", {}) if isinstance(document, dict) else None
    if not isinstance(sounds, dict):
        return
    for path, name in _named(document):
        if name in sounds:
            continue
        try:
            sounds[name] = read_sound(directory / name)
        except SettingsError as error:
            source.fault((*path, "file"), str(error), source.positions.get((*path, "file")))
    if sounds:
        document["sounds"] = sounds


def read_sound(file: FilePath) -> str:
    """Return what a WAV file holds as a plan carries it."""
    pcm = read_wav(file)
    if len(pcm) > MAX_SOUND_S * CLOCK_HZ:
        raise SettingsError(f"{file}: found {len(pcm) / CLOCK_HZ:.1f} s, expected at most {MAX_SOUND_S} s")
    return encode_sound(pcm)


def _named(document: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield where a plan names a file, and its name; what is none is noted with the plan."""
    groups = document.get("groups")
    for name, group in groups.items() if isinstance(groups, dict) else ():
        if not isinstance(group, dict):
            continue
        places: list[tuple[Path, Any]] = []
        if isinstance(group.get("audio"), dict):
            places.append((("groups", name, "audio", "source"), group["audio"].get("source")))
        steps = group.get("scenario")
        for k, step in enumerate(steps if isinstance(steps, list) else ()):
            if isinstance(step, dict) and isinstance(step.get("do"), dict):
                places.append((("groups", name, "scenario", k, "do", "play"), step["do"].get("play")))
        for path, value in places:
            wanted = value.get("file") if isinstance(value, dict) else None
            if isinstance(wanted, str) and wanted and wanted.isprintable():
                yield path, wanted
