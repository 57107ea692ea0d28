"""The settings are those that users of the hosted service know: same names, order, defaults and examples."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, NamedTuple

import pytest
from typer.main import get_command

from cmw.cli.main import build_app
from cmw.core.address import PortRange
from cmw.worker.reference import configuration_page
from cmw.worker.settings import Addresses, WorkerSettings, load_settings
from cmw.worker.values import TOKEN_EXPECTED

TOKEN = "cmw_a1b2c3d4e5f67890a1b2c3d4e5f67890a1b2c3d4e5f67890a1b2c3d4e5f67890"
REQUIRED = object()


class Row(NamedTuple):
    """One variable: an example that has to be taken, what it comes to, and the default."""

    variable: str
    example: str
    taken: object
    default: object


ROWS = [
    Row("WORKER_TOKEN", TOKEN, TOKEN, REQUIRED),
    Row("CLOUD_URL", "wg.callmeter.io:443", "wg.callmeter.io:443", REQUIRED),
    Row("WORKER_NAME", "dc-frankfurt-01", "dc-frankfurt-01", None),
    Row("LOG_LEVEL", "debug", "debug", "info"),
    Row("LOG_FORMAT", "pretty", "pretty", "json"),
    Row("HEALTH_PORT", "8080", 8080, 3030),
    Row("SIP_IP", "10.0.1.50", "10.0.1.50", None),
    Row("MEDIA_IP", "10.0.1.51", "10.0.1.51", None),
    Row("SDP_IP", "192.168.1.100", "192.168.1.100", None),
    Row("SIP_PORT_START", "5060", 5060, 5060),
    Row("SIP_PORT_END", "5080", 5080, 5080),
    Row("RTP_PORT_MIN", "10000", 10000, 10000),
    Row("RTP_PORT_MAX", "20000", 20000, 65535),
    Row("EXTERNAL_IP", "203.0.113.10", "203.0.113.10", None),
]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("WORKER_TOKEN", TOKEN)
    monkeypatch.setenv("CLOUD_URL", "wg.callmeter.io:443")
    return monkeypatch


def value_of(variable: str) -> object:
    value = getattr(load_settings(), variable.lower())
    return value.get_secret_value() if variable == "WORKER_TOKEN" else value


def test_they_come_first_and_in_this_order() -> None:
    assert [name.upper() for name in WorkerSettings.model_fields][: len(ROWS)] == [row.variable for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.variable)
def test_the_example_is_taken(environment: pytest.MonkeyPatch, row: Row) -> None:
    environment.setenv(row.variable, row.example)
    assert value_of(row.variable) == row.taken


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.variable)
def test_the_default_is_this(row: Row) -> None:
    field = WorkerSettings.model_fields[row.variable.lower()]
    assert (REQUIRED if field.is_required() else field.default) is row.default or field.default == row.default


@pytest.mark.parametrize("name", WorkerSettings.model_fields)
def test_each_has_a_whole_row_in_the_document(name: str) -> None:
    [row] = [line for line in configuration_page().splitlines() if line.startswith(f"| `{name.upper()}` |")]
    meaning, default, example, _ = (cell.strip() for cell in row.split(" | ")[1:])
    assert meaning.endswith(".")
    assert default
    assert example


def test_a_worker_with_wrong_settings_names_all_of_them_and_exits_with_78() -> None:
    wrong = {"WORKER_TOKEN": "cmw_1234", "HEALTH_PORT": "x", "LOG_LEVEL": "loud"}
    done = subprocess.run(
        [sys.executable, "-m", "cmw", "worker"], env=wrong, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"cmw: WORKER_TOKEN: found **** (8 characters), expected {TOKEN_EXPECTED}",
        "cmw: CLOUD_URL: not set, expected host:port of the gateway (TLS), or ws://host:port in a lab",
        "cmw: LOG_LEVEL: found 'loud', expected one of error, warn, info, debug, trace",
        "cmw: HEALTH_PORT: found 'x', expected a port from 1 to 65535",
    ]


class Example(NamedTuple):
    """One example of the page that users of the hosted service know: what is set, and what a worker makes of it."""

    name: str
    changes: dict[str, str]
    taken: dict[str, object]


NAT = Addresses(sip="10.0.1.50", media="10.0.1.50", sdp="203.0.113.10", external="203.0.113.10")
EXAMPLES = [
    Example("minimal", {}, {row.variable.lower(): row.default for row in ROWS[2:]}),
    Example(
        "general",
        {"WORKER_NAME": "lab-worker-nyc", "LOG_LEVEL": "info", "LOG_FORMAT": "json", "HEALTH_PORT": "3030"},
        {"worker_name": "lab-worker-nyc", "log_level": "info", "log_format": "json", "health_port": 3030},
    ),
    Example("nat", {"SIP_IP": NAT.sip, "SDP_IP": NAT.sdp, "EXTERNAL_IP": NAT.external}, {"media_ip": None}),
    Example("production", {"LOG_LEVEL": "info", "LOG_FORMAT": "json"}, {"log_level": "info", "log_format": "json"}),
    Example("debugging", {"LOG_LEVEL": "debug", "LOG_FORMAT": "pretty"}, {"log_level": "debug"}),
    Example("host network", {"SIP_IP": "10.0.1.50"}, {"sip_ip": "10.0.1.50", "sdp_ip": None}),
    Example(
        "complete",
        {
            "WORKER_NAME": "production-dc-fra-01",
            "SIP_IP": "10.0.1.50",
            "MEDIA_IP": "10.0.1.50",
            "SDP_IP": "10.0.1.50",
            "RTP_PORT_MIN": "10000",
            "RTP_PORT_MAX": "20000",
        },
        {"media_ip": "10.0.1.50", "rtp_ports": PortRange(10000, 20000)},
    ),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_of_the_page_is_taken_as_it_stands(environment: pytest.MonkeyPatch, example: Example) -> None:
    for name, value in example.changes.items():
        environment.setenv(name, value)
    settings = load_settings()
    assert {name: getattr(settings, name) for name in example.taken} == example.taken


def test_the_example_behind_nat_binds_one_address_and_shows_another(environment: pytest.MonkeyPatch) -> None:
    for name, value in next(example.changes for example in EXAMPLES if example.name == "nat").items():
        environment.setenv(name, value)
    assert load_settings().addresses() == NAT


def test_nothing_of_a_worker_is_told_by_options() -> None:
    command: Any = get_command(build_app("worker"))
    assert command.commands["worker"].params == []
