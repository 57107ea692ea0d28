"""The scenario of a group: what its endpoints do during their calls, at a time or when something happens."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, StringConstraints

from cmw.core.clock import MILLISECOND, SECOND
from cmw.load.plan_fields import (
    TEXT_SCHEMA,
    AlsoWritten,
    Body,
    MediaType,
    Name,
    PlanModel,
    Uri,
    duration,
    one_of,
    plan_field,
)
from cmw.load.plan_sound import PLAYED_EXPECTED, Played

MAX_STEPS = 30
"""Steps of one group."""

Codec = Annotated[
    Literal["PCMU", "PCMA"],
    one_of("PCMU", "PCMA", later=("G722", "opus", "OPUS", "Opus", "G729", "iLBC", "GSM", "speex")),
]

LengthNs = Annotated[int, *duration(40 * MILLISECOND, 60 * SECOND)]
StepNs = Annotated[int, *duration(0, 24 * 3600 * SECOND)]

EVENTS = ("dtmf", "hold", "resume", "info", "message", "session_refreshed")
"""What a step can wait for."""

SIMPLE_ACTIONS = ("hold", "resume", "hang_up", "send_options")
"""Actions that need nothing else said."""


def _named(value: object) -> object:
    """Return ``hold`` as ``{hold: true}``."""
    return {value: True} if isinstance(value, str) and value in SIMPLE_ACTIONS else value


def _uri_alone(value: object) -> object:
    return {"uri": value} if isinstance(value, str) else value


def _body_alone(value: object) -> object:
    return {"body": value} if isinstance(value, str) else value


class Update(PlanModel):
    """A change of the session."""

    codecs: list[Codec] | None = plan_field(
        "a list of one or more of PCMU, PCMA", "codecs offered from now on", default=None, min_length=1, max_length=2
    )
    ports: Literal["new"] | None = plan_field(
        "new", "move to another pair of RTP ports of ours; the old ones are heard for 4 s more", default=None
    )


class TransferTo(PlanModel):
    """Whom the peer is asked to call instead of us (RFC 5589)."""

    uri: Uri | None = plan_field("a SIP URI such as sip:700@pbx.example", "whom to call", default=None)
    group: Name | None = plan_field(
        "the name of a group that waits for calls",
        "endpoint n of those who transfer leads to endpoint n of this group",
        default=None,
    )
    attended: StrictBool = plan_field(
        "true or false",
        "call the target first, and have that call replaced (Replaces); else the peer is sent there blind",
        default=False,
    )


class Info(PlanModel):
    """A message about the call (RFC 6086)."""

    type: MediaType = plan_field("a media type such as application/dtmf-relay", "type of the body")
    body: Body = plan_field("a text of 1 to 16384 characters", "the body")


class Message(PlanModel):
    """An instant message within the call (RFC 3428)."""

    type: MediaType = plan_field(
        "a media type such as text/plain", "type of the body", default="text/plain;charset=utf-8"
    )
    body: Body = plan_field("a text of 1 to 16384 characters", "the body")


Simple = Literal[True]


class Action(PlanModel):
    """What a step does: exactly one thing."""

    hold: Simple | None = plan_field("true", "put the peer on hold (a=sendonly)", default=None)
    resume: Simple | None = plan_field("true", "take the peer back from hold", default=None)
    update: Update | None = plan_field(
        "a mapping with codecs, ports, or both", "offer other codecs, or other ports of ours", default=None
    )
    transfer: Annotated[TransferTo, BeforeValidator(_uri_alone), AlsoWritten(TEXT_SCHEMA)] | None = plan_field(
        "a SIP URI, or a mapping with uri or group, and attended", "have the peer call somebody else", default=None
    )
    send_info: Info | None = plan_field("a mapping with type and body", "send INFO", default=None)
    send_message: Annotated[Message, BeforeValidator(_body_alone), AlsoWritten(TEXT_SCHEMA)] | None = plan_field(
        "a text, or a mapping with type and body", "send MESSAGE", default=None
    )
    send_options: Simple | None = plan_field("true", "send OPTIONS", default=None)
    send_dtmf: Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9A-Da-d*#]{1,32}$")] | None = plan_field(
        "1 to 32 digits of 0123456789*#ABCD", "send digits, one after the other; refused while the call is held",
        default=None,
    )  # fmt: skip
    length: LengthNs | None = plan_field(
        "a duration from 40ms to 60s",
        "beside send_dtmf: how long each digit is; else 100ms by RFC 4733, and 250ms is said in INFO",
        default=None,
    )
    play: Played | None = plan_field(
        PLAYED_EXPECTED, "say this from its beginning, again and again, instead of what was said so far", default=None
    )
    hang_up: Simple | None = plan_field("true", "end the call", default=None)
    via: Annotated[
        Literal["invite", "update", "info", "rfc4733"], one_of("invite", "update", "info", "rfc4733")
    ] | None = plan_field(
        "invite or update for hold, resume and update; rfc4733 or info for send_dtmf",
        "what carries it: re-INVITE unless it says UPDATE; digits go by RFC 4733 if that was negotiated, else in INFO",
        default=None,
    )  # fmt: skip

    @property
    def names(self) -> list[str]:
        """Return the actions that are named; one, where the plan is right."""
        return [name for name in ACTIONS if getattr(self, name) is not None]


ACTIONS = tuple(name for name in Action.model_fields if name not in ("via", "length"))
ACTIONS_EXPECTED = f"one of {', '.join(ACTIONS)}"

SIMPLE_SCHEMA: dict[str, Any] = {"enum": list(SIMPLE_ACTIONS)}


class Step(PlanModel):
    """One step: a trigger and an action. What waits for an event is done once in a call at most."""

    at: StepNs | None = plan_field("a duration from 0s to 24h", "when, from the answer of the call", default=None)
    on: Literal["dtmf", "hold", "resume", "info", "message", "session_refreshed"] | None = plan_field(
        f"one of {', '.join(EVENTS)}", "what it waits for, of the peer's doing", default=None
    )
    digit: Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9A-D*#]$")] | None = plan_field(
        "a digit of 0123456789*#ABCD in quotes", "which digit `on: dtmf` waits for; any when not given", default=None
    )
    do: Annotated[Action, BeforeValidator(_named), AlsoWritten(SIMPLE_SCHEMA)] = plan_field(
        f"{ACTIONS_EXPECTED}, such as hold or {{send_message: hello}}", "what is done"
    )


Scenario = Annotated[list[Step], Field(max_length=MAX_STEPS)]
