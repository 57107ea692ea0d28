"""The doctor looks at where a worker tells of its SIP."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cmw.worker.doctor_homer import look_at_homer
from cmw.worker.finding import Grade
from cmw.worker.settings import load_settings
from tests.support.doctor_desk import by_check


def test_there_need_be_none(settings: Callable[..., str]) -> None:
    settings("ws://127.0.0.1:9")
    assert list(look_at_homer(load_settings())) == []


@pytest.mark.parametrize(
    ("target", "grade", "found"),
    [
        ("127.0.0.1:9060", Grade.OK, "127.0.0.1:9060 is 127.0.0.1"),
        ("[::1]:9060", Grade.OK, "[::1]:9060 is ::1"),
        ("nowhere.invalid:9060", Grade.FAIL, "HEP_TARGET: nowhere.invalid: "),
    ],
)
def test_its_name(settings: Callable[..., str], target: str, grade: Grade, found: str) -> None:
    settings("ws://127.0.0.1:9", HEP_TARGET=target)
    [finding] = by_check(look_at_homer(load_settings()))["capture server"]
    assert finding.grade is grade
    assert finding.found.startswith(found)
