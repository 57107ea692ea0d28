"""Names: hosts file, DNS over a real socket, the cache in virtual time, and the way of a lookup to its hops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from cmw.core.clock import SECOND
from cmw.net.dns import CACHE_ANSWERS, DnsClient
from cmw.net.ids import RandomIds
from cmw.net.sip_locator import SipLocator
from cmw.sip.hop import Transport
from cmw.sip.locate import Answer, AnswerKind, Naptr, Question, RecordType, Srv
from cmw.sip.lookup import Lookup
from cmw.sip.uri import parse_uri
from tests.support.dns_server import DnsServer

A, AAAA, SRV, NAPTR = RecordType

pytestmark = pytest.mark.loopback

ZONE = {
    "example.com NAPTR": [
        '10 10 "s" "SIP+D2T" "" _sip._tcp.example.com.',
        '20 10 "s" "SIP+D2U" "" _sip._udp.example.com.',
    ],
    "_sip._tcp.example.com SRV": ["10 5 5070 a.example.com.", "20 5 5071 b.example.com."],
    "_sip._udp.example.com SRV": ["10 5 5072 a.example.com."],
    "a.example.com A": ["192.0.2.1"],
    "a.example.com AAAA": ["2001:db8::1"],
    "b.example.com CNAME": ["c.example.com."],
    "c.example.com A": ["192.0.2.3", "192.0.2.4"],
    "loop.example.com CNAME": ["loop2.example.com."],
    "loop2.example.com CNAME": ["loop.example.com."],
    "broken.example.com A": ["!"],
    "silent.example.com A": ["-"],
    "none.example.com SRV": ["0 0 0 ."],
}


class Lab:
    def __init__(self, server: DnsServer, client: DnsClient) -> None:
        self.server = server
        self.client = client
        self.now = 0

    async def ask(self, name: str, kind: RecordType) -> Answer:
        return await self.client.answer(Question(name, kind))

    async def hops(self, uri: str, families: tuple[int, ...] = (4,)) -> list[str]:
        lookup = Lookup(1, parse_uri(uri), (Transport.UDP, Transport.TCP), families)
        hops, reason = await SipLocator(self.client, RandomIds())(lookup)
        return [str(hop) for hop in hops] or [reason]


@asynccontextmanager
async def lab(hosts: str = "/nonexistent", **keywords: Any) -> AsyncIterator[Lab]:
    server = DnsServer(dict(ZONE))
    address = await server.start()
    it = Lab(server, DnsClient([address], hosts_file=hosts, clock=lambda: it.now, **keywords))
    try:
        yield it
    finally:
        server.close()


@pytest.fixture(params=[uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    runner: Callable[[Coroutine[Any, Any, None]], None] = request.param
    return runner


def test_records_of_every_type(run: Any) -> None:
    async def scene() -> None:
        async with lab() as it:
            assert await it.ask("a.example.com", A) == Answer(AnswerKind.FOUND, addresses=("192.0.2.1",))
            assert (await it.ask("a.example.com", AAAA)).addresses == ("2001:db8::1",)
            assert (await it.ask("none.example.com", SRV)).services == (Srv(0, 0, 0, ""),)
            found = (await it.ask("example.com", NAPTR)).pointers
            assert sorted(found)[0] == Naptr(10, 10, "s", "SIP+D2T", "", "_sip._tcp.example.com")

    run(scene())


def test_aliases_are_followed_and_circles_are_not(run: Any) -> None:
    async def scene() -> None:
        async with lab() as it:
            assert set((await it.ask("b.example.com", A)).addresses) == {"192.0.2.3", "192.0.2.4"}
            assert (await it.ask("loop.example.com", A)).kind is AnswerKind.FAILED

    run(scene())


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("nobody.example.com", A, Answer(AnswerKind.NO_NAME)),
        ("a.example.com", SRV, Answer(AnswerKind.NO_DATA)),
        ("broken.example.com", A, Answer(AnswerKind.FAILED, detail="server failure")),
        ("silent.example.com", A, Answer(AnswerKind.FAILED, detail="timed out")),
    ],
)
def test_the_ways_of_having_no_answer(run: Any, name: str, kind: RecordType, expected: Answer) -> None:
    async def scene() -> None:
        async with lab(query_limit_s=0.2) as it:
            assert await it.ask(name, kind) == expected

    run(scene())


@pytest.mark.parametrize("name", ["a" * 64 + ".example.com", "a..b.example"])
def test_a_name_that_is_none(run: Any, name: str) -> None:
    async def scene() -> None:
        async with lab() as it:
            assert (await it.ask(name, A)).kind is AnswerKind.FAILED
            assert it.server.asked == []

    run(scene())


def test_answers_are_remembered_for_their_time(run: Any) -> None:
    async def scene() -> None:
        async with lab() as it:
            for now, asked in ((0, 1), (299, 1), (300, 2), (599, 2), (600, 3)):
                it.now = now * SECOND
                await it.ask("a.example.com", A)
                assert len(it.server.asked) == asked

    run(scene())


@pytest.mark.parametrize(("name", "seconds"), [("nobody.example.com", 60), ("broken.example.com", 5)])
def test_no_answer_is_remembered_for_less(run: Any, name: str, seconds: int) -> None:
    async def scene() -> None:
        async with lab() as it:
            await it.ask(name, A)
            asked = len(it.server.asked)
            it.now = seconds * SECOND - 1
            await it.ask(name, A)
            assert len(it.server.asked) == asked
            it.now = seconds * SECOND
            await it.ask(name, A)
            assert len(it.server.asked) > asked

    run(scene())


def test_who_asks_the_same_at_once_waits_along(run: Any) -> None:
    async def scene() -> None:
        async with lab() as it:
            found = await asyncio.gather(*(it.ask("a.example.com", A) for _ in range(100)))
            assert len(set(found)) == 1
            assert it.server.asked == ["a.example.com A"]

    run(scene())


def test_what_comes_along_is_not_asked_again_and_strangers_are_not_believed(run: Any) -> None:
    async def scene() -> None:
        async with lab() as it:
            it.server.additional = {"a.example.com A": ["192.0.2.1"], "bank.example A": ["192.0.2.66"]}
            await it.ask("_sip._udp.example.com", SRV)
            assert (await it.ask("a.example.com", A)).addresses == ("192.0.2.1",)
            assert it.server.asked == ["_sip._udp.example.com SRV"]
            assert (await it.ask("bank.example", A)).kind is AnswerKind.NO_NAME

    run(scene())


def test_the_memory_is_bounded() -> None:
    client = DnsClient([])
    for number in range(CACHE_ANSWERS + 10):
        client._remember(Question(f"h{number}", A), Answer(AnswerKind.NO_NAME), 60)
    assert len(client._cache) == CACHE_ANSWERS


def test_the_hosts_file_comes_first_and_is_read_again(run: Any, tmp_path: Path) -> None:
    async def scene() -> None:
        hosts = tmp_path / "hosts"
        hosts.write_text("# comment\n10.0.0.9 example.com PBX # names\n2001:db8::9\tpbx\nbroken line\n")
        async with lab(str(hosts)) as it:
            assert (await it.ask("pbx", A)).addresses == ("10.0.0.9",)
            assert (await it.ask("pbx", AAAA)).addresses == ("2001:db8::9",)
            assert await it.hops("sip:example.com") == ["10.0.0.9:5060"]
            assert await it.hops("sip:localhost") == ["127.0.0.1:5060"]
            assert it.server.asked == []
            hosts.write_text("10.0.0.10 example.com and more\n")
            assert (await it.ask("example.com", A)).addresses == ("10.0.0.10",)

    run(scene())


def test_a_lookup_becomes_hops(run: Any) -> None:
    async def scene() -> None:
        async with lab() as it:
            found = await it.hops("sip:example.com", (4, 6))
            assert found[:2] == ["192.0.2.1:5070;transport=tcp", "[2001:db8::1]:5070;transport=tcp"]
            assert sorted(found[2:]) == ["192.0.2.3:5071;transport=tcp", "192.0.2.4:5071;transport=tcp"]
            assert await it.hops("sip:example.com;transport=udp") == ["192.0.2.1:5072"]
            assert await it.hops("sip:nobody.example.com") == ["host 'nobody.example.com' does not exist"]
            assert await it.hops("sip:broken.example.com:5060") == [
                "host 'broken.example.com' cannot be looked up: server failure"
            ]

    run(scene())


def test_a_name_without_a_dot_is_only_asked_for_addresses(run: Any) -> None:
    async def scene() -> None:
        async with lab() as it:
            it.server.zone["kamailio A"] = ["10.5.0.2"]
            assert await it.hops("sip:kamailio") == ["10.5.0.2:5060"]
            assert it.server.asked == ["kamailio A"]

    run(scene())
