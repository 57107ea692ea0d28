"""Scenarios for sipp in the words of a call: each step is a line, and sipp's XML is made from them.

sipp knows only the message that came last, so that what a dialog needs later is kept in variables: From, To and Contact
of the peer, and Via and CSeq of the INVITE that is answered after other requests came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self
from xml.sax.saxutils import quoteattr

Rows = Sequence[str]

FIRST_URI = "sip:[service]@[remote_ip]:[remote_port];transport=[transport]"
FIRST_TO = "<sip:[service]@[remote_ip]:[remote_port]>"
CONTACT = "Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>"


def description(direction: str = "sendrecv", version: int = 1) -> str:
    """Return a session description of sipp's."""
    return (
        f"v=0\no=sipp 1 {version} IN IP4 [local_ip]\ns=-\nc=IN IP4 [local_ip]\nt=0 0\nm=audio [media_port] RTP/AVP 0\n"
        f"a=rtpmap:0 PCMU/8000\na={direction}\n"
    )


class Scenario:
    """One call as sipp plays it; the base of `Caller` and `Callee`."""

    def __init__(self, own: str, remote: str, cseq: int) -> None:
        self._own = own
        self._remote = remote
        self._cseq = cseq
        self._invite = (0, 0, FIRST_URI)  # step, CSeq and URI of the INVITE that sipp sent last
        self._steps: list[str] = []
        self._names: set[str] = set()

    # what sipp takes

    def recv(
        self,
        method: str,
        *,
        check: Mapping[str, str] | None = None,
        body: str = "",
        start: str = "",
        verifies: tuple[str, str] | None = None,
        keeps: bool = False,
    ) -> Self:
        """Take a request.

        Args:
            method: its method.
            check: regular expressions for headers.
            body: one for the body.
            start: how it has to start.
            verifies: user and password that its credentials have to prove.
            keeps: `reply` answers it later; an INVITE always is answered so.
        """
        actions = self._checks(check or {}, body)
        if start:
            actions.append(_ereg(f"^{start}", '"msg"', "checked"))
            self._names.add("checked")
        if method == "INVITE" or keeps:
            actions += [self._keep("Via", "via"), self._keep("CSeq", "cseq")]
        if verifies is not None:
            user, password = verifies
            actions.append(f'<verifyauth assign_to="proven" username="{user}" password="{password}"/>')
        self._receive("request", method, actions)
        if verifies is not None:
            self._names.add("proven")
            refusal = '<action><error message="wrong credentials"/></action>'
            self._steps.append(f'<nop condexec="proven" condexec_inverse="true">{refusal}</nop>')
        return self

    def recv_response(self, status: int, *, check: Mapping[str, str] | None = None, body: str = "") -> Self:
        """Take the response to the request that was sent last."""
        return self._receive("response", str(status), self._checks(check or {}, body))

    def maybe(self, *statuses: int) -> Self:
        """Take responses that may come before the next step."""
        for status in statuses:
            self._steps.append(f'<recv response="{status}" optional="true"/>')
        return self

    def _receive(self, kind: str, what: str, actions: list[str]) -> Self:
        inner = f"<action>{''.join(actions)}</action>" if actions else ""
        self._steps.append(f"<recv {kind}={quoteattr(what)}>{inner}</recv>")
        return self

    def _checks(self, headers: Mapping[str, str], body: str) -> list[str]:
        found = [_ereg(regexp, f'"hdr" header="{name}:"', "checked") for name, regexp in headers.items()]
        self._names |= {"checked"} if found or body else set()
        return [*found, _ereg(body, '"body"', "checked")] if body else found

    def _keep(self, header: str, name: str) -> str:
        self._names.add(name)
        return _ereg("[^ ].*", f'"hdr" header="{header}:"', name)

    def _keep_target(self) -> str:
        self._names |= {"checked", "target"}
        return _ereg("<([^>]*)>", '"hdr" header="Contact:"', "checked,target")

    # what sipp sends

    def reply(self, status: int, *, headers: Rows = (), body: str = "", tag: str = "", contact: str = CONTACT) -> Self:
        """Answer the INVITE that came last, whatever has come since; `tag` is that of another callee."""
        own = self._own.replace(";tag=", f";tag={tag}")
        lines = ["Via: [$via]", "From: [$remote]", f"To: {own}", "Call-ID: [call_id]", "CSeq: [$cseq]"]
        return self._send(f"SIP/2.0 {status} Fine", [*lines, contact, *headers], body)

    def reply_to_last(self, status: int = 200, *, headers: Rows = (), body: str = "") -> Self:
        """Answer the request that came last."""
        lines = ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]", CONTACT]
        return self._send(f"SIP/2.0 {status} Fine", [*lines, *headers], body)

    def reply_stray(self, status: int, cseq: str) -> Self:
        """Send a response to a request that the other never sent."""
        lines = ["Via: [$via]stray", "From: [$remote]", f"To: {self._own}", "Call-ID: [call_id]", f"CSeq: {cseq}"]
        return self._send(f"SIP/2.0 {status} Stray", lines, "")

    def request(
        self, method: str, *, headers: Rows = (), body: str = "", target: str = "[$target]", contact: str = CONTACT
    ) -> Self:
        """Send a request within the call, again and again over UDP until a response comes."""
        self._cseq += 1
        if method == "INVITE":
            self._invite = (len(self._steps), self._cseq, target)
        rows = [contact, *headers]
        return self._request(method, target, "[branch]", self._remote, self._cseq, rows, body)

    def ack(self, *, headers: Rows = (), body: str = "") -> Self:
        """Acknowledge a 2xx to the last INVITE."""
        return self._request("ACK", "[$target]", "[branch]", self._remote, self._invite[1], [CONTACT, *headers], body)

    def ack_refusal(self) -> Self:
        """Acknowledge another final response to the last INVITE, within its transaction. Source: RFC 3261 17.1.1.3."""
        return self._of_invite("ACK", "[last_To:]")

    def _of_invite(self, method: str, to: str) -> Self:
        step, cseq, uri = self._invite
        return self._request(method, uri, f"[branch-{len(self._steps) - step}]", to, cseq, (), "")

    def _request(self, method: str, uri: str, branch: str, to: str, cseq: int, headers: Rows, body: str) -> Self:
        lines = [
            f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}",
            "Max-Forwards: 70",
            f"From: {self._own}",
            to if to.startswith("[last") else f"To: {to}",
            "Call-ID: [call_id]",
            f"CSeq: {cseq} {method}",
        ]
        return self._send(f"{method} {uri} SIP/2.0", [*lines, *headers], body, retransmits=method != "ACK")

    def _send(self, start: str, lines: Rows, body: str, *, retransmits: bool = False) -> Self:
        kind = [] if not body or _names_type(lines) else ["Content-Type: application/sdp"]
        length = "Content-Length: [len]" if body else "Content-Length: 0"
        text = "\n".join([start, *lines, *kind, length, "", body])
        flag = ' retrans="500"' if retransmits else ""
        self._steps.append(f"<send{flag}><![CDATA[\n{text}\n]]></send>")
        return self

    # the rest

    def pause(self, milliseconds: int) -> Self:
        """Wait; 0 takes no step, for sipp may not wake from a pause of 0 ms when its clock ticks just then."""
        if milliseconds:
            self._steps.append(f'<pause milliseconds="{milliseconds}"/>')
        return self

    def bye(self) -> Self:
        """End the call."""
        return self.request("BYE").recv_response(200)

    def recv_bye(self) -> Self:
        """Let the other end the call."""
        return self.recv("BYE").reply_to_last()

    def write(self, path: Path) -> Path:
        """Write the scenario as sipp reads it; every variable is named once more, or sipp takes it for a mistake."""
        names = ",".join(sorted(self._names))
        reference = f'<Reference variables="{names}"/>' if names else ""
        steps = "\n".join(self._steps)
        path.write_text(f'<?xml version="1.0"?>\n<scenario name="cmw">\n{steps}\n{reference}\n</scenario>\n')
        return path


