"""Which endpoints are kept, and what of their messages nobody may see."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cmw.core.words import OutcomeKind
from cmw.load.evidence import EvidenceChoice, EvidenceMessage
from cmw.load.faults import PlanError
from cmw.load.ladder import ladder_svg, ladder_text
from cmw.load.plan_parser import parse_plan
from cmw.load.share import EvidenceShare
from cmw.load.sip_masks import mask, shows_password
from cmw.load.split import split_run, whole_run
from tests.load.documents import two_groups

FAILED, SUCCESS, WARNED = OutcomeKind.CALL_FAILED, OutcomeKind.SUCCESS, OutcomeKind.COMPLETED_WITH_WARNINGS

REGISTER = (
    "REGISTER sip:pbx.example SIP/2.0\r\n"
    'Authorization: Digest username="1001", realm="pbx", nonce="n0nce", uri="sip:pbx.example",\r\n'
    ' response="s3cret", cnonce="cn0nce", qop=auth\r\n'
    "CSeq: 2 REGISTER\r\nContact: <sip:1001:hunter2@10.0.0.1>\r\n\r\n"
)


def message(text: str, *, is_sent: bool = True, at_ms: int = 0, remote: str = "10.0.0.2") -> EvidenceMessage:
    return EvidenceMessage(
        at_unix_ns=1_700_000_000_000_000_000 + at_ms * 1_000_000,
        is_sent=is_sent,
        transport="UDP",
        local_host="10.0.0.1",
        local_port=5060,
        remote_host=remote,
        remote_port=5060,
        text=text,
    )


CALL = [
    message("INVITE sip:600@10.0.0.2 SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\nc=IN IP4 10.0.0.1\r\n"),
    message("SIP/2.0 486 <Busy> & co\r\nCSeq: 1 INVITE\r\n\r\n", is_sent=False, at_ms=1700),
    message("ACK sip:600@10.0.0.2 SIP/2.0\r\nCSeq: 1 ACK\r\n\r\n", at_ms=1701),
]


def test_failures_are_kept_some_of_each_kind_and_no_more_than_wanted() -> None:
    choice = EvidenceChoice(EvidenceShare(calls=8))
    assert [choice.takes("c", FAILED, 486) for _ in range(4)] == [True, True, False, False]
    assert [choice.takes("c", FAILED, 503) for _ in range(3)] == [True, True, False]
    assert not choice.takes("c", SUCCESS, 200)
    assert choice.takes("c", WARNED, 200)
    assert [choice.takes("c", FAILED, status) for status in range(400, 410)].count(True) == 3


def test_named_endpoints_are_kept_however_they_end() -> None:
    choice = EvidenceChoice(EvidenceShare(calls=0, endpoints=["callers-0001"]))
    assert choice.takes("callers-0001", SUCCESS, 200)
    assert not choice.takes("callers-0002", FAILED, 486)


def test_what_opens_doors_is_masked_and_the_rest_is_not() -> None:
    masked = mask(REGISTER)
    for secret in ("s3cret", "n0nce", "hunter2"):
        assert secret not in masked
    assert 'username="1001", realm="pbx"' in masked
    assert "CSeq: 2 REGISTER" in masked
    proof = 'Authentication-Info: qop=auth, rspauth="6629fae49393a0539745", nextnonce="n2"\r\nTo: x\r\n'
    assert mask(proof) == "Authentication-Info: qop=auth, rspauth=***, nextnonce=***\r\nTo: x\r\n"
    assert mask("Proxy-Authorization: Basic dXNlcjpwYXNz\r\nTo: x\r\n") == "Proxy-Authorization: Basic ***\r\nTo: x\r\n"
    challenge = 'WWW-Authenticate: Digest realm="a", nonce='
    assert mask(challenge + '"b"\r\n') == challenge + "***\r\n"
    keyed = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20\r\n"
    assert mask(keyed) == "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:***\r\n"


def test_the_ladder_says_who_said_what_and_when() -> None:
    lines = ladder_text(CALL).splitlines()
    assert lines[1] == "  0.000000  we --> 10.0.0.2:5060 UDP  INVITE sip:600@10.0.0.2, SDP"
    assert lines[2].split() == ["...", "1.700", "s"]
    assert lines[3] == "  1.700000  we <-- 10.0.0.2:5060 UDP  486 <Busy> & co (INVITE)"
    assert ladder_text([]) == "no SIP message passed\n"


def test_the_drawing_is_xml_with_an_arrow_for_each_message() -> None:
    from xml.etree.ElementTree import fromstring

    drawn = fromstring(ladder_svg([*CALL, message("BYE sip:x\x01 SIP/2.0\r\n\r\n", remote="10.0.0.3")]))
    texts = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "486 <Busy> & co (INVITE)" in texts
    assert "BYE sip:x?" in texts
    assert {"10.0.0.1:5060", "10.0.0.2:5060", "10.0.0.3:5060"} <= set(texts)
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}path"))) == 4


def test_a_host_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValidationError):
        message("", remote="../../etc")


def test_every_worker_hears_what_the_plan_wants_kept() -> None:
    plan = parse_plan(two_groups(evidence={"calls": 3, "endpoints": ["callers-0002"]}))
    assert whole_run(plan, "r").evidence == EvidenceShare(calls=3, endpoints=["callers-0002"], worst=5, slowest=5)
    assert {share.evidence.calls for share in split_run(plan, "r", [("a", 2), ("b", 2)]).values()} == {3}
    assert whole_run(parse_plan(two_groups()), "r").evidence.calls == 20


def test_packets_that_nobody_would_see_are_refused() -> None:
    wanted = {"rtp": 20, "worst": 1, "slowest": 2, "calls": 0}
    assert whole_run(parse_plan(two_groups(evidence=wanted)), "r").evidence == EvidenceShare.model_validate(wanted)
    with pytest.raises(PlanError, match=r"evidence.rtp: found 20, expected calls, worst, slowest or endpoints beside"):
        parse_plan(two_groups(evidence={"rtp": 20, "calls": 0, "worst": 0, "slowest": 0}))
    with pytest.raises(PlanError, match=r"evidence.rtp: found True|evidence.rtp: found true"):
        parse_plan(two_groups(evidence={"rtp": True}))


@pytest.mark.parametrize("name", ["callers-0003", "callers-2", "nobody-0001", "callers", "callers-00001"])
def test_endpoints_that_are_not_there_are_refused(name: str) -> None:
    with pytest.raises(PlanError, match=f"found '{name}', expected the name of an endpoint, such as callees-0001"):
        parse_plan(two_groups(evidence={"endpoints": [name]}))


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("<sip:bob:hunter2@h:5060>", "<sip:bob:***@h:5060>"),
        ("<SIPS:bob:a:b?c=d@h>", "<SIPS:bob:***@h>"),
        (f"<sip:bob:{'p' * 5000}@h>", "<sip:bob:***@h>"),
        (f"<sip:{'u' * 5000}:p@h>", f"<sip:{'u' * 5000}:***@h>"),
        ("sip:a:b@h,sip:c:d@h", "sip:a:***@h,sip:c:***@h"),
        ("<sip:bob@h:5060>;x=sip:h:5060", "<sip:bob@h:5060>;x=sip:h:5060"),
        ("<sip:h:5060> bob@h", "<sip:h:5060> bob@h"),
        ("<sip::x@h>", "<sip::x@h>"),
    ],
)
def test_passwords_in_uris_are_masked_whatever_their_length(said: str, shown: str) -> None:
    assert mask(said) == shown
    assert shows_password(said) is (said != shown)
    assert not shows_password(shown.replace("***", ""))


def test_masking_a_hostile_message_takes_linear_time() -> None:
    """Were it quadratic, this would take minutes."""
    for part in ("sip:a:", "sip:a", "sip:a@", "sip::"):
        hostile = part * 200_000
        assert mask(f"{hostile}@").startswith("sip:")
        assert mask(hostile).startswith("sip:")
