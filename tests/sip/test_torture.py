"""The shapes of RFC 4475: messages that are odd and valid, odd and broken, and what is to be answered to the latter."""

from __future__ import annotations

import pytest

from cmw.errors import RemoteProtocolError
from cmw.sip.message import MalformedMessageError, Request, Response, parse_message
from cmw.sip.name_addr import parse_name_addr
from cmw.sip.uri import parse_uri


def wire(text: str) -> bytes:
    """Return lines as a message, the first line break of `text` dropped."""
    return text.removeprefix("\n").replace("\n", "\r\n").encode()


def request(start: str = "OPTIONS sip:user@example.com SIP/2.0", **rows: str) -> bytes:
    """Return a request whose usual rows are replaced by `rows`; underscores stand for hyphens, "" drops a row."""
    usual = {
        "To": "sip:j.user@example.com",
        "From": "sip:caller@example.net;tag=242etr",
        "Max_Forwards": "6",
        "Call_ID": "torture.0ha0isndaksdj",
        "CSeq": f"8 {start.partition(' ')[0]}",
        "Via": "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKkdjuw",
    } | rows
    lines = [start, *(f"{name.replace('_', '-')}: {value}" for name, value in usual.items() if value)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def refused(data: bytes) -> MalformedMessageError:
    with pytest.raises(MalformedMessageError) as caught:
        parse_message(data)
    return caught.value


# --- 3.1.1: valid ---


def test_a_short_tortuous_invite() -> None:
    """3.1.1.1: folding, white space everywhere, compact forms, unknown headers and parameters, leading zeros."""
    message = parse_message(
        wire("""
INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
TO :
 sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : 10
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    192.0.2.2;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

0123456789
""")
    )
    assert isinstance(message, Request)
    assert parse_uri(message.uri).param("unknownparam") == ""
    assert message.to.tag == "1918181833n"
    assert (message.from_.display, message.from_.tag) == ('J Rosenberg \\"', "98asjd8")
    assert message.cseq == (9, "INVITE")
    assert message.headers.get("max-forwards") == "0068"
    assert message.top_via == ("UDP", "192.0.2.2", None, (("branch", "390skdjuw"),))
    assert message.headers.get_all("Via")[1].startswith("SIP  / 2.0  / TCP")
    assert len(message.headers.get_all("v")) == 3
    assert message.headers.get("Subject") == ""
    assert message.headers.get("NEWFANGLEDHEADER") == "newfangled value continued newfangled value"
    assert message.headers.get("unknownheaderwithunusualvalue") == ";;,,;;,;"
    contact = parse_name_addr(message.headers.get("Contact") or "")
    assert contact.display == 'Quoted string ""'
    assert (contact.param("newparam"), contact.param("secondparam"), contact.param("q")) == ("newvalue", "", "0.33")
    assert message.body == b"0123456789"


def test_a_wide_range_of_valid_characters() -> None:
    """3.1.1.2."""
    method = "!interesting-Method0123456789_*+`.%indeed'~"
    user = "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    message = parse_message(
        request(
            f"{method} sip:{user}@example.com SIP/2.0",
            To='"BEL:\\\a NUL:\\\0 DEL:\\\x7f" <sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/crazy?,/;;*@example.com>',
            From="token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.",  # noqa: E501
            Call_ID="intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
            Via="SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~",
        )
    )
    assert isinstance(message, Request)
    assert message.method == method
    assert message.to.display == "BEL:\a NUL:\0 DEL:\x7f"
    assert message.from_.tag == "_token~1'+`*%!-."
    assert parse_uri(message.uri).host == "example.com"
    assert message.top_via.branch == "z9hG4bK-.!%66*_+`'~"


@pytest.mark.parametrize(
    ("uri", "user"),
    [
        ("sip:sips%3Auser%40example.com@example.net", "sips:user@example.com"),  # 3.1.1.3
        ("sip:null-%00-null@example.com", "null-\0-null"),  # 3.1.1.4
        ("sip:user;par=u%40example.net@example.com", "user;par=u@example.net"),  # 3.1.1.12
    ],
)
def test_escapes_in_the_request_uri(uri: str, user: str) -> None:
    message = parse_message(request(f"REGISTER {uri} SIP/2.0"))
    assert isinstance(message, Request)
    assert parse_uri(message.uri).user == user


