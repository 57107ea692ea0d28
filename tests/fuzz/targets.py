"""What damaged bytes are fed to: each target raises when something escapes that must not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

from cmw.core.clock import MILLISECOND
from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip import _scan_pure
from cmw.sip.events import CallOffered, CallReoffered
from cmw.sip.header_names import MAX_HEADERS
from cmw.sip.headers import scan
from cmw.sip.hop import Hop, Transport
from cmw.sip.message import (
    MalformedMessageError,
    Request,
    make_response,
    parse_cseq,
    parse_message,
    serialize_message,
)
from cmw.sip.multipart import parse_body
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.request_checks import answer_malformed, offer_in, refuse_request
from cmw.sip.sdp_parser import parse_sdp
from cmw.sip.stream import MessageStream, PingReceived, StreamFailed
from cmw.sip.tel_uri import parse_any_uri
from cmw.sip.uri import parse_uri
from cmw.sip.user_agent import UserAgent
from cmw.sip.via import parse_via
from tests.fuzz.hostile import Scene
from tests.support.ids import CountingIds
from tests.support.quick_look import compare_quick_look
from tests.support.sip_link import listen_at
from tests.support.sip_party import SDP
from tests.support.torture import IPV6_SESSION, IPV6_TORTURE, SESSION, TORTURE

US = Hop("127.0.0.1", 5060)
PEER = Hop("192.0.2.41", 5060)

MESSAGES = [*TORTURE.values(), *IPV6_TORTURE.values()]
_HEADERS = [line for data in MESSAGES for line in data.split(b"\r\n\r\n")[0].split(b"\r\n")[1:] if b":" in line]
ADDRESSES = [line.partition(b":")[2].strip() for line in _HEADERS if line[:2].lower() in (b"to", b"fr", b"co", b"ro")]
VIAS = [line.partition(b":")[2].strip() for line in _HEADERS if line[:1].lower() == b"v"]
URIS = [data.split(b" ")[1] for data in MESSAGES if not data.startswith(b"SIP/")]
URIS += [b"tel:+1-201-555-0123;ext=7;phone-context=example.com", b"sips:a:b@[::1]:5061;transport=tcp?x=y&z=%20"]
SESSIONS = [SESSION.replace("\n", "\r\n").encode(), IPV6_SESSION.replace("\n", "\r\n").encode(), SDP]

Target = Callable[[bytes], None]


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def read_message(data: bytes) -> None:
    """A message is accepted, and then is the same after it was written; or it is refused by name."""
    try:
        message = parse_message(data)
    except MalformedMessageError as error:
        answer = answer_malformed(error, PEER)
        if answer is not None:
            serialize_message(answer.response)
        return
    if len(message.headers) >= MAX_HEADERS and "Content-Length" not in message.headers:
        return  # with the one that is added there are too many
    again = parse_message(serialize_message(message))
    for part in ("top_via", "cseq", "from_", "to", "call_id", "body"):
        assert getattr(again, part) == getattr(message, part), part
    if isinstance(message, Request):
        refuse_request(message)
        offer_in(message)
        serialize_message(make_response(message, 200, to_tag="t"))


def cut_alike(data: bytes) -> None:
    """Both twins of the scanner make the same of it."""
    data = data.lstrip(b"\r\n")
    compare_quick_look(data)
    mine, plain = scan.scan_head(data, 0), _scan_pure.scan_head(data, 0)
    assert (mine[0], list(mine[1]), mine[2:]) == (plain[0], list(plain[1]), plain[2:])


def _reads(*parsers: Callable[[str], Any]) -> Target:
    def read(data: bytes) -> None:
        for parse in parsers:
            try:
                value = parse(text_of(data))
            except RemoteProtocolError:
                continue
            str(value)

    return read


def read_uri(data: bytes) -> None:
    """A URI is accepted, and then means the same after it was written; or it is refused."""
    text = text_of(data)
    try:
        uri = parse_uri(text)
    except RemoteProtocolError:
        _reads(parse_any_uri)(data)
        return
    assert parse_uri(str(uri)).is_equivalent(uri)
    assert tuple(uri) == tuple(parse_uri.__wrapped__(text))


def read_session(data: bytes) -> None:
    """A session description is accepted or refused."""
    try:
        parse_sdp(data)
    except RemoteProtocolError:
        return


def read_body(data: bytes) -> None:
    """A body of several parts is taken apart or refused."""
    message = parse_message(TORTURE["3.1.1.11"])
    try:
        list(parse_body(message.headers, data).not_understood(("application/sdp",)))
    except RemoteProtocolError:
        return


def read_stream(data: bytes) -> None:
    """A stream says the same whichever way its bytes are cut."""
    whole, pieces = MessageStream(), MessageStream()
    whole.receive_data(data)
    for at in range(0, len(data), 7):
        pieces.receive_data(data[at : at + 7])
    assert _told(whole) == _told(pieces)


def _told(stream: MessageStream) -> list[object]:
    told: list[object] = []
    while (event := stream.next_event()) is not None:
        if not isinstance(event, PingReceived):  # whether an empty line is a ping, its timing tells
            told.append(event.fault if isinstance(event, StreamFailed) else event)
    return told


class AgentTarget:
    """A user agent that lives through many messages, and is made anew now and then."""

    LIFE = 300

    def __init__(self) -> None:
        self._left = 0

    def __call__(self, data: bytes) -> None:
        """Nothing escapes a user agent, whatever comes and whatever it is told to do then."""
        if self._left == 0:
            listeners = listen_at(US, US._replace(transport=Transport.TCP))
            self._agent = UserAgent(listeners=listeners, ids=CountingIds())
            self._left, self._now = self.LIFE, 0
        self._left -= 1
        self._now += (10, 300, 5000)[len(data) % 3] * MILLISECOND
        transport = Transport.TCP if len(data) % 5 == 0 else Transport.UDP
        self._agent.receive_datagram(data, PEER._replace(transport=transport), now=self._now)
        self._react(data)
        deadline = self._agent.next_timeout()
        if deadline is not None and deadline.at <= self._now:
            self._agent.handle_timeout(now=self._now)
        for datagram in self._agent.datagrams_to_send():
            assert isinstance(datagram.data, bytes)

    def _react(self, data: bytes) -> None:
        while (event := self._agent.next_event()) is not None:
            try:
                if isinstance(event, CallOffered) and len(data) % 2:
                    self._agent.answer(event.call, body=SDP, now=self._now)
                elif isinstance(event, CallOffered):
                    self._agent.reject(event.call, status=486, now=self._now)
                elif isinstance(event, CallReoffered):
                    self._agent.answer_reoffer(event.call, body=SDP, now=self._now)
            except LocalProtocolError:
                continue  # the peer was quicker


def live_through(data: bytes) -> None:
    """A user agent whose peers know its dialogs; the bytes decide what they do."""
    Scene(Random(data)).play()


TARGETS: dict[str, tuple[Callable[[], Target], list[bytes]]] = {
    "message": (lambda: read_message, MESSAGES),
    "scanner": (lambda: cut_alike, MESSAGES),
    "agent": (AgentTarget, MESSAGES),
    "uri": (lambda: read_uri, URIS),
    "name_addr": (lambda: _reads(parse_name_addr), ADDRESSES),
    "via": (lambda: _reads(parse_via, parse_cseq), VIAS),
    "sdp": (lambda: read_session, SESSIONS),
    "multipart": (lambda: read_body, [parse_message(TORTURE["3.1.1.11"]).body]),
    "stream": (lambda: read_stream, [data + other for data, other in pairwise(MESSAGES)]),
    "calls": (lambda: live_through, MESSAGES),
}
"""What makes each target, and the messages that its cases begin with."""

MESSAGES_A_CASE = {"calls": 50}
"""How many messages a case of a target stands for, where that is not one."""
