"""Calls to sipp, which does what real servers do beyond the plain call; each is legal, and each call succeeds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cmw.sip.account import Account
from cmw.sip.call_options import CallOptions
from cmw.sip.credentials import Credentials
from cmw.sip.dtmf_info import make_dtmf_info
from cmw.sip.events import (
    CallEnded,
    CallModified,
    CallProceeding,
    CallRedirected,
    CallRefreshed,
    CallRejected,
    CallReoffered,
    CallReofferRejected,
    Ending,
    InfoReceived,
    NotifyReceived,
    RequestFailed,
    RequestSucceeded,
    TransferAccepted,
    TransferCompleted,
    TransferProgressed,
)
from cmw.sip.option_tags import Support
from cmw.sip.redirect import Follow, RedirectPolicy
from cmw.sip.session_timer import SessionTimerChoice
from tests.support.desk import Desk, sdp
from tests.support.peers import sipp_scenario
from tests.support.sipp_play import SippTakesCalls
from tests.support.sipp_scenario import Callee, Scenario, description

pytestmark = [pytest.mark.peers("sipp"), pytest.mark.loopback]

NewIp = Callable[[], str]

FRAG = "Content-Type: message/sipfrag;version=2.0"
CHALLENGE = (
    'WWW-Authenticate: Digest realm="sipp",nonce="47ebe028cda119c35d4877b383027d28da013815",algorithm=MD5,qop="auth"'
)


@pytest.fixture(params=["u1", "t1"], ids=["udp", "tcp"])
def play(request: pytest.FixtureRequest, tmp_path: Path, loopback_ip: NewIp) -> SippTakesCalls:
    return SippTakesCalls(tmp_path / "sipp", loopback_ip, request.param)


def answering() -> Scenario:
    """Return the callee of a plain call, up to the ACK."""
    return Callee().reply(180).reply(200, body=description()).recv("ACK")


async def call_and_answer(us: Desk, uri: str, **keywords: object) -> int:
    call = us.call(uri, **keywords)
    await us.answered(call)
    return call


async def hang_up(us: Desk, call: int) -> None:
    ended = await us.hang_up(call)
    assert (ended.by, ended.status) == (Ending.LOCAL, 200)


def test_a_plain_call(play: SippTakesCalls) -> None:
    async def script(us: Desk, uri: str) -> None:
        await hang_up(us, await call_and_answer(us, uri))

    play(answering().recv_bye(), script)


def test_the_callee_hangs_up(play: SippTakesCalls) -> None:
    async def script(us: Desk, uri: str) -> None:
        call = await call_and_answer(us, uri)
        assert (await us.ended(call)).by is Ending.REMOTE

    play(answering().pause(50).bye(), script)


# Before the answer.


def test_reliable_ringing_and_a_reliable_answer_in_183(play: SippTakesCalls) -> None:
    """The 200 after a 183 with the answer has no body: that is what RFC 3262 allows and gateways do."""

    async def script(us: Desk, uri: str) -> None:
        call = us.call(uri)
        ringing = await us.call_event(call, CallProceeding)
        while ringing.status < 180:
            ringing = await us.call_event(call, CallProceeding)
        assert (ringing.status, ringing.is_reliable) == (180, True)
        progress = await us.call_event(call, CallProceeding)
        assert (progress.status, progress.is_reliable) == (183, True)
        assert b"m=audio" in progress.body
        assert b"m=audio" in (await us.answered(call)).body
        await hang_up(us, call)

    rows = "Require: 100rel"
    scenario = Callee(check={"Supported": "100rel"}).reply(180, headers=[rows, "RSeq: 17"])
    scenario.recv("PRACK", check={"RAck": "17 [0-9]+ INVITE"}).reply_to_last()
    scenario.reply(183, headers=[rows, "RSeq: 18"], body=description())
    scenario.recv("PRACK", check={"RAck": "18 [0-9]+ INVITE"}).reply_to_last()
    play(scenario.reply(200).recv("ACK").recv_bye(), script)


def test_a_reliable_183_that_comes_twice(play: SippTakesCalls) -> None:
    async def script(us: Desk, uri: str) -> None:
        await hang_up(us, await call_and_answer(us, uri))

    rows = ["Require: 100rel", "RSeq: 1"]
    scenario = Callee().reply(183, headers=rows, body=description()).recv("PRACK").reply_to_last()
    scenario.reply(183, headers=rows, body=description()).pause(50)
    play(scenario.reply(200).recv("ACK").recv_bye(), script)


def test_an_answer_in_183_only(play: SippTakesCalls) -> None:
    """RFC 3261 13.2.1 wants the answer in the 200 too where 183 was not reliable; many servers leave it out."""

    async def script(us: Desk, uri: str) -> None:
        call = us.call(uri)
        while (progress := await us.call_event(call, CallProceeding)).status < 183:
            pass
        assert b"m=audio" in progress.body
        assert b"m=audio" in (await us.answered(call)).body
        await hang_up(us, call)

    play(Callee().reply(183, body=description()).pause(50).reply(200).recv("ACK").recv_bye(), script)


def test_another_answer_in_200_than_in_183(play: SippTakesCalls) -> None:
    """The media server that announces is not the callee, and its tag may be the same: what counts is the 200."""

    async def script(us: Desk, uri: str) -> None:
        call = us.call(uri)
        assert b"a=sendrecv" in (await us.answered(call)).body
        await hang_up(us, call)

    scenario = Callee().reply(183, body=description("sendonly")).reply(200, body=description(version=2))
    play(scenario.recv("ACK").recv_bye(), script)


def test_an_offer_in_200_is_answered_in_ack(play: SippTakesCalls) -> None:
    async def script(us: Desk, uri: str) -> None:
        call = us.call(uri, body=b"")
        answered = await us.answered(call)
        assert answered.wants_answer
        us.do(lambda agent, now: agent.acknowledge(call, body=sdp(us.ip), now=now))
        await hang_up(us, call)

    scenario = Callee(check={"Content-Length": "0"}).reply(180).reply(200, body=description())
    play(scenario.recv("ACK", body="m=audio 40000").recv_bye(), script)


def test_an_update_in_the_early_dialog(play: SippTakesCalls) -> None:
    """A server that changes media before the answer: UPDATE after PRACK."""

    async def script(us: Desk, uri: str) -> None:
        call = us.call(uri)
        reoffer = await us.call_event(call, CallReoffered)
        assert reoffer.method == "UPDATE"
        us.do(lambda agent, now: agent.answer_reoffer(call, body=sdp(us.ip, version=2), now=now))
        await us.answered(call)
        await hang_up(us, call)

    scenario = Callee().reply(183, headers=["Require: 100rel", "RSeq: 1"], body=description()).recv("PRACK")
    scenario.reply_to_last().request("UPDATE", body=description(version=2)).recv_response(200, body="m=audio 40000")
    play(scenario.reply(200).recv("ACK").recv_bye(), script)


@pytest.mark.parametrize("pause_ms", [0, 100])
def test_a_cancelled_call(play: SippTakesCalls, pause_ms: int) -> None:
    async def script(us: Desk, uri: str) -> None:
        call = us.call(uri)
        while (await us.call_event(call, CallProceeding)).status < 180:
            pass
        assert (await us.hang_up(call)).status == 487

    scenario = Callee().reply(180).recv("CANCEL").reply_to_last().pause(pause_ms)
    play(scenario.reply(487, contact="X-None: 1").recv("ACK"), script)


def test_cancel_that_crosses_the_200(play: SippTakesCalls) -> None:
    """RFC 5407 3.1.2: the call stands after all and is ended with BYE."""

    async def script(us: Desk, uri: str) -> None:
        call = us.call(uri)
        while (await us.call_event(call, CallProceeding)).status < 180:
            pass
        assert (await us.hang_up(call)).by is Ending.LOCAL

    scenario = Callee().reply(180).recv("CANCEL").reply(200, body=description()).recv("ACK").recv_bye()
    play(scenario, script)


def test_the_answer_to_cancel_after_that_to_the_invite(play: SippTakesCalls) -> None:
    async def script(us: Desk, uri: str) -> None:
        call = us.call(uri)
        while (await us.call_event(call, CallProceeding)).status < 180:
            pass
        assert (await us.hang_up(call)).status == 487

    play(Callee().reply(180).recv("CANCEL").reply(487).recv("ACK"), script)


def test_a_redirection_is_followed(play: SippTakesCalls, loopback_ip: NewIp, tmp_path: Path) -> None:
    other_ip = loopback_ip()

    async def script(us: Desk, uri: str) -> None:
        options = CallOptions(redirects=RedirectPolicy(Follow.ALL))
        call = us.call(uri, options=options)
        redirected = await us.call_event(call, CallRedirected)
        assert (redirected.status, other_ip in redirected.target) == (302, True)
        await us.answered(call)
        await hang_up(us, call)

    with sipp_scenario(tmp_path / "other", answering().recv_bye(), other_ip, play.mode, play.calls) as other:
        contact = f"Contact: <sip:service@{other_ip}:5060;transport=[transport]>;q=0.7"
        play(Callee().reply(302, contact=contact).recv("ACK"), script)
        assert other.wait() == 0


def test_a_redirection_that_nobody_asked_to_follow(play: SippTakesCalls) -> None:
    async def script(us: Desk, uri: str) -> None:
        call = us.call(uri)
        rejected = await us.call_event(call, CallRejected)
        assert (rejected.status, rejected.is_response) == (302, True)

    play(Callee().reply(302, contact="Contact: <sip:other@192.0.2.1>").recv("ACK"), script)


def test_503_with_retry_after(play: SippTakesCalls) -> None:
    async def script(us: Desk, uri: str) -> None:
        rejected = await us.call_event(us.call(uri), CallRejected)
        assert (rejected.status, rejected.is_response) == (503, True)
        assert rejected.retry_after is not None
        assert rejected.retry_after.after_s == 7

    rows = ["Retry-After: 7 (in a week);duration=3600"]
    play(Callee().reply(503, headers=rows).recv("ACK"), script, calls=1)


def test_486_with_a_reason(play: SippTakesCalls) -> None:
    async def script(us: Desk, uri: str) -> None:
        rejected = await us.call_event(us.call(uri), CallRejected)
        assert rejected.status == 486

    rows = ['Reason: Q.850;cause=17;text="User busy"', 'Warning: 399 sipp "busy"']
    play(Callee().reply(180).reply(486, headers=rows).recv("ACK"), script)


# Repetitions and strays.


def test_a_200_that_comes_again_is_acknowledged_again(tmp_path: Path, loopback_ip: NewIp) -> None:
    """Over TCP: over UDP sipp takes the second ACK for a repetition, answers with the 200 again, and so for ever."""
    play = SippTakesCalls(tmp_path / "sipp", loopback_ip, "t1")

    async def script(us: Desk, uri: str) -> None:
        call = await call_and_answer(us, uri)
        await us.ended(call)

    play(answering().reply(200, body=description()).recv("ACK").bye(), script)
    assert play.sent["ACK"] == 2 * play.calls


def test_responses_that_belong_to_nothing_any_more(play: SippTakesCalls) -> None:
    """180 after 200, a response to a request that we never sent, one without a dialog: none of them hurts."""

    async def script(us: Desk, uri: str) -> None:
        call = await call_and_answer(us, uri)
        await us.ended(call)

    scenario = answering().reply(180).reply(183, body=description()).reply_stray(200, "77 OPTIONS")
    play(scenario.reply_stray(481, "99 INVITE").pause(50).bye(), script)


def test_a_second_callee_that_answers_is_released(play: SippTakesCalls) -> None:
    """A forking proxy in front of us: the first 200 is the call, the other callee gets ACK and BYE."""

    async def script(us: Desk, uri: str) -> None:
        call = await call_and_answer(us, uri)
        await us.ended(call)

    scenario = answering().reply(200, body=description(), tag="other").recv("ACK", check={"To": "tag=other"})
    play(scenario.recv("BYE", check={"To": "tag=other"}).reply_to_last().bye(), script)


# Within the call.


def test_hold_and_resume_by_the_callee(play: SippTakesCalls) -> None:
    async def script(us: Desk, uri: str) -> None:
        call = await call_and_answer(us, uri)
        for wanted, answer in ((b"a=sendonly", "recvonly"), (b"a=sendrecv", "sendrecv")):
            reoffer = await us.call_event(call, CallReoffered)
            assert wanted in reoffer.body
            body = sdp(us.ip, direction=answer, version=2)
            us.do(lambda agent, now, body=body: agent.answer_reoffer(call, body=body, now=now))
            assert (await us.call_event(call, CallModified)).by is Ending.REMOTE
        await hang_up(us, call)

    scenario = answering().request("INVITE", body=description("sendonly", 2)).maybe(100)
    scenario.recv_response(200, body="a=recvonly").ack().request("INVITE", body=description(version=3)).maybe(100)
    play(scenario.recv_response(200, body="a=sendrecv").ack().recv_bye(), script)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_hold_and_resume_by_us(play: SippTakesCalls, method: str) -> None:
    async def script(us: Desk, uri: str) -> None:
        call = await call_and_answer(us, uri)
        for version, direction in ((2, "sendonly"), (3, "sendrecv")):
            body = sdp(us.ip, direction=direction, version=version)
            us.do(lambda agent, now, body=body: agent.reoffer(call, body=body, method=method, now=now))
            modified = await us.call_event(call, CallModified)
            assert (modified.by, modified.method) == (Ending.LOCAL, method)
            assert b"m=audio" in modified.body
        await hang_up(us, call)

    scenario = answering()
    for version, theirs, ours in ((2, "sendonly", "recvonly"), (3, "sendrecv", "sendrecv")):
        scenario.recv(method, body=f"a={theirs}").reply_to_last(body=description(ours, version))
        if method == "INVITE":
            scenario.recv("ACK")
    play(scenario.recv_bye(), script)


def test_a_reinvite_without_an_offer(play: SippTakesCalls) -> None:
    """What B2BUAs send to connect two calls: the offer is asked of us, and answered in the ACK."""

    async def script(us: Desk, uri: str) -> None:
        call = await call_and_answer(us, uri)
        reoffer = await us.call_event(call, CallReoffered)
        assert reoffer.body == b""
        us.do(lambda agent, now: agent.answer_reoffer(call, body=sdp(us.ip, version=2), now=now))
        assert b"m=audio" in (await us.call_event(call, CallModified)).body
        await hang_up(us, call)

    scenario = answering().request("INVITE").maybe(100).recv_response(200, body="m=audio 40000")
    play(scenario.ack(body=description(version=2)).recv_bye(), script)


def test_a_reinvite_that_is_refused_leaves_the_call_alone(play: SippTakesCalls) -> None:
    async def script(us: Desk, uri: str) -> None:
        call = await call_and_answer(us, uri)
        body = sdp(us.ip, direction="inactive", version=2)
        us.do(lambda agent, now: agent.reoffer(call, body=body, now=now))
        assert (await us.call_event(call, CallReofferRejected)).status == 488
        await hang_up(us, call)

    play(answering().recv("INVITE").reply(488).recv("ACK").recv_bye(), script)


def test_glare(play: SippTakesCalls) -> None:
    """491: ours is tried again after two to four seconds, as the owner of the Call-ID. RFC 3261 14.1."""

    async def script(us: Desk, uri: str) -> None:
        call = await call_and_answer(us, uri)
        us.do(lambda agent, now: agent.reoffer(call, body=sdp(us.ip, version=2), now=now))
        assert (await us.call_event(call, CallModified)).by is Ending.LOCAL
        await hang_up(us, call)

    scenario = answering().recv("INVITE").reply(491).recv("ACK")
    play(scenario.recv("INVITE").reply(200, body=description(version=2)).recv("ACK").recv_bye(), script)


def test_unsolicited_notify_options_and_info_in_the_call(play: SippTakesCalls) -> None:
    async def script(us: Desk, uri: str) -> None:
        call = await call_and_answer(us, uri)
        assert (await us.call_event(call, NotifyReceived)).package == "message-summary"
        info = await us.call_event(call, InfoReceived)
        assert b"Signal=5" in info.body
        assert (await us.ended(call)).by is Ending.REMOTE

    rows = ["Event: message-summary", "Subscription-State: active", "Content-Type: application/simple-message-summary"]
    scenario = answering().request("NOTIFY", headers=rows, body="Messages-Waiting: yes\n").recv_response(200)
    scenario.request("OPTIONS").recv_response(200)
    rows = ["Content-Type: application/dtmf-relay"]
    scenario.request("INFO", headers=rows, body="Signal=5\nDuration=160\n").recv_response(200)
    scenario.request("FOO").recv_response(501)
    play(scenario.bye(), script)


def test_digits_by_info(play: SippTakesCalls) -> None:
    async def send_digit(us: Desk, call: int, digit: str) -> None:
        kind, body = make_dtmf_info(digit)
        rows = [("Content-Type", kind)]
        us.do(lambda agent, now: agent.request_in_call(call, "INFO", headers=rows, body=body, now=now))

    async def script(us: Desk, uri: str) -> None:
        call = await call_and_answer(us, uri)
        for digit in "1#":
            await send_digit(us, call, digit)
            assert (await us.call_event(call, RequestSucceeded)).method == "INFO"
        await send_digit(us, call, "9")
        assert (await us.call_event(call, RequestFailed)).status == 415
        await hang_up(us, call)

    scenario = answering().recv("INFO", body="Signal=1").reply_to_last().recv("INFO", body="Signal=#").reply_to_last()
    play(scenario.recv("INFO").reply_to_last(415).recv_bye(), script)


def test_a_session_interval_that_is_too_small(play: SippTakesCalls) -> None:
    """422 raises the interval; the callee refreshes then with UPDATE without a body. RFC 4028."""

    async def script(us: Desk, uri: str) -> None:
        timer = SessionTimerChoice(Support.SUPPORTED, expires_s=100)
        call = us.call(uri, options=CallOptions(session_timer=timer))
        await us.answered(call)
        assert (await us.call_event(call, CallRefreshed)).by is Ending.REMOTE
        assert us.do(lambda agent, now: agent.call_snapshot(call)).session_interval_s == 200
        await hang_up(us, call)

    scenario = Callee(check={"Session-Expires": "100"}).reply(422, headers=["Min-SE: 200"]).recv("ACK")
    scenario.recv("INVITE", check={"Session-Expires": "200", "Min-SE": "200"})
    rows = ["Session-Expires: 200;refresher=uas", "Require: timer"]
    scenario.reply(200, headers=rows, body=description()).recv("ACK")
    rows = ["Session-Expires: 200;refresher=uac", "Supported: timer"]
    scenario.request("UPDATE", headers=rows).recv_response(200, check={"Session-Expires": "200;refresher=uac"})
    play(scenario.recv_bye(), script)


def test_a_blind_transfer_by_us(play: SippTakesCalls) -> None:
    async def script(us: Desk, uri: str) -> None:
        call = await call_and_answer(us, uri)
        us.do(lambda agent, now: agent.transfer(call, "sip:carol@192.0.2.9", now=now))
        assert (await us.call_event(call, TransferAccepted)).status == 202
        assert (await us.call_event(call, TransferProgressed)).status == 100
        assert (await us.call_event(call, TransferCompleted)).status == 200
        await hang_up(us, call)

    scenario = answering().recv("REFER", check={"Refer-To": "<sip:carol@192.0.2.9>"}).reply_to_last(202)
    rows = ["Event: refer", "Subscription-State: active;expires=60", FRAG]
    scenario.request("NOTIFY", headers=rows, body="SIP/2.0 100 Trying\n").recv_response(200)
    rows = ["Event: refer", "Subscription-State: terminated;reason=noresource", FRAG]
    scenario.request("NOTIFY", headers=rows, body="SIP/2.0 200 OK\n").recv_response(200)
    play(scenario.recv_bye(), script)


def test_a_transfer_whose_notify_comes_before_its_202(play: SippTakesCalls) -> None:
    """RFC 3515 2.4.4 lets NOTIFY overtake the answer to REFER; gateways send it at once."""

    async def script(us: Desk, uri: str) -> None:
        call = await call_and_answer(us, uri)
        us.do(lambda agent, now: agent.transfer(call, "sip:carol@192.0.2.9", now=now))
        assert (await us.call_event(call, TransferCompleted)).status == 486
        await hang_up(us, call)

    scenario = answering().recv("REFER", keeps=True)
    rows = ["Event: refer", "Subscription-State: active;expires=60", FRAG]
    scenario.request("NOTIFY", headers=rows, body="SIP/2.0 100 Trying\n").recv_response(200)
    scenario.reply(202)
    rows = ["Event: refer", "Subscription-State: terminated;reason=noresource", FRAG]
    scenario.request("NOTIFY", headers=rows, body="SIP/2.0 486 Busy Here\n").recv_response(200)
    play(scenario.recv_bye(), script)


# Challenges and routes.


def account(uri: str) -> Account:
    where = re.sub("^sip:service@", "sip:", uri)
    return Account("sip:joe@sipp", where, Credentials("joe", "secret"), "joe")


def test_a_challenge_on_invite_reinvite_and_bye(play: SippTakesCalls) -> None:
    async def script(us: Desk, uri: str) -> None:
        call = await call_and_answer(us, uri, account=account(uri))
        us.do(lambda agent, now: agent.reoffer(call, body=sdp(us.ip, version=2), now=now))
        await us.call_event(call, CallModified)
        await hang_up(us, call)

    scenario = Callee().reply(401, headers=[CHALLENGE]).recv("ACK").recv("INVITE", verifies=("joe", "secret"))
    scenario.reply(200, body=description()).recv("ACK")
    stale = CHALLENGE.replace("nonce=", "stale=true,nonce=").replace("47e", "48f")
    scenario.recv("INVITE").reply(401, headers=[stale]).recv("ACK").recv("INVITE", verifies=("joe", "secret"))
    scenario.reply(200, body=description(version=2)).recv("ACK")
    proxy = CHALLENGE.replace("WWW-", "Proxy-").replace("47e", "49a")
    scenario.recv("BYE").reply_to_last(407, headers=[proxy]).recv("BYE", verifies=("joe", "secret")).reply_to_last()
    play(scenario, script)


def test_a_stranger_who_challenges_our_bye_gets_nothing(play: SippTakesCalls) -> None:
    async def script(us: Desk, uri: str) -> None:
        call = await call_and_answer(us, uri)
        ended: CallEnded = await us.hang_up(call)
        assert (ended.by, ended.status) == (Ending.LOCAL, 401)

    play(answering().recv("BYE").reply_to_last(401, headers=[CHALLENGE]), script)
    assert play.sent["BYE"] == play.calls


def test_a_loose_route(play: SippTakesCalls) -> None:
    async def script(us: Desk, uri: str) -> None:
        await hang_up(us, await call_and_answer(us, uri))

    route = "<sip:[local_ip]:[local_port];transport=[transport];lr;x=1>"
    rows = [f"Record-Route: {route}"]
    pattern = "<sip:127[^>]*;lr;x=1>"
    scenario = Callee().reply(180, headers=rows).reply(200, headers=rows, body=description())
    scenario.recv("ACK", check={"Route": pattern}).recv("BYE", check={"Route": pattern}, start="BYE sip:sipp@127")
    play(scenario.reply_to_last(), script)


def test_strict_and_loose_routes(play: SippTakesCalls) -> None:
    """The next proxy is one of RFC 2543: its URI is the Request-URI, and the Contact goes last in Route."""

    async def script(us: Desk, uri: str) -> None:
        await hang_up(us, await call_and_answer(us, uri))

    next_hop = "<sip:strict@[local_ip]:[local_port];transport=[transport]>"
    rows = ["Record-Route: <sip:192.0.2.7;lr>", f"Record-Route: {next_hop}"]
    pattern = ".*Route: <sip:192.0.2.7;lr>.*Route: <sip:sipp@127"
    scenario = Callee().reply(200, headers=rows, body=description())
    scenario.recv("ACK", start="ACK sip:strict@127" + pattern)
    play(scenario.recv("BYE", start="BYE sip:strict@127" + pattern).reply_to_last(), script)


def test_the_target_of_the_call_moves(play: SippTakesCalls) -> None:
    """A re-INVITE brings another Contact; what follows goes there. RFC 3261 12.2.1.2."""

    async def script(us: Desk, uri: str) -> None:
        call = await call_and_answer(us, uri)
        reoffer = await us.call_event(call, CallReoffered)
        us.do(lambda agent, now: agent.answer_reoffer(call, body=sdp(us.ip, version=2), now=now))
        await us.call_event(reoffer.call, CallModified)
        await hang_up(us, call)

    contact = "Contact: <sip:moved@[local_ip]:[local_port];transport=[transport]>"
    scenario = answering().request("INVITE", body=description(version=2), contact=contact).maybe(100)
    play(scenario.recv_response(200).ack().recv("BYE", start="BYE sip:moved@127").reply_to_last(), script)