def test_a_method_that_looks_escaped_is_its_own() -> None:
    """3.1.1.5: RE%47IST%45R is not REGISTER."""
    message = parse_message(request("RE%47IST%45R sip:registrar.example.com SIP/2.0"))
    assert isinstance(message, Request)
    assert message.method == "RE%47IST%45R"


def test_no_space_between_display_name_and_bracket() -> None:
    """3.1.1.6."""
    assert parse_message(request(From="caller<sip:caller@example.com>;tag=323")).from_.display == "caller"


def test_long_values() -> None:
    """3.1.1.7."""
    name = "I have a user name of extreme" + "xtreme" * 80
    via = ", ".join(f"SIP/2.0/TCP sip{n}.example.com;branch=z9hG4bKxx{'long' * 40}{n}" for n in range(33, 0, -1))
    message = parse_message(
        request(
            To=f'"{name}" <sip:user@example.com:6000;unknownparam1={"very" * 40}long>',
            Via=via,
            Call_ID="longreq." + "a" * 400,
        )
    )
    assert message.to.display == name
    assert len(message.headers.get_all("Via")) == 33
    assert message.top_via.host == "sip33.example.com"


def test_extra_bytes_after_the_body_are_dropped() -> None:
    """3.1.1.8: another message in the same datagram."""
    first = request("REGISTER sip:example.com SIP/2.0", Content_Length="0")
    message = parse_message(first + request("INVITE sip:joe@example.com SIP/2.0"))
    assert isinstance(message, Request)
    assert (message.method, message.body) == ("REGISTER", b"")


def test_semicolons_in_the_user_part_and_varied_transports() -> None:
    """3.1.1.9, 3.1.1.10."""
    via = "SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw, SIP/2.0/SCTP t2.example.com;branch=a,SIP/2.0/UNKNOWN t3.example.com"  # noqa: E501
    message = parse_message(request(Via=via))
    assert [row.split()[0] for row in message.headers.get_all("Via")] == [
        "SIP/2.0/UDP",
        "SIP/2.0/SCTP",
        "SIP/2.0/UNKNOWN",
    ]


def test_a_body_of_bytes_and_a_reason_in_any_language() -> None:
    """3.1.1.11, 3.1.1.12, 3.1.1.13."""
    body = b"--x\r\nContent-Type: application/octet-stream\r\n\r\n\x00\xff\r\n--x--\r\n"
    assert parse_message(request(Content_Length=str(len(body))) + body).body == body
    data = request(CSeq="35 INVITE").replace(
        b"OPTIONS sip:user@example.com SIP/2.0", "SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое".encode()
    )
    message = parse_message(data)
    assert isinstance(message, Response)
    assert message.reason == "= 2**3 * 5**2 но сто девяносто девять - простое"
    for line in (b"SIP/2.0 100 ", b"SIP/2.0 100"):
        message = parse_message(line + b"\r\n" + data.partition(b"\r\n")[2])
        assert isinstance(message, Response)
        assert (message.status, message.reason) == (100, "")


