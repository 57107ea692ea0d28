"""Requests and answers between users behind connections. Source: RFC 3261 16, RFC 3327 5.4, RFC 5626 5.3, RFC 7118."""

from __future__ import annotations

from cmw.core.address import Address
from cmw.sip.hop import Hop, Transport
from cmw.sip.message import Request, Response, make_response, parse_message, serialize_message
from tests.support.registrar_lab import ALICE, HERE, Lab, make_register, make_request

BOB_WS = Hop("192.0.2.20", 40_002, Transport.WS, flow=9)
CAROL_TCP = Hop("192.0.2.30", 40_003, Transport.TCP, flow=4)
WS_PORT = 8088


def make_lab() -> Lab:
    """Return a registrar with bob behind a WebSocket and carol behind a TCP connection."""
    lab = Lab(others={Transport.WS: Address(HERE.host, WS_PORT)})
    for user, source, host in (("bob", BOB_WS, "b0b.invalid;transport=ws"), ("carol", CAROL_TCP, "192.0.2.30:5060")):
        data = make_register([f"<sip:{user}@{host}>"], user=user, branch=f"z9hG4bK{user}", call_id=user)
        lab.registrar.receive_datagram(data.replace(b"/UDP", b"/" + source.transport.encode()), source, now=lab.now)
        (answer,) = lab.registrar.datagrams_to_send()
        assert answer.destination == source
        assert answer.data.startswith(b"SIP/2.0 200")
    lab.events()
    return lab


def over(data: bytes, transport: Transport) -> bytes:
    return data.replace(b"SIP/2.0/UDP", b"SIP/2.0/" + transport.encode())


def test_a_call_goes_over_the_connection_and_its_answers_come_back() -> None:
    lab = make_lab()
    invite = over(make_request("INVITE", "sip:bob@example.com", to="<sip:bob@example.com>"), Transport.TCP)
    request, destination = lab.sent_on(invite, CAROL_TCP)
    assert destination == BOB_WS
    assert request.uri == "sip:bob@b0b.invalid;transport=ws"
    assert str(request.top_via).startswith(f"SIP/2.0/WS 192.0.2.1:{WS_PORT};")
    ((answer, back),) = lab.send(serialize_message(make_response(request, 200, to_tag="b1")), BOB_WS)
    assert isinstance(answer, Response)
    assert back == CAROL_TCP


def test_over_udp_alone_no_route_is_recorded() -> None:
    lab = Lab()
    lab.register_bob()
    request, _ = lab.sent_on(make_request("INVITE", "sip:bob@example.com", to="<sip:bob@example.com>"))
    assert request.headers.get_all("Record-Route") == []


def test_both_sides_of_a_dialog_are_reached_by_their_connections() -> None:
    """RFC 5626 5.3, RFC 5658: neither contact can be connected to."""
    lab = make_lab()
    invite = over(make_request("INVITE", "sip:bob@example.com", to="<sip:bob@example.com>"), Transport.TCP)
    request, _ = lab.sent_on(invite, CAROL_TCP)
    routes = request.headers.get_all("Record-Route")
    assert [";transport=ws;lr" in routes[0], ";transport=tcp;lr" in routes[1]] == [True, True]
    from_bob = make_request(
        "BYE", "sip:carol@unreachable.invalid", branch="z9hG4bKb", headers=[("Route", each) for each in routes]
    )
    assert lab.registrar.claims(parse_message(from_bob), BOB_WS)
    bye, destination = lab.sent_on(over(from_bob, Transport.WS), BOB_WS)
    assert destination == CAROL_TCP
    assert bye.headers.get_all("Route") == []
    reversed_routes = [("Route", each) for each in reversed(routes)]
    from_carol = make_request("BYE", "sip:bob@b0b.invalid;transport=ws", branch="z9hG4bKc", headers=reversed_routes)
    _, destination = lab.sent_on(over(from_carol, Transport.TCP), CAROL_TCP)
    assert destination == BOB_WS


def test_a_side_over_udp_is_reached_at_its_contact() -> None:
    lab = make_lab()
    request, _ = lab.sent_on(make_request("INVITE", "sip:bob@example.com", to="<sip:bob@example.com>"))
    routes = [("Route", each) for each in request.headers.get_all("Record-Route")]
    bye = make_request("BYE", "sip:alice@192.0.2.10:5062", branch="z9hG4bKb", headers=routes)
    _, destination = lab.sent_on(over(bye, Transport.WS), BOB_WS)
    assert destination == ALICE


def test_a_route_of_another_dialog_leads_nowhere() -> None:
    lab = make_lab()
    request, _ = lab.sent_on(make_request("INVITE", "sip:bob@example.com", to="<sip:bob@example.com>"))
    routes = [("Route", each) for each in request.headers.get_all("Record-Route")]
    stolen = make_request("BYE", "sip:x@203.0.113.9", call_id="other", branch="z9hG4bKx", headers=routes)
    assert not lab.registrar.claims(parse_message(stolen), ALICE)
    forged = [("Route", routes[0][1].replace("WS-9-", "WS-8-"))]
    assert not lab.registrar.claims(
        parse_message(make_request("BYE", "sip:x@203.0.113.9", branch="z9hG4bKy", headers=forged)), ALICE
    )


def test_an_answer_with_another_connection_in_it_goes_nowhere() -> None:
    lab = make_lab()
    invite = over(make_request("INVITE", "sip:bob@example.com", to="<sip:bob@example.com>"), Transport.TCP)
    request, _ = lab.sent_on(invite, CAROL_TCP)
    response = serialize_message(make_response(request, 200, to_tag="b1"))
    assert lab.send(response.replace(b"TCP-4-", b"TCP-5-"), BOB_WS) == []


def test_a_path_is_put_before_the_contact() -> None:
    """RFC 3327 5.4."""
    lab = Lab()
    paths = [("Path", "<sip:192.0.2.50:5070;lr>"), ("Path", "<sip:192.0.2.51;lr>")]
    lab.answer(make_register(["<sip:bob@192.0.2.20>"], user="bob", headers=paths, call_id="b"), ALICE)
    request, destination = lab.sent_on(
        make_request("INVITE", "sip:bob@example.com", to="<sip:bob@example.com>", branch="z9hG4bK2")
    )
    assert destination == Hop("192.0.2.50", 5070)
    assert request.headers.get_all("Route") == ["<sip:192.0.2.50:5070;lr>", "<sip:192.0.2.51;lr>"]
    assert request.uri == "sip:bob@192.0.2.20"


def test_cancel_and_ack_follow_their_invite_over_a_connection() -> None:
    lab = make_lab()
    branches = set()
    for method in ("INVITE", "CANCEL", "ACK"):
        data = over(make_request(method, "sip:bob@example.com", to="<sip:bob@example.com>"), Transport.TCP)
        request, destination = lab.sent_on(data, CAROL_TCP)
        assert isinstance(request, Request)
        assert destination == BOB_WS
        branches.add(request.top_via.branch)
    assert len(branches) == 1
