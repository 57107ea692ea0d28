"""endpoints.csv, there and back."""

from __future__ import annotations

import pytest

from cmw.load.endpoints_file import read_endpoints
from cmw.load.outcome import SignallingReport
from cmw.load.report import endpoints_csv
from tests.load.runs import busy, report, reports

ODD = "=1+1, \"it\" 'is'"


def test_what_was_written_is_read() -> None:
    signalling = SignallingReport(redirects=2, dtmf_received="42#")
    wanted = [*reports(), busy(4, reason=ODD), report(5, "callees", signalling=signalling, one_way=True)]
    found = read_endpoints(endpoints_csv(wanted).splitlines(keepends=True))
    assert [one.model_dump(exclude={"run_id", "media"}) for one in found] == [
        one.model_dump(exclude={"run_id", "media"}) for one in wanted
    ]
    assert found[0].media.receive == {"packets_received": 499, "packets_lost": -1, "mos": 4.0}
    assert endpoints_csv(found) == endpoints_csv(wanted)


def test_other_files_are_refused() -> None:
    with pytest.raises(ValueError, match="index"):
        read_endpoints(["a,b\n", "1,2\n"])
