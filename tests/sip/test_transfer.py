"""The values of a transfer."""

from __future__ import annotations

import pytest

from cmw.errors import RemoteProtocolError
from cmw.sip.headers import Headers
from cmw.sip.replaces import Replaces
from cmw.sip.transfer import (
    ReferTo,
    SubscriptionState,
    SubscriptionStatus,
    event_package,
    make_sipfrag,
    parse_refer_to,
    parse_sipfrag,
    parse_subscription_state,
    wants_subscription,
)


def refer_to(text: str) -> ReferTo:
    return parse_refer_to(Headers([("Refer-To", text)]))


def test_a_blind_target_is_read() -> None:
    assert refer_to("<sip:carol@h;transport=tcp>") == ReferTo("sip:carol@h;transport=tcp")
    assert refer_to("sip:carol@h") == ReferTo("sip:carol@h")
    assert refer_to("<sip:carol@h;method=BYE>") == ReferTo("sip:carol@h", "BYE")


def test_a_target_without_brackets_keeps_its_transport() -> None:
    assert refer_to("sip:carol@h;transport=tcp;x=1;method=BYE") == ReferTo("sip:carol@h;transport=tcp", "BYE")
    assert refer_to("<sip:carol@h>;transport=tcp") == ReferTo("sip:carol@h")


def test_an_attended_target_carries_the_call_to_replace() -> None:
    text = "<sip:carol@h?Replaces=12@b%3Bto-tag%3D5%3Bfrom-tag%3D6&X-Run=a%20b>"
    assert refer_to(text) == ReferTo("sip:carol@h", "INVITE", Replaces("12@b", "5", "6"), (("X-Run", "a b"),))


@pytest.mark.parametrize(
    "value",
    [
        ReferTo("sip:carol@h"),
        ReferTo("sips:c@h:5061;transport=tcp", "BYE"),
        ReferTo("sip:c@h", "INVITE", Replaces("a%b@c&d", "t1", "t2", early_only=True), (("X-A", "1=2 \u00e9"),)),
    ],
)
def test_what_is_written_is_read_again(value: ReferTo) -> None:
    assert refer_to(str(value)) == value


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 400),
        ("<tel:+1>", 416),
        ("<sip:c@h?Replaces=x>", 400),
        ("<sip:c@h?X%0D=x>", 400),
        ("<sip:c@h?X-A=x%0D%0AVia:y>", 400),
    ],
)
def test_a_broken_refer_to_is_refused(text: str, status: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        refer_to(text)
    assert caught.value.hint == status


@pytest.mark.parametrize("count", [0, 2])
def test_there_has_to_be_one_refer_to(count: int) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_refer_to(Headers([("Refer-To", "<sip:c@h>")] * count))


@pytest.mark.parametrize("name", ["From", "Via", "Route", "Call-ID", "Content-Length", "Record-Route"])
def test_a_target_may_not_write_our_headers(name: str) -> None:
    assert refer_to(f"<sip:c@h?{name}=x&Subject=y>").headers == (("Subject", "y"),)


@pytest.mark.parametrize(("text", "wanted"), [("false", False), ("FALSE;x", False), ("true", True), ("", True)])
def test_refer_sub(text: str, wanted: bool) -> None:
    assert wants_subscription(Headers([("Refer-Sub", text)])) is wanted
    assert wants_subscription(Headers()) is True


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("active;expires=60", SubscriptionState(SubscriptionStatus.ACTIVE, 60)),
        ("Terminated;reason=noresource", SubscriptionState(SubscriptionStatus.TERMINATED, None, "noresource")),
        ("pending", SubscriptionState(SubscriptionStatus.PENDING)),
        ("wondering", SubscriptionState(SubscriptionStatus.ACTIVE)),
        ("active;;=", SubscriptionState(SubscriptionStatus.ACTIVE)),
        ("", SubscriptionState(SubscriptionStatus.ACTIVE)),
    ],
)
def test_subscription_state_is_read(text: str, value: SubscriptionState) -> None:
    assert parse_subscription_state(Headers([("Subscription-State", text)])) == value


def test_subscription_state_is_written() -> None:
    assert str(SubscriptionState(SubscriptionStatus.ACTIVE, 60)) == "active;expires=60"
    assert str(SubscriptionState(SubscriptionStatus.TERMINATED, reason="noresource")) == "terminated;reason=noresource"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"SIP/2.0 200 OK", (200, "OK")),
        (b"SIP/2.0 100 Trying\r\nTo: x\r\n", (100, "Trying")),
        (b"\r\nsip/2.0 486\r\n", (486, "")),
        (b"SIP/2.0 700 No", (0, "")),
        (b"", (0, "")),
        (b"\xff\xfe", (0, "")),
    ],
)
def test_a_sipfrag_tells_how_it_goes(body: bytes, status: tuple[int, str]) -> None:
    assert parse_sipfrag(body) == status


def test_a_sipfrag_is_written() -> None:
    assert make_sipfrag(180) == b"SIP/2.0 180 Ringing\r\n"
    assert parse_sipfrag(make_sipfrag(486, "Very Busy")) == (486, "Very Busy")


def test_an_event_names_its_package() -> None:
    assert event_package(Headers([("Event", "Refer;id=93809824")])) == ("refer", "93809824")
    assert event_package(Headers([("Event", "talk")])) == ("talk", "")
    assert event_package(Headers()) == ("", "")
