from __future__ import annotations

from cmw.sip.route_set import Path, make_path

BOB = "sip:bob@192.0.2.9"


def test_without_routes_a_request_goes_to_its_target() -> None:
    assert make_path(BOB, ()) == Path(BOB, (), BOB)


def test_loose_routers_stand_in_route() -> None:
    """RFC 3261 12.2.1.1."""
    routes = ("<sip:p1.example;lr>", "<sip:p2.example;lr>")
    assert make_path(BOB, routes) == Path(BOB, routes, "sip:p1.example;lr")


def test_a_strict_router_takes_the_request_uri_and_the_target_goes_last() -> None:
    """RFC 3261 12.2.1.1; what may not stand in a Request-URI is dropped."""
    routes = ("<sip:p1.example;method=INVITE?x=y>;param", "<sip:p2.example;lr>")
    path = make_path(BOB, routes)
    assert path == Path("sip:p1.example", ("<sip:p2.example;lr>", f"<{BOB}>"), "sip:p1.example;method=INVITE?x=y")


def test_a_parameter_that_only_begins_with_lr_is_not_lr() -> None:
    assert make_path(BOB, ("<sip:p1.example;lrx>",)).request_uri == "sip:p1.example;lrx"
