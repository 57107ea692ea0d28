"""Calls from sipp, which does what real callers do beyond the plain call; each is legal, and each call succeeds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cmw.sip.call_options import CallOptions
from cmw.sip.events import (
    CallAnswered,
    CallCancelled,
    CallConfirmed,
    CallEnded,
    CallModified,
    CallOffered,
    CallRefreshed,
    CallReoffered,
    Ending,
    InfoReceived,
    MessageReceived,
    NotifyReceived,
    TransferRequested,
)
from tests.support.desk import Desk, sdp
from tests.support.peers import sipp_scenario
from tests.support.sipp_play import SippPlacesCalls
from tests.support.sipp_scenario import Callee, Caller, description

pytestmark = [pytest.mark.peers("sipp"), pytest.mark.loopback]

NewIp = Callable[[], str]


@pytest.fixture(params=["u1", "t1", "tn"], ids=["udp", "tcp", "tcp-each"])
def play(request: pytest.FixtureRequest, tmp_path: Path, loopback_ip: NewIp) -> SippPlacesCalls:
    return SippPlacesCalls(tmp_path / "sipp", loopback_ip, request.param)


def answered(**keywords: object) -> Caller:
    """Return the caller of a plain call, up to the ACK."""
    return Caller(**keywords).maybe(100, 180).recv_dialog(200, body="m=audio 40000").ack()


async def ring_and_answer(us: Desk, offered: CallOffered) -> int:
    us.do(lambda agent, now: agent.ring(offered.call, now=now))
    us.answer(offered.call)
    await us.call_event(offered.call, CallConfirmed)
    return offered.call


async def until_bye(us: Desk, call: int) -> None:
    ended = await us.ended(call)
    assert (ended.by, ended.status) == (Ending.REMOTE, 200)


async def answer_until_bye(us: Desk, offered: CallOffered) -> None:
    await until_bye(us, await ring_and_answer(us, offered))


def test_a_plain_call(play: SippPlacesCalls) -> None:
    play(answered().bye(), answer_until_bye)


def test_we_hang_up(play: SippPlacesCalls) -> None:
    async def script(us: Desk, offered: CallOffered) -> None:
        ended = await us.hang_up(await ring_and_answer(us, offered))
        assert (ended.by, ended.status) == (Ending.LOCAL, 200)

    play(answered().recv_bye(), script)


def test_reliable_ringing_and_early_media(play: SippPlacesCalls) -> None:
    """All at once: each waits for the PRACK of the one before, and the 200 for that of the answer."""

    async def script(us: Desk, offered: CallOffered) -> None:
        us.do(lambda agent, now: agent.ring(offered.call, now=now))
        us.do(lambda agent, now: agent.ring(offered.call, status=183, body=sdp(us.ip), now=now))
        us.answer(offered.call)
        await us.call_event(offered.call, CallConfirmed)
        await until_bye(us, offered.call)

    scenario = Caller(headers=["Require: 100rel"]).maybe(100).recv_reliable(180).prack()
    scenario.recv_reliable(183, body="m=audio 40000").prack()
    play(scenario.recv_dialog(200).ack().bye(), script)


def test_a_prack_that_crosses_our_200(play: SippPlacesCalls) -> None:
    """RFC 3262 3: it is answered with 200 all the same."""
    scenario = Caller(headers=["Require: 100rel"]).maybe(100).recv_reliable(180).recv_dialog(200).ack().prack()
    play(scenario.bye(), answer_until_bye)


def test_an_invite_without_an_offer(play: SippPlacesCalls) -> None:
    async def script(us: Desk, offered: CallOffered) -> None:
        assert offered.body == b""
        us.answer(offered.call)
        confirmed = await us.call_event(offered.call, CallConfirmed)
        assert b"m=audio" in confirmed.body
        await until_bye(us, offered.call)

    scenario = Caller(body="").maybe(100).recv_dialog(200, body="m=audio 40000").ack(body=description())
    play(scenario.bye(), script)


def test_hold_and_resume_by_the_caller_by_invite_and_update(play: SippPlacesCalls) -> None:
    async def script(us: Desk, offered: CallOffered) -> None:
        call = await ring_and_answer(us, offered)
        for direction in ("recvonly", "sendrecv"):
            await us.call_event(call, CallReoffered)
            body = sdp(us.ip, direction=direction, version=2)
            us.do(lambda agent, now, body=body: agent.answer_reoffer(call, body=body, now=now))
            assert (await us.call_event(call, CallModified)).by is Ending.REMOTE
        await until_bye(us, call)

    scenario = answered().request("INVITE", body=description("sendonly", 2)).maybe(100)
    scenario.recv_response(200, body="a=recvonly").ack()
    play(scenario.request("UPDATE", body=description(version=3)).recv_response(200, body="a=sendrecv").bye(), script)


def test_hold_by_the_old_way(play: SippPlacesCalls) -> None:
    """c=0.0.0.0, as RFC 2543 held calls and old PBXs still do."""

    async def script(us: Desk, offered: CallOffered) -> None:
        call = await ring_and_answer(us, offered)
        assert b"c=IN IP4 0.0.0.0" in (await us.call_event(call, CallReoffered)).body
        us.do(lambda agent, now: agent.answer_reoffer(call, body=sdp(us.ip, version=2), now=now))
        await until_bye(us, call)

    held = description(version=2).replace("c=IN IP4 [local_ip]", "c=IN IP4 0.0.0.0")
    scenario = answered().request("INVITE", body=held).maybe(100).recv_response(200).ack()
    play(scenario.bye(), script)


def test_hold_and_resume_by_us(play: SippPlacesCalls) -> None:
    async def script(us: Desk, offered: CallOffered) -> None:
        call = await ring_and_answer(us, offered)
        for version, direction in ((2, "sendonly"), (3, "sendrecv")):
            body = sdp(us.ip, direction=direction, version=version)
            us.do(lambda agent, now, body=body: agent.reoffer(call, body=body, now=now))
            assert (await us.call_event(call, CallModified)).by is Ending.LOCAL
        await until_bye(us, call)

    scenario = answered()
    for version, theirs, ours in ((2, "sendonly", "recvonly"), (3, "sendrecv", "sendrecv")):
        scenario.recv("INVITE", body=f"a={theirs}").reply_to_last(body=description(ours, version)).recv("ACK")
    play(scenario.bye(), script)


def test_a_cancelled_call(play: SippPlacesCalls) -> None:
    async def script(us: Desk, offered: CallOffered) -> None:
        us.do(lambda agent, now: agent.ring(offered.call, now=now))
        await us.call_event(offered.call, CallCancelled)

    scenario = Caller().maybe(100).recv_dialog(180).cancel().recv_response(200).recv_response(487)
    play(scenario.ack_refusal(), script)


def test_cancel_that_comes_after_our_200(play: SippPlacesCalls) -> None:
    """RFC 3261 9.2: it is answered with 200 and changes nothing."""
    play(
        Caller().maybe(100, 180).recv_dialog(200).cancel().recv_response(200).ack().bye(),
        answer_until_bye,
    )


def test_cancel_right_behind_the_invite(play: SippPlacesCalls) -> None:
    """Before any ringing."""

    async def script(us: Desk, offered: CallOffered) -> None:
        await us.call_event(offered.call, CallCancelled)

    scenario = Caller().recv_response(100).cancel().recv_response(200)
    play(scenario.recv_response(487).ack_refusal(), script)


def test_an_ack_that_comes_late(play: SippPlacesCalls) -> None:
    """The 200 is sent again until it comes, over TCP too. RFC 3261 13.3.1.4."""
    scenario = Caller().maybe(100, 180).recv_dialog(200).recv_dialog(200).recv_dialog(200).ack()
    if play.mode == "u1":  # over UDP sipp knows the 200 again and takes it for a repetition
        scenario = Caller().maybe(100, 180).recv_dialog(200).pause(1800).ack()
    play(scenario.bye(), answer_until_bye)
    assert play.sent["SIP/2.0"] >= 6 * play.calls


def test_a_refusal_whose_ack_comes_late(play: SippPlacesCalls) -> None:
    async def script(us: Desk, offered: CallOffered) -> None:
        us.do(lambda agent, now: agent.reject(offered.call, status=486, now=now))
        await us.call_event(offered.call, CallEnded)

    play(Caller().maybe(100).recv_response(486).pause(700).ack_refusal(), script)


def test_bye_without_waiting_for_the_answer(play: SippPlacesCalls) -> None:
    """A caller may end an early dialog with BYE instead of CANCEL. RFC 3261 15."""

    async def script(us: Desk, offered: CallOffered) -> None:
        us.do(lambda agent, now: agent.ring(offered.call, now=now))
        await us.call_event(offered.call, (CallCancelled, CallEnded))

    scenario = Caller().maybe(100).recv_dialog(180).request("BYE")
    play(scenario.recv_response(200).recv_response(487).ack_refusal(), script)


def test_requests_in_the_call(play: SippPlacesCalls) -> None:
    async def script(us: Desk, offered: CallOffered) -> None:
        call = await ring_and_answer(us, offered)
        assert b"Signal=7" in (await us.call_event(call, InfoReceived)).body
        assert (await us.call_event(call, NotifyReceived)).package == "talk"
        assert (await us.call_event(call, MessageReceived)).body.strip() == b"hello"
        await until_bye(us, call)

    scenario = answered()
    rows = ["Content-Type: application/dtmf-relay"]
    scenario.request("INFO", headers=rows, body="Signal=7\nDuration=160\n").recv_response(200)
    scenario.request("INFO").recv_response(200)
    scenario.request("NOTIFY", headers=["Event: talk", "Subscription-State: active"]).recv_response(200)
    scenario.request("OPTIONS").recv_response(200, check={"Allow": "INVITE"})
    scenario.request("MESSAGE", headers=["Content-Type: text/plain"], body="hello").recv_response(200)
    scenario.request("SUBSCRIBE", headers=["Event: dialog"]).recv_response(489)
    play(scenario.bye(), script)


def test_a_session_timer_that_the_caller_refreshes(play: SippPlacesCalls) -> None:
    """422 first, then refreshes by re-INVITE and by UPDATE. RFC 4028."""

    async def script(us: Desk, offered: CallOffered) -> None:
        call = await ring_and_answer(us, offered)
        refreshed = await us.call_event(call, CallRefreshed)
        assert (refreshed.by, refreshed.method) == (Ending.REMOTE, "UPDATE")
        refreshed = await us.call_event(call, CallRefreshed)
        assert (refreshed.by, refreshed.method) == (Ending.REMOTE, "INVITE")
        await until_bye(us, call)

    rows = ["Session-Expires: 200;refresher=uac", "Supported: timer"]
    scenario = Caller(headers=rows).maybe(100, 180).recv_dialog(200, check={"Session-Expires": "200;refresher=uac"})
    scenario.ack().request("UPDATE", headers=rows).recv_response(200, check={"Session-Expires": "200"})
    scenario.request("INVITE", headers=rows, body=description()).maybe(100)
    play(scenario.recv_response(200, check={"Session-Expires": "200"}).ack().bye(), script)


def test_a_session_interval_that_is_too_small_for_us(play: SippPlacesCalls) -> None:
    scenario = Caller(headers=["Session-Expires: 60", "Supported: timer"]).maybe(100)
    scenario.recv_response(422, check={"Min-SE": "90"}).ack_refusal()
    play(scenario, None)


def test_a_blind_transfer_that_sipp_asks_for(play: SippPlacesCalls, loopback_ip: NewIp, tmp_path: Path) -> None:
    other_ip = loopback_ip()

    async def script(us: Desk, offered: CallOffered) -> None:
        call = await ring_and_answer(us, offered)
        asked = await us.call_event(call, TransferRequested)
        assert other_ip in asked.target.uri
        us.do(lambda agent, now: agent.accept_transfer(asked.transfer, now=now))
        new = us.call("", transfer=asked.transfer)
        await us.call_event(new, CallAnswered)
        await until_bye(us, call)
        assert (await us.hang_up(new)).status == 200

    mode = play.mode
    target = f"Refer-To: <sip:carol@{other_ip}:5060;transport=[transport]>"
    scenario = answered().request("REFER", headers=[target, "Referred-By: <sip:sipp@[local_ip]>"])
    scenario.recv_response(202)
    for state, told in (("active", "100"), ("terminated", "200")):
        scenario.recv("NOTIFY", check={"Event": "refer", "Subscription-State": state}, body=f"SIP/2.0 {told}")
        scenario.reply_to_last()
    scenario.bye()
    callee = Callee(check={"Referred-By": "sip:sipp@"}).reply(200, body=description()).recv("ACK").recv_bye()
    with sipp_scenario(tmp_path / "other", callee, other_ip, mode, play.calls) as other:
        play(scenario, script, options=CallOptions(takes_transfers=True))
        assert other.wait() == 0


def test_a_transfer_that_we_do_not_take(play: SippPlacesCalls) -> None:
    scenario = answered().request("REFER", headers=["Refer-To: <sip:carol@192.0.2.1>"]).recv_response(603)
    play(scenario.bye(), answer_until_bye)


def test_record_route_is_followed_by_a_callee(play: SippPlacesCalls) -> None:
    async def script(us: Desk, offered: CallOffered) -> None:
        assert (await us.hang_up(await ring_and_answer(us, offered))).status == 200

    rows = ["Record-Route: <sip:[local_ip]:[local_port];transport=[transport];lr>", "Record-Route: <sip:192.0.2.9;lr>"]
    scenario = answered(headers=rows).recv(
        "BYE", start="BYE sip:sipp@127.*Route: <sip:127[^>]*lr>.*Route: <sip:192.0.2.9;lr>"
    )
    play(scenario.reply_to_last(), script)


def test_headers_that_nobody_knows_and_compact_forms(play: SippPlacesCalls) -> None:
    rows = [
        "k: timer, 100rel, path, gruu, outbound",
        "X-Whatever: \xe4\xf6",
        "Subject:",
        "u: dialog",
        "Priority: urgent",
    ]
    play(answered(headers=rows).bye(), answer_until_bye)


def test_an_extension_that_we_do_not_have(play: SippPlacesCalls) -> None:
    scenario = Caller(headers=["Require: precondition, sec-agree"]).maybe(100)
    play(scenario.recv_response(420, check={"Unsupported": "precondition"}).ack_refusal(), None)