class Callee(Scenario):
    """sipp is called: the first step takes the INVITE."""

    def __init__(self, *, check: Mapping[str, str] | None = None, body: str = "") -> None:
        super().__init__("[$local];tag=[pid]s[call_number]", "[$remote]", 0)
        actions = [*self._checks(check or {}, body), self._keep("Via", "via"), self._keep("CSeq", "cseq")]
        actions += [self._keep("From", "remote"), self._keep("To", "local"), self._keep_target()]
        self._receive("request", "INVITE", actions)


class Caller(Scenario):
    """sipp calls: the first step sends the INVITE."""

    def __init__(self, *, headers: Rows = (), body: str | None = None) -> None:
        super().__init__("<sip:sipp@[local_ip]:[local_port]>;tag=[pid]s[call_number]", FIRST_TO, 0)
        self.request("INVITE", target=FIRST_URI, headers=headers, body=description() if body is None else body)

    def recv_dialog(self, status: int, *, check: Mapping[str, str] | None = None, body: str = "") -> Self:
        """Take a response to the INVITE, and from it the peer's tag and Contact."""
        actions = [*self._checks(check or {}, body), self._keep("To", "remote"), self._keep_target()]
        self._remote = "[$remote]"
        return self._receive("response", str(status), actions)

    def recv_reliable(self, status: int, *, body: str = "") -> Self:
        """Take a reliable provisional response, and keep its number for `prack`."""
        actions = [*self._checks({"Require": "100rel"}, body), self._keep("To", "remote"), self._keep_target()]
        self._remote = "[$remote]"
        return self._receive("response", str(status), [*actions, self._keep("RSeq", "rseq")])

    def prack(self) -> Self:
        """Acknowledge the last reliable response."""
        return self.request("PRACK", headers=["RAck: [$rseq] 1 INVITE"]).recv_response(200)

    def cancel(self) -> Self:
        """Withdraw the INVITE."""
        return self._of_invite("CANCEL", FIRST_TO)


def _ereg(regexp: str, where: str, names: str) -> str:
    return f'<ereg regexp={quoteattr(regexp)} search_in={where} check_it="true" assign_to="{names}"/>'


def _names_type(lines: Rows) -> bool:
    return any(line.lower().startswith("content-type:") for line in lines)
