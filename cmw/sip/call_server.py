"""What a user agent does with requests of others: each goes to its call, is offered as a new one, or is answered."""

from __future__ import annotations

from cmw.core.clock import Nanos
from cmw.errors import RemoteProtocolError
from cmw.sip.call import Call
from cmw.sip.call_checks import read_replaces, refuse_replacement, require_extensions
from cmw.sip.call_options import PLAIN, CallOptions
from cmw.sip.inbound_call import InboundCall
from cmw.sip.message import Request
from cmw.sip.mid_call import ALLOW_EVENTS, serve_mid_call
from cmw.sip.plain_request import PlainRequest
from cmw.sip.request_checks import Refusal, refuse_request
from cmw.sip.request_events import RequestAnswered
from cmw.sip.stack import Stack
from cmw.sip.tel_uri import called_user
from cmw.sip.transaction_facts import AckReceived, RequestReceived


class CallServer:
    """The calls of one user agent, and the requests of others that concern them.

    Args:
        stack: what they share.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._calls: dict[int, Call] = {}
        self._requests: dict[int, PlainRequest] = {}
        self._inbound_options = PLAIN
        self._inbound_options_of: dict[str, CallOptions] = {}

    def _ack_received(self, fact: AckReceived, now: Nanos) -> bool:
        """Take the ACK of a 2xx; return whether it belongs to a call."""
        call = self._find_call(fact.request)
        if call is not None:
            call.ack_received(fact.request, fact.source, now=now)
        return call is not None

    def _request_received(self, fact: RequestReceived, now: Nanos) -> None:
        request = fact.request
        if request.method == "CANCEL":
            self._cancel_received(fact, now)
        elif request.to_tag:
            call = self._find_call(request)
            if call is None:
                self._answer(fact, Refusal(481), now)
            else:
                call.request_received(fact.transaction, fact.source, now=now)
        else:
            self._begin_received(fact, now)

    def _begin_received(self, fact: RequestReceived, now: Nanos) -> None:
        """Take a request outside of any dialog."""
        request = fact.request
        options = self._options_for(request)
        refusal = refuse_request(request, is_merged=fact.is_merged, supported=options.known)
        if request.method == "SUBSCRIBE" and (refusal is None or refusal.status == 405):
            refusal = Refusal(489, ALLOW_EVENTS)  # RFC 6665 4.2.1.1
        elif refusal is None and request.method == "REFER":
            refusal = Refusal(603)
        elif refusal is None and request.method == "INVITE":
            refusal = require_extensions(request, options)
        if refusal is not None:
            self._answer(fact, refusal, now)
        elif request.method == "INVITE":
            self._invite_received(fact, options, now)
        else:
            status = serve_mid_call(self._stack, 0, fact.transaction, fact.source, options, now=now)
            if request.method not in ("MESSAGE", "NOTIFY"):
                self._stack.events.append(RequestAnswered(request.method, status, fact.source, now))

    def _options_for(self, request: Request) -> CallOptions:
        if not self._inbound_options_of:
            return self._inbound_options
        try:
            user = called_user(request.uri)
        except RemoteProtocolError:
            return self._inbound_options  # nobody is called by it, and it is refused for that
        return self._inbound_options_of.get(user, self._inbound_options)

    def _invite_received(self, fact: RequestReceived, options: CallOptions, now: Nanos) -> None:
        """Offer a call to our user, as one that replaces another if it says so. Source: RFC 3891 3."""
        replaced = None
        replaces = read_replaces(fact.request) if "Replaces" in fact.request.headers else None
        if isinstance(replaces, Refusal):
            self._answer(fact, replaces, now)
            return
        if replaces is not None:
            found = self._stack.dialogs.get((replaces.call_id, replaces.to_tag))
            replaced = found if isinstance(found, Call) else None
            refusal = refuse_replacement(replaced, replaces)
            if refusal is not None:
                self._answer(fact, refusal, now)
                return
        user = called_user(fact.request.uri)
        handle = self._stack.new_handle()
        call = InboundCall(self._stack, handle, fact.transaction, fact.source, user, options, replaced)
        fact.transaction.owner = call
        self._calls[handle] = call
        call.start(now=now)

    def _answer(self, fact: RequestReceived, answer: Refusal, now: Nanos) -> None:
        tag = self._stack.ids.tag()
        status, headers, reason = answer
        if fact.request.method == "INVITE":
            fact.transaction.owner = tag  # a CANCEL that comes too late is answered with the same
        self._stack.respond(fact.transaction, status, reason, to_tag=tag, headers=headers, now=now)
        self._stack.events.append(RequestAnswered(fact.request.method, answer.status, fact.source, now))

    def _cancel_received(self, fact: RequestReceived, now: Nanos) -> None:
        """Take a CANCEL; it is answered whatever becomes of its request. Source: RFC 3261 9.2."""
        cancelled = self._stack.layer.find_cancelled(fact.request)
        if cancelled is None:
            self._answer(fact, Refusal(481), now)
            return
        owner = cancelled.owner
        reason = fact.request.headers.get("Reason") or ""
        tag = owner.local_tag if isinstance(owner, Call) else owner
        if not isinstance(tag, str):
            tag = self._stack.ids.tag()
        self._stack.respond(fact.transaction, 200, to_tag=tag, now=now)
        if isinstance(owner, Call) and cancelled.method == "INVITE":
            owner.cancel_received(cancelled, reason, now=now)

    def _find_call(self, request: Request) -> Call | None:
        call = self._stack.dialogs.get((request.call_id, request.to_tag))
        return call if isinstance(call, Call) else None
