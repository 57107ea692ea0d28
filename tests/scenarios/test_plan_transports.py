"""Plans and options reach every transport, with the certificates and proxies that they name: the installed program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.processes import Callee
from tests.support.runs import Result, call, run_plan, write_accounts

pytestmark = pytest.mark.loopback

NewIp = Callable[[], str]


def address_of(callee: Callee, transport: str) -> str:
    listening = next(entry for entry in callee.log if entry["event"] == "listening")
    return str(listening.get(transport, listening["sip"]))


def one_call(uri: str, **group: Any) -> dict[str, Any]:
    return {"duration": "300ms", "groups": {"callers": {"endpoints": 1, "call": {"uri": uri}, **group}}}


def went_well(result: Result, count: int = 1) -> bool:
    result.expect(0)
    return result.summary["calls"]["by_status_code"] == {"200": count}


@pytest.mark.parametrize("transport", ["tcp", "ws"])
def test_a_group_names_its_transport(tmp_path: Path, loopback_ip: NewIp, transport: str) -> None:
    with Callee(tmp_path, loopback_ip(), "--ws", "0", "--log-level", "trace") as callee:
        uri = f"sip:600@{address_of(callee, transport)}"
        assert went_well(run_plan(tmp_path, loopback_ip(), one_call(uri, transport=transport)))
        assert f"SIP/2.0/{transport.upper()}" in callee.program.output
        assert callee.stop()["by_outcome"] == {"SUCCESS": 1}


@pytest.mark.parametrize("transport", ["tls", "wss"])
def test_certificates_are_checked_as_the_plan_says(tmp_path: Path, loopback_ip: NewIp, transport: str) -> None:
    authority = Authority(tmp_path)
    with Callee(tmp_path, loopback_ip(), "--tls-cert", authority.issue(domains=["pbx.example"]), "--ws", "0") as callee:
        uri = f"sip:600@{address_of(callee, transport)}"

        def run(**tls: Any) -> Result:
            return run_plan(
                tmp_path, loopback_ip(), one_call(uri, transport=transport, **({"tls": tls} if tls else {}))
            )

        assert went_well(run(ca_file="ca.pem", server_name="pbx.example"))
        assert went_well(run(verify="skip"))
        for refused in (run(ca_file="ca.pem"), run()):
            refused.expect(1)
            [row] = refused.endpoints
            assert row["outcome"] == "CALL_FAILED"
            assert "TLS" in row["reason"]


def test_a_server_may_ask_for_our_certificate_and_sips_goes_over_tls(tmp_path: Path, loopback_ip: NewIp) -> None:
    ip, authority = loopback_ip(), Authority(tmp_path)
    with Callee(tmp_path, ip, "--tls-cert", authority.issue(addresses=[ip])) as callee:
        uri = f"sips:600@{address_of(callee, 'tls')}"
        assert went_well(call(tmp_path, loopback_ip(), uri, "--duration", "300ms", "--tls-ca", authority.file))
        assert went_well(call(tmp_path, loopback_ip(), uri, "--duration", "300ms", "--tls-insecure"))


def test_the_transport_of_a_uri_counts(tmp_path: Path, loopback_ip: NewIp) -> None:
    with Callee(tmp_path, loopback_ip(), "--log-level", "trace") as callee:
        assert went_well(call(tmp_path, loopback_ip(), f"{callee.target};transport=tcp", "--duration", "300ms"))
        assert "SIP/2.0/TCP" in callee.program.output
        assert "SIP/2.0/UDP" not in callee.program.output


def test_an_outbound_proxy_is_where_everything_goes(tmp_path: Path, loopback_ip: NewIp) -> None:
    with Callee(tmp_path, loopback_ip(), "--log-level", "trace") as callee:
        proxy = callee.target.replace("bob@", "")
        plan = one_call("sip:600@192.0.2.1", outbound_proxy=proxy, transport="tcp")
        assert went_well(run_plan(tmp_path, loopback_ip(), plan))
        host = proxy.removeprefix("sip:")
        assert f"Route: <sip:{host};transport=tcp;lr>" in callee.program.output
        assert "INVITE sip:600@192.0.2.1 SIP/2.0" in callee.program.output
        result = call(tmp_path, loopback_ip(), "tel:+4930123", "--proxy", f"{proxy};lr", "--duration", "300ms")
        assert went_well(result)
        assert f"INVITE sip:+4930123@{host};user=phone SIP/2.0" in callee.program.output


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "ws"])
def test_users_register_and_call_over_the_transport_of_their_registrar(
    tmp_path: Path, loopback_ip: NewIp, transport: str
) -> None:
    ip, authority = loopback_ip(), Authority(tmp_path)
    accounts = write_accounts(tmp_path / "accounts.csv", {f"u{n}": f"secret-{n}" for n in range(4)})
    words = ["--registrar", "--accounts", str(accounts), "--ws", "0"]
    if transport == "tls":
        words += ["--tls-cert", authority.issue(addresses=[ip])]
    with Callee(tmp_path / "callee", ip, *words) as server:
        port = int(address_of(server, transport).rpartition(":")[2])
        lab = {
            "domain": ip,
            "port": port,
            "transport": transport,
            "accounts": {"file": "accounts.csv"},
            "registration": {"connection": "shared" if transport == "udp" else "own"},
        }
        plan = {
            "duration": "300ms",
            "registrars": {"lab": lab | ({"tls": {"ca_file": "ca.pem"}} if transport == "tls" else {})},
            "groups": {
                "callees": {"endpoints": 2, "registrar": "lab"},
                "callers": {"endpoints": 2, "registrar": "lab", "call": {"group": "callees"}},
            },
        }
        result = run_plan(tmp_path, loopback_ip(), plan)
        assert went_well(result, 2)
        assert result.summary["registrations"] == {"attempted": 4, "succeeded": 4, "failed": 0}
        assert result.outcomes == {"SUCCESS": 4}
        assert "secret-" not in (tmp_path / "report" / "summary.json").read_text() + result.told
