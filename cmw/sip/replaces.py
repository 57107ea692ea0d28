"""Replaces: a call that takes the place of another. Source: RFC 3891."""

from __future__ import annotations

from enum import Enum, auto
from types import MappingProxyType
from typing import NamedTuple

from cmw.sip.grammar import fail, get_param, is_token, parse_params

REPLACES = "replaces"
"""The option tag. Source: RFC 3891 6.2."""


class Replaces(NamedTuple):
    """Which dialog is to be replaced, as the party sees it that gets the request.

    Args:
        call_id: its Call-ID.
        to_tag: the local tag of who gets the request.
        from_tag: the remote tag.
        early_only: only while the dialog is early.
    """

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    def __str__(self) -> str:
        flag = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{flag}"


def parse_replaces(text: str) -> Replaces:
    """Parse a Replaces value. Raises `RemoteProtocolError` with the hint 400. Source: RFC 3891 6.1."""
    call_id, semicolon, rest = text.partition(";")
    call_id = call_id.strip(" \t")
    params = parse_params(f"{semicolon}{rest}")
    to_tag, from_tag = get_param(params, "to-tag"), get_param(params, "from-tag")
    if not call_id or not is_token(to_tag or "") or not is_token(from_tag or ""):
        fail("a Replaces such as call-id;to-tag=...;from-tag=...", text)
    assert to_tag is not None and from_tag is not None  # noqa: PT018 - for the type checker, the line above tests it
    return Replaces(call_id, to_tag, from_tag, get_param(params, "early-only") is not None)


class Replaced(Enum):
    """What the dialog is that a Replaces names."""

    NOTHING = auto()
    """There is none."""
    EARLY_OURS = auto()
    """Early, and it was us who sent its INVITE."""
    EARLY_THEIRS = auto()
    """Early, and its INVITE came to us."""
    CONFIRMED = auto()
    ENDED = auto()
    """It was, but is being taken down."""


REFUSALS: MappingProxyType[tuple[Replaced, bool], int] = MappingProxyType(
    {
        (Replaced.NOTHING, False): 481,
        (Replaced.NOTHING, True): 481,
        (Replaced.EARLY_OURS, False): 0,
        (Replaced.EARLY_OURS, True): 0,
        # "If the Replaces header field matches an early dialog that was not initiated by this UA, it returns a 481"
        (Replaced.EARLY_THEIRS, False): 481,
        (Replaced.EARLY_THEIRS, True): 481,
        (Replaced.CONFIRMED, False): 0,
        (Replaced.CONFIRMED, True): 486,
        (Replaced.ENDED, False): 603,
        (Replaced.ENDED, True): 603,
    }
)
"""What refuses an INVITE with Replaces, by what it names and whether early-only stands there; 0 lets it pass.

Source: RFC 3891 3."""
