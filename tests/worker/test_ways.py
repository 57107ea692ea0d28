"""Where the requests of a run go, over what, and with which certificates."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cmw.load.plan_parser import parse_plan
from cmw.load.split import whole_run
from cmw.sip import Hop, Lookup, Transport
from cmw.worker.choices import call_options
from cmw.worker.pem_files import PemFiles
from cmw.worker.ways import Ways, with_transport
from tests.load.documents import registered, two_groups
from tests.worker.stage import Stage

NAMED = Hop("10.9.9.9", 5070, Transport.TLS, "pbx.example")


def prepared(document: dict[str, Any], hops: tuple[Hop, ...] = (), reason: str = "") -> tuple[Ways, list[str]]:
    """Return the ways of a plan, and what was looked up for them."""
    asked: list[str] = []

    async def locate(lookup: Lookup) -> tuple[tuple[Hop, ...], str]:
        asked.append(str(lookup.uri))
        return hops, reason

    stage = Stage()
    stage.station.locate = locate
    ways = Ways(whole_run(parse_plan(document), "r1"), stage.station)
    asyncio.run(ways.prepare())
    return ways, asked


def calling(uri: str, **group: Any) -> dict[str, Any]:
    document = two_groups()
    document["groups"] = {"callers": {"endpoints": 1, "call": {"uri": uri}, **group}}
    return document


@pytest.mark.parametrize(
    ("uri", "group", "destination", "looked_up"),
    [
        ("sip:1@10.0.0.2", {}, Hop("10.0.0.2", 5060), "sip:1@10.0.0.2"),
        ("sip:1@10.0.0.2:5070;transport=tcp", {}, Hop("10.0.0.2", 5070, Transport.TCP), None),
        ("sip:1@10.0.0.2", {"transport": "tls"}, Hop("10.0.0.2", 5061, Transport.TLS), "sip:1@10.0.0.2;transport=tls"),
        ("sips:1@10.0.0.2", {"transport": "tcp"}, Hop("10.0.0.2", 5061, Transport.TLS), "sips:1@10.0.0.2"),
        ("sip:1@pbx.example", {}, None, "sip:1@pbx.example"),  # by RFC 3263
        ("sip:1@pbx.example", {"transport": "auto"}, None, "sip:1@pbx.example"),
        ("sip:1@10.0.0.2", {"outbound_proxy": "sip:10.0.0.9"}, None, "sip:10.0.0.9;lr"),
    ],
)
def test_calls_without_a_registrar(
    uri: str, group: dict[str, Any], destination: Hop | None, looked_up: str | None
) -> None:
    ways, asked = prepared(calling(uri, **group))
    [share] = whole_run(parse_plan(calling(uri, **group)), "r1").groups.values()
    assert ways.destination(share, uri, None) == destination
    assert looked_up is None or asked == [looked_up]


def test_a_transport_that_the_plan_names_counts_for_names_too() -> None:
    document = calling("sip:1@pbx.example", transport="tls")
    ways, asked = prepared(document, (NAMED,))
    [share] = whole_run(parse_plan(document), "r1").groups.values()
    assert asked == ["sip:1@pbx.example;transport=tls"]
    assert ways.destination(share, "sip:1@pbx.example", None) is None, "all that the name leads to are tried"
    assert call_options(share, share.endpoints[0], "").transport is Transport.TLS


def test_what_leads_nowhere_says_so_before_anything_is_sent() -> None:
    document = calling("sip:1@pbx.example")
    ways, _ = prepared(document, (), "host 'pbx.example' does not exist")
    [share] = whole_run(parse_plan(document), "r1").groups.values()
    expected = "host 'pbx.example' cannot be resolved: host 'pbx.example' does not exist"
    assert ways.call_fault(share, "sip:1@pbx.example") == expected


def test_accounts_know_their_way() -> None:
    document = registered()
    document["registrars"]["lab"] |= {
        "transport": "tls",
        "registration": {"outbound": True, "retry": {"tries": 2, "base": "1s", "max": "5s"}},
        "outbound_proxy": "sip:edge.example",
    }
    document["registrars"]["lab"]["accounts"][0]["auth_username"] = "auth-1"
    ways, asked = prepared(document, (NAMED,))
    share = whole_run(parse_plan(document), "r1")
    account = ways.account(share.groups["callees"].endpoints[0], "callees-0001", share.registrars["lab"])
    assert asked == ["sip:edge.example;transport=tls;lr"]
    assert (account.aor, account.registrar) == ("sip:1001@pbx.example:5070", "sip:pbx.example:5070")
    assert account.routes == ("<sip:edge.example;transport=tls;lr>",)
    assert (account.transport, account.destination, account.reg_id) == (Transport.TLS, None, 1)
    assert account.instance.startswith("urn:uuid:")
    assert (account.retry.first_tries, account.retry.base_s, account.retry.maximum_s) == (2, 1.0, 5.0)
    assert account.credentials is not None
    assert not isinstance(account.credentials, tuple)
    assert (account.credentials.username, account.credentials.hosts) == ("auth-1", ("10.9.9.9",))


def test_calls_go_where_the_registration_stands() -> None:
    document = registered()
    document["registrars"]["lab"]["transport"] = "tcp"
    ways, _ = prepared(document, (Hop("10.0.0.2", 5070, Transport.TCP),))
    share = whole_run(parse_plan(document), "r1").groups["callers"]
    flow = Hop("10.0.0.3", 5070, Transport.TCP, flow=4)
    assert ways.destination(share, "sip:1001@pbx.example", flow) == flow._replace(flow=0)
    assert ways.destination(share, "sip:1001@pbx.example", None) == Hop("10.0.0.2", 5070, Transport.TCP)


def test_own_connections_are_numbered() -> None:
    document = registered()
    document["registrars"]["lab"] |= {"transport": "tcp", "registration": {"connection": "own"}}
    ways, _ = prepared(document, (Hop("10.0.0.2", 5070, Transport.TCP),))
    share = whole_run(parse_plan(document), "r1")
    lab = share.registrars["lab"]
    flows = [ways.account(e, "u", lab).destination for e in share.groups["callees"].endpoints]
    assert [hop and hop.flow for hop in flows] == [-1, -2]


def test_a_uri_that_names_its_transport_keeps_it() -> None:
    assert with_transport("sip:h;transport=tcp", "tls") == "sip:h;transport=tcp"
    assert with_transport("sips:h", "tcp") == "sips:h"
    assert with_transport("sip:10.0.0.1", "udp") == "sip:10.0.0.1"
    assert with_transport("sip:h", "udp") == "sip:h;transport=udp"
    assert with_transport("sip:h", None) == "sip:h"


def test_texts_become_files_for_as_long_as_they_are_needed() -> None:
    files = PemFiles()
    text = "one\n" * 10_000
    path = files.take(text)
    assert Path(path).read_text() == text
    assert files.take("two") != path
    assert files.take(text) == path  # so that two runs of one plan reach a server in the same way
    files.release(path)
    assert Path(path).exists()
    files.release(path)
    assert not Path(path).exists()
