"""What a call may use, and what it says of that."""

from __future__ import annotations

import pytest

from cmw.errors import LocalProtocolError
from cmw.sip.call_options import PLAIN, CallOptions
from cmw.sip.option_tags import Support
from cmw.sip.replaces import Replaces
from cmw.sip.session_timer import SessionTimerChoice


def test_by_default_everything_is_supported_and_nothing_required() -> None:
    assert PLAIN.supported == "replaces, norefersub, 100rel, timer"
    assert PLAIN.required == ""
    assert PLAIN.known == {"replaces", "norefersub", "100rel", "timer"}


def test_what_is_off_is_not_mentioned_and_what_is_required_is() -> None:
    off = CallOptions(reliable=Support.OFF, session_timer=SessionTimerChoice(mode=Support.OFF))
    assert off.supported == "replaces, norefersub"
    required = CallOptions(reliable=Support.REQUIRED, replaces=Replaces("c", "t", "f"))
    assert required.required == "100rel, replaces"


@pytest.mark.parametrize("wrong", [{"routes": ("proxy",)}, {"routes": ("<tel:+1>",)}, {"display_name": "a\r\nb"}])
def test_options_that_cannot_be_sent_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        CallOptions(**wrong)  # type: ignore[arg-type]
