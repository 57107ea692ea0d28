"""What reads messages is tested on both twins of the scanner."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

import cmw.sip.message
import cmw.sip.name_addr
import cmw.sip.uri
import cmw.sip.via
from cmw.sip import _scan_pure

try:
    import cmw.sip._scan as _compiled

    SCANNERS: list[ModuleType] = [_scan_pure, _compiled]
except ModuleNotFoundError:
    SCANNERS = [_scan_pure]

_ON_BOTH = frozenset(
    "test_headers test_ipv6_torture test_message test_multipart test_name_addr test_scan test_slow_input test_torture "
    "test_torture_answers test_uri test_via".split()
)
_READERS = (cmw.sip.message, cmw.sip.name_addr, cmw.sip.uri, cmw.sip.via)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the modules named above once with each twin."""
    if metafunc.module.__name__.rpartition(".")[2] in _ON_BOTH:
        names = [module.__name__.rpartition(".")[2] for module in SCANNERS]
        metafunc.parametrize("scanner", SCANNERS, ids=names, indirect=True, scope="module")


@pytest.fixture(scope="module", autouse=True)
def scanner(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Give the twin that messages are read with."""
    module: ModuleType = getattr(request, "param", cmw.sip.message.scan)
    with pytest.MonkeyPatch.context() as patch:
        for reader in _READERS:
            patch.setattr(reader, "scan", module)
        patch.setattr(cmw.sip.message, "Headers", module.Headers)
        _forget_values()
        yield module
    _forget_values()


def _forget_values() -> None:
    for parse in (
        cmw.sip.message.parse_cseq,
        cmw.sip.name_addr.parse_name_addr,
        cmw.sip.uri.parse_uri,
        cmw.sip.via.parse_via,
    ):
        parse.cache_clear()
