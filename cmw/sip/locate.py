"""Where the server of a SIP URI is: which questions DNS has to be asked, and the hops that its answers give.

`locate` is a function of what is known so far. It returns either the questions whose answers it needs next, or the hops
in the order in which they are to be tried. Source: RFC 3263 4, RFC 2782, RFC 3403, RFC 7118 6, RFC 5922 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import chain, groupby, zip_longest
from typing import Final, NamedTuple

from cmw.core.ids import Ids
from cmw.sip.grammar import is_literal
from cmw.sip.hop import BY_PARAMETER, SECURED, Hop, Transport
from cmw.sip.uri import SipUri

MAX_RECORDS: Final = 32
"""Records of one answer that are looked at; more than a domain needs, and a bound on what a hostile one costs."""

MAX_HOPS: Final = 32
"""Hops of one result."""


class RecordType(StrEnum):
    """What can be asked for."""

    A = "A"
    AAAA = "AAAA"
    SRV = "SRV"
    NAPTR = "NAPTR"


class Question(NamedTuple):
    """One question to DNS; the name is in lower case and without a dot at its end."""

    name: str
    kind: RecordType


class Naptr(NamedTuple):
    """One NAPTR record. Source: RFC 3403 4."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str


class Srv(NamedTuple):
    """One SRV record; the target "" stands for the root: there is no such service. Source: RFC 2782."""

    priority: int
    weight: int
    port: int
    target: str


class AnswerKind(StrEnum):
    """How a question was answered."""

    FOUND = "found"
    NO_DATA = "no such record"
    NO_NAME = "no such name"
    FAILED = "failed"


class Answer(NamedTuple):
    """What DNS said to one question.

    Args:
        kind: FOUND comes with records of the type asked for, the others with none.
        addresses: literal addresses, of an A or AAAA question.
        services: of an SRV question.
        pointers: of a NAPTR question.
        detail: of FAILED, why: ``timed out``, ``server failure``...
    """

    kind: AnswerKind
    addresses: tuple[str, ...] = ()
    services: tuple[Srv, ...] = ()
    pointers: tuple[Naptr, ...] = ()
    detail: str = ""


class Ask(NamedTuple):
    """What has to be known next; all of it may be asked at once."""

    questions: tuple[Question, ...]


class Located(NamedTuple):
    """The hops, best first; none with the reason why."""

    hops: tuple[Hop, ...]
    reason: str = ""


Known = Mapping[Question, Answer]

_BY_SERVICE: Final = {
    "SIP+D2U": Transport.UDP,
    "SIP+D2T": Transport.TCP,
    "SIPS+D2T": Transport.TLS,
    "SIP+D2W": Transport.WS,
    "SIPS+D2W": Transport.WSS,
}
_SERVICE_LABELS: Final = {
    Transport.UDP: "_sip._udp",
    Transport.TCP: "_sip._tcp",
    Transport.TLS: "_sips._tcp",
    Transport.WS: "_sip._ws",
    Transport.WSS: "_sips._ws",
}
_WITHOUT_WEB: Final = (Transport.UDP, Transport.TCP, Transport.TLS)
"""What a URI may mean that says nothing of its transport; a WebSocket is asked for, by it or by NAPTR."""


def locate(
    uri: SipUri, *, transports: Sequence[Transport], families: Sequence[int], known: Known, ids: Ids
) -> Ask | Located:
    """Take the procedure as far as the answers known lead.

    Args:
        uri: the Request-URI, the topmost route or the outbound proxy.
        transports: what we can send over, what we like best first.
        families: 4 and 6, as far as we can send from such an address, the preferred first.
        known: every answer so far.
        ids: draws the weights of SRV records.
    """
    return _Search(uri, transports, families, known, ids).run()


class _Missing(Exception):  # noqa: N818
    """Stops the search where an answer is missing."""


class _Failed(Exception):  # noqa: N818
    """Ends the search with a reason."""


class _Target(NamedTuple):
    """One host to be turned into addresses."""

    host: str
    port: int
    transport: Transport


