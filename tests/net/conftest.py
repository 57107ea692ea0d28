"""What tests of the media engine begin with. A module that asks for `pool` has a `PORTS` of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cmw.net._media import MediaEngine
from cmw.net.media_pure import PureMediaEngine
from cmw.rtp.ports import PortPool
from tests.support.media_ends import Outsider


@pytest.fixture(params=["compiled", "pure"])
def engine(request: pytest.FixtureRequest) -> Iterator[MediaEngine]:
    made: Any = MediaEngine(slots=64) if request.param == "compiled" else PureMediaEngine(slots=64)
    made.start()
    yield made
    made.stop()
    for slot, _ in made.snapshot_all():
        made.close(slot)


@pytest.fixture(scope="module")
def pool(request: pytest.FixtureRequest) -> PortPool:
    return PortPool(request.module.PORTS)


@pytest.fixture
def outsider() -> Iterator[Outsider]:
    made = Outsider()
    yield made
    made.socket.close()