# --- 3.1.2: broken ---


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        pytest.param(request(Via="SIP/2.0/UDP 192.0.2.15;;,;,,"), 400, id="3.1.2.1 extraneous separators"),
        pytest.param(
            request(Contact='"Joe" <sip:joe@example.org>;;;;, <sip:a@b>,'), 400, id="3.1.2.1 empty list element"
        ),
        pytest.param(request(Content_Length="9999") + b"v=0\r\n", 400, id="3.1.2.2 Content-Length too large"),
        pytest.param(request(Content_Length="-999"), 400, id="3.1.2.3 negative Content-Length"),
        pytest.param(request(CSeq="36893488147419103232 OPTIONS"), 400, id="3.1.2.4 CSeq too large"),
        pytest.param(request(To='"Mr. J. User <sip:j.user@example.com>'), 400, id="3.1.2.6 unterminated quote"),
        pytest.param(
            request("INVITE <sip:user@example.com> SIP/2.0"), 400, id="3.1.2.7 brackets around the request URI"
        ),
        pytest.param(request("INVITE sip:user@example.com; lr SIP/2.0"), 400, id="3.1.2.8 space in the request URI"),
        pytest.param(request("INVITE  sip:user@example.com  SIP/2.0"), 400, id="3.1.2.9 several spaces"),
        pytest.param(request("OPTIONS sip:user@example.com SIP/2.0  "), 400, id="3.1.2.10 trailing spaces"),
        pytest.param(
            request(To='"Watson, Thomas" < sip:t.watson@example.org >'), 400, id="3.1.2.14 space in addr-spec"
        ),
        pytest.param(
            request(From="Bell, Alexander <sip:a.g.bell@example.com>;tag=43"),
            400,
            id="3.1.2.15 comma in a display name",
        ),
        pytest.param(
            request("OPTIONS sip:t.watson@example.org SIP/7.0", Via="SIP/7.0/UDP c.example.com"),
            505,
            id="3.1.2.16 version",
        ),
        pytest.param(request(CSeq="8 INVITE"), 400, id="3.1.2.17 methods differ"),
        pytest.param(
            request("NEWMETHOD sip:user@example.com SIP/2.0", CSeq="8 INVITE"),
            400,
            id="3.1.2.18 unknown methods differ",
        ),
        pytest.param(request(To="", From=""), 400, id="3.3.1 required headers missing"),
        pytest.param(request(Call_ID="a\r\nCall-ID: b"), 400, id="3.3.8 two Call-IDs"),
        pytest.param(request(Content_Length="0\r\nl: 5"), 400, id="3.3.9 two Content-Lengths"),
        pytest.param(request(Max_Forwards="1\r\nmax-forwards: 2"), 400, id="3.3.8 two Max-Forwards"),
    ],
)
def test_broken_requests_are_refused(data: bytes, hint: int) -> None:
    error = refused(data)
    assert error.hint == hint
    assert (error.request is not None) == (hint != 0)
    if error.request is not None:
        assert {"Via", "Call-ID", "CSeq"} <= {name for name, _ in error.request.headers}


@pytest.mark.parametrize(
    "line",
    [
        "SIP/2.0 4294967301 better not break the receiver",
        "SIP/2.0 099 x",
        "SIP/2.0 700 x",
        "SIP/2.0 20",
        "SIP/3.0 200 OK",
    ],
)
def test_broken_responses_are_not_answered(line: str) -> None:
    """3.1.2.19 and its kind."""
    data = request().replace(b"OPTIONS sip:user@example.com SIP/2.0", line.encode())
    error = refused(data)
    assert (error.hint, error.request) == (0, None)


def test_a_response_with_a_cseq_too_large_is_refused() -> None:
    """3.1.2.5."""
    data = request(CSeq="9292394834772304023312 OPTIONS").replace(
        b"OPTIONS sip:user@example.com SIP/2.0", b"SIP/2.0 503 Service Unavailable"
    )
    assert refused(data).hint == 0


@pytest.mark.parametrize(
    "uri", ["nobodyKnowsThisScheme:totallyopaquecontent", "soap.beep://192.0.2.103:3002", "name:%20unknown"]
)
def test_unknown_schemes_are_found_when_the_uri_is_wanted(uri: str) -> None:
    """3.3.2, 3.3.3, 3.3.4: the message stands, the URI is answered with 416."""
    message = parse_message(
        request(f"OPTIONS {uri} SIP/2.0", To="isbn:2983792873", From="<http://www.example.com>;tag=3")
    )
    assert isinstance(message, Request)
    assert message.to.uri == "isbn:2983792873"
    with pytest.raises(RemoteProtocolError) as caught:
        parse_uri(message.uri)
    assert caught.value.hint == 416


def test_escaped_headers_and_unbracketed_contacts() -> None:
    """3.1.2.11 (headers in a request URI can be seen), 3.1.2.13 (a question mark needs brackets)."""
    message = parse_message(request("INVITE sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0"))
    assert isinstance(message, Request)
    assert parse_uri(message.uri).headers == (("Route", "%3Csip:example.com%3E"),)
    with pytest.raises(RemoteProtocolError):
        parse_name_addr("sip:user@example.com?Route=%3Csip:sip.example.com%3E")


def test_an_invite_of_rfc_2543() -> None:
    """3.4.1: no branch, no tag, no Max-Forwards."""
    message = parse_message(
        request(
            "INVITE sip:UserB@example.com SIP/2.0",
            Via="SIP/2.0/UDP iftgw.example.com",
            From="<sip:+13035551111@ift.client.example.net;user=phone>",
            Max_Forwards="",
        )
    )
    assert message.top_via.branch is None
    assert message.from_.tag is None


def test_an_ack_is_never_answered() -> None:
    error = refused(request("ACK sip:user@example.com SIP/2.0", CSeq="1 INVITE"))
    assert (error.hint, error.request) == (0, None)
