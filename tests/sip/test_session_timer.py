"""Session timers: what is asked, what is granted, who refreshes, and when."""

from __future__ import annotations

import pytest

from cmw.core.clock import SECOND
from cmw.errors import LocalProtocolError, RemoteProtocolError
from cmw.sip.headers import Headers
from cmw.sip.option_tags import Support
from cmw.sip.session_timer import (
    REFRESHER_TABLE,
    Due,
    Refresher,
    SessionExpires,
    SessionTimer,
    SessionTimerChoice,
    parse_min_se,
    parse_session_expires,
)

TIMER = ("Supported", "timer")


def caller(**choice: object) -> SessionTimer:
    return SessionTimer(SessionTimerChoice(**choice), is_caller=True)  # type: ignore[arg-type]


def callee(**choice: object) -> SessionTimer:
    return SessionTimer(SessionTimerChoice(**choice), is_caller=False)  # type: ignore[arg-type]


def rows(*pairs: tuple[str, str]) -> Headers:
    return Headers(pairs)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1800", SessionExpires(1800)),
        ("1800;refresher=uac", SessionExpires(1800, Refresher.UAC)),
        ("90 ; x=1 ; refresher=UAS", SessionExpires(90, Refresher.UAS)),
        ("4294967295", SessionExpires(2**32 - 1)),
    ],
)
def test_session_expires_is_read(text: str, value: SessionExpires) -> None:
    assert parse_session_expires(text) == value


