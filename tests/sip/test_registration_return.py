"""Registrations that fail, are lost, and come back. Source: RFC 3261 10.2, RFC 5626 4.4, 4.5, RFC 6076 4.1."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from itertools import pairwise

import pytest

from cmw.core.clock import SECOND, Nanos
from cmw.core.ids import Ids
from cmw.errors import LocalProtocolError
from cmw.sip.account import Account
from cmw.sip.events import (
    RegistrationDelayed,
    RegistrationEnded,
    RegistrationFailed,
    RegistrationLost,
    RegistrationSucceeded,
)
from cmw.sip.hop import Hop, Transport
from cmw.sip.message import Request, Response, make_response, parse_message, serialize_message
from cmw.sip.registration_snapshot import RegistrationState
from cmw.sip.retry_policy import RetryPolicy
from cmw.sip.user_agent import UserAgent
from tests.support.ids import CountingIds
from tests.support.registering import ACCOUNT, CONTACT, REGISTRAR, US, Stage
from tests.support.sip_link import listen_at
from tests.support.sip_party import SDP

PATIENT = dataclasses.replace(ACCOUNT, retry=RetryPolicy(first_tries=None))


def kinds(stage: Stage) -> list[str]:
    return [type(event).__name__.removeprefix("Registration") for event in stage.events()]


def count(stage: Stage) -> int:
    """Return how many REGISTERs came, each once."""
    return len({request.cseq.number for request in stage.party.requests("REGISTER")})


def registered(account: Account = ACCOUNT, *, expires_s: int = 300) -> Stage:
    stage = Stage()
    stage.register(account)
    stage.accept(expires_s)
    return stage


# --- failures ---


def test_a_first_failure_is_the_end_unless_the_policy_says_otherwise() -> None:
    stage = Stage()
    stage.register(dataclasses.replace(ACCOUNT, retry=RetryPolicy(first_tries=2)))
    stage.respond(503)
    (delayed,) = stage.events()
    assert isinstance(delayed, RegistrationDelayed)
    assert (delayed.status, delayed.again_at - delayed.at) == (503, 45 * SECOND)  # half way from 30 to 60 s
    assert stage.agent.registration_snapshot(stage.handle).state is RegistrationState.WAITING
    stage.run(44)
    assert count(stage) == 1
    stage.run(2)
    assert count(stage) == 2
    stage.respond(503)
    assert kinds(stage) == ["Delayed", "Failed"]


def test_tries_of_one_registration_have_one_call_id_and_rising_numbers() -> None:
    """RFC 3261 10.2.4."""
    stage = Stage()
    stage.register(PATIENT)
    for _ in range(4):
        stage.respond(500)
        stage.run(2000)
    requests = {request.cseq.number: request for request in stage.party.requests("REGISTER")}
    numbers = list(requests)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len({request.call_id for request in requests.values()}) == 1
    assert len({request.from_.tag for request in requests.values()}) == 1


@pytest.mark.parametrize("status", [403, 404, 405, 600])
def test_what_will_not_pass_is_the_end_even_for_the_patient(status: int) -> None:
    stage = Stage()
    stage.register(PATIENT)
    stage.respond(status)
    assert kinds(stage) == ["Failed"]


def test_retry_after_is_respected() -> None:
    stage = Stage()
    stage.register(PATIENT)
    stage.respond(503, [("Retry-After", "300 (maintenance)")])
    stage.run(299)
    assert count(stage) == 1
    stage.run(20)
    assert count(stage) == 2


def test_silence_and_network_errors_are_retried() -> None:
    stage = Stage()
    stage.register(PATIENT)
    stage.run(33)
    assert kinds(stage) == ["Delayed"]
    stage.run(46)
    stage.agent.transport_failed(REGISTRAR, "Connection refused", now=stage.link.now)
    stage.run(0.01)
    assert [type(event) for event in stage.events()] == [RegistrationDelayed] * 2
    assert stage.events()[-1].reason == "Connection refused"  # type: ignore[attr-defined]


def test_a_lifetime_of_zero_is_no_registration() -> None:
    stage = Stage()
    stage.register()
    stage.accept(0)
    (failed,) = stage.events()
    assert isinstance(failed, RegistrationFailed)
    assert failed.reason == "the registrar granted no lifetime"


# --- refreshes ---


def test_a_refresh_that_fails_is_tried_again_while_the_binding_stands() -> None:
    stage = registered()
    stage.run(240.1)
    stage.respond(503)
    stage.run(32)
    assert count(stage) == 3
    assert kinds(stage) == ["Succeeded", "Delayed"]
    stage.accept()
    assert kinds(stage) == ["Succeeded", "Delayed", "Succeeded"]
    assert stage.agent.registration_snapshot(stage.handle).figures.losses == 0


def test_a_binding_that_runs_out_is_told_and_so_is_its_return() -> None:
    stage = registered(expires_s=60)
    stage.run(49)
    stage.respond(503, [("Retry-After", "20")])
    stage.run(10)
    assert kinds(stage) == ["Succeeded", "Delayed"]
    stage.run(2)
    lost = stage.events()[-1]
    assert isinstance(lost, RegistrationLost)
    assert (lost.status, lost.reason) == (503, "Service Unavailable")
    stage.run(60)
    stage.accept()
    assert kinds(stage) == ["Succeeded", "Delayed", "Lost", "Succeeded"]
    figures = stage.agent.registration_snapshot(stage.handle).figures
    assert (figures.losses, figures.retries, figures.refreshes, figures.failures) == (1, 1, 1, 0)


def test_giving_up_after_it_stood() -> None:
    stage = registered(dataclasses.replace(ACCOUNT, retry=RetryPolicy(later_tries=2)))
    stage.run(240.1)
    stage.respond(500)
    stage.run(40)
    stage.respond(500)
    assert kinds(stage) == ["Succeeded", "Delayed", "Failed"]


@pytest.mark.parametrize("expires_s", [1, 2, 5])
def test_a_short_life_is_refreshed_in_time(expires_s: int) -> None:
    stage = registered(expires_s=expires_s)
    stage.run(expires_s * 0.9)
    assert count(stage) == 2
    stage.accept(expires_s)
    assert kinds(stage) == ["Succeeded", "Succeeded"]


# --- leaving ---


def test_leaving_while_it_waits_ends_at_once_when_nothing_stands() -> None:
    stage = Stage()
    stage.register(PATIENT)
    stage.respond(503)
    stage.agent.unregister(stage.handle, now=stage.link.now)
    stage.run(1000)
    assert kinds(stage) == ["Delayed", "Ended"]
    assert count(stage) == 1


def test_leaving_while_it_waits_removes_what_stands() -> None:
    stage = registered()
    stage.run(240.1)
    stage.respond(503)
    stage.agent.unregister(stage.handle, now=stage.link.now)
    stage.run(0.02)
    assert stage.last().headers.get("Expires") == "0"
    stage.respond(200)
    assert kinds(stage)[-1] == "Ended"


def test_leaving_during_a_refresh_that_fails_removes_what_stands() -> None:
    stage = registered()
    stage.run(240.1)
    stage.agent.unregister(stage.handle, now=stage.link.now)
    stage.respond(503)
    assert stage.last().headers.get("Contact") == f"{CONTACT};expires=0"
    stage.respond(200)
    assert kinds(stage) == ["Succeeded", "Ended"]


def test_an_un_register_that_fails_is_not_repeated_for_ever() -> None:
    stage = registered()
    stage.run(240.1)
    stage.agent.unregister(stage.handle, now=stage.link.now)
    stage.respond(503)
    stage.run(0.02)
    stage.respond(503)
    assert kinds(stage) == ["Succeeded", "Failed"]


def test_the_star_removes_all_when_wanted() -> None:
    """RFC 3261 10.2.2."""
    stage = registered(dataclasses.replace(ACCOUNT, removes_all=True))
    stage.agent.unregister(stage.handle, now=stage.link.now)
    stage.run(0.02)
    assert (stage.last().headers.get_all("Contact"), stage.last().headers.get("Expires")) == (["*"], "0")


# --- what a REGISTER says ---


def test_contacts_preferences_and_further_headers() -> None:
    stage = Stage()
    account = dataclasses.replace(
        ACCOUNT,
        q=0.5,
        contacts=("<sip:alice@192.0.2.77>;q=0.1", "<sip:alice@192.0.2.78>;expires=60"),
        headers=(("X-Site", "lab 7"),),
        routes=("<sip:127.0.0.2;lr>",),
    )
    stage.register(account)
    register = stage.last()
    assert register.headers.get_all("Contact") == [
        f"{CONTACT};expires=300;q=0.5",
        "<sip:alice@192.0.2.77>;q=0.1;expires=300",
        "<sip:alice@192.0.2.78>;expires=60",
    ]
    assert register.headers.get("X-Site") == "lab 7"
    assert register.headers.get("Supported") == "path"
    assert register.headers.get_all("Route") == ["<sip:127.0.0.2;lr>"]
    stage.accept()
    stage.agent.unregister(stage.handle, now=stage.link.now)
    stage.run(0.02)
    assert all(row.endswith(";expires=0") for row in stage.last().headers.get_all("Contact"))


def test_a_flow_is_asked_for_and_done_without_where_no_proxy_keeps_it() -> None:
    """RFC 5626 4.2.1."""
    stage = Stage()
    urn = "urn:uuid:00000000-0000-4000-8000-000000000001"
    stage.register(dataclasses.replace(ACCOUNT, instance=urn, reg_id=1))
    contact = stage.last().headers.get("Contact") or ""
    assert contact.endswith(f';+sip.instance="<{urn}>";reg-id=1')
    assert stage.last().headers.get("Supported") == "path, outbound"
    stage.respond(439)
    assert "reg-id" not in (stage.last().headers.get("Contact") or "")
    assert stage.last().headers.get("Supported") == "path"
    stage.accept()
    assert kinds(stage) == ["Succeeded"]


@pytest.mark.parametrize(
    "fields",
    [
        {"q": 1.5},
        {"reg_id": 1},
        {"instance": 'urn:"'},
        {"headers": (("X-Site", "a\r\nb"),)},
        {"headers": (("Contact", "<sip:a@b>"),)},
        {"contacts": ("<tel:1>",)},
        {"routes": ("nonsense",)},
        {"aor": "tel:1"},
    ],
)
def test_an_account_that_makes_no_register_is_refused(fields: dict[str, object]) -> None:
    stage = Stage()
    with pytest.raises(LocalProtocolError):
        stage.agent.register(dataclasses.replace(ACCOUNT, **fields), now=0)  # type: ignore[arg-type]
    assert stage.agent.counters["registrations"] == 0


def test_one_account_binds_several_contacts() -> None:
    stage = registered()
    stage.agent.register(dataclasses.replace(ACCOUNT, contact_user="alice-2"), now=stage.link.now)
    stage.run(0.02)
    assert stage.agent.counters["registrations"] == 2
    other = dataclasses.replace(ACCOUNT, aor="sip:eve@lab.example")
    with pytest.raises(LocalProtocolError):
        stage.agent.register(other, now=stage.link.now)


# --- redirection ---


def test_a_redirection_is_followed_for_this_time_or_for_good() -> None:
    stage = Stage()
    stage.register()
    stage.respond(302, [("Contact", "<sip:127.0.0.2:5060;x=1>")])
    assert stage.last().uri == "sip:127.0.0.2:5060;x=1"
    stage.accept()
    stage.run(240.1)
    assert stage.last().uri == "sip:lab.example"
    stage.respond(301, [("Contact", "<sip:127.0.0.2:5060;x=2>")])
    stage.accept()
    stage.run(240.1)
    assert stage.last().uri == "sip:127.0.0.2:5060;x=2"
    assert stage.agent.registration_snapshot(stage.handle).figures.redirects == 2


def test_redirections_are_bounded() -> None:
    stage = Stage()
    stage.register()
    for number in range(20):
        if kinds(stage):
            break
        stage.respond(302, [("Contact", f"<sip:127.0.0.2:5060;x={number}>")])
    assert count(stage) == 6
    assert kinds(stage) == ["Failed"]


def test_a_redirection_to_where_we_were_ends_it() -> None:
    stage = Stage()
    stage.register()
    stage.respond(302, [("Contact", "<sip:lab.example>")])
    assert kinds(stage) == ["Failed"]


# --- what is told ---


def test_the_snapshot_tells_what_the_registrar_said_and_what_it_took() -> None:
    stage = Stage()
    stage.register()
    stage.challenge("n1")
    stage.respond(
        200,
        [
            ("Contact", f"{CONTACT};expires=200"),
            ("Contact", "<sip:alice@192.0.2.99>;expires=60;q=0.3"),
            ("Path", "<sip:edge.example;lr>"),
            ("Service-Route", "<sip:out.example;lr>"),
            ("P-Associated-URI", "<sip:alice2@lab.example>"),
            ("Date", "Sat, 13 Nov 2010 23:29:00 GMT"),
        ],
    )
    snapshot = stage.agent.registration_snapshot(stage.handle)
    assert snapshot.state is RegistrationState.REGISTERED
    assert snapshot.contact == "sip:alice@127.0.0.1:5060"
    answer, figures = snapshot.answer, snapshot.figures
    assert answer is not None
    assert [each.uri for each in answer.others] == ["sip:alice@192.0.2.99"]
    assert answer.paths == ("<sip:edge.example;lr>",)
    assert answer.service_routes == ("<sip:out.example;lr>",)
    assert answer.associated_uris == ("<sip:alice2@lab.example>",)
    assert (figures.tries, figures.challenges, figures.unlisted) == (1, 1, 0)
    assert figures.round_trip_ns is not None
    assert figures.try_ns is not None
    assert 0 < figures.round_trip_ns < figures.try_ns
    assert snapshot.stands_until is not None
    assert figures.registered_at is not None
    assert snapshot.stands_until - figures.registered_at == 200 * SECOND
    assert snapshot.flow == REGISTRAR


def test_calls_of_the_account_go_out_by_the_service_route() -> None:
    """RFC 3608 6.1: in the order given, in place of the account's own routes."""
    stage = Stage()
    stage.register(dataclasses.replace(ACCOUNT, routes=("<sip:127.0.0.2;lr>",)))
    routes = ["<sip:127.0.0.2:5060;lr>", "<sip:out.example;lr>"]
    stage.respond(200, [("Contact", f"{CONTACT};expires=300"), *[("Service-Route", route) for route in routes]])
    account = stage.agent.registration_snapshot(stage.handle).account
    stage.agent.invite("sip:bob@lab.example", account=account, body=SDP, now=stage.link.now)
    stage.run(0.02)
    assert stage.last("INVITE").headers.get_all("Route") == routes
    stage.run(240.1)
    assert stage.last().headers.get_all("Route") == ["<sip:127.0.0.2;lr>"]  # REGISTER keeps to its own
    stage.accept()
    stage.agent.invite("sip:bob@lab.example", account=account, body=SDP, now=stage.link.now)
    stage.run(0.02)
    assert stage.last("INVITE").headers.get_all("Route") == ["<sip:127.0.0.2;lr>"]


