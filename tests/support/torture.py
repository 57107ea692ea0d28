"""Messages that are odd on purpose: one for each that RFC 4475 and RFC 5118 describe, in our own words.

The keys are the sections. They are also what the fuzzers begin with.
"""

from __future__ import annotations

# ruff: noqa: E501  (a header is one line)

SESSION = """v=0
o=mara 271828 314159 IN IP4 192.0.2.77
s=-
c=IN IP4 192.0.2.78
t=0 0
m=audio 50020 RTP/AVP 0 12
m=video 50024 RTP/AVP 31
a=rtpmap:31 H261/90000
"""
TAIL = "Content-Type: application/sdp\nContent-Length: %d\n\n"


def wire(text: str, body: str | bytes = "", *, encoding: str = "utf-8") -> bytes:
    """Return lines as a message: CRLF everywhere, ``%d`` in the head replaced by the length of the body."""
    content = body if isinstance(body, bytes) else body.replace("\n", "\r\n").encode()
    head = text.removeprefix("\n").replace("\n", "\r\n").encode(encoding)
    return head.replace(b"%d", str(len(content)).encode()) + content


def request(start: str, section: str, body: str | bytes = "", **rows: str) -> bytes:
    """Return a request of usual rows, some replaced by `rows`: underscores stand for hyphens, "" drops a row."""
    usual = {
        "To": "sip:theo@lab.example",
        "From": "sip:mara@desk.example;tag=p7f3",
        "Max_Forwards": "70",
        "Call_ID": f"case-{section}.k3j9@desk.example",
        "CSeq": f"61 {start.partition(' ')[0]}",
        "Via": f"SIP/2.0/UDP 192.0.2.41;branch=z9hG4bKcase{section.replace('.', '')}",
    } | rows
    lines = [start, *(f"{name.replace('_', '-')}: {value}" for name, value in usual.items() if value)]
    if body:
        lines.append(TAIL.removesuffix("\n\n") if "Content_Type" not in rows else "Content-Length: %d")
    return wire("\n".join(lines) + "\n\n", body)


def invite(section: str, start: str = "INVITE sip:theo@lab.example SIP/2.0", **rows: str) -> bytes:
    """Return an INVITE with a session."""
    return request(start, section, SESSION, **({"Contact": "<sip:mara@desk.example>"} | rows))


METHOD = "!odd-Verb9876543210_*+`.%looking'~"
ODD_USER = "2_strange.User~(may-be!so)&wasn't+it$/wild?,/;;*"
ODD_PASSWORD = "&is+it=2,odd!*pas$wo~d_yes.(it-is)"
BINARY = b"\x00\x01\r\nnot --seam a boundary\x00\xff\xfe\x80"

