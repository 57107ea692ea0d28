"""Every test of RTP runs on both twins."""

from __future__ import annotations

from types import ModuleType

import pytest

from cmw.rtp import _pure
from tests.support.rtp_streams import Stream

try:
    import cmw._rtp as _compiled

    _IMPLEMENTATIONS: list[ModuleType] = [_pure, _compiled]
except ModuleNotFoundError:
    _IMPLEMENTATIONS = [_pure]


@pytest.fixture(params=_IMPLEMENTATIONS, ids=lambda module: module.__name__.rpartition(".")[2])
def rtp_impl(request: pytest.FixtureRequest) -> ModuleType:
    """One twin: a module with `StreamTable`."""
    module: ModuleType = request.param
    return module


@pytest.fixture
def stream(rtp_impl: ModuleType) -> Stream:
    return Stream(rtp_impl)
