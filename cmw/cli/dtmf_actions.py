"""What `cmw answer --on-dtmf DIGIT=ACTION` makes of a digit that comes: a small IVR."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import typer
from pydantic import ValidationError

from cmw.load.plan_scenario import Action
from cmw.load.plan_sound import encode_sound, sound_key
from cmw.load.share_sip import StepShare
from cmw.rtp.source import SOURCES
from cmw.worker.sounds import read_wav

OPTION = "--on-dtmf"
DIGITS = "0123456789*#ABCD"
ANY = "any"
BARE = ("hang-up", "hold", "resume")
WITH_VALUE = ("play", "send", "send-info", "transfer")
EXPECTED = (
    "DIGIT=ACTION with a digit of 0123456789*#ABCD or any, and an action such as play:menu.wav, play:speech, send:42#, "
    "send-info:42#, transfer:sip:700@pbx.example, hold, resume or hang-up"
)


class DtmfActions(NamedTuple):
    """What is done with digits."""

    steps: tuple[StepShare, ...] = ()
    sounds: Mapping[str, array[int]] = {}
    """The files that are played, by the names that steps have for them."""


def dtmf_actions(texts: Iterable[str]) -> DtmfActions:
    """Return a step for each ``DIGIT=ACTION``, begun whenever its digit comes.

    Raises:
        BadParameter: says what was found and what was expected.
        SettingsError: a file to play cannot be read.
    """
    sounds: dict[str, array[int]] = {}
    return DtmfActions(tuple([_step(text, sounds) for text in texts]), sounds)


def _step(text: str, sounds: dict[str, array[int]]) -> StepShare:
    digit, equals, action = text.partition("=")
    name, colon, value = action.partition(":")
    digit = digit if digit == ANY else digit.upper()
    is_known = digit == ANY or (len(digit) == 1 and digit in DIGITS)
    if not (equals and is_known and (name in WITH_VALUE if colon else name in BARE)):
        raise _refused(text)
    return StepShare.model_validate(
        {"on": "dtmf", "digit": None if digit == ANY else digit, "again": True, **_details(text, name, value, sounds)}
    )


def _details(text: str, name: str, value: str, sounds: dict[str, array[int]]) -> dict[str, Any]:
    if name == "play":
        if value in SOURCES:
            return {"action": "play", "source": value}
        pcm = read_wav(Path(value))
        key = sound_key(encode_sound(pcm))
        sounds[key] = pcm
        return {"action": "play", "source": key}
    if name in BARE:
        return {"action": name.replace("-", "_")}
    try:
        if name == "transfer":
            action = Action.model_validate({"transfer": value})
            assert action.transfer is not None
            return {"action": "transfer", "uri": _sip_only(text, value)}
        action = Action.model_validate({"send_dtmf": value})
    except ValidationError:
        raise _refused(text) from None
    return {"action": "send_dtmf", "body": value.upper(), "via": "info" if name == "send-info" else "negotiated"}


def _sip_only(text: str, uri: str) -> str:
    if uri.lower().startswith("tel:"):
        raise _refused(text)  # there is no registrar here that would know where numbers lead
    return uri


def _refused(text: str) -> typer.BadParameter:
    return typer.BadParameter(f"found {text!r}, expected {EXPECTED}", param_hint=OPTION)
