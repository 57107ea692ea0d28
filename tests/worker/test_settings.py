"""The settings: defaults of the page, every fault at once, secrets from files and never in a message."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from cmw.core.address import Address, PortRange
from cmw.errors import SettingsError
from cmw.worker.effective import effective
from cmw.worker.reference import configuration_page
from cmw.worker.settings import Addresses, WorkerSettings, load_settings
from tests.support.certificates import Authority

TOKEN = "cmw_" + "a1b2c3d4" * 8
GATEWAY = "wg.callmeter.io:443"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in WorkerSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    monkeypatch.setenv("WORKER_TOKEN", TOKEN)
    monkeypatch.setenv("CLOUD_URL", GATEWAY)
    return monkeypatch


def faults_of(environment: pytest.MonkeyPatch, **variables: str) -> list[str]:
    for name, value in variables.items():
        environment.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    return str(raised.value).splitlines()


def test_defaults_are_the_ones_of_the_page() -> None:
    settings = load_settings()
    assert settings.gateway == (Address("wg.callmeter.io", 443), True)
    assert (settings.worker_name, settings.log_level, settings.log_format) == (None, "info", "json")
    assert settings.health_port == 3030
    assert settings.sip_ports == PortRange(5060, 5080)
    assert settings.rtp_ports == PortRange(10000, 65535)


def test_the_constructor_reads_no_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HEALTH_PORT", "8080")
    settings = WorkerSettings(worker_token=TOKEN, cloud_url="ws://127.0.0.1:8080")  # type: ignore[arg-type]
    assert settings.health_port == 3030
    assert settings.gateway == (Address("127.0.0.1", 8080), False)


def test_an_empty_variable_counts_as_not_set(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WORKER_NAME", "")
    environment.setenv("HEALTH_PORT", "")
    assert load_settings().health_port == 3030
    assert faults_of(environment, WORKER_TOKEN="")[0].startswith("WORKER_TOKEN: not set, expected cmw_")


@pytest.mark.parametrize(
    ("variable", "value", "attribute", "expected"),
    [
        ("WORKER_NAME", " dc-frankfurt-01 ", "worker_name", "dc-frankfurt-01"),
        ("LOG_LEVEL", "TRACE", "log_level", "trace"),
        ("LOG_FORMAT", "pretty", "log_format", "pretty"),
        ("HEALTH_PORT", "8080", "health_port", 8080),
        ("SIP_IP", "10.0.1.50", "sip_ip", "10.0.1.50"),
        ("SIP_IP", "2001:DB8::0:1", "sip_ip", "2001:db8::1"),
        ("SIP_IP", "[2001:DB8::1]", "sip_ip", "2001:db8::1"),
        ("SIP_IP", "::ffff:10.0.1.50", "sip_ip", "10.0.1.50"),
        ("MEDIA_IP", "10.0.1.51", "media_ip", "10.0.1.51"),
        ("SDP_IP", "192.168.1.100", "sdp_ip", "192.168.1.100"),
        ("EXTERNAL_IP", "203.0.113.10", "external_ip", "203.0.113.10"),
        ("SIP_PORT_START", "5070", "sip_port_start", 5070),
        ("SIP_PORT_END", "5060", "sip_port_end", 5060),
        ("RTP_PORT_MIN", "20000", "rtp_port_min", 20000),
        ("RTP_PORT_MAX", "20000", "rtp_port_max", 20000),
        ("MEDIA_THREADS", "3", "media_threads", 3),
        ("CLOUD_URL", "[2001:db8::1]:443", "cloud_url", "[2001:db8::1]:443"),
        ("SHUTDOWN_TIMEOUT", "30", "shutdown_timeout", 30),
        ("SPOOL_DIR", "/var/lib/cmw", "spool_dir", "/var/lib/cmw"),
        ("HEP_TARGET", "homer.example:9060", "hep_target", "homer.example:9060"),
        ("HEP_CAPTURE_ID", "7", "hep_capture_id", 7),
        ("SPOOL_MAX_BYTES", "1048576", "spool_max_bytes", 1 << 20),
        ("SPOOL_MAX_BYTES", "2G", "spool_max_bytes", 2 << 30),
        ("SPOOL_MAX_BYTES", "64MiB", "spool_max_bytes", 64 << 20),
    ],
)
def test_every_variable_is_read(
    environment: pytest.MonkeyPatch, variable: str, value: str, attribute: str, expected: object
) -> None:
    environment.setenv(variable, value)
    assert getattr(load_settings(), attribute) == expected


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("WORKER_NAME", "two\nlines", "a name of 1 to 100 printable characters"),
        ("WORKER_NAME", "x" * 101, "a name of 1 to 100 printable characters"),
        ("CLOUD_URL", "wg.callmeter.io", "host:port of the gateway"),
        ("CLOUD_URL", "https://wg.callmeter.io:443", "host:port of the gateway"),
        ("CLOUD_URL", "wg.callmeter.io:0", "host:port of the gateway"),
        ("CLOUD_URL", "wg.callmeter.io:443/path", "host:port of the gateway"),
        ("CLOUD_URL", "[wg]:443", "host:port of the gateway"),
        ("CLOUD_URL", "wg..callmeter.io:443", "host:port of the gateway"),
        ("CLOUD_URL", f"{'x' * 64}.callmeter.io:443", "host:port of the gateway"),
        ("HEP_TARGET", "homer..example:9060", "host:port of a capture server"),
        ("LOG_LEVEL", "warning", "one of error, warn, info, debug, trace"),
        ("LOG_FORMAT", "xml", "one of json, pretty"),
        ("HEALTH_PORT", "0", "a port from 1 to 65535"),
        ("HEALTH_PORT", "65536", "a port from 1 to 65535"),
        ("HEALTH_PORT", "3_0", "a port from 1 to 65535"),
        ("HEALTH_PORT", "+80", "a port from 1 to 65535"),
        ("HEALTH_PORT", "٣٠", "a port from 1 to 65535"),
        ("SHUTDOWN_TIMEOUT", "0", "whole seconds from 1 to 3600"),
        ("MEDIA_THREADS", "0", "a whole number from 1 to 64"),
        ("MEDIA_THREADS", "65", "a whole number from 1 to 64"),
        ("CLOUD_CA_FILE", "/nonexistent/ca.pem", "a PEM file of certificates (No such file or directory)"),
        ("CLOUD_CA_FILE", "/etc", "a PEM file of certificates (Is a directory)"),
        ("CLOUD_CA_FILE", "/etc/hostname", "a PEM file of certificates (it holds none)"),
        ("CLOUD_CA_FILE", "/dev/zero", "a PEM file of certificates (it is no regular file)"),
        ("SPOOL_DIR", "/etc/hostname", "a directory to write to (it is something else)"),
        ("HEP_TARGET", "homer", "host:port of a capture server"),
        ("HEP_TARGET", "ws://homer:9060", "host:port of a capture server"),
        ("HEP_CAPTURE_ID", "4294967296", "a whole number from 0 to 4294967295"),
        ("SPOOL_MAX_BYTES", "1000", "a number of bytes from 1M to 1024G"),
        ("SPOOL_MAX_BYTES", "-5M", "a number of bytes from 1M to 1024G"),
        ("SPOOL_MAX_BYTES", "1T", "a number of bytes from 1M to 1024G"),
        ("SIP_IP", "0.0.0.0", "one IP address"),
        ("SIP_IP", "eth0", "one IP address"),
        ("SIP_IP", "10.0.0.1:5060", "one IP address"),
        ("MEDIA_IP", "fe80::1%eth0", "one IP address"),
        ("MEDIA_IP", "[fe80::1%eth0]", "one IP address"),
        ("SIP_IP", "[10.0.1.50]", "one IP address"),
        ("SIP_IP", "[::1]:5060", "one IP address"),
        ("SIP_IP", "::ffff:0.0.0.0", "one IP address"),
        ("SDP_IP", "224.0.0.1", "one IP address"),
        ("EXTERNAL_IP", "1.2.3", "one IP address"),
        ("SIP_PORT_END", "5059", "a port not below SIP_PORT_START, which is 5060"),
        ("RTP_PORT_MAX", "10000", "an even and the next odd port from RTP_PORT_MIN, which is 10000"),
        ("RTP_PORT_MAX", "9999", "an even and the next odd port from RTP_PORT_MIN, which is 10000"),
    ],
)
def test_a_fault_names_variable_value_and_what_is_expected(
    environment: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    [fault] = faults_of(environment, **{variable: value})
    assert fault.startswith(f"{variable}: found ")
    assert repr(value) in fault
    assert expected in fault


def test_all_faults_are_told_at_once_in_the_order_of_the_page(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("CLOUD_URL")
    faults = faults_of(environment, WORKER_TOKEN="cmw_short", HEALTH_PORT="x", SIP_PORT_START="7000", RTP_PORT_MAX="1")
    names = [fault.partition(":")[0] for fault in faults]
    assert names == ["WORKER_TOKEN", "CLOUD_URL", "HEALTH_PORT", "SIP_PORT_END", "RTP_PORT_MAX"]


@pytest.mark.parametrize(
    "token", ["cmw_" + "g" * 64, "cmw_" + "a" * 63, "cmw_" + "a" * 65, "cmk_" + "a" * 64, "secret"]
)
def test_a_wrong_token_is_never_shown(environment: pytest.MonkeyPatch, token: str) -> None:
    [fault] = faults_of(environment, WORKER_TOKEN=token)
    assert fault.startswith(f"WORKER_TOKEN: found **** ({len(token)} characters), expected cmw_ followed by 64 hex")
    assert token not in fault


def test_a_token_is_never_printed_by_accident() -> None:
    settings = load_settings()
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert TOKEN not in text
    assert settings.worker_token.get_secret_value() == TOKEN


def test_the_token_can_come_from_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    environment.delenv("WORKER_TOKEN")
    environment.setenv("WORKER_TOKEN_FILE", str(tmp_path / "token"))
    assert load_settings().worker_token.get_secret_value() == TOKEN
    assert effective()[0]["WORKER_TOKEN"] == {"value": "cmw_****", "source": f"file {tmp_path / 'token'}"}


def test_faults_of_a_token_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = str(tmp_path / "token")
    [both] = faults_of(environment, WORKER_TOKEN_FILE=path)
    assert both == f"WORKER_TOKEN_FILE: found {path!r}, expected either WORKER_TOKEN or WORKER_TOKEN_FILE, not both"
    environment.delenv("WORKER_TOKEN")
    [absent] = faults_of(environment, WORKER_TOKEN_FILE=path)
    assert "No such file or directory" in absent
    Path(path).write_text("not a token")
    [wrong] = faults_of(environment, WORKER_TOKEN_FILE=path)
    assert wrong.startswith("WORKER_TOKEN_FILE: found **** (11 characters), expected cmw_")


@pytest.mark.parametrize("variable", ["WORKER_TOKEN_FILE", "CLOUD_PROXY_FILE", "HEP_AUTH_KEY_FILE"])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff\xfe", "it is not text"),
        (b"", "it holds nothing"),
        (b" \n\t", "it holds nothing"),
        (b"a\nb", "it is not one line of text"),
        (b"a\0b", "it is not one line of text"),
        (b"x" * 4097, "it is larger than 4096 bytes"),
        (b" " * 5000 + b"x", "it is larger than 4096 bytes"),
        ("fifo", "it is no regular file"),
        ("directory", "Is a directory"),
        ("socket", "No such device or address"),
        ("loop", "Too many levels of symbolic links"),
        ("/dev/zero", "it is no regular file"),
    ],
)
def test_a_file_that_is_no_secret(
    environment: pytest.MonkeyPatch, tmp_path: Path, variable: str, content: bytes | str, why: str
) -> None:
    path = tmp_path / "secret"
    match content:
        case bytes():
            path.write_bytes(content)
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
        case "loop":
            path.symlink_to(path)
        case str():
            path = Path(content)
    environment.delenv(variable.removesuffix("_FILE"), raising=False)
    fault = faults_of(environment, **{variable: str(path)})[0]
    assert fault == f"{variable}: found {str(path)!r}, expected a readable file that holds the secret ({why})"


def test_a_secret_from_an_editor_that_marks_its_files(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(f"\ufeff{TOKEN}\r\n".encode())
    (tmp_path / "token").symlink_to("real")  # as Kubernetes mounts a secret
    environment.delenv("WORKER_TOKEN")
    environment.setenv("WORKER_TOKEN_FILE", str(tmp_path / "token"))
    assert load_settings().worker_token.get_secret_value() == TOKEN


def test_a_file_of_authorities(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = Authority(tmp_path).file
    environment.setenv("CLOUD_CA_FILE", path)
    assert load_settings().cloud_ca_file == path
    os.mkfifo(tmp_path / "fifo")
    [fault] = faults_of(environment, CLOUD_CA_FILE=str(tmp_path / "fifo"))
    assert fault.endswith("expected a PEM file of certificates (it is no regular file)")


def test_a_spool_that_is_not_ours(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setattr(os, "access", lambda path, mode: False)
    [fault] = faults_of(environment, SPOOL_DIR=str(tmp_path))
    assert fault == f"SPOOL_DIR: found {str(tmp_path)!r}, expected a directory to write to (it is not writable)"


def test_addresses_fall_back_as_the_page_says(environment: pytest.MonkeyPatch) -> None:
    asked: list[Address] = []

    def detect(destination: Address) -> str:
        asked.append(destination)
        return "10.0.1.50"

    assert load_settings().addresses(detect) == Addresses("10.0.1.50", "10.0.1.50", "10.0.1.50", "10.0.1.50")
    assert asked == [Address("wg.callmeter.io", 443)]
    environment.setenv("MEDIA_IP", "10.0.1.51")
    assert load_settings().addresses(detect) == Addresses("10.0.1.50", "10.0.1.51", "10.0.1.51", "10.0.1.50")
    environment.setenv("SIP_IP", "10.0.1.52")
    environment.setenv("SDP_IP", "203.0.113.10")
    environment.setenv("EXTERNAL_IP", "203.0.113.11")
    assert load_settings().addresses(detect) == Addresses("10.0.1.52", "10.0.1.51", "203.0.113.10", "203.0.113.11")


@pytest.mark.parametrize(
    ("bound", "shown"),
    [
        ({"SIP_IP": "10.0.1.50"}, {"SDP_IP": "2001:db8::1"}),
        ({"SIP_IP": "2001:db8::1"}, {"EXTERNAL_IP": "203.0.113.10"}),
        ({"SIP_IP": "10.0.1.50", "MEDIA_IP": "2001:db8::1"}, {"SDP_IP": "203.0.113.10"}),
    ],
)
def test_what_is_shown_is_of_the_family_that_is_bound(
    environment: pytest.MonkeyPatch, bound: dict[str, str], shown: dict[str, str]
) -> None:
    [(variable, value)] = shown.items()
    [fault] = faults_of(environment, **bound, **shown)
    assert fault.startswith(f"{variable}: found {value!r}, expected an IPv")
    assert fault.endswith(list(bound.values())[-1])


@pytest.mark.parametrize(
    ("detected", "shown", "told"),
    [
        (
            "10.0.1.50",
            {"SDP_IP": "2001:db8::1"},
            "SDP_IP: found '2001:db8::1', expected an IPv4 address as the one that was detected, 10.0.1.50; "
            "or SIP_IP set to an IPv6 address of this machine",
        ),
        (
            "2001:db8::5",
            {"EXTERNAL_IP": "203.0.113.10"},
            "EXTERNAL_IP: found '203.0.113.10', expected an IPv6 address as the one that was detected, 2001:db8::5; "
            "or SIP_IP set to an IPv4 address of this machine",
        ),
    ],
)
def test_what_is_shown_is_of_the_family_that_is_detected(
    environment: pytest.MonkeyPatch, detected: str, shown: dict[str, str], told: str
) -> None:
    for name, value in shown.items():
        environment.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings().addresses(lambda destination: detected)
    assert str(refused.value) == told


def test_both_that_are_shown_are_told_of_and_cmw_config_does(environment: pytest.MonkeyPatch) -> None:
    for name, value in {"CLOUD_URL": "ws://127.0.0.1:9", "SDP_IP": "::2", "EXTERNAL_IP": "::3"}.items():
        environment.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings().addresses()
    shown, faults = effective()
    assert [fault.variable for fault in faults] == ["SDP_IP", "EXTERNAL_IP"]
    assert str(refused.value).splitlines() == [str(fault) for fault in faults]
    assert shown["SIP_IP"]["value"] == "127.0.0.1"


def test_an_endpoint_of_the_other_family_shows_what_it_is_bound_to(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SDP_IP", "203.0.113.10")
    environment.setenv("EXTERNAL_IP", "203.0.113.11")
    settings = load_settings()
    assert settings.addresses_at("10.0.1.50") == Addresses("10.0.1.50", "10.0.1.50", "203.0.113.10", "203.0.113.11")
    assert settings.addresses_at("2001:db8::5") == Addresses(*["2001:db8::5"] * 4)


def test_without_any_route_sip_ip_is_asked_for(environment: pytest.MonkeyPatch) -> None:
    def detect(destination: Address) -> str:
        raise OSError(101, "Network is unreachable")

    environment.setattr("cmw.worker.settings.default_address", lambda: "10.9.8.7")
    assert load_settings().addresses(detect).sip == "10.9.8.7"
    environment.setattr("cmw.worker.settings.default_address", lambda: None)
    with pytest.raises(SettingsError, match=r"SIP_IP: not set .* wg\.callmeter\.io:443 \(Network is unreachable\)"):
        load_settings().addresses(detect)


def test_effective_settings_say_where_each_value_came_from(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CLOUD_URL", "ws://127.0.0.1:8080")
    environment.setenv("SDP_IP", "203.0.113.10")
    shown, faults = effective()
    assert faults == []
    assert list(shown) == [name.upper() for name in WorkerSettings.model_fields]
    assert shown["WORKER_TOKEN"] == {"value": "cmw_****", "source": "environment"}
    assert shown["HEALTH_PORT"] == {"value": 3030, "source": "default"}
    assert shown["SIP_IP"] == {"value": "127.0.0.1", "source": "route to 127.0.0.1:8080"}
    assert shown["MEDIA_IP"] == {"value": "127.0.0.1", "source": "same as SIP_IP"}
    assert shown["SDP_IP"] == {"value": "203.0.113.10", "source": "environment"}
    assert shown["EXTERNAL_IP"] == {"value": "127.0.0.1", "source": "same as SIP_IP"}


def test_effective_settings_can_be_looked_at_while_they_are_wrong(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WORKER_TOKEN", "my secret")
    environment.delenv("CLOUD_URL")
    environment.setenv("HEALTH_PORT", "none")
    shown, faults = effective()
    assert [fault.variable for fault in faults] == ["WORKER_TOKEN", "CLOUD_URL", "HEALTH_PORT"]
    assert shown["WORKER_TOKEN"] == {"value": "****", "source": "environment"}
    assert shown["CLOUD_URL"] == {"value": None, "source": "not set"}
    assert shown["HEALTH_PORT"] == {"value": "none", "source": "environment"}
    assert shown["RTP_PORT_MIN"] == {"value": 10000, "source": "default"}


def test_the_configuration_page_is_made_from_the_model() -> None:
    page = Path(__file__).parents[2] / "docs" / "configuration.md"
    assert page.read_text() == configuration_page(), "run: python -m cmw.worker.reference > docs/configuration.md"


def test_a_proxy_is_a_secret(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("CLOUD_PROXY", "http://user:hunter2@proxy.example:3128")
    settings = load_settings()
    assert settings.cloud_proxy is not None
    assert settings.cloud_proxy.get_secret_value() == "http://user:hunter2@proxy.example:3128"
    assert "hunter2" not in repr(settings)
    assert effective()[0]["CLOUD_PROXY"]["value"] == "****"
    faults = faults_of(environment, CLOUD_PROXY="http://user:hunter2@proxy.example")
    assert faults == [
        "CLOUD_PROXY: found **** (33 characters), expected http://host:port or https://host:port, with user:password@ "
        "before the host if the proxy wants it"
    ]
    environment.delenv("CLOUD_PROXY")
    (tmp_path / "proxy").write_text("https://proxy.example:3128\n")
    environment.setenv("CLOUD_PROXY_FILE", str(tmp_path / "proxy"))
    assert effective()[0]["CLOUD_PROXY"]["source"] == f"file {tmp_path / 'proxy'}"
