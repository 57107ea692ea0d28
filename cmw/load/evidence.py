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

_DIGEST = re.compile(r'(?i)\b(response|nonce|cnonce)(\s*=\s*)("[^"]*"|[^\s,]+)')
_REST = r"[ \t]+)([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)"
"""Of a header field, with lines that go on."""
_CREDENTIALS = re.compile(r"(?im)^((?:proxy-)?authorization[ \t]*:[ \t]*)(\w+)(" + _REST)
_CHALLENGE = re.compile(r"(?im)^((?:www|proxy)-authenticate[ \t]*:[ \t]*\w+)(" + _REST)
_PROOF = re.compile(r"(?im)^((?:proxy-)?authentication-info[ \t]*:)([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)")
_PROOF_PARTS = re.compile(r'(?i)\b(rspauth|nextnonce|cnonce)(\s*=\s*)("[^"]*"|[^\s,]+)')
"""What a server answers to a digest helps to guess the password as well. Source: RFC 7616 3.5."""
_KEYS = re.compile(r"(?im)^(a=crypto:\S+ \S+ inline:|a=key-mgmt:\S+ |k=\w+:)\S+")
_USERINFO = re.compile(r"(?<![^\s@<>;])[^\s@<>;]++@")
"""What stands before an @, from its beginning on: nothing of a message is looked at twice, whatever it is made of."""
_URI_PASSWORD = re.compile(r"(?i)(\bsips?:[^:]+):.")


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


def mask(text: str) -> str:
    """Return a SIP message without what opens doors: answers to challenges, media keys, passwords in URIs."""
    text = _CREDENTIALS.sub(_mask_credentials, text)
    text = _CHALLENGE.sub(lambda found: found[1] + found[2] + _DIGEST.sub(r"\1\2***", found[3]), text)
    return mask_beside_credentials(text)


def mask_beside_credentials(text: str) -> str:
    """Return a SIP message without media keys, passwords in URIs, and what a server proves itself by."""
    text = _PROOF.sub(lambda found: found[1] + _PROOF_PARTS.sub(r"\1\2***", found[2]), text)
    return _USERINFO.sub(_mask_password, _KEYS.sub(r"\1***", text))


def shows_password(text: str) -> bool:
    """Tell whether a SIP message has a password in a URI."""
    return any(_URI_PASSWORD.search(found[0][:-1]) for found in _USERINFO.finditer(text))


def _mask_password(found: re.Match[str]) -> str:
    userinfo = found[0][:-1]
    password = _URI_PASSWORD.search(userinfo)
    return found[0] if password is None else f"{userinfo[: password.start()]}{password[1]}:***@"


def _mask_credentials(found: re.Match[str]) -> str:
    """Leave of a digest what does not help to guess the password; of other schemes nothing."""
    is_digest = found[2].lower() == "digest"
    return found[1] + found[2] + found[3] + (_DIGEST.sub(r"\1\2***", found[4]) if is_digest else "***")
