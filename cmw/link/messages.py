"""The control messages of the link: one pydantic model each, told apart by `type`.

Unknown fields are ignored, so that either side may add some. An unknown `type` is an `UnknownMessage`, which is
answered by an `error` and counted. Fields of a known type are checked strictly: no text for a number, no number for a
truth value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.link.limits import MAX_SEQ
from cmw.link.refusal import CloseCode
from cmw.link.strict_json import parse_json, serialize_json

Seq = Annotated[int, Field(ge=1, le=MAX_SEQ)]
AckSeq = Annotated[int, Field(ge=0, le=MAX_SEQ)]
UnixNanos = Annotated[int, Field(ge=0, lt=1 << 63)]
Count = Annotated[int, Field(ge=0, le=MAX_SEQ)]
Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
Word = Annotated[str, Field(min_length=1, max_length=64)]
ShortText = Annotated[str, Field(max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""A line that is shown to people: no control characters, for they would move the terminal."""
LongText = Annotated[str, Field(max_length=4096)]
Session = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
JsonObject = Annotated[dict[str, Any], Field(repr=False)]
"""Free-form part; kept out of every repr, for shares of a run hold SIP passwords."""


class Message(BaseModel):
    """Base of all messages: immutable, strict in the known fields, indifferent to others."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


# Worker to gateway.


class Hello(Message):
    """First message of a worker on every connection."""

    type: Literal["hello"] = "hello"
    protocol: Annotated[int, Field(ge=1, le=65535)]
    session: Session
    """Identifies the worker process; sequence numbers count within it."""
    name: ShortText | None = None
    """WORKER_NAME if it is set; wins over the name that the gateway keeps."""
    version: ShortText = ""
    host: ShortText = ""
    capacity: Count
    """Endpoints that this worker takes at most."""
    sip_ip: ShortText = ""
    media_ip: ShortText = ""
    engine: ShortText = ""
    """What stamps and measures RTP: ``compiled`` or ``pure``."""
    runs: Annotated[list[Identifier], Field(max_length=1024)] = []
    """The runs that are alive in this process."""
    draining: bool = False
    """Whether this process takes no new runs, as the last command ``drain`` said."""
    fault: ShortText = ""
    """Why this worker cannot work, for people; empty when it can."""
    dropped_samples: Count = 0
    """Sample batches of this session that a full spool cost."""
    dropped_reports: Count = 0
    """Progress reports of this session that a full spool cost."""


class Load(Message):
    """What a worker is doing now."""

    endpoints: Count = 0
    calls: Count = 0


class Heartbeat(Message):
    """Sent by the worker right after the welcome and every 15 s."""

    type: Literal["heartbeat"] = "heartbeat"
    sent_at_unix_ns: UnixNanos
    load: Load = Load()
    capacity: Count
    loop_lag_ms: Annotated[float, Field(ge=0)] | None = None
    clock_offset_ms: float | None = None
    """Gateway's clock minus the worker's, as the worker knows it so far."""
    rtt_ms: Annotated[float, Field(ge=0)] | None = None
    fault: ShortText = ""
    """As in the hello, now."""
    spooled_bytes: Count = 0
    dropped_samples: Count = 0
    dropped_reports: Count = 0


class Report(Message):
    """One fact that must not be lost. `kind` says what `data` holds."""

    type: Literal["report"] = "report"
    seq: Seq
    kind: Literal["endpoint", "progress", "run_done", "event"]
    run_id: Identifier | None = None
    data: JsonObject


class CommandAccepted(Message):
    """The command was understood and is being carried out."""

    type: Literal["command_accepted"] = "command_accepted"
    id: Identifier


class CommandDone(Message):
    """The command has been carried out."""

    type: Literal["command_done"] = "command_done"
    id: Identifier
    result: JsonObject = {}


class CommandRejected(Message):
    """The command cannot be carried out; nothing was changed by it."""

    type: Literal["command_rejected"] = "command_rejected"
    id: Identifier
    code: Word
    detail: LongText = ""


# Gateway to worker.


class Welcome(Message):
    """Answer to the hello: the link is open."""

    type: Literal["welcome"] = "welcome"
    protocol: Annotated[int, Field(ge=1, le=65535)]
    worker_id: Identifier
    name: ShortText
    acknowledged: AckSeq
    """Highest sequence number of this session that is committed; 0 for none."""
    heartbeat_s: Annotated[int, Field(ge=1, le=300)] = 15
    capacity: Count | None = None
    """Endpoints that this worker was set up for; None from a gateway that does not say."""


class HeartbeatReply(Message):
    """Answer to a heartbeat, with three of the four timestamps."""

    type: Literal["heartbeat_reply"] = "heartbeat_reply"
    sent_at_unix_ns: UnixNanos
    """As it came in the heartbeat."""
    received_at_unix_ns: UnixNanos
    replied_at_unix_ns: UnixNanos


class Ack(Message):
    """Everything of this session up to and with `seq` is committed."""

    type: Literal["ack"] = "ack"
    seq: AckSeq


class Command(Message):
    """An order. The same `id` may come again and must not be carried out twice."""

    type: Literal["command"] = "command"
    id: Identifier
    name: Word
    run_id: Identifier | None = None
    data: JsonObject = {}


# Both ways.


class Error(Message):
    """The peer sent something that was not understood; never answered by another error."""

    type: Literal["error"] = "error"
    code: Word
    detail: LongText = ""


MessageT = TypeVar("MessageT", bound=Message)


WorkerMessage = Hello | Heartbeat | Report | CommandAccepted | CommandDone | CommandRejected | Error
GatewayMessage = Welcome | HeartbeatReply | Ack | Command | Error

_FROM_WORKER: Final[dict[str, type[WorkerMessage]]] = {
    "hello": Hello,
    "heartbeat": Heartbeat,
    "report": Report,
    "command_accepted": CommandAccepted,
    "command_done": CommandDone,
    "command_rejected": CommandRejected,
    "error": Error,
}
_FROM_GATEWAY: Final[dict[str, type[GatewayMessage]]] = {
    "welcome": Welcome,
    "heartbeat_reply": HeartbeatReply,
    "ack": Ack,
    "command": Command,
    "error": Error,
}


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A well-formed message of a type that this role does not know."""

    type: str