def test_a_200_without_our_contact_is_taken_and_counted() -> None:
    stage = Stage()
    stage.register()
    stage.respond(200, [("Contact", "<sip:alice@192.0.2.99>;expires=5"), ("Expires", "90")])
    assert kinds(stage) == ["Succeeded"]
    snapshot = stage.agent.registration_snapshot(stage.handle)
    assert snapshot.figures.unlisted == 1


# --- connections ---

US_TCP = Hop("127.0.0.1", 5060, Transport.TCP)
REGISTRAR_TCP = Hop("127.0.0.2", 5060, Transport.TCP)
ACCOUNT_TCP = dataclasses.replace(ACCOUNT, destination=REGISTRAR_TCP)


class Connection:
    """A user agent whose registrar is behind numbered connections."""

    def __init__(self, count: int = 1, *, ids: Ids | None = None, returns_per_s: int = 200) -> None:
        listeners = listen_at(US, US_TCP)
        self.agent = UserAgent(listeners=listeners, ids=ids or CountingIds(), returns_per_s=returns_per_s)
        self.now: Nanos = 0
        self.flow = 1
        self.up = True
        self.sent: list[tuple[Nanos, Request]] = []
        self.events: list[object] = []
        self.handles = [
            self.agent.register(
                dataclasses.replace(ACCOUNT_TCP, aor=f"sip:u{n}@lab.example", contact_user=f"u{n}"), now=0
            )
            for n in range(count)
        ]
        self.drain()

    def drain(self) -> None:
        busy = True
        while busy:
            busy = False
            for datagram in self.agent.datagrams_to_send():
                busy = True
                request = parse_message(datagram.data)
                assert isinstance(request, Request)
                self.sent.append((self.now, request))
                if self.up:
                    self._accept(request)
                else:
                    self.agent.transport_failed(datagram.destination, "Connection refused", now=self.now)
            while (event := self.agent.next_event()) is not None:
                busy = True
                self.events.append(event)

    def _accept(self, request: Request) -> None:
        contact = (request.headers.get("Contact") or "").partition(";expires")[0]
        answer: Response = make_response(request, 200, to_tag="t", headers=[("Contact", f"{contact};expires=3600")])
        self.agent.receive_datagram(serialize_message(answer), REGISTRAR_TCP._replace(flow=self.flow), now=self.now)

    def run(self, until: Nanos) -> None:
        while (deadline := self.agent.next_timeout()) is not None and deadline.at <= until:
            self.now = max(self.now, deadline.at)
            self.agent.handle_timeout(now=self.now)
            self.drain()
        self.now = until

    def lose(self) -> None:
        self.agent.flow_lost(self.flow, REGISTRAR_TCP, "closed by the peer", now=self.now)
        self.flow += 1
        self.drain()

    def count(self, kind: type) -> int:
        return sum(isinstance(event, kind) for event in self.events)


