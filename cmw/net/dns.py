"""Answers of DNS for SIP, never on the event loop's time: hosts file first, then DNS, remembered as long as it says.

1. Names of the hosts file, and ``localhost``, have the addresses that are there and nothing else.
2. Everything else is asked of the name servers of ``/etc/resolv.conf``; its search list counts for addresses.
3. A name without a dot that DNS does not know is asked of the system (mDNS, containers, what else it has). Such a name
   is no domain, and so it is not asked for SRV and NAPTR, which a lab without a way out could not answer.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cmw.core.address import Address
from cmw.core.clock import SECOND, Nanos
from cmw.net.clock import monotonic_ns
from cmw.sip.locate import Answer, AnswerKind, Naptr, Question, RecordType, Srv

if TYPE_CHECKING:
    import dns.asyncresolver
    import dns.message
    import dns.rrset

CACHE_ANSWERS: Final = 4096
"""Answers that are remembered; the oldest go first."""

MIN_TTL_S: Final = 1
MAX_TTL_S: Final = 3600
MAX_NEGATIVE_TTL_S: Final = 60
"""How long it is believed at most that something is not there. Source: RFC 2308 5 allows longer."""

FAILURE_TTL_S: Final = 5
"""How long a server that failed is not asked the same again. Source: RFC 2308 7."""

QUERY_LIMIT_S: Final = 5.0
"""How long one question may take, all servers and tries together."""

MAX_HOSTS_BYTES: Final = 1024 * 1024

_ADDRESSES: Final = {RecordType.A: 4, RecordType.AAAA: 6}
_FAMILIES: Final = {RecordType.A: socket.AF_INET, RecordType.AAAA: socket.AF_INET6}
_NO_DATA: Final = Answer(AnswerKind.NO_DATA)


class DnsClient:
    """Ask each question once, and remember the answer for its time to live.

    Args:
        nameservers: servers to ask; those of ``/etc/resolv.conf`` when None.
        hosts_file: path of the hosts file.
        query_limit_s: how long one question may take.
        clock: the monotonic clock.
    """

    def __init__(
        self,
        nameservers: Sequence[Address] | None = None,
        *,
        hosts_file: str = "/etc/hosts",
        query_limit_s: float = QUERY_LIMIT_S,
        clock: Callable[[], Nanos] = monotonic_ns,
    ) -> None:
        self._nameservers = nameservers
        self._hosts = _HostsFile(hosts_file)
        self._query_limit_s = query_limit_s
        self._clock = clock
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._cache: dict[Question, tuple[Answer, Nanos]] = {}
        self._asking: dict[Question, asyncio.Task[Answer]] = {}

    async def answer(self, question: Question) -> Answer:
        """Return the answer to a question; whatever goes wrong is one too. Who asks the same meanwhile waits along."""
        known = self._hosts.answer(question) or self._remembered(question)
        if known is not None:
            return known
        asking = self._asking.get(question)
        if asking is None:
            asking = asyncio.get_running_loop().create_task(self._ask(question))
            self._asking[question] = asking
            asking.add_done_callback(lambda _: self._asking.pop(question, None))
        return await asyncio.shield(asking)

    # the cache

    def _remembered(self, question: Question) -> Answer | None:
        entry = self._cache.get(question)
        if entry is None:
            return None
        if entry[1] <= self._clock():
            del self._cache[question]
            return None
        return entry[0]

    def _remember(self, question: Question, answer: Answer, ttl_s: int) -> None:
        limit = {AnswerKind.FOUND: MAX_TTL_S, AnswerKind.FAILED: FAILURE_TTL_S}.get(answer.kind, MAX_NEGATIVE_TTL_S)
        self._cache.pop(question, None)
        self._cache[question] = answer, self._clock() + max(MIN_TTL_S, min(ttl_s, limit)) * SECOND
        if len(self._cache) > CACHE_ANSWERS:
            del self._cache[next(iter(self._cache))]

    # the question

    async def _ask(self, question: Question) -> Answer:
        is_address, is_domain = question.kind in _ADDRESSES, "." in _host(question.name)
        answer, ttl_s = _NO_DATA, MAX_NEGATIVE_TTL_S
        if is_address or is_domain:
            answer, ttl_s = await self._ask_dns(question)
        if is_address and not is_domain and answer.kind is not AnswerKind.FOUND:
            addresses = await _ask_system(question)
            if addresses:
                answer, ttl_s = Answer(AnswerKind.FOUND, addresses=addresses), MAX_NEGATIVE_TTL_S
        self._remember(question, answer, ttl_s)
        return answer

    async def _ask_dns(self, question: Question) -> tuple[Answer, int]:
        """Return what the servers say, and for how many seconds."""
        import dns.exception
        import dns.resolver

        try:
            found = await self._servers().resolve(
                question.name,
                question.kind.value,
                raise_on_no_answer=False,
                lifetime=self._query_limit_s,
                search=question.kind in _ADDRESSES,
            )
            return self._read(question, found.response)
        except dns.resolver.NXDOMAIN as error:
            responses = error.responses()  # type: ignore[no-untyped-call]
            ttls = [each.resolve_chaining().minimum_ttl for each in responses.values()]
            return Answer(AnswerKind.NO_NAME), min(ttls, default=MAX_NEGATIVE_TTL_S)
        except dns.resolver.LifetimeTimeout:
            return _failed("timed out")
        except dns.resolver.NoNameservers:
            return _failed("server failure")
        except dns.resolver.NoResolverConfiguration:
            return _failed("no name server is configured")
        except (dns.exception.DNSException, OSError, UnicodeError, ValueError) as error:
            return _failed(_words(error))

    def _servers(self) -> dns.asyncresolver.Resolver:
        """Return the resolver, made when the first name comes up: most runs have none, and it takes a while to load."""
        if self._resolver is None:
            import dns.asyncresolver
            import dns.nameserver

            resolver = dns.asyncresolver.Resolver(configure=self._nameservers is None)
            if self._nameservers is not None:
                resolver.nameservers = [dns.nameserver.Do53Nameserver(*each) for each in self._nameservers]
            self._resolver = resolver
        return self._resolver

    def _read(self, question: Question, response: dns.message.QueryMessage) -> tuple[Answer, int]:
        chain = response.resolve_chaining()
        if chain.answer is None:
            return _NO_DATA, chain.minimum_ttl
        answer = _read_records(question.kind, chain.answer)
        self._remember_additional(answer, response.additional)
        return answer, chain.minimum_ttl

    def _remember_additional(self, answer: Answer, additional: Iterable[dns.rrset.RRset]) -> None:
        """Remember what came along about the names that the answer leads to, and about no others. Source: RFC 2782."""
        led_to = {each.target for each in answer.services} | {each.replacement for each in answer.pointers}
        for records in additional:
            name = _plain(records.name.to_text())
            kind = RecordType.__members__.get(_type_name(records))
            if name in led_to and kind is not None and kind is not RecordType.NAPTR:
                self._remember(Question(name, kind), _read_records(kind, records), records.ttl)


def _failed(detail: str) -> tuple[Answer, int]:
    return Answer(AnswerKind.FAILED, detail=detail), FAILURE_TTL_S


def _words(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:120]


def _type_name(records: dns.rrset.RRset) -> str:
    import dns.rdatatype

    return dns.rdatatype.to_text(records.rdtype)


def _plain(name: str) -> str:
    """Return a name as questions have it; "" for the root."""
    return name.rstrip(".").lower()


def _host(name: str) -> str:
    """Return the host that a name is about, without ``_sip._udp`` before it."""
    labels = name.split(".")
    while labels and labels[0].startswith("_"):
        del labels[0]
    return ".".join(labels)


def _read_records(kind: RecordType, records: Iterable[Any]) -> Answer:
    """Return records of one type in our words."""
    if kind is RecordType.SRV:
        services = [Srv(each.priority, each.weight, each.port, _plain(each.target.to_text())) for each in records]
        return Answer(AnswerKind.FOUND, services=tuple(services))
    if kind is RecordType.NAPTR:
        return Answer(AnswerKind.FOUND, pointers=tuple(_read_pointer(each) for each in records))
    return Answer(AnswerKind.FOUND, addresses=tuple(each.address for each in records))


def _read_pointer(record: Any) -> Naptr:
    flags, service, regexp = (text.decode("ascii", "replace") for text in (record.flags, record.service, record.regexp))
    return Naptr(record.order, record.preference, flags, service, regexp, _plain(record.replacement.to_text()))


async def _ask_system(question: Question) -> tuple[str, ...]:
    """Return the addresses that the system has for a name, in a thread of the loop's."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            question.name, None, family=_FAMILIES[question.kind], type=socket.SOCK_DGRAM
        )
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))


