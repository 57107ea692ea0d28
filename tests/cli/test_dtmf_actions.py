"""What `--on-dtmf` is made of; what it does is shown in test_answer_command.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from cmw.cli.dtmf_actions import dtmf_actions
from tests.support.wav_files import write_wav


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1=hang-up", {"digit": "1", "action": "hang_up"}),
        ("*=hold", {"digit": "*", "action": "hold"}),
        ("#=resume", {"digit": "#", "action": "resume"}),
        ("a=play:speech", {"digit": "A", "action": "play", "source": "speech"}),
        ("any=send:12d", {"digit": None, "action": "send_dtmf", "body": "12D", "via": "negotiated"}),
        ("0=send-info:9", {"digit": "0", "action": "send_dtmf", "body": "9", "via": "info"}),
        ("0=transfer:sip:700@h:5070", {"digit": "0", "action": "transfer", "uri": "sip:700@h:5070"}),
    ],
)
def test_each_action_is_a_step_that_is_begun_again_and_again(text: str, expected: dict[str, str | None]) -> None:
    [step] = dtmf_actions([text]).steps
    assert (step.on, step.again) == ("dtmf", True)
    assert {key: getattr(step, key) for key in expected} == expected


def test_files_are_read_at_once_and_equal_ones_kept_once(tmp_path: Path) -> None:
    one, same = (write_wav(tmp_path / name, [5] * 80) for name in ("a.wav", "b.wav"))
    found = dtmf_actions([f"1=play:{one}", f"2=play:{same}"])
    [(name, pcm)] = found.sounds.items()
    assert [step.source for step in found.steps] == [name, name]
    assert list(pcm) == [5] * 80


@pytest.mark.parametrize(
    "text", ["", "1", "=hold", "12=hold", "1=", "1=dance", "1=hold:x", "1=play", "1=send:", "1=send:1x",
             "1=send:" + "1" * 33, "1=transfer:bob", "1=transfer:tel:+49", "E=hold"],
)  # fmt: skip
def test_what_is_none_is_told(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected DIGIT=ACTION with a digit of"):
        dtmf_actions([text])
