"""What endpoints say: sources by name, and sounds of files that travel with the plan."""

from __future__ import annotations

from array import array
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha256
from sys import byteorder
from typing import Annotated, Any

from pydantic import AfterValidator, PlainSerializer, PlainValidator, StringConstraints, ValidationError, WithJsonSchema

from cmw.load.plan_fields import PlanModel, plan_field, unsupported
from cmw.rtp.g711 import CLOCK_HZ
from cmw.rtp.source import SOURCES

MAX_SOUND_S = 90
"""Seconds of all sounds of a plan together: they travel to every worker whose endpoints say them."""

FileName = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]


class SoundFile(PlanModel):
    """A sound of the plan."""

    file: FileName = plan_field("the name of a WAV file", "WAV file beside the plan")


def _check_source(names: tuple[str, ...]) -> PlainValidator:
    expected = f"{', '.join(names)} or {{file: NAME.wav}}"

    def check(value: object) -> str | SoundFile:
        if isinstance(value, SoundFile) or (isinstance(value, str) and value in names):
            return value
        if not isinstance(value, Mapping):
            raise unsupported(expected)
        try:
            return SoundFile.model_validate(value)
        except ValidationError:
            raise unsupported(expected) from None

    return PlainValidator(check)


def _show(source: str | SoundFile) -> str | dict[str, str]:
    return source if isinstance(source, str) else {"file": source.file}


def _schema(names: tuple[str, ...]) -> WithJsonSchema:
    file: dict[str, Any] = {
        "type": "object",
        "properties": {"file": {"type": "string", "description": "WAV file beside the plan"}},
        "required": ["file"],
        "additionalProperties": False,
    }
    return WithJsonSchema({"anyOf": [{"enum": list(names), "type": "string"}, file]})


PLAYED = SOURCES
SAID = (*SOURCES, "echo")
SAID_EXPECTED = f"{', '.join(SAID)} or {{file: NAME.wav}}"
PLAYED_EXPECTED = f"{', '.join(PLAYED)} or {{file: NAME.wav}}"

Said = Annotated[str | SoundFile, _check_source(SAID), PlainSerializer(_show), _schema(SAID)]
"""What a group says."""
Played = Annotated[str | SoundFile, _check_source(PLAYED), PlainSerializer(_show), _schema(PLAYED)]
"""What a step may have an endpoint say from then on."""


def encode_sound(pcm: array[int]) -> str:
    """Return samples as a plan carries them: 8000 a second, 16 bit, the lowest byte first, in base64."""
    return b64encode(_little_endian(pcm).tobytes()).decode("ascii")


def decode_sound(text: str) -> array[int]:
    """Return the samples of `encode_sound`.

    Raises:
        ValueError: it is not base64 of whole samples.
    """
    return _little_endian(array("h", b64decode(text, validate=True)))


def _little_endian(pcm: array[int]) -> array[int]:
    turned = array("h", pcm)
    if byteorder == "big":
        turned.byteswap()
    return turned


def _check_sound(text: str) -> str:
    if not decode_sound(text):
        raise ValueError("nothing")
    return text


Sound = Annotated[
    str, StringConstraints(strict=True, max_length=MAX_SOUND_S * CLOCK_HZ * 3), AfterValidator(_check_sound)
]

SoundName = FileName


def sound_seconds(text: str) -> float:
    """Return how long a sound is."""
    return (len(text) * 3 // 4 - text.count("=")) / 2 / CLOCK_HZ


def source_name(source: str | SoundFile, sounds: Mapping[str, str]) -> str:
    """Return what a worker calls a source: its name, or that of the sound, which its samples give."""
    return source if isinstance(source, str) else sound_key(sounds[source.file])


def sound_key(text: str) -> str:
    """Return the name under which workers keep a sound: equal sounds have one."""
    return f"sound:{sha256(text.encode()).hexdigest()[:32]}"