class _HostsFile:
    """The hosts file, read again when it changed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._names: dict[str, list[str]] = {}

    def answer(self, question: Question) -> Answer | None:
        """Return what the file says, None when it does not know the name."""
        self._refresh()
        host = _host(question.name)
        addresses = self._names.get(host)
        if addresses is None and host.rpartition(".")[2] == "localhost":  # RFC 6761 6.3
            addresses = ["127.0.0.1", "::1"]
        if addresses is None:
            return None
        version = _ADDRESSES.get(question.kind)
        mine = tuple(each for each in addresses if (6 if ":" in each else 4) == version)
        return Answer(AnswerKind.FOUND, addresses=mine) if mine else _NO_DATA

    def _refresh(self) -> None:
        try:
            state = os.stat(self._path)
            stamp = state.st_mtime_ns, state.st_size
            if stamp == self._stamp:
                return
            text = Path(self._path).read_bytes()[:MAX_HOSTS_BYTES].decode("utf-8", "replace")
        except OSError:
            self._stamp, self._names = None, {}
            return
        self._stamp = stamp
        self._names = {}
        for line in text.split("\n"):
            self._read_line(line)

    def _read_line(self, line: str) -> None:
        address, *names = line.partition("#")[0].split() or [""]
        try:
            literal = str(ipaddress.ip_address(address))
        except ValueError:
            return
        for name in names:
            known = self._names.setdefault(_plain(name), [])
            if literal not in known:
                known.append(literal)
