"""The settings are those that users of the hosted service know: same names, order, defaults and examples."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

import pytest

from cmw.worker.reference import configuration_page
from cmw.worker.settings import WorkerSettings, load_settings
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