TORTURE: dict[str, bytes] = {
    # 3.1.1: valid
    "3.1.1.1": wire(
        r"""
INVITE sip:theo@lab.example;strangeparam SIP/2.0
TO :
 sip:theo@lab.example ;   tag    = 4711x
from   : "M \\\"Mara"       <sip:mara@desk.example>
  ;
  tag = q5t8
MaX-fOrWaRdS: 0031
Call-ID: case-3.1.1.1.k3j9@192.0.2.41
Content-Length   : %d
cseq: 0017
  INVITE
Via  : SIP  /   2.0
 /UDP
    192.0.2.41;branch=plain77
s :
BrandNewHeader:   brand new value
 goes on here
HeaderThatNobodyKnows: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:edge.lab.example;lr;oddwith=value;odd-without>
v:  SIP  / 2.0  / TCP     relay.lab.example   ;
  branch  =   z9hG4bKfold1  ,
 SIP  /    2.0   / UDP  192.168.44.5   ; branch=
 z9hG4bKfold2
m:"Display \"\"" <sip:mara@desk.example> ; first =
      1 ;
  second ; q = 0.25

""",
        SESSION,
    ),
    "3.1.1.2": wire(
        f"""
{METHOD} sip:{ODD_USER}:{ODD_PASSWORD}@lab.example SIP/2.0
Via: SIP/2.0/TCP odd.desk.example;branch=z9hG4bK-.!%55*_+`'~
To: "BEL:\\\a NUL:\\\0 DEL:\\\x7f" <sip:{ODD_USER}@lab.example>
From: word1~` word2'+_ word3*%!.- <sip:plain@desk.example>;oddParam''~+*_!.-%="слово";tag=_word~1'+`*%!-.
Call-ID: case.word%QJ-!.*_+'@word`~)(><:\\/"][?}}{{
CSeq: 239911 {METHOD}
Max-Forwards: 255
unheard-Of!.%*+_`'~:\ufeff電話
Content-Length: 0

"""
    ),
    "3.1.1.3": invite(
        "3.1.1.3",
        "INVITE sip:sips%3Atheo%40lab.example@far.example SIP/2.0",
        To="sip:%74he%6F@lab.example",
        From="<sip:with%20spaces%20inside@desk.example>;tag=814",
        Contact="<sip:mar%61@desk.example;%6C%72;n%61me=v%61lue%25%34%31>",
    ),
    "3.1.1.4": request(
        "REGISTER sip:lab.example SIP/2.0",
        "3.1.1.4",
        To="sip:zero-%00-zero@lab.example",
        From="sip:zero-%00-zero@lab.example;tag=zz",
        Contact="<sip:%00@desk.example>\nContact: <sip:%00%00@desk.example>",
    ),
    "3.1.1.5": request(
        "RE%47IST%45R sip:registrar.lab.example SIP/2.0",
        "3.1.1.5",
        To='"%Q%51" <sip:item@lab.example>',
        From='"%Q%51" <sip:item@lab.example>;tag=f1',
        Via="SIP/2.0/TCP desk.example;branch=z9hG4bK3%aeiou",
        Contact="<sip:one@desk.example>\nC%6Fntact: <sip:two@desk.example>\nContact: <sip:three@desk.example>",
    ),
    "3.1.1.6": request("OPTIONS sip:theo@lab.example SIP/2.0", "3.1.1.6", From="mara<sip:mara@desk.example>;tag=55"),
    "3.1.1.7": invite(
        "3.1.1.7",
        To=f'"A name that goes {"on and " * 20}on"<sip:theo@lab.example:6060;odd1={"long" * 30};{"odd" * 40}=x;{"bare" * 40}>',
        From=f"sip:{'mara' * 30}@desk.example;tag={'31' * 80};{'param' * 20}={'value' * 20};{'bare' * 30}",
        Call_ID="case-3.1.1.7." + "really" * 40 + "long",
        Unheard_Of=f"word-{'long' * 20}; {'param' * 20} = {'value' * 20}",
        Via="\n".join(
            [f"SIP/2.0/TCP hop34.example;branch=z9hG4bK{'seam' * 60}"]
            + [
                f"{('Via', 'v', 'V', 'vIA', 'VIA ', 'v  ')[n % 6]}: SIP/2.0/TCP hop{n}.example"
                for n in range(33, 0, -1)
            ]
        ),
        Contact=f"<sip:{'mara' * 30}@desk.example>",
    ),
    "3.1.1.8": request(
        "REGISTER sip:lab.example SIP/2.0", "3.1.1.8", To="sip:mara@lab.example", Contact="<sip:mara@192.0.2.41>", L="0"
    )
    + invite("3.1.1.8b"),
    "3.1.1.9": request("OPTIONS sip:theo;par=t%40far.example@lab.example SIP/2.0", "3.1.1.9", Accept="application/sdp"),
    "3.1.1.10": request(
        "OPTIONS sip:theo@lab.example SIP/2.0",
        "3.1.1.10",
        Via="SIP/2.0/UDP t1.example;branch=z9hG4bKmix\nVia: SIP/2.0/SCTP t2.example;branch=z9hG4bKm2\n"
        "Via: SIP/2.0/TLS t3.example;branch=z9hG4bKm3\nVia: SIP/2.0/NEVERHEARD t4.example;branch=z9hG4bKm4\n"
        "Via: SIP/2.0/TCP t5.example;branch=z9hG4bKm5",
    ),
    "3.1.1.11": request(
        "MESSAGE sip:theo@lab.example SIP/2.0",
        "3.1.1.11",
        b"--seam\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\nGood day\r\n--seam\r\n"
        b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        + BINARY
        + b"\r\n--seam--",
        Content_Type='multipart/mixed;boundary="seam"',
    ),
    "3.1.1.12": request(
        "SIP/2.0 200 = 3**3 * 7 это не простое число - сто восемьдесят девять", "3.1.1.12", CSeq="61 INVITE"
    ),
    "3.1.1.13": request("SIP/2.0 100 ", "3.1.1.13", CSeq="61 INVITE"),
    # 3.1.2: invalid
    "3.1.2.1": invite("3.1.2.1", Via="SIP/2.0/UDP 192.0.2.41;;,;,,", Contact='"Mara" <sip:mara@desk.example>;;;;'),
    "3.1.2.2": invite("3.1.2.2").replace(
        b"Content-Length: %d" % len(SESSION.replace("\n", "\r\n")), b"Content-Length: 9000"
    ),
    "3.1.2.3": invite("3.1.2.3").replace(
        b"Content-Length: %d" % len(SESSION.replace("\n", "\r\n")), b"Content-Length: -1"
    ),
    "3.1.2.4": request(
        "REGISTER sip:lab.example SIP/2.0",
        "3.1.2.4",
        CSeq="36893488147419103299 REGISTER",
        Max_Forwards="300",
        Expires="1" + "0" * 17,
        Contact="<sip:mara@desk.example>;expires=380297596632815",
    ),
    "3.1.2.5": request(
        "SIP/2.0 503 Not Now",
        "3.1.2.5",
        CSeq="9292394834772304023399 OPTIONS",
        Retry_After="949302838503028349304023999",
        Warning='1812 opus "Played"',
    ),
    "3.1.2.6": invite("3.1.2.6", To='"Mr. Theo <sip:theo@lab.example>'),
    "3.1.2.7": invite("3.1.2.7", "INVITE <sip:theo@lab.example> SIP/2.0"),
    "3.1.2.8": invite("3.1.2.8", "INVITE sip:theo@lab.example; lr SIP/2.0"),
    "3.1.2.9": invite("3.1.2.9", "INVITE  sip:theo@lab.example  SIP/2.0"),
    "3.1.2.10": request("OPTIONS sip:elsewhere@127.0.0.1 SIP/2.0  ", "3.1.2.10"),
    "3.1.2.11": invite("3.1.2.11", "INVITE sip:theo@lab.example?Route=%3Csip:far.example%3E SIP/2.0"),
    "3.1.2.12": invite("3.1.2.12", Date="Mon, 04 Jan 2010 16:00:00 CET"),
    "3.1.2.13": request(
        "REGISTER sip:lab.example SIP/2.0", "3.1.2.13", Contact="sip:mara@desk.example?Route=%3Csip:far.example%3E"
    ),
    "3.1.2.14": request("OPTIONS sip:theo@lab.example SIP/2.0", "3.1.2.14", To='"Theo, T." < sip:theo@lab.example >'),
    "3.1.2.15": request(
        "OPTIONS sip:theo@lab.example SIP/2.0", "3.1.2.15", From="Weiss, Mara <sip:mara@desk.example>;tag=43"
    ),
    "3.1.2.16": request(
        "OPTIONS sip:theo@lab.example SIP/7.0", "3.1.2.16", Via="SIP/7.0/UDP desk.example;branch=z9hG4bKseven"
    ),
    "3.1.2.17": request("OPTIONS sip:theo@lab.example SIP/2.0", "3.1.2.17", CSeq="8 INVITE"),
    "3.1.2.18": request("FRESHVERB sip:theo@lab.example SIP/2.0", "3.1.2.18", CSeq="8 INVITE"),
    "3.1.2.19": request("SIP/2.0 4294967307 too much for 32 bits", "3.1.2.19", CSeq="61 INVITE"),
    # 3.2: transactions
    "3.2.1": request(
        "OPTIONS sip:theo@lab.example SIP/2.0",
        "3.2.1",
        Via="SIP/2.0/UDP 192.0.2.41;branch=z9hG4bK",
        Accept="application/sdp",
    ),
    # 3.3: applications
    "3.3.1": invite("3.3.1", To="", From="", Call_ID="", Max_Forwards="", Contact=""),
    "3.3.2": request("OPTIONS schemeNobodyKnows:opaque-content SIP/2.0", "3.3.2"),
    "3.3.3": request("OPTIONS soap.beep://192.0.2.99:3002 SIP/2.0", "3.3.3"),
    "3.3.4": request(
        "REGISTER sip:lab.example SIP/2.0",
        "3.3.4",
        To="isbn:9783161484100",
        From="<http://www.desk.example>;tag=91",
        Contact="<name:Mara_Weiss>",
    ),
    "3.3.5": request(
        "OPTIONS sip:theo@lab.example SIP/2.0",
        "3.3.5",
        Require="nobodyDoesThis, norThat",
        Proxy_Require="noProxyDoesThis, noneDoesThatEither",
    ),
    "3.3.6": request(
        "INVITE sip:theo@lab.example SIP/2.0",
        "3.3.6",
        "<scene><table/></scene>",
        Contact="<sip:mara@desk.example>",
        Content_Type="application/strange+xml",
    ),
    "3.3.7": request(
        "REGISTER sip:lab.example SIP/2.0",
        "3.3.7",
        To="sip:mara@lab.example",
        Contact="<sip:mara@desk.example>",
        Authorization="SchemeNobodyKnows opaque=stuff, more=here",
    ),
    "3.3.8": invite(
        "3.3.8",
        CSeq="5 INVITE\nCSeq: 59 INVITE",
        Call_ID="case-3.3.8.a\nCall-ID: case-3.3.8.b",
        Max_Forwards="70\nMax-Forwards: 5",
        To="sip:theo@lab.example\nTo: sip:other@lab.example",
        From="<sip:mara@desk.example>;tag=3\nFrom: <sip:else@desk.example>;tag=4",
    ),
    "3.3.9": request("OPTIONS sip:theo@lab.example SIP/2.0", "3.3.9", Content_Length="13\nContent-Length: 5")
    + b"There are two",
    "3.3.10": request(
        "SIP/2.0 200 OK",
        "3.3.10",
        CSeq="61 INVITE",
        Via="SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKours\nVia: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKall",
        Contact="<sip:theo@lab.example>",
    ),
    "3.3.11": request("OPTIONS sip:theo@lab.example SIP/2.0", "3.3.11", Max_Forwards="0"),
    "3.3.12": request(
        "REGISTER sip:lab.example SIP/2.0",
        "3.3.12",
        To="sip:mara@lab.example",
        Contact="sip:+12015550123@gw.desk.example;oddparam",
    ),
    "3.3.13": request(
        "REGISTER sip:lab.example SIP/2.0",
        "3.3.13",
        To="sip:mara@lab.example",
        Contact="<sip:+12015550123@gw.desk.example;oddparam>",
    ),
    "3.3.14": request(
        "REGISTER sip:lab.example SIP/2.0",
        "3.3.14",
        To="sip:mara@lab.example",
        Contact="<sip:mara@desk.example?Route=%3Csip:far.example%3E>",
    ),
    "3.3.15": invite("3.3.15", Accept="text/nobodyReadsThis"),
    # 3.4: RFC 2543
    "3.4.1": invite(
        "3.4.1",
        Via="SIP/2.0/UDP old.desk.example",
        From="<sip:+12015550124@old.desk.example;user=phone>",
        To="<sip:+12015550125@lab.example;user=phone>",
        Max_Forwards="",
        Record_Route="<sip:theo@lab.example;maddr=edge.lab.example>",
    ),
}

