"""The small print of RFC 3261, section by section: what no other scenario shows."""

from __future__ import annotations

import re

import pytest

from cmw.core.clock import SECOND
from cmw.errors import LocalProtocolError
from cmw.sip import CallOptions
from cmw.sip.call_state import CallState
from cmw.sip.events import (
    CallCancelled,
    CallConfirmed,
    CallEnded,
    CallOffered,
    CallReofferRejected,
    CallTimedOut,
    DatagramDiscarded,
    DiscardReason,
    Ending,
    RequestSucceeded,
    TimeoutStage,
)
from cmw.sip.message import Request, Response
from cmw.sip.option_tags import Support
from tests.support.call_stage import ALICE, BOB, HELD, CalledParty, CallingParty, Stage
from tests.support.sip_party import SDP, Party

BOB_URI = "sip:bob@127.0.0.2"


class Called(Stage):
    """Bob listens; the test sends him what it likes."""

    def __init__(self) -> None:
        super().__init__(BOB)
        self.bob = self.agents[BOB]
        self.party = Party(self.link, ALICE)

    def ask(self, method: str, **more: object) -> Response:
        """Send a request; return the last answer."""
        self.party.send(self.party.request(method, BOB_URI, **more), BOB)  # type: ignore[arg-type]
        return self.party.responses(method)[-1]


# 8.1 UAC behaviour


def test_8_1_1_an_invite_has_what_every_request_needs_and_says_what_we_can() -> None:
    invite = CallingParty().invite
    assert invite.headers.get("Max-Forwards") == "70"
    assert invite.to.tag is None
    assert invite.from_.tag
    assert invite.cseq.method == "INVITE"
    assert 0 < invite.cseq.number < 2**31
    assert len(invite.headers.get_all("Contact")) == 1
    assert len(invite.headers.get_all("Via")) == 1
    assert (invite.top_via.branch or "").startswith("z9hG4bK")
    assert "UPDATE" in invite.headers.get_tokens("Allow")
    assert "100rel" in invite.headers.get_tokens("Supported")
    assert invite.headers.get("Content-Length") == str(len(SDP))


def test_8_1_1_1_a_target_with_headers_is_refused() -> None:
    stage = Stage(ALICE)
    with pytest.raises(LocalProtocolError, match="without headers"):
        stage.agents[ALICE].invite("sip:bob@127.0.0.2?Subject=x", now=0)


def test_8_1_3_2_a_response_that_nobody_knows_is_taken_by_its_class() -> None:
    stage = CallingParty()
    stage.respond(199 - 1)
    assert stage.snapshot().state is CallState.PROCEEDING
    stage.respond(299, body=SDP)
    assert stage.snapshot().state is CallState.CONFIRMED


