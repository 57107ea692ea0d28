"""What a REGISTER changes: paths, flows, preferences, bounds. Source: RFC 3261 10.3, RFC 3327, RFC 3608, RFC 5626."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from cmw.core.clock import SECOND, WallClock
from cmw.sip.hop import Hop, Transport
from cmw.sip.registrar_events import UserRegistered, UserUnregistered
from tests.support.registrar_lab import Lab, make_register

ALICE_TCP = Hop("192.0.2.10", 40_001, Transport.TCP, flow=7)
INSTANCE = '+sip.instance="<urn:uuid:00000000-0000-4000-8000-000000000001>"'
OUTBOUND = [("Supported", "path, outbound")]


def register(
    lab: Lab,
    contacts: Iterable[str],
    *,
    source: Hop = ALICE_TCP,
    cseq: int = 1,
    headers: Iterable[tuple[str, str]] = (),
    vias: int = 1,
    expires: str | None = None,
) -> dict[str, list[str]]:
    """Send a REGISTER over a connection; return the rows of the answer, with its status as ``status``."""
    data = make_register(contacts, cseq=cseq, branch=f"z9hG4bK{cseq}", headers=list(headers), expires=expires)
    data = data.replace(b"SIP/2.0/UDP", b"SIP/2.0/" + source.transport.encode())
    for number in range(1, vias):
        line = b"Via: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKproxy%d\r\nVia: " % number
        data = data.replace(b"Via: ", line, 1)
    response = lab.answer(data, source)
    rows: dict[str, list[str]] = {"status": [str(response.status)]}
    for name, value in response.headers:
        rows.setdefault(name, []).append(value)
    return rows


def test_over_a_connection_the_binding_leads_back_along_it() -> None:
    lab = Lab()
    register(lab, ["<sip:alice@abc.invalid;transport=ws>"], source=ALICE_TCP._replace(transport=Transport.WS))
    (binding,) = lab.registrar.bindings("alice")
    assert binding.destination == ALICE_TCP._replace(transport=Transport.WS)


def test_a_lost_connection_ends_its_bindings_and_no_others() -> None:
    lab = Lab()
    register(lab, ["<sip:alice@192.0.2.10:5060;transport=tcp>"])
    register(lab, ["<sip:alice@192.0.2.11:5060;transport=tcp>"], source=ALICE_TCP._replace(flow=8), cseq=2)
    lab.events()
    lab.registrar.flow_lost(7, now=lab.now)
    lab.registrar.flow_lost(7, now=lab.now)
    contact = "sip:alice@192.0.2.10:5060;transport=tcp"
    assert lab.events() == [UserUnregistered("alice", contact, False, lab.now, is_lost=True)]
    assert [each.destination.flow for each in lab.registrar.bindings("alice")] == [8]


def test_a_binding_that_moved_to_another_connection_outlives_the_first() -> None:
    lab = Lab()
    register(lab, ["<sip:alice@192.0.2.10:5060;transport=tcp>"])
    register(lab, ["<sip:alice@192.0.2.10:5060;transport=tcp>"], source=ALICE_TCP._replace(flow=8), cseq=2)
    lab.registrar.flow_lost(7, now=lab.now)
    assert len(lab.registrar) == 1


def test_a_path_is_kept_and_shown_to_those_who_know_it() -> None:
    """RFC 3327 5.3."""
    paths = [("Path", "<sip:p2.example;lr>"), ("Path", "<sip:p1.example;lr>")]
    lab = Lab()
    told = register(lab, ["<sip:alice@192.0.2.10>"], headers=[*paths, ("Supported", "path")])
    assert told["Path"] == ["<sip:p2.example;lr>", "<sip:p1.example;lr>"]
    (binding,) = lab.registrar.bindings("alice")
    assert binding.paths == ("<sip:p2.example;lr>", "<sip:p1.example;lr>")
    assert "Path" not in register(lab, ["<sip:alice@192.0.2.10>"], headers=paths, cseq=2)


def test_a_flow_of_an_instance_takes_the_place_of_its_predecessor() -> None:
    """RFC 5626 6: the device came back from another address."""
    lab = Lab(flow_timer_s=120)
    told = register(lab, [f"<sip:alice@192.0.2.10:1;transport=tcp>;reg-id=1;{INSTANCE}"], headers=OUTBOUND)
    assert (told["Require"], told["Flow-Timer"]) == (["outbound"], ["120"])
    register(lab, [f"<sip:alice@192.0.2.10:2;transport=tcp>;{INSTANCE};reg-id=1"], headers=OUTBOUND, cseq=2)
    assert [each.contact for each in lab.registrar.bindings("alice")] == ["sip:alice@192.0.2.10:2;transport=tcp"]
    told = register(lab, [f"<sip:alice@192.0.2.10:3;transport=tcp>;{INSTANCE};reg-id=2"], headers=OUTBOUND, cseq=3)
    assert len(told["Contact"]) == 2
    assert all(INSTANCE in contact for contact in told["Contact"])
    kinds = [type(event) for event in lab.events()]
    assert kinds == [UserRegistered, UserUnregistered, UserRegistered, UserRegistered]


def test_a_flow_is_not_kept_for_those_who_do_not_ask() -> None:
    lab = Lab()
    told = register(lab, [f"<sip:alice@192.0.2.10:1>;reg-id=1;{INSTANCE}"])
    assert "Require" not in told
    register(lab, [f"<sip:alice@192.0.2.10:2>;reg-id=1;{INSTANCE}"], cseq=2)
    assert len(lab.registrar) == 2


@pytest.mark.parametrize(
    ("path", "status"), [([], "439"), (["<sip:p1.example;lr>"], "439"), (["<sip:p1.example;lr;ob>"], "200")]
)
def test_behind_a_proxy_a_flow_needs_one_that_keeps_it(path: list[str], status: str) -> None:
    """RFC 5626 6."""
    headers = [*OUTBOUND, *[("Path", each) for each in path]]
    lab = Lab()
    source = Hop("192.0.2.99", 5060)
    told = register(lab, [f"<sip:alice@192.0.2.10>;reg-id=1;{INSTANCE}"], headers=headers, vias=2, source=source)
    assert told["status"] == [status]
    assert len(lab.registrar) == (status == "200")


@pytest.mark.parametrize("extension", ["path", "outbound", "Path, OUTBOUND"])
def test_known_extensions_may_be_required(extension: str) -> None:
    assert register(Lab(), ["<sip:a@192.0.2.10>"], headers=[("Require", extension)])["status"] == ["200"]


def test_the_best_contact_comes_first_and_of_equals_the_oldest() -> None:
    """RFC 3261 16.6: the highest q is tried first."""
    lab = Lab()
    contacts = ["<sip:a@192.0.2.10:1>;q=0.2", "<sip:a@192.0.2.10:2>;q=0.9", "<sip:a@192.0.2.10:3>;q=0.900"]
    told = register(lab, contacts, source=Hop("192.0.2.10", 5062))
    assert [row.partition(";expires")[0] for row in told["Contact"]] == contacts
    best = lab.registrar._locations.best("alice")
    assert best is not None
    assert best.contact == "sip:a@192.0.2.10:2"


def test_the_number_of_contacts_is_bounded() -> None:
    lab = Lab(max_contacts=2)
    assert register(lab, ["<sip:a@192.0.2.10:1>", "<sip:a@192.0.2.10:2>"])["status"] == ["200"]
    assert register(lab, ["<sip:a@192.0.2.10:3>"], cseq=2)["status"] == ["503"]
    swap = ["<sip:a@192.0.2.10:1>;expires=0", "<sip:a@192.0.2.10:3>"]
    assert register(lab, swap, cseq=3)["status"] == ["200"]


def test_the_answer_tells_the_time_and_the_way_out() -> None:
    lab = Lab(clock=WallClock(0, 1_289_690_935 * SECOND), service_routes=["<sip:192.0.2.1;lr>"])
    told = register(lab, ["<sip:a@192.0.2.10>"])
    assert told["Date"] == ["Sat, 13 Nov 2010 23:29:00 GMT"]
    assert told["Service-Route"] == ["<sip:192.0.2.1;lr>"]
    assert told["Supported"] == ["path, outbound"]


def test_a_refused_contact_leaves_the_others_as_they_were() -> None:
    """RFC 3261 10.3: all of a REGISTER or nothing of it."""
    lab = Lab(min_expires_s=60)
    register(lab, ["<sip:a@192.0.2.10:1>"], expires="100")
    told = register(lab, ["<sip:a@192.0.2.10:1>;expires=0", "<sip:a@192.0.2.10:2>;expires=5"], cseq=2)
    assert (told["status"], told["Min-Expires"]) == (["423"], ["60"])
    assert [each.contact for each in lab.registrar.bindings("alice")] == ["sip:a@192.0.2.10:1"]


def test_a_path_that_is_none_is_refused() -> None:
    assert register(Lab(), ["<sip:a@192.0.2.10>"], headers=[("Path", "<tel:1>")])["status"] == ["416"]
    many = [("Path", "<sip:p;lr>")] * 17
    assert register(Lab(), ["<sip:a@192.0.2.10>"], headers=many)["status"] == ["400"]
