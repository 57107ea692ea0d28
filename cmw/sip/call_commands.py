"""The commands of a user agent about calls, and about requests beside them.

Each checks everything first: one that raises `LocalProtocolError` has changed nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cmw.core.clock import Nanos
from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.account import Account
from cmw.sip.argument_checks import HeaderRows, check_address, check_called_uri, check_line, check_rows, check_rows_of
from cmw.sip.authentication import Authentication
from cmw.sip.call import Call
from cmw.sip.call_options import PLAIN, CallOptions
from cmw.sip.call_server import CallServer
from cmw.sip.call_state import CallSnapshot, CallState
from cmw.sip.call_transfers import Transfers
from cmw.sip.grammar import is_token
from cmw.sip.hop import Hop, Transport
from cmw.sip.inbound_call import InboundCall
from cmw.sip.lookup import literal_hop, uri_over
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.outbound_call import OutboundCall
from cmw.sip.plain_request import NOT_PLAIN, PlainRequest
from cmw.sip.replaces import Replaces
from cmw.sip.target import Target
from cmw.sip.tel_uri import TelUri
from cmw.sip.transfer import ReferTo
from cmw.sip.uri import SipUri, parse_uri
from cmw.sip.via import DEFAULT_PORT

_OWN_METHODS = frozenset(("INVITE", "UPDATE", "ACK", "CANCEL", "BYE", "PRACK", "REFER", "REGISTER"))
"""Methods that `request_in_call` leaves to commands of their own."""


class CallCommands(CallServer):
    """Commands about calls; see `UserAgent`."""

    # commands: calls from here

    def invite(
        self,
        target: str,
        *,
        account: Account | None = None,
        local_uri: str | None = None,
        contact_user: str = "",
        body: bytes = b"",
        headers: HeaderRows = (),
        destination: Hop | None = None,
        options: CallOptions = PLAIN,
        transfer: int | None = None,
        now: Nanos,
    ) -> int:
        """Place a call.

        Args:
            target: SIP URI to call, without headers, or a tel URI where something else says where that goes; with
                `transfer`, "" for the one that the transfer names.
            account: whose address of record, credentials and routes are used.
            local_uri: From instead of the account's.
            contact_user: user part of our Contact; the account's when empty.
            body: the offer, SDP; b"" leaves it to the peer: `CallAnswered` carries it then, and `acknowledge` answers.
            headers: further rows of the INVITE; Expires among them cancels it when its seconds are over.
            destination: where the INVITE goes; else the account's destination, else the first route, else `target`.
            options: what the call may use beyond RFC 3261.
            transfer: the call is placed for a transfer that was accepted: it replaces what that asks for, names who
                asked for it, and how it goes is reported to him.

        Returns:
            The handle of the call.
        """
        transfers = self._require_accepted(transfer) if transfer is not None else None
        if transfers is not None and transfer is not None:
            asked = transfers.target_of(transfer)
            target = target or asked.uri
            options = replace(options, replaces=asked.replaces)
            referred_by = transfers.referred_by(transfer)
            headers = [*headers, *asked.headers, *([("Referred-By", referred_by)] if referred_by else [])]
        rows = check_rows(headers)
        routes = options.routes or self._routes_of(account)
        transport = options.transport or (account.transport if account is not None else None)
        where = self._find_way(target, account, local_uri, contact_user, destination, routes, transport)
        call_target = Target(target, *where, body, rows, routes, transport)
        is_told = bool(routes) or call_target.destination is not None
        authentication = self._authentication_of(account, target, is_told=is_told, is_asked=transfer is not None)
        call = OutboundCall(self._stack, self._stack.new_handle(), call_target, authentication, options)
        if transfers is not None and transfer is not None:
            call.report_to = transfers, transfer
        self._calls[call.handle] = call
        call.start(now=self._advance(now))
        return call.handle

    def acknowledge(self, call: int, *, body: bytes = b"", now: Nanos) -> None:
        """Answer the offer that came where our INVITE had none, by ACK or PRACK.

        `CallAnswered.wants_answer` and `CallProceeding.wants_answer` ask for it. With `CallOptions.defers_prack` the
        body may be a new offer; `CallModified` brings its answer.
        """
        machine = self._call(call)
        if not isinstance(machine, OutboundCall):
            raise LocalProtocolError(f"expected an outbound call, found inbound call {call}")
        machine.acknowledge(body, now=self._advance(now))

    # commands: calls to here

    def set_inbound_options(self, options: CallOptions | None, *, user: str | None = None) -> None:
        """Say what calls may use that are offered from now on.

        Args:
            options: of `reliable`, `session_timer`, `takes_transfers` and `options_status`; the others mean nothing
                here. None for the usual ones: the defaults, or for a user those of all others.
            user: user part of the Request-URI that they are for, as it is written there; None for all others.
        """
        if user is None:
            self._inbound_options = options or PLAIN
        elif options is None:
            self._inbound_options_of.pop(user, None)
        else:
            self._inbound_options_of[user] = options

    def ring(
        self,
        call: int,
        *,
        status: int = 180,
        body: bytes = b"",
        headers: HeaderRows = (),
        reliable: bool | None = None,
        now: Nanos,
    ) -> None:
        """Send a provisional response to an inbound call, 101 .. 199.

        Args:
            call: handle.
            status: 180 for ringing, 183 with a body for early media.
            body: a session description: the answer to the offer, or an offer where there was none (then `reliable`
                has to be; `CallModified` brings the answer).
            headers: further rows.
            reliable: to be acknowledged with PRACK; None leaves it to what the caller requires and to the options.
        """
        self._inbound(call).ring(status, body, check_rows(headers), reliable, now=self._advance(now))

    def answer(self, call: int, *, body: bytes, headers: HeaderRows = (), now: Nanos) -> None:
        """Answer an inbound call with 200; `CallConfirmed` follows.

        The 200 waits for the PRACK of a session description that is not acknowledged yet.

        Args:
            call: handle.
            body: the answer to the offer, or an offer when there was none; not sent where it was sent reliably before.
            headers: further rows.
        """
        self._inbound(call).answer(body, check_rows(headers), now=self._advance(now))

    def reject(
        self,
        call: int,
        *,
        status: int,
        reason: str = "",
        headers: HeaderRows = (),
        contacts: Iterable[str] = (),
        now: Nanos,
    ) -> None:
        """Refuse an inbound call with 300 .. 699; `CallEnded` follows at once.

        Args:
            call: handle.
            status: final status.
            reason: phrase, "" for the usual one.
            headers: further rows, such as Retry-After or Reason.
            contacts: of a 3xx, where to call instead: Contact values such as ``<sip:bob@host>;q=0.5``.
        """
        rows = [*check_rows(headers), *[("Contact", check_address(contact, "contact")) for contact in contacts]]
        self._inbound(call).reject(status, check_line(reason), tuple(rows), now=self._advance(now))

    # commands: calls that stand

    def hang_up(self, call: int, *, reason: str = "", now: Nanos) -> None:
        """Release a call: CANCEL, BYE or a refusal, as its state asks for; nothing happens if it is over.

        Args:
            call: handle.
            reason: value of Reason, such as ``SIP;cause=200;text="completed"``. Source: RFC 3326.
        """
        reason = check_line(reason)
        machine = self._calls.get(call)
        if machine is not None:
            machine.hang_up(reason, now=self._advance(now))

    def reoffer(
        self, call: int, *, body: bytes = b"", method: str = "INVITE", headers: HeaderRows = (), now: Nanos
    ) -> None:
        """Ask the peer for a change of the session: hold, resume, another codec or address.

        `CallModified` (local) or `CallReofferRejected` follows. When it crosses a change of the peer, it is tried
        again after the time that RFC 3261 14.1 asks for.

        Args:
            call: handle.
            body: the offer; b"" with INVITE leaves it to the peer: `CallReoffered` with the method ``2xx`` brings it.
            method: INVITE or UPDATE; UPDATE works before the answer too, once a reliable response was answered.
            headers: further rows.
        """
        self._call(call).reoffer(method, body, check_rows(headers), now=self._advance(now))

    def answer_reoffer(self, call: int, *, body: bytes, now: Nanos) -> None:
        """Agree to what `CallReoffered` told."""
        self._call(call).answer_reoffer(body, now=self._advance(now))

    def reject_reoffer(self, call: int, *, status: int = 488, headers: HeaderRows = (), now: Nanos) -> None:
        """Refuse what `CallReoffered` told, with further rows such as Warning; the call goes on as it is."""
        self._call(call).reject_reoffer(status, check_rows(headers), now=self._advance(now))

    # commands: transfers

    def transfer(
        self,
        call: int,
        target: str = "",
        *,
        replaces_call: int | None = None,
        headers: HeaderRows = (),
        is_followed: bool = True,
        now: Nanos,
    ) -> int:
        """Ask the peer to call somebody else. Source: RFC 5589.

        `TransferAccepted`, `TransferProgressed` and in the end `TransferCompleted` follow. The call stands until
        somebody hangs it up.

        Args:
            call: handle.
            target: SIP URI to call; "" for the peer of `replaces_call`.
            replaces_call: another call of ours that the new one takes the place of: an attended transfer.
            headers: further rows of the REFER.
            is_followed: have the peer tell how it goes. Source: RFC 4488.

        Returns:
            The handle of the transfer.
        """
        replaces = None
        if replaces_call is not None:
            other = self._call(replaces_call)
            if other.leg is None or other.state is not CallState.CONFIRMED:
                raise LocalProtocolError(f"expected call {replaces_call} to stand, found it {other.state}")
            replaces = Replaces(other.call_id, other.leg.remote_tag, other.local_tag)
            target = target or other.leg.dialog.remote_target
        if isinstance(check_called_uri(target, "target"), TelUri):
            raise LocalProtocolError(f"expected a SIP URI to transfer to, found {target!a}")
        handle = self._stack.new_handle()
        refer_to = ReferTo(target, "INVITE", replaces)
        rows = check_rows(headers)
        machine = self._call(call)
        machine.transfers.refer(handle, refer_to, rows, is_followed=is_followed, now=self._advance(now))
        machine.rearm()
        return handle

    def accept_transfer(self, transfer: int, *, now: Nanos) -> ReferTo:
        """Agree to a transfer that the peer asked for; go on with ``invite("", transfer=transfer, ...)``.

        Whoever does not place the call so has to tell how it goes by `report_transfer`.
        """
        return self._transfers(transfer).accept(transfer, now=self._advance(now))

    def reject_transfer(self, transfer: int, *, status: int = 603, now: Nanos) -> None:
        """Refuse a transfer that the peer asked for."""
        self._transfers(transfer).reject(transfer, status, now=self._advance(now))

    def report_transfer(self, transfer: int, *, status: int, reason: str = "", now: Nanos) -> None:
        """Tell the peer how a transfer goes that it asked for; a status of 200 or more is the last word."""
        if not 100 <= status <= 699:
            raise LocalProtocolError(f"expected a status of 100 to 699 to report, found {status}")
        self._transfers(transfer).report(transfer, status, check_line(reason), now=self._advance(now))

    # commands: other requests

    def request(
        self,
        method: str,
        target: str,
        *,
        account: Account | None = None,
        local_uri: str | None = None,
        contact_user: str = "",
        headers: HeaderRows = (),
        body: bytes = b"",
        destination: Hop | None = None,
        routes: tuple[str, ...] = (),
        now: Nanos,
    ) -> int:
        """Send a request outside of any call, such as OPTIONS or MESSAGE; it ends with `RequestSucceeded` or
        `RequestFailed`.

        Args:
            method: any that has no command of its own. REGISTER asks the registrar `target` for the bindings of an
                account and changes none. Source: RFC 3261 10.2.3.
            target: SIP URI to ask.
            account: whose address of record, credentials and routes are used.
            local_uri: From instead of the account's.
            contact_user: user part of our Contact; the account's when empty.
            headers: further rows; Content-Type is due with a body.
            body: the body.
            destination: where it goes; else the account's destination, else the first route, else `target`.
            routes: Route values instead of the account's.

        Returns:
            The handle of the request.
        """
        if not is_token(method) or method in NOT_PLAIN:
            raise LocalProtocolError(f"expected a method without a command of its own, found {method!a}")
        rows = check_rows_of(body, headers)
        routes = routes or self._routes_of(account)
        transport = account.transport if account is not None else None
        where = self._find_way(target, account, local_uri, contact_user, destination, routes, transport)
        plain_target = Target(target, *where, body, rows, routes, transport)
        handle = self._stack.new_handle()
        is_told = bool(routes) or plain_target.destination is not None
        authentication = self._authentication_of(account, target, is_told=is_told, is_asked=False)
        request = PlainRequest(self._stack, handle, method, plain_target, authentication)
        self._requests[handle] = request
        request.start(now=self._advance(now))
        return handle

    def request_in_call(
        self, call: int, method: str, *, headers: HeaderRows = (), body: bytes = b"", now: Nanos
    ) -> int:
        """Send a request within a call, early or answered, that does not change it: INFO, MESSAGE, OPTIONS, NOTIFY.

        It ends with `RequestSucceeded` or `RequestFailed`. A 481 means that the peer has lost the call, which is
        given up then.

        Args:
            call: handle.
            method: any that has no command of its own.
            headers: further rows; Content-Type is due with a body.
            body: the body.

        Returns:
            The handle of the request.
        """
        if not is_token(method) or method in _OWN_METHODS:
            raise LocalProtocolError(f"expected a method without a command of its own, found {method!a}")
        rows = check_rows_of(body, headers)
        machine = self._call(call)
        machine.require_leg()
        handle = self._stack.new_handle()
        machine.request(handle, method, rows, body, now=self._advance(now))
        return handle

    # getters

    def call_snapshot(self, call: int) -> CallSnapshot:
        """Return a call as it is."""
        return self._call(call).snapshot()

    # what the user agent adds

    def _advance(self, now: Nanos) -> Nanos:
        raise NotImplementedError

    def _routes_of(self, account: Account | None) -> tuple[str, ...]:
        """Return the routes that requests of an account begin with."""
        return account.routes if account is not None else ()

    # private

    def _find_way(
        self,
        target: str,
        account: Account | None,
        local_uri: str | None,
        contact_user: str,
        destination: Hop | None,
        routes: tuple[str, ...],
        transport: Transport | None,
    ) -> tuple[str, str, str, Hop | None]:
        """Return From, Contact, its user part, and where a request goes if that is told."""
        uri = check_called_uri(target, "target")
        contact_user = contact_user or (account.contact_user if account is not None else "")
        if destination is None:
            destination = account.destination if account is not None else None
        if isinstance(uri, SipUri) and uri.headers:
            raise LocalProtocolError(f"expected a target without headers, which go as such, found {target!a}")
        if isinstance(uri, TelUri) and destination is None and not routes:
            raise LocalProtocolError(f"expected to be told where {target} is called, found no destination and no route")
        next_uri = uri_over(parse_name_addr(routes[0]).uri if routes else target, transport)
        if (hop := destination or literal_hop(next_uri)) is not None:
            self._stack.check_hop(hop)
        contact = self._stack.contact_for(contact_user, next_uri, destination)
        local_uri = local_uri or (account.aor if account is not None else contact)
        check_called_uri(local_uri, "local URI")
        return local_uri, contact, contact_user, destination

    def _authentication_of(
        self, account: Account | None, target: str, *, is_told: bool, is_asked: bool
    ) -> Authentication:
        """Return who answers the challenges to a request.

        What home has asked for is said to home only: a stranger could use it there. Another place that our user wants
        to reach may ask for answers of its own, one that a peer wants us to call may not.

        Args:
            target: the Request-URI.
            is_told: it goes along routes, or to a destination that the account or the command names.
            is_asked: it was a peer who named the target.
        """
        ids = self._stack.ids
        if account is None:
            return Authentication(None, ids)
        if is_told or _place_of(target) == _place_of(account.registrar):
            return Authentication(account.credentials, ids, self._stack.realms.get(account.contact_user))
        authentication, hop = Authentication(account.credentials, ids), literal_hop(target)
        if is_asked and (hop is None or not authentication.is_home(hop, None)):
            return Authentication(None, ids)
        return authentication

    def _call(self, call: int) -> Call:
        machine = self._calls.get(call)
        if machine is None:
            raise LocalProtocolError(f"expected the handle of a call, found {call}")
        return machine

    def _inbound(self, call: int) -> InboundCall:
        machine = self._call(call)
        if not isinstance(machine, InboundCall):
            raise LocalProtocolError(f"expected an inbound call, found outbound call {call}")
        return machine

    def _transfers(self, transfer: int) -> Transfers:
        call = self._stack.transfers.get(transfer)
        if not isinstance(call, Call):
            raise LocalProtocolError(f"expected the handle of a transfer that the peer asked for, found {transfer}")
        return call.transfers

    def _require_accepted(self, transfer: int) -> Transfers:
        transfers = self._transfers(transfer)
        if not transfers.is_accepted(transfer):
            raise LocalProtocolError(f"expected transfer {transfer} to be accepted and open, found it is not")
        return transfers


def _place_of(text: str) -> tuple[str, int] | None:
    """Return host and port that a SIP URI names, None for another URI."""
    try:
        uri = parse_uri(text)
    except RemoteProtocolError:
        return None
    return uri.host.lower(), uri.port or DEFAULT_PORT