def test_8_1_3_3_a_response_with_two_vias_is_not_ours() -> None:
    stage = CallingParty()
    response = stage.party.respond(stage.invite, 180, destination=BOB)
    response.headers.add("Via", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx")
    stage.party.send(response, ALICE)
    assert stage.last(ALICE, DatagramDiscarded).reason is DiscardReason.SEVERAL_VIAS
    assert stage.snapshot().state is CallState.CALLING


def test_18_1_2_a_response_with_the_via_of_another_host_is_not_ours() -> None:
    stage = CallingParty()
    response = stage.party.respond(stage.invite, 180, destination=BOB)
    via = response.headers.get("Via") or ""
    for foreign in (via.replace("127.0.0.1:5060", "127.0.0.9:5060"), via.replace("127.0.0.1:5060", "127.0.0.1:5090")):
        response.headers.replace_first("Via", foreign)
        stage.party.send(response, ALICE)
        assert stage.last(ALICE, DatagramDiscarded).reason is DiscardReason.FOREIGN_VIA
    assert stage.snapshot().state is CallState.CALLING
    response.headers.replace_first("Via", via.replace("127.0.0.1:5060", "127.0.0.1"))  # the default port goes unsaid
    stage.party.send(response, ALICE)
    assert stage.snapshot().state is CallState.PROCEEDING


# 8.2 UAS behaviour


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_8_2_2_3_require_means_nothing_in_ack_and_cancel(method: str) -> None:
    stage = CalledParty()
    if method == "ACK":
        stage.bob.answer(stage.call, body=SDP, now=stage.now)
        stage.run()
        stage.tell("ACK", cseq=1, headers=[("Require", "frob")])
        assert stage.events(BOB, CallConfirmed)
    else:
        branch = stage.invite.top_via.branch or ""
        cancel = stage.party.request("CANCEL", BOB_URI, branch=branch, headers=[("Require", "frob")])
        stage.party.send(cancel, BOB)
        assert stage.answer("CANCEL").status == 200
        assert stage.events(BOB, CallCancelled)


def test_8_2_2_3_an_extension_that_a_proxy_must_know_is_none_of_ours() -> None:
    assert Called().ask("OPTIONS", headers=[("Proxy-Require", "frob")]).status == 200


def test_8_2_2_3_a_bye_may_require_too_much() -> None:
    stage = CalledParty().established()
    stage.tell("BYE", cseq=2, headers=[("Require", "frob")])
    assert (stage.answer("BYE").status, stage.answer("BYE").headers.get("Unsupported")) == (420, "frob")
    stage.tell("BYE", cseq=3)
    assert stage.answer("BYE").status == 200


def test_8_2_3_options_are_refused_for_a_body_as_an_invite_would_be() -> None:
    answer = Called().ask("OPTIONS", headers=[("Content-Type", "text/plain")], body=b"x")
    assert (answer.status, answer.headers.get("Accept")) == (415, "application/sdp")
    answer = Called().ask("OPTIONS", headers=[("Content-Encoding", "gzip")], body=SDP)
    assert (answer.status, answer.headers.get("Accept-Encoding")) == (415, "identity")


@pytest.mark.parametrize(
    ("disposition", "status", "offer"),
    [
        ("session", 100, SDP),
        ("Session;handling=required", 100, SDP),
        ("early-session;handling=optional", 100, b""),
        ("early-session", 415, None),
    ],
)
def test_8_2_3_a_description_of_something_else_is_no_offer(disposition: str, status: int, offer: bytes | None) -> None:
    stage = CalledParty(headers=[("Content-Disposition", disposition)])
    assert stage.party.statuses("INVITE") == [status]
    assert [each.body for each in stage.events(BOB, CallOffered)] == ([] if offer is None else [offer])


def test_8_2_6_1_the_100_carries_the_timestamp_and_no_tag() -> None:
    stage = CalledParty(headers=[("Timestamp", "54.3")])
    trying = stage.party.responses("INVITE")[0]
    assert (trying.status, trying.headers.get("Timestamp"), trying.to.tag) == (100, "54.3", None)


@pytest.mark.parametrize("method", ["OPTIONS", "MESSAGE", "BYE", "FROB", "SUBSCRIBE", "REGISTER", "CANCEL", "REFER"])
def test_8_2_6_2_every_answer_copies_what_it_must_and_has_a_tag(method: str) -> None:
    stage = Called()
    request = stage.party.request(method, BOB_URI)
    stage.party.send(request, BOB)
    [answer] = stage.party.responses(method)
    for name in ("From", "Call-ID", "CSeq"):
        assert answer.headers.get_all(name) == request.headers.get_all(name)
    assert len(answer.headers.get_all("Via")) == 1
    assert answer.to.tag
    assert answer.headers.get("Content-Length") == "0"


def test_8_2_6_2_all_vias_are_copied_in_their_order() -> None:
    stage = Called()
    request = stage.party.request("OPTIONS", BOB_URI)
    others = ["SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa", "SIP/2.0/TCP a.example;branch=z9hG4bKb"]
    for via in others:
        request.headers.add("Via", via)
    stage.party.send(request, BOB)
    assert stage.party.responses("OPTIONS")[-1].headers.get_all("Via")[1:] == others


def test_8_2_6_2_a_tag_that_is_there_stays() -> None:
    answer = Called().ask("OPTIONS", to=f"<{BOB_URI}>;tag=theirs")
    assert (answer.status, answer.to.tag) == (481, "theirs")


# 9 CANCEL


def test_9_1_a_cancel_is_built_of_its_invite() -> None:
    stage = CallingParty(headers=[("Require", "timer"), ("X-Lab", "1")])
    stage.respond(180)
    stage.alice.hang_up(stage.call, now=stage.now)
    stage.run()
    [cancel] = stage.party.requests("CANCEL")
    assert cancel.uri == stage.invite.uri
    for name in ("Via", "From", "To", "Call-ID", "Max-Forwards", "Route"):
        assert cancel.headers.get_all(name) == stage.invite.headers.get_all(name)
    assert cancel.cseq == (stage.invite.cseq.number, "CANCEL")
    assert "Require" not in cancel.headers
    assert "Proxy-Require" not in cancel.headers


def test_9_2_the_answers_to_cancel_and_invite_have_one_tag() -> None:
    stage = CalledParty()
    stage.bob.ring(stage.call, now=stage.now)
    stage.party.send(stage.party.request("CANCEL", BOB_URI, branch=stage.invite.top_via.branch or ""), BOB)
    tags = {each.to.tag for each in stage.party.received if isinstance(each, Response) and each.status > 100}
    assert stage.party.statuses("INVITE")[-1] == 487
    assert len(tags) == 1


def test_9_2_a_cancel_of_an_invite_that_was_refused_is_answered_with_its_tag() -> None:
    stage = Called()
    invite = stage.party.request("INVITE", BOB_URI, headers=[("Require", "frob")])
    stage.party.send(invite, BOB)
    stage.party.send(stage.party.request("CANCEL", BOB_URI, branch=invite.top_via.branch or ""), BOB)
    refused, cancelled = stage.party.responses("INVITE")[-1], stage.party.responses("CANCEL")[-1]
    assert (refused.status, cancelled.status) == (420, 200)
    assert refused.to.tag == cancelled.to.tag is not None


def test_9_2_a_cancel_of_another_request_has_no_effect_and_gets_200() -> None:
    stage = Called()
    stage.ask("OPTIONS", branch="z9hG4bKone")
    answer = stage.ask("CANCEL", branch="z9hG4bKone")
    assert answer.status == 200
    assert answer.to.tag
    assert stage.party.statuses("OPTIONS") == [200]


# 11 OPTIONS


def test_11_1_we_ask_for_what_we_can_read() -> None:
    stage = Stage(ALICE)
    party = Party(stage.link, BOB)
    stage.agents[ALICE].request("OPTIONS", BOB_URI, now=0)
    stage.run()
    [options] = party.requests("OPTIONS")
    assert options.headers.get("Accept") == "application/sdp"
    assert "timer" in options.headers.get_tokens("Supported")
    party.respond(options, 200, destination=ALICE)
    assert stage.last(ALICE, RequestSucceeded).status == 200


def test_11_2_the_answer_says_all_that_it_should() -> None:
    shown = {name for name, _ in Called().ask("OPTIONS").headers}
    assert {"Allow", "Accept", "Accept-Encoding", "Accept-Language", "Supported"} <= shown


@pytest.mark.parametrize("status", [486, 503, 200])
def test_11_2_options_may_be_answered_as_an_invite_would_be(status: int) -> None:
    stage = Called()
    stage.bob.set_inbound_options(CallOptions(options_status=status))
    answer = stage.ask("OPTIONS")
    assert answer.status == status
    assert "INVITE" in answer.headers.get_tokens("Allow")
    with pytest.raises(LocalProtocolError):
        CallOptions(options_status=100)


# 12 dialogs


def test_12_1_1_the_route_and_the_contact_are_in_every_response_that_makes_a_dialog() -> None:
    routes = ["<sip:p2.example;lr>", "<sip:p1.example;lr;x=1>"]
    stage = CalledParty(headers=[("Record-Route", route) for route in routes])
    stage.bob.ring(stage.call, now=stage.now)
    stage.bob.ring(stage.call, status=183, body=SDP, now=stage.now)
    stage.bob.answer(stage.call, body=SDP, now=stage.now)
    stage.run()
    makers = [each for each in stage.party.responses("INVITE") if each.status > 100]
    assert [each.status for each in makers] == [180, 183, 200]
    for response in makers:
        assert response.headers.get_all("Record-Route") == routes
        assert re.fullmatch(r"<sip:bob@127\.0\.0\.2:5060>", response.headers.get("Contact") or "")
    assert "Supported" in makers[-1].headers
    assert "INFO" in makers[-1].headers.get_tokens("Allow")


@pytest.mark.parametrize(
    ("uri", "rows", "is_secure"),
    [
        ("sips:bob@127.0.0.2", [], True),
        (BOB_URI, [("Record-Route", "<sips:p.example;lr>"), ("Record-Route", "<sip:q.example;lr>")], True),
        (BOB_URI, [("Record-Route", "<sip:p.example;lr>"), ("Contact", "<sips:a@h>")], False),
        (BOB_URI, [("Contact", "<SIPS:alice@pc.example>")], True),
        (BOB_URI, [], False),
    ],
)
def test_12_1_1_the_contact_is_as_secure_as_the_way(uri: str, rows: list[tuple[str, str]], is_secure: bool) -> None:
    stage = Called()
    invite = stage.party.request("INVITE", uri, body=SDP)
    for name, value in rows:
        if name == "Contact":
            invite.headers.set(name, value)
        else:
            invite.headers.add(name, value)
    stage.party.send(invite, BOB)
    stage.bob.ring(stage.last(BOB, CallOffered).call, now=stage.now)
    stage.run()
    contact = stage.party.responses("INVITE")[-1].headers.get("Contact") or ""
    assert contact.startswith("<sips:") is is_secure


def test_12_2_1_1_what_a_contact_may_say_and_a_request_uri_may_not_is_left_out() -> None:
    stage = CallingParty()
    stage.respond(200, body=SDP, headers=[("Contact", "<sip:bob@127.0.0.2;method=INVITE;x=1?Subject=hi>")])
    [ack] = stage.party.requests("ACK")
    assert ack.uri == "sip:bob@127.0.0.2;x=1"


def test_12_2_1_1_sequence_numbers_rise_by_one_and_the_ack_has_that_of_its_invite() -> None:
    stage = CallingParty()
    stage.respond(200, body=SDP)
    first = stage.invite.cseq.number
    stage.alice.request_in_call(stage.call, "INFO", now=stage.now)
    stage.run()
    stage.respond(200, request=stage.party.requests("INFO")[-1])
    stage.alice.reoffer(stage.call, body=HELD, now=stage.now)
    stage.run()
    stage.respond(200, request=stage.party.requests("INVITE")[-1], body=SDP)
    numbers = [(each.method, each.cseq.number - first) for each in stage.party.received if isinstance(each, Request)]
    assert numbers == [("INVITE", 0), ("ACK", 0), ("INFO", 1), ("INVITE", 2), ("ACK", 2)]


def test_12_2_2_a_party_without_tag_is_served() -> None:
    stage = Called()
    rows = {"from_tag": "", "call_id": "old"}
    invite = stage.party.request("INVITE", BOB_URI, body=SDP, **rows)  # type: ignore[arg-type]
    invite.headers.set("From", "<sip:party@127.0.0.1>")
    stage.party.send(invite, BOB)
    call = stage.last(BOB, CallOffered).call
    stage.bob.answer(call, body=SDP, now=stage.now)
    stage.run()
    to = stage.party.responses("INVITE")[-1].headers.get("To") or ""
    for number, method in ((1, "ACK"), (2, "BYE")):
        request = stage.party.request(method, BOB_URI, cseq=number, to=to, **rows)  # type: ignore[arg-type]
        request.headers.set("From", "<sip:party@127.0.0.1>")
        stage.party.send(request, BOB)
    assert stage.party.statuses("BYE") == [200]
    assert stage.last(BOB, CallEnded).by is Ending.REMOTE


# 13 calls


def test_13_2_1_an_invite_that_expires_is_cancelled() -> None:
    stage = CallingParty(headers=[("Expires", "20")])
    stage.respond(180)
    assert stage.invite.headers.get("Expires") == "20"
    stage.run(20 * SECOND)
    cancel = stage.party.requests("CANCEL")[0]
    assert 'text="Expires"' in (cancel.headers.get("Reason") or "")
    stage.respond(200, request=cancel)
    stage.respond(487)
    assert stage.last(ALICE, CallEnded).status == 487
    stage.finish()


def test_13_2_1_an_invite_that_expires_unheard_is_cancelled_once_it_is_heard() -> None:
    stage = CallingParty(headers=[("Expires", "5")])
    stage.run(6 * SECOND)
    assert not stage.party.requests("CANCEL")
    stage.respond(180)
    assert len(stage.party.requests("CANCEL")) == 1


def test_13_2_1_an_answer_in_time_leaves_nothing_to_expire() -> None:
    stage = CallingParty(headers=[("Expires", "5")])
    stage.respond(200, body=SDP)
    stage.run(60 * SECOND)
    assert stage.snapshot().state is CallState.CONFIRMED


def test_13_3_1_an_invite_that_expires_gets_487() -> None:
    stage = CalledParty(headers=[("Expires", "20")])
    stage.bob.ring(stage.call, now=stage.now)
    stage.run(21 * SECOND)
    assert stage.party.statuses("INVITE")[-1] == 487
    assert stage.last(BOB, CallTimedOut).stage is TimeoutStage.EXPIRED


def test_13_3_1_an_invite_that_is_answered_does_not_expire() -> None:
    stage = CalledParty(headers=[("Expires", "20")]).established()
    stage.run(60 * SECOND)
    assert stage.snapshot().state is CallState.CONFIRMED


def test_13_3_1_1_it_still_rings_every_minute() -> None:
    stage = CalledParty()
    stage.bob.ring(stage.call, headers=[("X-Lab", "1")], now=stage.now)
    stage.run(130 * SECOND)
    ringing = [each for each in stage.party.responses("INVITE") if each.status == 180]
    assert [each.headers.get("X-Lab") for each in ringing] == ["1", "1", "1"]


def test_13_3_1_1_reliable_ringing_is_repeated_every_two_and_a_half_minutes() -> None:
    stage = CalledParty(options=CallOptions(reliable=Support.REQUIRED), headers=[("Supported", "100rel")])
    stage.bob.ring(stage.call, now=stage.now)
    stage.run()
    stage.prack(stage.party.responses("INVITE")[-1], cseq=2)
    stage.run(149 * SECOND)
    assert stage.party.statuses("INVITE").count(180) == 1
    stage.run(2 * SECOND)
    assert int(stage.party.responses("INVITE")[-1].headers.get("RSeq") or 0) > 0
    stage.prack(stage.party.responses("INVITE")[-1], cseq=3)
    assert stage.party.statuses("PRACK") == [200, 200]


def test_13_3_1_4_an_answered_call_rings_no_more() -> None:
    stage = CalledParty()
    stage.bob.ring(stage.call, now=stage.now)
    stage.established()
    stage.run(100 * SECOND)
    assert stage.party.statuses("INVITE").count(180) == 1


# 14 changes


def test_14_1_why_a_change_was_refused_is_told_whole() -> None:
    stage = CallingParty()
    stage.respond(200, body=SDP)
    stage.alice.reoffer(stage.call, body=HELD, now=stage.now)
    stage.run()
    warning = [("Warning", '305 bob "Incompatible media format"')]
    stage.respond(488, request=stage.party.requests("INVITE")[-1], headers=warning)
    refused = stage.last(ALICE, CallReofferRejected)
    assert refused.response is not None
    assert refused.response.headers.get("Warning") == warning[0][1]


def test_14_2_a_change_whose_answer_may_not_be_sdp_gets_406() -> None:
    stage = CalledParty().established()
    stage.tell("INVITE", cseq=2, body=HELD, headers=[("Accept", "text/plain")])
    assert stage.answer("INVITE").status == 406


# 15 BYE


def test_15_1_2_a_bye_for_no_call_gets_481() -> None:
    assert Called().ask("BYE", to=f"<{BOB_URI}>;tag=x").status == 481
    assert Called().ask("BYE").status == 481


@pytest.mark.parametrize("status", [481, 408, 500, 603])
def test_15_1_1_the_call_is_over_whatever_is_answered_to_bye(status: int) -> None:
    stage = CallingParty()
    stage.respond(200, body=SDP)
    stage.alice.hang_up(stage.call, now=stage.now)
    stage.run()
    stage.respond(status, request=stage.party.requests("BYE")[-1])
    assert stage.last(ALICE, CallEnded).status == status


# 17, 20


def test_17_1_1_3_the_ack_of_a_refusal_is_built_of_its_invite() -> None:
    stage = CallingParty()
    stage.respond(486)
    [ack] = stage.party.requests("ACK")
    assert ack.uri == stage.invite.uri
    assert ack.to.tag == "one"
    for name in ("Via", "From", "Call-ID", "Max-Forwards"):
        assert ack.headers.get_all(name) == stage.invite.headers.get_all(name)
    assert ack.cseq == (stage.invite.cseq.number, "ACK")


@pytest.mark.parametrize(
    "row",
    [
        ("Alert-Info", "<http://h/x.wav>"),
        ("Allow", "FROB"),
        ("Call-Info", "<http://h/>;purpose=icon"),
        ("In-Reply-To", "a@h, b@h"),
        ("MIME-Version", "1.0"),
        ("Organization", "Lab"),
        ("P-Charging-Vector", "icid-value=1"),
        ("Priority", "emergency"),
        ("Subject", "hello"),
        ("Supported", "frob, x"),
        ("Warning", '307 h "x"'),
        ("X-Unheard-Of", "?"),
    ],
    ids=lambda row: row[0],
)
def test_20_what_we_do_not_use_is_carried_to_the_user(row: tuple[str, str]) -> None:
    stage = CalledParty(headers=[row])
    assert stage.last(BOB, CallOffered).request.headers.get(row[0]) == row[1]


# 19.1 URIs


def test_19_1_6_a_telephone_number_is_called_through_whoever_reaches_it() -> None:
    stage = Stage(ALICE, BOB)
    stage.agents[ALICE].invite("tel:+358-555-1234567;x=1", body=SDP, destination=BOB, now=0)
    stage.run()
    offered = stage.last(BOB, CallOffered)
    assert (offered.request_uri, offered.request_user) == ("tel:+358-555-1234567;x=1", "+3585551234567")
    stage.agents[BOB].answer(offered.call, body=SDP, now=stage.now)
    stage.run()
    stage.agents[BOB].hang_up(offered.call, now=stage.now)
    stage.run()
    assert stage.last(ALICE, CallEnded).by is Ending.REMOTE
    stage.finish()


@pytest.mark.parametrize(("uri", "status"), [("tel:+", 400), ("tel:911", 400), ("mailto:bob@lab", 416)])
def test_19_1_6_what_is_no_number_is_not_called(uri: str, status: int) -> None:
    stage = Called()
    stage.party.send(stage.party.request("INVITE", uri, body=SDP, to="<sip:bob@127.0.0.2>"), BOB)
    assert stage.party.statuses("INVITE") == [status]
    with pytest.raises(LocalProtocolError):
        stage.bob.invite(uri, destination=ALICE, now=stage.now)


# RFC 3262


def test_3262_3_who_requires_reliable_ringing_gets_no_other() -> None:
    stage = CalledParty(headers=[("Require", "100rel")])
    with pytest.raises(LocalProtocolError, match="reliably"):
        stage.bob.ring(stage.call, reliable=False, now=stage.now)
    stage.bob.ring(stage.call, now=stage.now)
    stage.run()
    ringing = stage.party.responses("INVITE")[-1]
    assert (ringing.status, ringing.headers.get("Require")) == (180, "100rel")
