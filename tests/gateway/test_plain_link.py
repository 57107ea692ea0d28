"""A link without TLS is warned of, loopback or not, unless gateway and worker are one program."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from pydantic import SecretStr

from cmw.worker.logs import configure_logging
from cmw.worker.settings import WorkerSettings
from cmw.worker.worker import Worker
from tests.gateway.world import PATIENCE_S, open_gateway, run_async

pytestmark = pytest.mark.loopback


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """Have the logs of the process in a buffer."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    buffer = io.StringIO()
    configure_logging("info", "json", buffer)
    yield buffer
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("embedded", [True, False])
def test_only_a_worker_on_its_own_warns(tmp_path: Path, said: io.StringIO, embedded: bool) -> None:

    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            view, token = await gateway.create_worker("w1")
            ports = {"sip_port_start": 45260, "sip_port_end": 45280, "rtp_port_min": 45300, "rtp_port_max": 45310}
            settings = WorkerSettings.model_validate(
                {
                    "worker_token": SecretStr(token),
                    "cloud_url": server.link_url,
                    "sip_ip": "127.0.0.1",
                    "health_port": 45290,
                }
                | ports
            )
            worker = Worker(settings, embedded=embedded)
            await worker.start()
            assert await gateway.wait_worker(view.id, timeout_s=PATIENCE_S)
            await worker.stop(patience_s=1.0)
            assert token not in said.getvalue()

    run_async(work())
    assert said.getvalue().count("sends the token and every report without TLS") == (0 if embedded else 1)
    assert "worker stopped" in said.getvalue()
