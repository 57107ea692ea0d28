"""RFC 4475, one test for each of its 49 messages: what they mean, and what is answered to them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from cmw.core.address import Address
from cmw.errors import RemoteProtocolError
from cmw.sip.date import parse_date
from cmw.sip.events import CallOffered, DatagramDiscarded, DiscardReason, Event
from cmw.sip.hop import Hop
from cmw.sip.message import MalformedMessageError, Request, Response, parse_message
from cmw.sip.multipart import parse_body
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.registrar import Registrar
from cmw.sip.request_checks import offer_in
from cmw.sip.tel_uri import parse_any_uri
from cmw.sip.transaction import server_key
from cmw.sip.uri import parse_uri
from cmw.sip.user_agent import UserAgent
from tests.support.ids import CountingIds
from tests.support.sip_link import listen_at
from tests.support.torture import BINARY, METHOD, ODD_PASSWORD, ODD_USER, SESSION, TORTURE

US = Hop("127.0.0.1", 5060)
PEER = Hop("192.0.2.41", 5060)


@dataclass
class Outcome:
    """What came of a message: the answers, why it was discarded, what was told."""

    answers: list[Response]
    destinations: list[Hop]
    discards: list[DiscardReason]
    events: list[Event]

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]


def tell_agent(data: bytes, source: Hop = PEER) -> Outcome:
    """Give a message to a user agent that knows of no call."""
    agent = UserAgent(listeners=listen_at(US), ids=CountingIds())
    agent.receive_datagram(data, source, now=0)
    events = []
    while (event := agent.next_event()) is not None:
        events.append(event)
    sent = agent.datagrams_to_send()
    discards = [event.reason for event in events if isinstance(event, DatagramDiscarded)]
    return Outcome([answer_in(each.data) for each in sent], [each.destination for each in sent], discards, events)


def tell_registrar(data: bytes, **settings: object) -> list[Response]:
    """Give a message to a registrar of every domain."""
    registrar = Registrar(local=Address("127.0.0.1", 5060), ids=CountingIds(), **settings)  # type: ignore[arg-type]
    registrar.receive_datagram(data, PEER, now=0)
    return [answer_in(each.data) for each in registrar.datagrams_to_send()]


def answer_in(data: bytes) -> Response:
    """Return an answer; those to what lacks From, To or Call-ID, or to another version, lack it too."""
    whole = data.replace(b"SIP/7.0/UDP", b"SIP/2.0/UDP").replace(b";;,;,,", b"").replace(b"Via: ", b"Via: ", 1)
    try:
        message = parse_message(whole)
    except MalformedMessageError:
        _, status, reason = data.partition(b"\r\n")[0].decode().split(" ", 2)
        return Response(int(status), reason)
    assert isinstance(message, Response)
    return message


def read_request(section: str) -> Request:
    message = parse_message(TORTURE[section])
    assert isinstance(message, Request)
    return message


def read_response(section: str) -> Response:
    message = parse_message(TORTURE[section])
    assert isinstance(message, Response)
    return message


def is_refused(section: str, status: int, kind: DiscardReason) -> Response:
    """Check that a request is answered without a call, with a reason that says why, and counted by name."""
    with pytest.raises(MalformedMessageError) as caught:
        parse_message(TORTURE[section])
    assert (caught.value.hint, caught.value.kind) == (status, kind)
    outcome = tell_agent(TORTURE[section])
    assert (outcome.statuses, outcome.discards) == ([status], [kind])
    assert tell_agent(TORTURE[section]).answers[0].headers == outcome.answers[0].headers  # the same tag again
    assert status != 400 or len(outcome.answers[0].reason) > len("Bad Request: ")
    assert [answer.status for answer in tell_registrar(TORTURE[section])] in ([status], [])
    return outcome.answers[0]


def is_dropped(section: str, kind: DiscardReason) -> None:
    """Check that a message is not answered, and counted by name."""
    outcome = tell_agent(TORTURE[section])
    assert (outcome.answers, outcome.discards) == ([], [kind])


def is_offered(section: str) -> CallOffered:
    """Check that an INVITE becomes a call."""
    outcome = tell_agent(TORTURE[section])
    assert (outcome.statuses, outcome.discards) == ([100], [])
    event = outcome.events[-1]
    assert isinstance(event, CallOffered)
    return event


def test_there_are_forty_nine() -> None:
    assert len(TORTURE) == 49


# --- 3.1.1: valid ---


def test_3_1_1_1_a_short_tortuous_invite() -> None:
    message = read_request("3.1.1.1")
    assert parse_uri(message.uri).param("strangeparam") == ""
    assert message.to.tag == "4711x"
    assert (message.from_.display, message.from_.tag) == ('M \\"Mara', "q5t8")
    assert message.cseq == (17, "INVITE")
    assert message.headers.get("max-forwards") == "0031"
    assert message.top_via == ("UDP", "192.0.2.41", None, (("branch", "plain77"),))
    assert [row.split()[-1] for row in message.headers.get_all("v")][1:] == ["z9hG4bKfold1", "z9hG4bKfold2"]
    assert message.headers.get("Subject") == ""
    assert message.headers.get("BRANDNEWHEADER") == "brand new value goes on here"
    assert message.headers.get("headerthatnobodyknows") == ";;,,;;,;"
    route = parse_uri(parse_name_addr(message.headers.get("Route") or "").uri)
    assert (route.is_loose_router, route.param("oddwith"), route.param("odd-without")) == (True, "value", "")
    contact = parse_name_addr(message.headers.get("Contact") or "")
    assert contact.display == 'Display ""'
    assert (contact.param("first"), contact.param("second"), contact.param("q")) == ("1", "", "0.25")
    assert message.body == SESSION.replace("\n", "\r\n").encode()
    assert tell_agent(TORTURE["3.1.1.1"]).statuses == [481]  # its To has a tag of no call of ours


def test_3_1_1_2_a_wide_range_of_valid_characters() -> None:
    message = read_request("3.1.1.2")
    assert message.method == METHOD
    assert message.cseq == (239911, METHOD)
    uri = parse_uri(message.uri)
    assert (uri.user, uri.password, uri.host) == (ODD_USER, ODD_PASSWORD, "lab.example")
    assert message.to.display == "BEL:\a NUL:\0 DEL:\x7f"
    assert message.from_.display == "word1~` word2'+_ word3*%!.-"
    assert message.from_.tag == "_word~1'+`*%!-."
    assert message.from_.param("oddparam''~+*_!.-%") == '"слово"'
    assert message.call_id == "case.word%QJ-!.*_+'@word`~)(><:\\/\"][?}{"
    assert message.headers.get("unheard-of!.%*+_`'~") == "\ufeff電話"
    assert message.top_via.branch == "z9hG4bK-.!%55*_+`'~"
    outcome = tell_agent(TORTURE["3.1.1.2"])
    assert outcome.statuses == [501]
    assert "INVITE" in outcome.answers[0].headers.get_tokens("Allow")


def test_3_1_1_3_escapes_in_uris() -> None:
    message = read_request("3.1.1.3")
    assert parse_uri(message.uri).user == "sips:theo@lab.example"
    assert message.to.sip_uri().is_equivalent(parse_uri("sip:theo@lab.example"))
    assert message.from_.sip_uri().user == "with spaces inside"
    contact = parse_name_addr(message.headers.get("Contact") or "").sip_uri()
    assert contact.user == "mara"
    assert contact.is_equivalent(parse_uri("sip:mara@desk.example;lr;name=value%2541"))
    assert not contact.is_equivalent(parse_uri("sip:mara@desk.example;lr;name=valueA"))
    assert is_offered("3.1.1.3").request_user == "sips:theo@lab.example"


def test_3_1_1_4_escaped_nulls() -> None:
    message = read_request("3.1.1.4")
    assert message.to.sip_uri().user == "zero-\0-zero"
    first, second = [parse_name_addr(row).sip_uri() for row in message.headers.get_all("Contact")]
    assert (first.user, second.user) == ("\0", "\0\0")
    assert not first.is_equivalent(second)
    (answer,) = tell_registrar(TORTURE["3.1.1.4"])
    assert answer.status == 200
    assert len(answer.headers.get_all("Contact")) == 2


def test_3_1_1_5_percent_where_it_does_not_escape() -> None:
    message = read_request("3.1.1.5")
    assert message.method == "RE%47IST%45R"
    assert message.to.display == message.from_.display == "%Q%51"
    assert message.headers.get_all("Contact") == ["<sip:one@desk.example>", "<sip:three@desk.example>"]
    assert tell_agent(TORTURE["3.1.1.5"]).statuses == [501]


def test_3_1_1_6_no_space_before_the_bracket() -> None:
    assert read_request("3.1.1.6").from_ == ("mara", "sip:mara@desk.example", (("tag", "55"),))
    assert tell_agent(TORTURE["3.1.1.6"]).statuses == [200]


def test_3_1_1_7_long_values() -> None:
    message = read_request("3.1.1.7")
    assert message.to.display.startswith("A name that goes on and on")
    assert message.to.sip_uri().port == 6060
    assert message.to.sip_uri().param("bare" * 40) == ""
    assert message.from_.tag == "31" * 80
    assert message.from_.param("param" * 20) == "value" * 20
    assert [row.split("hop")[1].split(".")[0] for row in message.headers.get_all("Via")] == [
        str(n) for n in range(34, 0, -1)
    ]
    assert is_offered("3.1.1.7").call_id == message.call_id


def test_3_1_1_8_another_message_after_the_body() -> None:
    message = read_request("3.1.1.8")
    assert (message.method, message.body) == ("REGISTER", b"")
    assert [answer.status for answer in tell_registrar(TORTURE["3.1.1.8"])] == [200]
    assert len(tell_agent(TORTURE["3.1.1.8"]).answers) == 1


def test_3_1_1_9_semicolons_in_the_user_part() -> None:
    uri = parse_uri(read_request("3.1.1.9").uri)
    assert (uri.user, uri.host, uri.params) == ("theo;par=t@far.example", "lab.example", ())
    assert tell_agent(TORTURE["3.1.1.9"]).statuses == [200]


def test_3_1_1_10_varied_and_unknown_transports() -> None:
    rows = read_request("3.1.1.10").headers.get_all("Via")
    assert [row.split()[0].rpartition("/")[2] for row in rows] == ["UDP", "SCTP", "TLS", "NEVERHEARD", "TCP"]
    (answer,) = tell_agent(TORTURE["3.1.1.10"]).answers
    assert answer.status == 200
    assert answer.headers.get_all("Via")[1:] == rows[1:]


def test_3_1_1_11_a_body_of_several_parts() -> None:
    message = read_request("3.1.1.11")
    body = parse_body(message.headers, message.body)
    assert [part.type.kind for part in body.parts] == ["text/plain", "application/octet-stream"]
    assert [part.content for part in body.parts] == [b"Good day", BINARY]


def test_3_1_1_12_an_unusual_reason() -> None:
    message = read_response("3.1.1.12")
    assert (message.status, message.reason) == (200, "= 3**3 * 7 это не простое число - сто восемьдесят девять")
    is_dropped("3.1.1.12", DiscardReason.STRAY_RESPONSE)


def test_3_1_1_13_an_empty_reason() -> None:
    assert (read_response("3.1.1.13").status, read_response("3.1.1.13").reason) == (100, "")
    message = parse_message(TORTURE["3.1.1.13"].replace(b"100 \r", b"100\r"))  # no space either: let pass
    assert isinstance(message, Response)
    is_dropped("3.1.1.13", DiscardReason.STRAY_RESPONSE)


# --- 3.1.2: invalid ---


def test_3_1_2_1_extraneous_separators() -> None:
    is_refused("3.1.2.1", 400, DiscardReason.BAD_HEADER)
    data = TORTURE["3.1.2.1"].replace(b";;,;,,", b";branch=z9hG4bKgood")
    assert tell_agent(data).statuses == [400]


def test_3_1_2_2_content_length_larger_than_the_message() -> None:
    is_refused("3.1.2.2", 400, DiscardReason.BAD_LENGTH)


def test_3_1_2_3_negative_content_length() -> None:
    is_refused("3.1.2.3", 400, DiscardReason.BAD_LENGTH)


def test_3_1_2_4_request_numbers_too_large() -> None:
    is_refused("3.1.2.4", 400, DiscardReason.BAD_HEADER)
    data = TORTURE["3.1.2.4"].replace(b"36893488147419103299", b"36")  # the others alone are read as far as they go
    (answer,) = tell_registrar(data)
    assert answer.status == 200
    assert parse_name_addr(answer.headers.get("Contact") or "").param("expires") == "3600"


def test_3_1_2_5_response_numbers_too_large() -> None:
    is_dropped("3.1.2.5", DiscardReason.BAD_HEADER)


def test_3_1_2_6_unterminated_quote() -> None:
    is_refused("3.1.2.6", 400, DiscardReason.BAD_HEADER)


def test_3_1_2_7_brackets_around_the_request_uri() -> None:
    is_refused("3.1.2.7", 400, DiscardReason.MALFORMED)


def test_3_1_2_8_white_space_in_the_request_uri() -> None:
    is_refused("3.1.2.8", 400, DiscardReason.MALFORMED)


def test_3_1_2_9_several_spaces_in_the_request_line() -> None:
    is_refused("3.1.2.9", 400, DiscardReason.MALFORMED)


def test_3_1_2_10_spaces_after_the_request_line() -> None:
    is_refused("3.1.2.10", 400, DiscardReason.MALFORMED)


def test_3_1_2_11_headers_in_the_request_uri() -> None:
    assert parse_uri(read_request("3.1.2.11").uri).headers == (("Route", "%3Csip:far.example%3E"),)
    outcome = tell_agent(TORTURE["3.1.2.11"])
    assert outcome.statuses == [400]
    assert "Route" not in outcome.answers[0].headers


def test_3_1_2_12_a_date_of_another_zone() -> None:
    assert parse_date(read_request("3.1.2.12").headers.get("Date") or "") is None
    (answer,) = tell_agent(TORTURE["3.1.2.12"]).answers
    assert (answer.status, answer.reason) == (400, "Malformed Date")
    assert tell_agent(TORTURE["3.1.2.12"].replace(b"CET", b"GMT")).statuses == [100]


def test_3_1_2_13_contact_headers_without_brackets() -> None:
    with pytest.raises(RemoteProtocolError):
        parse_name_addr(read_request("3.1.2.13").headers.get("Contact") or "")
    assert tell_agent(TORTURE["3.1.2.13"]).statuses == [400]
    assert [answer.status for answer in tell_registrar(TORTURE["3.1.2.13"])] == [400]


def test_3_1_2_14_spaces_in_an_addr_spec() -> None:
    is_refused("3.1.2.14", 400, DiscardReason.BAD_HEADER)


def test_3_1_2_15_a_display_name_that_is_no_token() -> None:
    is_refused("3.1.2.15", 400, DiscardReason.BAD_HEADER)


def test_3_1_2_16_another_version() -> None:
    answer = is_refused("3.1.2.16", 505, DiscardReason.BAD_VERSION)
    assert answer.reason == "Version Not Supported"
    assert tell_agent(TORTURE["3.1.2.16"]).destinations == [PEER]


def test_3_1_2_17_methods_differ() -> None:
    is_refused("3.1.2.17", 400, DiscardReason.METHOD_MISMATCH)


def test_3_1_2_18_unknown_methods_differ() -> None:
    is_refused("3.1.2.18", 400, DiscardReason.METHOD_MISMATCH)


def test_3_1_2_19_a_status_too_large() -> None:
    is_dropped("3.1.2.19", DiscardReason.MALFORMED)


# --- 3.2: transactions ---


def test_3_2_1_a_branch_that_is_only_the_cookie() -> None:
    first, other = read_request("3.2.1"), read_request("3.2.1")
    other.headers.set("Call-ID", "another")
    assert server_key(first) == server_key(read_request("3.2.1"))
    assert server_key(first) != server_key(other)
    assert tell_agent(TORTURE["3.2.1"]).statuses == [200]


# --- 3.3: applications ---


def test_3_3_1_required_headers_missing() -> None:
    outcome = tell_agent(TORTURE["3.3.1"])
    assert (outcome.statuses, outcome.discards) == ([400], [DiscardReason.MISSING_HEADER])
    assert outcome.destinations == [PEER]
    assert "From" in outcome.answers[0].reason


@pytest.mark.parametrize("section", ["3.3.2", "3.3.3"])
def test_3_3_2_and_3_3_3_unknown_schemes(section: str) -> None:
    assert parse_any_uri(read_request(section).uri)[0] in ("schemenobodyknows", "soap.beep")
    assert tell_agent(TORTURE[section]).statuses == [416]


def test_3_3_4_unknown_schemes_in_addresses() -> None:
    message = read_request("3.3.4")
    assert message.to.uri == "isbn:9783161484100"
    assert message.from_.uri == "http://www.desk.example"
    assert parse_name_addr(message.headers.get("Contact") or "").uri == "name:Mara_Weiss"
    assert [answer.status for answer in tell_registrar(TORTURE["3.3.4"])] == [400]


def test_3_3_5_required_extensions_that_nobody_has() -> None:
    (answer,) = tell_agent(TORTURE["3.3.5"]).answers
    assert answer.status == 420
    assert answer.headers.get_tokens("Unsupported") == ["nobodyDoesThis", "norThat"]


def test_3_3_6_an_unknown_type_of_content() -> None:
    (answer,) = tell_agent(TORTURE["3.3.6"]).answers
    assert (answer.status, answer.headers.get("Accept")) == (415, "application/sdp")


def test_3_3_7_an_unknown_authorization_scheme() -> None:
    assert [answer.status for answer in tell_registrar(TORTURE["3.3.7"])] == [200]
    (answer,) = tell_registrar(TORTURE["3.3.7"], accounts={"mara": "secret"})
    assert answer.status == 401
    assert "WWW-Authenticate" in answer.headers


def test_3_3_8_several_values_where_one_may_stand() -> None:
    is_refused("3.3.8", 400, DiscardReason.REPEATED_HEADER)


def test_3_3_9_several_content_lengths() -> None:
    is_refused("3.3.9", 400, DiscardReason.REPEATED_HEADER)


def test_3_3_10_a_response_that_would_go_to_everybody() -> None:
    assert len(read_response("3.3.10").headers.get_all("Via")) == 2
    is_dropped("3.3.10", DiscardReason.SEVERAL_VIAS)


def test_3_3_11_max_forwards_of_zero() -> None:
    assert tell_agent(TORTURE["3.3.11"]).statuses == [200]


def test_3_3_12_a_parameter_of_the_contact() -> None:
    contact = parse_name_addr(read_request("3.3.12").headers.get("Contact") or "")
    assert (contact.uri, contact.param("oddparam")) == ("sip:+12015550123@gw.desk.example", "")
    (answer,) = tell_registrar(TORTURE["3.3.12"])
    assert parse_name_addr(answer.headers.get("Contact") or "").uri == "sip:+12015550123@gw.desk.example"


def test_3_3_13_a_parameter_of_the_contact_s_uri() -> None:
    contact = parse_name_addr(read_request("3.3.13").headers.get("Contact") or "")
    assert (contact.params, contact.sip_uri().param("oddparam")) == ((), "")
    (answer,) = tell_registrar(TORTURE["3.3.13"])
    assert parse_name_addr(answer.headers.get("Contact") or "").sip_uri().param("oddparam") == ""


def test_3_3_14_headers_in_a_contact_s_uri() -> None:
    contact = parse_name_addr(read_request("3.3.14").headers.get("Contact") or "").sip_uri()
    assert contact.headers == (("Route", "%3Csip:far.example%3E"),)
    (answer,) = tell_registrar(TORTURE["3.3.14"])
    assert answer.status == 200
    assert parse_name_addr(answer.headers.get("Contact") or "").sip_uri() == contact


def test_3_3_15_an_answer_that_may_not_be_sdp() -> None:
    outcome = tell_agent(TORTURE["3.3.15"])
    assert outcome.statuses[-1] == 406
    assert outcome.answers[-1].headers.get("Accept") == "application/sdp"


# --- 3.4: RFC 2543 ---


def test_3_4_1_an_invite_of_rfc_2543() -> None:
    message = read_request("3.4.1")
    assert (message.top_via.branch, message.from_.tag) == (None, None)
    assert offer_in(message) == SESSION.replace("\n", "\r\n").encode()
    is_offered("3.4.1")


def test_an_ack_is_never_answered() -> None:
    """RFC 3261 17.1.1.3."""
    for section, data in TORTURE.items():
        if section.startswith(("3.1.2", "3.3")) and not data.startswith(b"SIP/"):
            method = data.partition(b" ")[0]
            ack = data.replace(method + b" ", b"ACK ", 1)
            for each in (ack, ack.replace(b" " + method + b"\r\n", b" ACK\r\n")):
                assert tell_agent(each).answers == [], section