def parse_worker_message(text: str) -> WorkerMessage | UnknownMessage:
    """Return the message of a text frame that came from a worker.

    Raises:
        RemoteProtocolError: no strict JSON object with a `type`, or fields that do not fit it; the hint is 1007.
    """
    return _parse(text, _FROM_WORKER)


def parse_gateway_message(text: str) -> GatewayMessage | UnknownMessage:
    """Return the message of a text frame that came from a gateway.

    Raises:
        RemoteProtocolError: no strict JSON object with a `type`, or fields that do not fit it; the hint is 1007.
    """
    return _parse(text, _FROM_GATEWAY)


def make_message(model: type[MessageT], /, **fields: object) -> MessageT:
    """Return a message of our own.

    Raises:
        LocalProtocolError: fields that do not fit it; the message names the first one, but not its value.
    """
    try:
        return model(**fields)
    except ValidationError as error:
        raise LocalProtocolError(_first_fault(model.__name__, error)) from None


def serialize_message(message: WorkerMessage | GatewayMessage) -> str:
    """Return a message as the text of one frame.

    Raises:
        LocalProtocolError: a value in a free-form part that is no JSON.
    """
    return serialize_json(message.__dict__ if not isinstance(message, Heartbeat) else message.model_dump())


def _parse(text: str, known: dict[str, type[MessageT]]) -> MessageT | UnknownMessage:
    value = parse_json(text)
    if not isinstance(value, dict):
        raise _refuse(f"expected an object, found {type(value).__name__}")
    kind = value.get("type")
    if not isinstance(kind, str):
        raise _refuse("expected a text as type of the message")
    model = known.get(kind)
    if model is None:
        return UnknownMessage(kind[:64])
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _refuse(_first_fault(kind, error)) from None


def _first_fault(kind: str, error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    return f"{kind}.{where}: {fault['msg']}"[:400]


def _refuse(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(message, hint=CloseCode.INVALID_DATA)