@pytest.mark.parametrize("text", ["", "-1", "1e3", "4294967296", "90;refresher=me", "90;=", "\u0661"])
def test_broken_session_expires_is_refused_with_400(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_session_expires(text)
    assert caught.value.hint == 400


def test_values_are_written_as_they_are_read() -> None:
    for value in (SessionExpires(90), SessionExpires(7200, Refresher.UAS)):
        assert parse_session_expires(str(value)) == value


def test_min_se_is_never_below_90() -> None:
    assert parse_min_se(rows()) == 90
    assert parse_min_se(rows(("Min-SE", "10"))) == 90
    assert parse_min_se(rows(("Min-SE", "120;x=y"))) == 120
    with pytest.raises(RemoteProtocolError):
        parse_min_se(rows(("Min-SE", "soon")))


@pytest.mark.parametrize("wrong", [{"min_se_s": 89}, {"expires_s": 80}, {"expires_s": 100, "min_se_s": 120}])
def test_a_choice_that_cannot_be_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(LocalProtocolError):
        SessionTimerChoice(**wrong)  # type: ignore[arg-type]


def test_the_table_of_refreshers_is_that_of_the_rfc() -> None:
    assert REFRESHER_TABLE[False, None] is Refresher.UAS
    assert REFRESHER_TABLE[True, None] is None
    assert REFRESHER_TABLE[True, Refresher.UAC] is Refresher.UAC
    assert REFRESHER_TABLE[True, Refresher.UAS] is Refresher.UAS
    assert len(REFRESHER_TABLE) == 6


def test_a_caller_asks_for_what_it_wants_and_for_nothing_by_default() -> None:
    assert caller().request_rows() == []
    assert caller(expires_s=1800).request_rows() == [("Session-Expires", "1800")]
    wanted = caller(expires_s=1800, min_se_s=120, refresher=Refresher.UAS)
    assert wanted.request_rows() == [("Session-Expires", "1800;refresher=uas"), ("Min-SE", "120")]


def test_the_refreshing_caller_refreshes_at_half_and_gives_up_before_the_end() -> None:
    timer = caller(expires_s=1800)
    timer.take_success(rows(("Session-Expires", "1800;refresher=uac")), now=0)
    assert (timer.interval_s, timer.is_refresher) == (1800, True)
    assert timer.next_at() == 900 * SECOND
    assert timer.take_due(now=900 * SECOND - 1) is None
    assert timer.take_due(now=900 * SECOND) is Due.REFRESH
    assert timer.next_at() == (1800 - 32) * SECOND
    assert timer.take_due(now=1768 * SECOND) is Due.EXPIRE
    assert timer.next_at() is None


def test_the_end_is_a_third_before_the_end_of_a_short_session() -> None:
    timer = caller(expires_s=90)
    timer.take_success(rows(("Session-Expires", "90;refresher=uas")), now=SECOND)
    assert timer.is_refresher is False
    assert timer.next_at() == 61 * SECOND


def test_a_peer_without_support_leaves_a_session_without_end() -> None:
    timer = caller(expires_s=1800)
    timer.take_success(rows(), now=0)
    assert (timer.interval_s, timer.next_at()) == (0, None)
    timer.take_success(rows(("Session-Expires", "nonsense")), now=0)
    assert timer.next_at() is None


def test_a_2xx_that_a_proxy_wrote_leaves_the_refreshing_to_the_caller() -> None:
    timer = caller()
    timer.take_success(rows(("Session-Expires", "1000"), ("Require", "timer")), now=0)
    assert timer.is_refresher is True


def test_a_422_raises_the_interval_a_bounded_number_of_times() -> None:
    timer = caller(expires_s=90)
    assert timer.raise_interval(rows(("Min-SE", "3600"))) is True
    assert timer.request_rows() == [("Session-Expires", "3600"), ("Min-SE", "3600")]
    assert timer.raise_interval(rows(("Min-SE", "3600"))) is False, "nothing new"
    assert timer.raise_interval(rows()) is False
    assert timer.raise_interval(rows(("Min-SE", "x"))) is False
    assert timer.raise_interval(rows(("Min-SE", "3700")))
    assert timer.raise_interval(rows(("Min-SE", "3800")))
    assert timer.raise_interval(rows(("Min-SE", "3900"))) is False, "bounded"
    timer.begin()
    assert timer.raise_interval(rows(("Min-SE", "3900")))


def test_a_refresh_keeps_interval_and_refresher_in_the_roles_of_the_new_request() -> None:
    timer = caller(expires_s=1800)
    timer.take_success(rows(("Session-Expires", "600;refresher=uas")), now=0)
    assert timer.request_rows() == [("Session-Expires", "600;refresher=uas")]
    other = callee()
    answer = other.success_rows(rows(TIMER, ("Session-Expires", "600;refresher=uas")), now=0)
    assert answer == [("Session-Expires", "600;refresher=uas"), ("Require", "timer")]
    assert other.is_refresher is True
    assert other.request_rows() == [("Session-Expires", "600;refresher=uac")], "the UAS of the INVITE is the UAC now"


def test_an_interval_below_our_bound_gets_422_from_those_who_can_raise_it() -> None:
    timer = callee(min_se_s=300)
    assert timer.refuse(rows(TIMER, ("Session-Expires", "120"))) == (422, (("Min-SE", "300"),))
    assert timer.refuse(rows(("Session-Expires", "120"))) is None
    assert timer.refuse(rows(TIMER, ("Session-Expires", "300"))) is None
    assert timer.refuse(rows(TIMER, ("Session-Expires", "?"))) == (400, ())
    assert timer.refuse(rows(("Min-SE", "?"))) == (400, ())


def test_a_party_that_requires_timers_refuses_those_without() -> None:
    timer = callee(mode=Support.REQUIRED)
    assert timer.refuse(rows()) == (421, (("Require", "timer"),))
    assert timer.refuse(rows(("Require", "Timer"))) is None


@pytest.mark.parametrize(
    ("request_rows", "answer", "is_refresher"),
    [
        ([("Session-Expires", "1800")], [("Session-Expires", "1800;refresher=uas")], True),
        (
            [TIMER, ("Session-Expires", "1800;refresher=uac")],
            [("Session-Expires", "1800;refresher=uac"), ("Require", "timer")],
            False,
        ),
        ([TIMER], [], False),
        ([], [], False),
    ],
)
def test_what_a_callee_grants(
    request_rows: list[tuple[str, str]], answer: list[tuple[str, str]], is_refresher: bool
) -> None:
    timer = callee()
    assert timer.success_rows(Headers(request_rows), now=0) == answer
    assert timer.is_refresher is is_refresher
    assert (timer.next_at() is not None) is bool(answer)


def test_a_callee_that_wants_timers_asks_in_its_2xx_where_the_caller_can() -> None:
    timer = callee(expires_s=600, refresher=Refresher.UAC)
    expected = [("Session-Expires", "600;refresher=uac"), ("Require", "timer")]
    assert timer.success_rows(rows(TIMER), now=0) == expected
    assert callee(expires_s=600).success_rows(rows(), now=0) == []
    assert callee(expires_s=600).success_rows(rows(TIMER, ("Min-SE", "700")), now=0)[0][1].startswith("700;")


@pytest.mark.parametrize(
    ("ours", "asked", "least", "granted"),
    [(600, 1800, 90, 600), (0, 1800, 90, 1800), (600, 300, 90, 300), (120, 900, 500, 500)],
)
def test_the_interval_lies_between_their_min_se_and_what_they_asked_for(
    ours: int, asked: int, least: int, granted: int
) -> None:
    request = rows(TIMER, ("Session-Expires", str(asked)), ("Min-SE", str(least)))
    assert callee(expires_s=ours).success_rows(request, now=0)[0][1].split(";")[0] == str(granted)


def test_timers_that_are_off_never_run() -> None:
    timer = callee(mode=Support.OFF)
    assert timer.refuse(rows(("Session-Expires", "91"))) is None
    assert timer.success_rows(rows(TIMER, ("Session-Expires", "91")), now=0) == []
    other = caller(mode=Support.OFF)
    other.take_success(rows(("Session-Expires", "91;refresher=uac")), now=0)
    assert timer.next_at() is other.next_at() is None


def test_a_change_without_session_expires_ends_the_timer() -> None:
    timer = callee()
    timer.success_rows(rows(TIMER, ("Session-Expires", "1800")), now=0)
    assert timer.success_rows(rows(), now=SECOND) == []
    assert timer.next_at() is None


def test_a_refresh_that_was_refused_is_tried_again_but_not_after_the_end() -> None:
    timer = caller(expires_s=90)
    timer.take_success(rows(("Session-Expires", "90;refresher=uac")), now=0)
    assert timer.take_due(now=45 * SECOND) is Due.REFRESH
    timer.retry_at(50 * SECOND)
    assert timer.take_due(now=50 * SECOND) is Due.REFRESH
    timer.retry_at(61 * SECOND)
    assert timer.take_due(now=70 * SECOND) is Due.EXPIRE
    assert timer.take_due(now=70 * SECOND) is None
