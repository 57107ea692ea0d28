"""Where a call goes after a 3xx."""

from __future__ import annotations

import pytest

from cmw.errors import LocalProtocolError
from cmw.sip.headers import Headers
from cmw.sip.message import Response
from cmw.sip.redirect import MAX_CONTACTS, Follow, RedirectPolicy, Redirects


def moved(*contacts: str) -> Response:
    return Response(302, "Moved Temporarily", Headers([("Contact", contact) for contact in contacts]))


def targets(redirects: Redirects) -> list[str]:
    found = []
    while (target := redirects.next_target()) is not None:
        found.append(target)
    return found


def test_nobody_is_followed_unless_told_to() -> None:
    redirects = Redirects(RedirectPolicy(), "sip:b@h")
    redirects.absorb(moved("<sip:c@h>"))
    assert targets(redirects) == []


def test_contacts_are_tried_by_preference() -> None:
    redirects = Redirects(RedirectPolicy(Follow.ALL), "sip:b@h")
    redirects.absorb(moved("<sip:c@h>;q=0.3", "<sip:d@h>;q=0.9", "<sip:e@h>", "<sip:f@h>;q=?", "<sip:g@h>;q=0.9"))
    assert targets(redirects) == ["sip:e@h", "sip:d@h", "sip:g@h", "sip:c@h", "sip:f@h"]


def test_nobody_is_visited_twice() -> None:
    redirects = Redirects(RedirectPolicy(Follow.ALL), "sip:b@h")
    redirects.absorb(moved("<sip:b@H>", "<sip:c@h>"))
    assert redirects.next_target() == "sip:c@h"
    redirects.absorb(moved("<sip:c@h>", "<sip:b@h>", "<sip:d@h>"))
    assert targets(redirects) == ["sip:d@h"]


def test_new_contacts_go_before_those_left_over() -> None:
    redirects = Redirects(RedirectPolicy(Follow.ALL), "sip:b@h")
    redirects.absorb(moved("<sip:c@h>", "<sip:d@h>;q=0.5"))
    redirects.next_target()
    redirects.absorb(moved("<sip:e@h>;q=0.1"))
    assert targets(redirects) == ["sip:e@h", "sip:d@h"]


def test_the_number_is_bounded() -> None:
    redirects = Redirects(RedirectPolicy(Follow.ALL, most=3), "sip:b@h")
    redirects.absorb(moved(*[f"<sip:c{number}@h>" for number in range(100)]))
    assert len(targets(redirects)) == 3
    many = Redirects(RedirectPolicy(Follow.ALL, most=70), "sip:b@h")
    many.absorb(moved(*[f"<sip:c{number}@h>" for number in range(100)]))
    assert len(targets(many)) == MAX_CONTACTS


def test_only_the_same_host_where_the_policy_says_so() -> None:
    redirects = Redirects(RedirectPolicy(Follow.SAME_HOST), "sip:b@h.example")
    redirects.absorb(moved("<sip:c@evil.example>", "<sip:c@H.example:5070>"))
    assert targets(redirects) == ["sip:c@H.example:5070"]


def test_a_secure_call_is_not_taken_to_an_insecure_place() -> None:
    redirects = Redirects(RedirectPolicy(Follow.ALL), "sips:b@h")
    redirects.absorb(moved("<sip:c@h>", "<sips:d@h>"))
    assert targets(redirects) == ["sips:d@h"]


def test_what_is_no_sip_uri_is_passed_over_and_headers_are_dropped() -> None:
    redirects = Redirects(RedirectPolicy(Follow.ALL), "sip:b@h")
    redirects.absorb(moved("*", "<tel:+1>", "<mailto:x@y>", "<", "<sip:c@h;method=BYE?Subject=x>"))
    assert targets(redirects) == ["sip:c@h"]


@pytest.mark.parametrize("most", [0, 71])
def test_a_policy_has_a_bound(most: int) -> None:
    with pytest.raises(LocalProtocolError):
        RedirectPolicy(Follow.ALL, most)
