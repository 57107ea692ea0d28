"""What tests of a worker's settings and of the doctor share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.doctor_desk import TOKEN


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, loopback_ip: Callable[[], str]) -> Callable[..., str]:
    """Return a function that sets what a worker needs, and returns its address."""

    def give(cloud_url: str, **more: str) -> str:
        ip = loopback_ip()
        for name, value in {"WORKER_TOKEN": TOKEN, "CLOUD_URL": cloud_url, "SIP_IP": ip, **more}.items():
            monkeypatch.setenv(name, value)
        return ip

    return give