def test_a_lost_connection_is_told_and_made_good_over_a_new_one() -> None:
    """RFC 5626 4.4.1: same Call-ID, CSeq rising."""
    lab = Connection()
    lab.run(200 * SECOND)
    lab.lose()
    lost = lab.events[1]
    assert isinstance(lost, RegistrationLost)
    assert lost.reason == "closed by the peer"
    lab.run(202 * SECOND)
    assert [type(event) for event in lab.events] == [
        RegistrationSucceeded,
        RegistrationLost,
        RegistrationDelayed,
        RegistrationSucceeded,
    ]
    (_, first), (_, second) = lab.sent
    assert second.call_id == first.call_id
    assert second.cseq.number == first.cseq.number + 1
    snapshot = lab.agent.registration_snapshot(lab.handles[0])
    assert snapshot.flow == REGISTRAR_TCP._replace(flow=2)


def test_a_connection_that_does_not_last_is_a_failure() -> None:
    """RFC 5626 4.5: the wait grows as long as connections do not live for two minutes."""
    lab = Connection()
    lab.lose()
    lab.run(29 * SECOND)
    assert len(lab.sent) == 1
    lab.run(61 * SECOND)
    assert len(lab.sent) == 2


def test_the_loss_of_a_connection_that_is_not_ours_changes_nothing() -> None:
    lab = Connection()
    lab.agent.flow_lost(77, REGISTRAR_TCP, "closed", now=SECOND)
    lab.drain()
    assert [type(event) for event in lab.events] == [RegistrationSucceeded]