class _Search:
    """One pass through the procedure; made anew for every pass, for it is short."""

    def __init__(
        self, uri: SipUri, transports: Sequence[Transport], families: Sequence[int], known: Known, ids: Ids
    ) -> None:
        self._uri = uri
        self._host = (uri.param("maddr") or uri.host).strip("[]").rstrip(".").lower()
        self._domain = uri.host.rstrip(".").lower()
        self._transports = [each for each in transports if each.is_secure or uri.scheme != "sips"]
        self._families = families
        self._known = known
        self._ids = ids
        self._missing: list[Question] = []

    def run(self) -> Ask | Located:
        try:
            targets = self._targets()
            hops = self._hops(targets)
        except _Missing:
            return Ask(tuple(dict.fromkeys(self._missing)))
        except _Failed as failure:
            return Located((), str(failure))
        return Located(hops)

    # Which transport. Source: RFC 3263 4.1.

    def _targets(self) -> list[_Target]:
        wanted = self._wanted_transport()
        if is_literal(self._host) or self._uri.port is not None:
            transport = wanted or self._usual_transport()
            return [_Target(self._host, self._uri.port or transport.default_port, transport)]
        if wanted is not None:
            return self._by_service([wanted]) or [_Target(self._host, wanted.default_port, wanted)]
        usable = [each for each in _WITHOUT_WEB if each in self._transports]
        found = self._by_naptr() or self._by_service(usable)
        if found:
            return found
        transport = self._usual_transport()
        return [_Target(self._host, transport.default_port, transport)]

    def _wanted_transport(self) -> Transport | None:
        """Return the transport that the URI names, None when it names none."""
        name = (self._uri.param("transport") or "").lower()
        if not name:
            return None
        transport = BY_PARAMETER.get(name)
        if transport is not None and self._uri.scheme == "sips":
            transport = SECURED.get(transport)
        if transport is None:
            raise _Failed(f"no way to {self._uri.scheme} over {name[:20]!a}")
        if transport not in self._transports:
            raise _Failed(f"{transport} is asked for, and cannot be sent over here")
        return transport

    def _usual_transport(self) -> Transport:
        """Return what is meant when nothing is said: UDP, or TLS for a SIPS URI; else the first that there is."""
        usual = Transport.TLS if self._uri.scheme == "sips" else Transport.UDP
        if usual in self._transports:
            return usual
        if not self._transports:
            raise _Failed(f"no transport here for a {self._uri.scheme} URI")
        return self._transports[0]

    def _by_naptr(self) -> list[_Target]:
        """Return the targets that NAPTR leads to: of the lowest order that has a service for us. RFC 3263 4.1."""
        pointers = [each for each in self._ask(self._host, RecordType.NAPTR).pointers if self._is_usable(each)]
        lowest = min((each.order for each in pointers), default=0)
        chosen = sorted((each for each in pointers if each.order == lowest), key=self._rank)
        found: list[_Target] = []
        for pointer in chosen:
            transport = _BY_SERVICE[pointer.service.upper()]
            name = pointer.replacement.rstrip(".").lower()
            if pointer.flags.lower() == "a":
                found.append(_Target(name, transport.default_port, transport))
            else:
                found += self._services(name, transport)
        self._stop_if_missing()
        return found

    def _is_usable(self, pointer: Naptr) -> bool:
        transport = _BY_SERVICE.get(pointer.service.upper())
        is_final = pointer.flags.lower() in ("s", "a") and not pointer.regexp and bool(pointer.replacement.strip("."))
        return is_final and transport in self._transports

    def _rank(self, pointer: Naptr) -> tuple[int, int]:
        return pointer.preference, self._transports.index(_BY_SERVICE[pointer.service.upper()])

    # Which server. Source: RFC 3263 4.2.

    def _by_service(self, transports: Iterable[Transport]) -> list[_Target]:
        """Return the targets of the SRV records for these transports; fail when the domain refuses them all."""
        ranked = sorted(transports, key=self._transports.index)
        found: list[_Target] = []
        refused = failed = ""
        for transport in ranked:
            name = f"{_SERVICE_LABELS[transport]}.{self._host}"
            answer = self._ask(name, RecordType.SRV)
            if answer.kind is AnswerKind.FAILED:
                failed = failed or f"SRV of {name}: {answer.detail}"
            elif [each.target for each in answer.services] == [""]:
                refused = f"{self._host} offers no SIP over {transport}"  # RFC 2782: decidedly not
            else:
                found += self._services(name, transport)
        self._stop_if_missing()
        if not found and (failed or refused):
            raise _Failed(failed or refused)  # an address would be a guess, and a wrong one perhaps
        return found

    def _services(self, name: str, transport: Transport) -> list[_Target]:
        records = [each for each in self._ask(name, RecordType.SRV).services if each.target]
        ordered = order_services(records[:MAX_RECORDS], self._ids)
        return [_Target(each.target.rstrip(".").lower(), each.port, transport) for each in ordered]

    # Which addresses.

    def _hops(self, targets: list[_Target]) -> tuple[Hop, ...]:
        targets = targets[:MAX_HOPS]
        found = [self._addresses(target.host) for target in targets]
        self._stop_if_missing()
        hops = [
            Hop(address, target.port, target.transport, self._server_name(target.transport))
            for target, addresses in zip(targets, found, strict=True)
            for address in addresses
        ]
        if not hops:
            raise _Failed(self._why_no_address(targets))
        return tuple(dict.fromkeys(hops))[:MAX_HOPS]

    def _addresses(self, host: str) -> list[str]:
        """Return the addresses of a host: of each family in turn, so that one that is broken costs one attempt."""
        if is_literal(host):
            return [host] if (6 if ":" in host else 4) in self._families else []
        answers = [self._ask(host, _ADDRESS_TYPES[family]).addresses[:MAX_RECORDS] for family in self._families]
        return [each for each in chain.from_iterable(zip_longest(*answers)) if each is not None]

    def _server_name(self, transport: Transport) -> str:
        """Return whom a certificate has to name: the domain of the URI, whatever DNS made of it. RFC 5922 4."""
        if transport in (Transport.UDP, Transport.TCP) or is_literal(self._domain.strip("[]")):
            return ""
        return self._domain

    def _why_no_address(self, targets: list[_Target]) -> str:
        families = " or ".join(f"IPv{family}" for family in self._families)
        host = targets[0].host
        if is_literal(host):
            return f"{host} cannot be reached from here: expected an {families} address"
        answers = [self._ask(host, _ADDRESS_TYPES[family]) for family in self._families]
        failed = [answer.detail for answer in answers if answer.kind is AnswerKind.FAILED]
        if failed:
            return f"host {host!r} cannot be looked up: {failed[0]}"
        if answers and all(answer.kind is AnswerKind.NO_NAME for answer in answers):
            return f"host {host!r} does not exist"
        return f"host {host!r} has no {families} address"

    # What is known.

    def _ask(self, name: str, kind: RecordType) -> Answer:
        """Return what is known, or an empty answer and a note that it is missing."""
        question = Question(name, kind)
        answer = self._known.get(question)
        if answer is None:
            self._missing.append(question)
            return _NOTHING
        return answer

    def _stop_if_missing(self) -> None:
        if self._missing:
            raise _Missing


_ADDRESS_TYPES: Final = {4: RecordType.A, 6: RecordType.AAAA}
_NOTHING: Final = Answer(AnswerKind.NO_DATA)


def order_services(records: Iterable[Srv], ids: Ids) -> list[Srv]:
    """Return SRV records in the order to try them: by priority, and among equals at random by weight. RFC 2782."""
    ordered: list[Srv] = []
    by_priority = sorted(records, key=lambda record: (record.priority, record.weight))
    for _, group in groupby(by_priority, key=lambda record: record.priority):
        waiting = list(group)
        while waiting:
            ordered.append(waiting.pop(_draw(waiting, ids.unit())))
    return ordered


def _draw(records: list[Srv], unit: float) -> int:
    """Return the index of the record that a number in [0, 1) picks; weight 0 stands first and hardly ever wins."""
    total = sum(record.weight for record in records)
    mark = int(unit * (total + 1))
    running = 0
    for index, record in enumerate(records):
        running += record.weight
        if running >= mark:
            return index
    return len(records) - 1
