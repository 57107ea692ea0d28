"""Settings of all tests: real programs are asked for by name, and their absence is told instead of failing."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
from collections.abc import Callable, Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.support.presence import REQUIRE_PEERS

os.environ["PATH"] += ":/usr/sbin:/sbin"  # where Debian keeps kamailio and ip, and users have no path to

_SETTINGS = (
    "WORKER_TOKEN WORKER_TOKEN_FILE CLOUD_URL WORKER_NAME LOG_LEVEL LOG_FORMAT HEALTH_PORT SIP_IP MEDIA_IP SDP_IP "
    "SIP_PORT_START SIP_PORT_END RTP_PORT_MIN RTP_PORT_MAX EXTERNAL_IP SHUTDOWN_TIMEOUT "
    "CMW_GATEWAY CMW_API_KEY CMW_API_KEY_FILE "
    "CLOUD_CA_FILE CLOUD_PROXY CLOUD_PROXY_FILE SPOOL_DIR SPOOL_MAX_BYTES HEP_TARGET HEP_CAPTURE_ID HEP_AUTH_KEY "
    "HEP_AUTH_KEY_FILE MEDIA_THREADS"
).split()

# The same cases every time, so that a failure is the change's; new ones are looked for on purpose. How long an input
# takes to make says how busy the machine is, and nothing of the program.
settings.register_profile("repeatable", derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("exploring", derandomize=False, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("exploring" if os.environ.get("CMW_EXPLORE", "") not in ("", "0") else "repeatable")

_loopback_numbers = itertools.count(1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail, a test whose `peers` mark names a program that is not here."""
    for mark in item.iter_markers("peers"):
        missing = [program for program in mark.args if shutil.which(program) is None]
        if missing and REQUIRE_PEERS:
            pytest.fail(f"not installed: {', '.join(missing)} (make peers)", pytrace=False)
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)} (make peers)")


@pytest.fixture(autouse=True)
def clean_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in _SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Leave no test's logging to the next one: at `trace` a server writes a line for every byte that it reads."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def loopback_ip() -> Callable[[], str]:
    """Return a function that gives loopback addresses nobody else has: each with all its ports free."""

    def give() -> str:
        number = next(_loopback_numbers)
        return f"127.{20 + os.getpid() % 200}.{number // 250}.{1 + number % 250}"

    return give
