"""Options of `cmw call`: what is wrong with them is told by their own names, all at once, before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmw.cli import call_command
from cmw.cli.exit_codes import ExitCode
from cmw.cli.main import run_command
from cmw.core.clock import SECOND
from cmw.load.plan import Plan
from tests.support.certificates import Authority

URI = "sip:600@127.0.0.1:5099"


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans that would have been run."""
    found: list[Plan] = []

    def run_and_report(plan: Plan, *_: object, **__: object) -> int:
        found.append(plan)
        return 0

    monkeypatch.setattr(call_command, "run_and_report", run_and_report)
    return found


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["600@pbx.example"], ["URI: found '600@pbx.example', expected a SIP URI such as sip:600@pbx.example"]),
        (["sip:600"], ["URI: found 'sip:600', expected a SIP URI"]),
        ([URI, "--rate", "10"], ["--rate: found '10', expected a rate"]),
        ([URI, "--duration", "5"], ["--duration: found '5', expected a duration with its unit"]),
        ([URI, "--setup-timeout", "x"], ["--setup-timeout: found 'x', expected a duration"]),
        ([URI, "--calls", "0"], ["--calls: found 0, expected a whole number from 1"]),
        ([URI, "--codec", "opus"], ["--codec: found 'opus', expected PCMU or PCMA"]),
        ([URI, "--source", "music"], ["--source: found 'music', expected speech, tone, silence, echo or a WAV file"]),
        ([URI, "--dscp", "64"], ["--dscp: found 64, expected a whole number from 0 to 63"]),
        ([URI, "--threshold", "moss: avg > 4"], ["--threshold moss: is not a metric, did you mean 'mos'?"]),
        ([URI, "--threshold", "mos"], ["found 'mos', expected \"METRIC: EXPRESSION\""]),
        ([URI, "--user", "u"], ["--password-file: expected with --user"]),
        ([URI, "--transport", "sctp"], ["--transport: found 'sctp', expected udp, tcp, tls, ws, wss, or auto"]),
        ([URI, "--proxy", "x"], ["--proxy: found 'x', expected a SIP URI such as sip:10.0.0.1:5060;lr"]),
        ([URI, "--header", "X"], ["found 'X', expected \"NAME: VALUE\""]),
        ([URI, "--header", "Via: x"], ["--header: is no name; expected a header that is not written anyway"]),
        ([URI, "--redirects", "11"], ["--redirects: found 11, expected a whole number from 0 to 10"]),
        ([URI, "--session-timer", "60s"], ["--session-timer: found '60s', expected a duration from 90s"]),
        ([URI, "--session-timer", "must:90s"], ["--session-timer: found 'must', expected disabled, supported or"]),
        ([URI, "--jitter-buffer", "40ms"], ["--jitter-buffer: found '40ms', expected fixed:40ms, adaptive:40ms or"]),
        ([URI, "--jitter-buffer", "adaptive:40ms:50ms:60ms"], ["--jitter-buffer: found more than nominal"]),
        ([URI, "--late-after", "1h"], ["--late-after: found '1h', expected a duration from 1ms to 60s"]),
        ([URI, "--100rel", "maybe"], ["--100rel: found 'maybe', expected off, supported or required"]),
        ([URI, "--transfers", "x"], ["--transfers: found 'x', expected accept or reject"]),
        ([URI, "--from", "sip:<"], ["--from: found 'sip:<', expected a SIP URI"]),
        ([URI, "--ws-path", "/ws"], ["--ws-path: expected --user with it"]),
        (["tel:+4930123"], ["URI: found 'tel:+4930123', expected a registrar or an outbound_proxy"]),
        (
            [URI, "--transport", "udp", "--tls-insecure"],
            ["--tls-insecure: found where nothing goes over TLS"],
        ),
        ([URI, "--rate", "10", "--duration", "5"], ["--rate: found '10'", "--duration: found '5'"]),
    ],
)
def test_a_wrong_option_is_told_by_its_name(
    arguments: list[str], told: list[str], plans: list[Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["call", *arguments]) == ExitCode.USAGE
    stderr = capsys.readouterr().err
    assert all(line in stderr for line in told)
    assert "groups." not in stderr
    assert not plans


def test_options_become_a_plan(plans: list[Plan], tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    options = "--calls 3 --rate 2/s --duration 5s --codec PCMA --source tone --dscp 0 --user alice --realm pbx".split()
    words = ["call", "sip:600@[::1]:5070", *options, "--password-file", str(password), "--threshold", "mos: avg >= 4"]
    assert run_command(words) == ExitCode.PASSED
    [plan] = plans
    [group], [registrar] = plan.groups.values(), plan.registrars.values()
    assert (group.endpoints, group.audio.codecs, group.audio.source, group.audio.dscp) == (3, ["PCMA"], "tone", 0)
    assert (registrar.domain, registrar.port) == ("[::1]", 5070)
    assert plan.to_document()["thresholds"] == {"mos": ["avg >= 4"]}


def test_the_jitter_buffer_becomes_part_of_the_plan(plans: list[Plan]) -> None:
    words = ["--jitter-buffer", "adaptive:60ms:30ms:90ms", "--late-after", "50ms"]
    assert run_command(["call", URI, *words]) == ExitCode.PASSED
    [group] = plans[0].groups.values()
    assert group.audio.jitter_buffer.settings() == (60_000_000, 30_000_000, 90_000_000)
    assert group.audio.late_after == 50_000_000


def test_options_about_sip_become_a_plan(plans: list[Plan], tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mine = authority.issue(common_name="me")
    words = ["--transport", "tls", "--tls-ca", authority.file, "--tls-cert", mine, "--tls-name", "pbx.example"]
    words += ["--proxy", "sip:10.0.0.1", "--proxy", "sip:10.0.0.2", "--header", "X-Tenant: blue: {n}"]
    words += ["--from", "sip:+49{n}@example.org", "--display-name", "Alice", "--late-offer", "--redirects", "2"]
    words += ["--session-timer", "required:180s", "--100rel", "off", "--transfers", "reject"]
    assert run_command(["call", URI, *words]) == ExitCode.PASSED
    [plan] = plans
    [group] = plan.groups.values()
    assert (group.transport, group.outbound_proxy) == ("tls", ["sip:10.0.0.1;lr", "sip:10.0.0.2;lr"])
    assert group.tls is not None
    assert (group.tls.ca, group.tls.server_name) == (Path(authority.file).read_text(), "pbx.example")
    assert group.headers == {"X-Tenant": "blue: {n}"}
    assert group.identity is not None
    assert (group.identity.user, group.identity.domain) == ("+49{n}", "example.org")
    assert group.call is not None
    assert (group.call.offer, group.call.redirects) == ("late", 2)
    timer = group.sip.session_timer
    assert timer is not None
    assert (timer.mode, timer.expires, group.sip.reliable_provisional) == ("required", 180 * SECOND, "off")
    assert group.sip.transfers == "reject"


@pytest.mark.parametrize(
    ("uri", "options", "domain", "port", "transport"),
    [
        ("sip:600@pbx.example", [], "pbx.example", None, "udp"),
        ("sip:600@pbx.example;transport=tcp", [], "pbx.example", None, "tcp"),
        ("sips:600@[::1]:5071", [], "[::1]", 5071, "tls"),
        ("sip:600@pbx.example", ["--transport", "auto"], "pbx.example", None, "auto"),
        ("sip:600@pbx.example", ["--transport", "wss", "--ws-path", "/sip"], "pbx.example", None, "wss"),
    ],
)
def test_users_register_where_the_uri_leads(
    plans: list[Plan], tmp_path: Path, uri: str, options: list[str], domain: str, port: int | None, transport: str
) -> None:
    (tmp_path / "password").write_text("secret\n")
    account = ["--user", "alice", "--auth-user", "a1", "--password-file", str(tmp_path / "password")]
    assert run_command(["call", uri, *account, *options]) == ExitCode.PASSED
    [registrar] = plans[0].registrars.values()
    assert (registrar.domain, registrar.port, registrar.transport) == (domain, port, transport)
    assert registrar.accounts[0].auth_username == "a1"


def test_certificates_that_cannot_be_used_are_told(
    plans: list[Plan], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.pem").write_text("nonsense")
    for option in ("--tls-ca", "--tls-cert"):
        assert (
            run_command(["call", URI, "--transport", "tls", option, str(tmp_path / "x.pem")]) == ExitCode.CONFIGURATION
        )
        assert f"{option}" in capsys.readouterr().err
    assert (
        run_command(["call", URI, "--transport", "tls", "--tls-ca", str(tmp_path / "none")]) == ExitCode.CONFIGURATION
    )
    assert not plans