IPV6_SESSION = SESSION.replace("IP4 192.0.2.77", "IP6 2001:db8::77").replace("IP4 192.0.2.78", "IP6 2001:db8::78")

IPV6_TORTURE: dict[str, bytes] = {
    "4.1": request(
        "REGISTER sip:[2001:db8::20] SIP/2.0",
        "4.1",
        Via="SIP/2.0/UDP [2001:db8::7:1];branch=z9hG4bKsix1",
        Contact='"Mara" <sip:mara@[2001:db8::1]>',
    ),
    "4.2": request("REGISTER sip:2001:db8::20 SIP/2.0", "4.2", Via="SIP/2.0/UDP [2001:db8::7:1];branch=z9hG4bKsix2"),
    "4.3": request(
        "REGISTER sip:[2001:db8::20:5070] SIP/2.0", "4.3", Via="SIP/2.0/UDP [2001:db8::7:1];branch=z9hG4bKsix3"
    ),
    "4.4": request(
        "REGISTER sip:[2001:db8::20]:5070 SIP/2.0", "4.4", Via="SIP/2.0/UDP [2001:db8::7:1];branch=z9hG4bKsix4"
    ),
    "4.5.1": request(
        "BYE sip:theo@[2001:db8::20] SIP/2.0",
        "4.5.1",
        To="sip:theo@lab.example;tag=bd76ya",
        Via="SIP/2.0/UDP [2001:db8::7:1];received=[2001:db8::7:255];branch=z9hG4bKsix5",
    ),
    "4.5.2": request(
        "OPTIONS sip:theo@[2001:db8::20] SIP/2.0",
        "4.5.2",
        Via="SIP/2.0/UDP [2001:db8::7:1];received=2001:db8::7:255;branch=z9hG4bKsix6",
    ),
    "4.6": request(
        "INVITE sip:theo@[2001:db8::20] SIP/2.0",
        "4.6",
        IPV6_SESSION,
        Via="SIP/2.0/UDP [2001:db8::20];branch=z9hG4bKsix7",
        Contact="<sip:mara@[2001:db8::20]>",
    ),
    "4.7": request(
        "BYE sip:theo@desk.example SIP/2.0",
        "4.7",
        To="sip:theo@lab.example;tag=bd76yb",
        Via="SIP/2.0/UDP [2001:db8::7:1]:6050;branch=z9hG4bKsix8\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKfour\n"
        "Via: SIP/2.0/TCP [2001:db8::7:ff]:6051;branch=z9hG4bKsix9",
    ),
    "4.8": request(
        "INVITE sip:theo@[2001:db8::20] SIP/2.0",
        "4.8",
        "v=0\no=mara 1 1 IN IP6 2001:db8::20\ns=-\nt=0 0\nm=audio 6000 RTP/AVP 0\nc=IN IP6 2001:db8::1\n"
        "m=video 6024 RTP/AVP 107\nc=IN IP4 192.0.2.1\na=rtpmap:107 H263-1998/90000\n",
        Via="SIP/2.0/UDP [2001:db8::7:1];branch=z9hG4bKsix10",
        Contact="<sip:mara@[2001:db8::7:1]>",
    ),
    "4.9": request(
        "INVITE sip:theo@lab.example SIP/2.0",
        "4.9",
        IPV6_SESSION.replace("2001:db8::78", "::ffff:192.0.2.1"),
        Via="SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKmapped",
        Contact='"Mara" <sip:mara@[::ffff:192.0.2.10]:19823>',
    ),
    "4.10.1": request(
        "OPTIONS sip:theo@[2001:db8:::192.0.2.1] SIP/2.0",
        "4.10.1",
        Via="SIP/2.0/UDP [2001:db8::7:1];received=[2001:db8:::192.0.2.9];branch=z9hG4bKcolons3",
    ),
    "4.10.2": request(
        "OPTIONS sip:theo@[2001:db8::192.0.2.1] SIP/2.0",
        "4.10.2",
        Via="SIP/2.0/UDP [2001:db8::7:1];received=[2001:db8::192.0.2.9];branch=z9hG4bKcolons2",
    ),
}
