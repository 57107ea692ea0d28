"""What groups say: names, files that travel with the plan, and an echo that needs somebody who speaks."""

from __future__ import annotations

import warnings
from array import array
from typing import Any

import pytest

from cmw.load.faults import PlanError
from cmw.load.plan_parser import parse_plan
from cmw.load.plan_sound import MAX_SOUND_S, decode_sound, encode_sound, sound_key, sound_seconds
from cmw.load.share import RunShare
from cmw.load.split import split_run, whole_run

MENU = encode_sound(array("h", range(-500, 500)))
BYE = encode_sound(array("h", [7] * 80))


def document(source: Any = "speech", *steps: Any, sounds: dict[str, str] | None = None) -> dict[str, Any]:
    callers = {"endpoints": 2, "call": {"group": "callees"}, "audio": {"source": source}, "scenario": list(steps)}
    plan = {"version": 1, "duration": "10s", "groups": {"callers": callers, "callees": {"endpoints": 2}}}
    return plan if sounds is None else plan | {"sounds": sounds}


def faults(plan: dict[str, Any]) -> list[str]:
    with pytest.raises(PlanError) as error:
        parse_plan(plan)
    return str(error.value).removeprefix("plan: ").split("\nplan: ")


def test_sounds_travel_to_those_who_say_them_and_equal_ones_once() -> None:
    step = {"on": "dtmf", "do": {"play": {"file": "again.wav"}}}
    plan = parse_plan(document({"file": "menu.wav"}, step, sounds={"menu.wav": MENU, "again.wav": MENU, "x": BYE}))
    whole = whole_run(plan, "r")
    callers = whole.groups["callers"]
    assert callers.audio.source == callers.scenario[0].source == sound_key(MENU)
    assert whole.sounds == {sound_key(MENU): MENU, sound_key(BYE): BYE}
    shares = split_run(plan, "r", [("w1", 4)])
    assert shares["w1"].sounds == {sound_key(MENU): MENU}
    assert RunShare.model_validate(shares["w1"].to_wire()) == shares["w1"]


def test_the_document_of_a_plan_is_the_plan_again() -> None:
    steps = [{"at": "1s", "do": {"play": {"file": "b.wav"}}}, {"at": "2s", "do": {"play": "tone"}}]
    plan = parse_plan(document({"file": "a.wav"}, *steps, sounds={"a.wav": MENU, "b.wav": BYE}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        told = plan.to_document()
    assert told["groups"]["callers"]["audio"]["source"] == {"file": "a.wav"}
    assert parse_plan(told) == plan


def test_samples_survive_the_text() -> None:
    pcm = array("h", [-32_768, -1, 0, 1, 32_767])
    assert decode_sound(encode_sound(pcm)) == pcm
    assert encode_sound(array("h", [1, -2])) == "AQD+/w=="
    assert sound_seconds(BYE) == 0.01


def test_a_file_that_is_not_there() -> None:
    told = faults(document({"file": "meno.wav"}, sounds={"menu.wav": MENU}))
    assert told == [
        "groups.callers.audio.source.file: found 'meno.wav', expected a sound of the plan; only a plan that is a file "
        "can name a WAV file, did you mean 'menu.wav'?"
    ]


@pytest.mark.parametrize("source", ["spech", 7, None, {"fil": "x"}, {"file": ""}, {"file": 3}, ["tone"]])
def test_what_is_no_source(source: Any) -> None:
    [told] = faults(document(source))
    assert told.endswith("expected speech, tone, silence, echo or {file: NAME.wav}"), told
    if source is not None:
        [told] = faults(document("tone", {"at": "1s", "do": {"play": source}}))
        assert told.endswith("expected speech, tone, silence or {file: NAME.wav}"), told


@pytest.mark.parametrize("text", ["", "x", "AQD+/w", "é", "AA=="])
def test_what_is_no_sound(text: str) -> None:
    [told] = faults(document(sounds={"a.wav": text}))
    assert "expected a mapping of names of WAV files to their samples" in told


def test_sounds_have_a_bound_in_all() -> None:
    half = encode_sound(array("h", bytes(16_000 * (MAX_SOUND_S // 2 + 1))))
    assert faults(document(sounds={"a": half, "b": half})) == ["sounds: found 92.0 s in all, expected at most 90 s"]


def test_an_echo_needs_somebody_who_speaks() -> None:
    plan = document(
        "echo", {"at": "1s", "do": {"play": "tone"}}, {"at": "2s", "do": {"send_dtmf": "1", "via": "rfc4733"}}
    )
    plan["groups"]["callees"]["audio"] = {"source": "echo"}
    assert faults(plan) == [
        "groups.callers.audio.source: found echo in a call to 'callees', which is one too, expected somebody who "
        "speaks",
        "groups.callers.scenario[0].do.play: found in a group whose source is echo, expected a source of its own",
        "groups.callers.scenario[1].do.via: found rfc4733 in a group whose source is echo, expected info",
    ]
