"""What a worker keeps of an endpoint for those who have to argue about it: its SIP messages, secrets masked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container
from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from cmw.core.words import OutcomeKind
from cmw.load.share import EvidenceShare

KIND = "evidence"
"""Of the event that carries it from a worker to the gateway."""

MAX_MESSAGES = 100
MAX_MESSAGE_CHARS = 8000
MAX_CHARS = 150_000
"""Of all messages of an endpoint: they travel as one report, in which a character may take six bytes."""


def _literal(host: str) -> str:
    ip_address(host)
    return host


LiteralHost = Annotated[str, AfterValidator(_literal)]


class EvidenceMessage(BaseModel):
    """A SIP message; times count from 1970."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    at_unix_ns: int = Field(ge=0, lt=1 << 62)
    is_sent: bool
    transport: Literal["UDP", "TCP", "TLS", "WS", "WSS"]
    local_host: LiteralHost
    local_port: int = Field(ge=0, le=65535)
    remote_host: LiteralHost
    remote_port: int = Field(ge=0, le=65535)
    text: str = Field(max_length=MAX_MESSAGE_CHARS + 100)

    @property
    def head(self) -> str:
        """Return what it is: a method and its URI, or a status and its reason."""
        line = self.text.partition("\n")[0].strip()
        if line.startswith("SIP/2.0 "):
            return f"{line[8:]} ({self.header('CSeq').rpartition(' ')[2]})"
        return line.removesuffix(" SIP/2.0")

    @property
    def body(self) -> str:
        """Return what follows the header, with lines that end in a line feed."""
        return self.text.replace("\r\n", "\n").partition("\n\n")[2]

    @property
    def has_sdp(self) -> bool:
        """Tell whether it describes a session."""
        return self.body.startswith("v=0")

    def header(self, name: str) -> str:
        """Return the first value of a header field by its long name, "" without one."""
        return header_of(self.text, name)


class Evidence(BaseModel):
    """What is kept of one endpoint."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: Literal["evidence"] = "evidence"
    endpoint: int = Field(ge=0, le=0xFFFFFFFF)
    name: str = Field(max_length=600)
    messages: list[EvidenceMessage] = Field(max_length=MAX_MESSAGES)
    messages_left_out: int = Field(default=0, ge=0)
    """Those that came after the last one here."""


class EvidenceChoice:
    """Decide whose messages are kept: some of each kind of failure, and those that were asked for.

    Args:
        share: what the plan says.
    """

    def __init__(self, share: EvidenceShare) -> None:
        self._names: Container[str] = frozenset(share.endpoints)
        self._left = share.calls
        self._of_a_kind = max(1, share.calls // 4)
        self._kinds: Counter[Any] = Counter()

    def takes(self, name: str, outcome: OutcomeKind, status: int) -> bool:
        """Tell whether an endpoint that has ended is kept, and count it."""
        if name in self._names:
            return True
        kind = (outcome, status)
        if outcome is OutcomeKind.SUCCESS or not self._left or self._kinds[kind] >= self._of_a_kind:
            return False
        self._left -= 1
        self._kinds[kind] += 1
        return True


def header_of(text: str, name: str) -> str:
    """Return the first value of a header field of a message by its long name, "" without one."""
    found = re.search(rf"(?im)^{re.escape(name)}[ \t]*:[ \t]*(.*)$", text.replace("\r\n", "\n"))
    return found[1].strip() if found is not None else ""