STORM = 5000


class UnevenIds(CountingIds):
    """Spreads what is random evenly, in an order without meaning."""

    def unit(self) -> float:
        return (self._count() * 0.6180339887498949) % 1.0


def test_a_storm_comes_back_spread_out() -> None:
    """The registrar goes down with 5,000 registrations on it and is back after five minutes."""
    lab = Connection(STORM, ids=UnevenIds())
    lab.run(200 * SECOND)
    lab.sent.clear()
    lab.up = False
    lab.lose()
    lab.run(500 * SECOND)
    assert lab.agent.counters["registrations_standing"] == 0
    lab.up = True
    lab.run(3000 * SECOND)
    assert lab.agent.counters["registrations_standing"] == STORM
    assert lab.count(RegistrationLost) == STORM
    assert lab.count(RegistrationFailed) == 0
    by_second: dict[int, int] = defaultdict(int)
    by_call: dict[str, list[Nanos]] = defaultdict(list)
    for at, request in lab.sent:
        by_second[at // SECOND] += 1
        by_call[request.call_id].append(at)
    assert max(by_second.values()) <= 203  # the bound, and what one late turn makes good
    waits = [later - earlier for tries in by_call.values() for earlier, later in pairwise(tries)]
    assert min(waits) >= 30 * SECOND
    assert max(at for at, _ in lab.sent) < 1000 * SECOND  # twice the longest wait that had built up by then


def test_all_who_lose_one_connection_come_back_at_the_bounded_rate() -> None:
    lab = Connection(1000, returns_per_s=100)
    lab.run(200 * SECOND)
    lab.sent.clear()
    lab.lose()
    lab.run(205 * SECOND)
    assert 380 <= len(lab.sent) <= 505
    lab.run(212 * SECOND)
    assert lab.agent.counters["registrations_standing"] == 1000
    assert lab.agent.counters["registrations_queued"] == 0


def test_leaving_the_queue() -> None:
    lab = Connection(10, returns_per_s=1)
    lab.run(200 * SECOND)
    lab.lose()
    lab.run(202 * SECOND)
    for handle in lab.handles:
        lab.agent.unregister(handle, now=lab.now)
    lab.drain()
    lab.run(300 * SECOND)
    assert lab.count(RegistrationEnded) == 10
    assert lab.agent.counters["registrations"] == lab.agent.counters["registrations_queued"] == 0
