"""The part of a run that one worker carries out, as it travels over the link."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from cmw.core.clock import Nanos

UINT32_MAX = (1 << 32) - 1


class ShareModel(BaseModel):
    """Base of the share's models. Unknown fields are ignored: a newer gateway may know more than an older worker."""

    model_config = ConfigDict(frozen=True)


class AccountShare(ShareModel):
    """Credentials of one endpoint. The password shows neither in repr nor in `model_dump`."""

    username: str
    password: SecretStr
    realm: str | None = None


class RegistrarShare(ShareModel):
    """Where endpoints register and send their calls."""

    name: str
    domain: str
    """Host name or literal address, IPv6 in brackets; to be resolved by the worker."""
    port: int = Field(ge=1, le=65535)
    transport: Literal["udp"] = "udp"
    expires_s: int = Field(ge=1)


class AnswerShare(ShareModel):
    """What an endpoint that waits does with its call."""

    after_ns: Nanos = Field(ge=0)
    """From the INVITE to the final answer."""
    ring: bool = True
    """Whether 180 is sent at once."""
    reject: int | None = Field(default=None, ge=400, le=699)
    """Status of the refusal; None to answer."""
    wait_ns: Nanos = Field(ge=0)
    """From `start_run`: when an endpoint that got no call ends as TIMEOUT, "receiver wait timeout"."""


class AudioShare(ShareModel):
    """What is sent, and how."""

    codecs: list[Literal["PCMU", "PCMA"]] = Field(min_length=1)
    ptime_ms: int = Field(ge=1)
    source: Literal["speech", "tone", "silence"]
    dscp: int = Field(ge=0, le=63)


class Callee(ShareModel):
    """Whom an endpoint calls: a URI, or the endpoint at a position of a group, whose URI comes with `start_run`."""

    uri: str | None = None
    group: str | None = None
    position: int | None = Field(default=None, ge=0)


class EndpointShare(ShareModel):
    """One endpoint."""

    index: int = Field(ge=0, le=UINT32_MAX)
    """Unique in the run; counts through the groups in the order of the plan."""
    position: int = Field(ge=0)
    """Place in the group, from 0, the same whatever the number of workers."""
    name: str
    """``callers-0001``; the user part of the address of an endpoint without an account."""
    account: AccountShare | None = None
    target: str | None = None
    """URI under which an endpoint with a registrar is reached; None when it is reached at the worker."""
    register_at_ns: Nanos | None = Field(default=None, ge=0)
    """When to send REGISTER, from `prepare_run`; None without a registrar."""
    starts_at_ns: Nanos | None = Field(default=None, ge=0)
    """When to call, from `start_run`; None for an endpoint that waits."""
    callee: Callee | None = None
    expects_call: bool = False
    """Whether a call must come; an endpoint that waits beyond the number of callers may stay alone and succeed."""

    @property
    def user(self) -> str:
        """Return the user part of the endpoint's address."""
        return self.account.username if self.account is not None else self.name


class GroupShare(ShareModel):
    """The settings of a group, and those of its endpoints that this worker carries."""

    name: str
    registrar: str | None
    answer: AnswerShare | None
    """For a group that waits; None for one that calls."""
    audio: AudioShare
    hold_ns: Nanos = Field(gt=0)
    """How long a call is held from its answer; the caller hangs up."""
    setup_timeout_ns: Nanos = Field(gt=0)
    """How long an INVITE may stay without a final answer before CANCEL."""
    hold_limit_ns: Nanos = Field(gt=0)
    """When an endpoint that waited hangs up by itself, because its caller did not."""
    endpoints: list[EndpointShare]

    @property
    def calls(self) -> bool:
        """Tell whether the endpoints call; the others wait."""
        return self.answer is None


class RunShare(ShareModel):
    """What one worker does in a run."""

    run_id: str
    name: str
    groups: dict[str, GroupShare]
    registrars: dict[str, RegistrarShare]
    register_within_ns: Nanos
    """From `prepare_run`: when every registration of the run has succeeded or failed."""
    run_within_ns: Nanos
    """From `start_run`: when every endpoint of the run has ended, whatever happens."""

    @property
    def total_endpoints(self) -> int:
        """Return the endpoints of this share."""
        return sum(len(group.endpoints) for group in self.groups.values())

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON document for the link, **passwords included**; `RunShare.model_validate` reads it back."""
        document = self.model_dump(mode="json", exclude_none=True)
        for name, group in self.groups.items():
            document["groups"][name].setdefault("registrar", None)
            document["groups"][name].setdefault("answer", None)
            for endpoint, shown in zip(group.endpoints, document["groups"][name]["endpoints"], strict=True):
                if endpoint.account is not None:
                    shown["account"]["password"] = endpoint.account.password.get_secret_value()
        return document
