"""A worker that the gateway does not want: the message word for word, patience, and no token anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.lab import Lab, Worker

pytestmark = pytest.mark.loopback

RETRY_S = 60


def check_refusal(lab: Lab, worker: Worker, message: str) -> None:
    """Check that a worker was refused with `message`, tells it, and stays."""
    entry = worker.event(f"authentication failed: {message}")
    assert entry["level"] == "error"
    assert 0 < entry["retry_in_s"] <= RETRY_S
    assert entry["retry_in_s"] > RETRY_S - 30  # it is a minute, however slow this machine is
    assert worker.health()["connected"] is False
    assert not worker.program.has_ended
    lab.check_secret(worker.token)


def test_a_token_that_nobody_has(tmp_path: Path) -> None:
    with Lab(tmp_path, 2) as lab:
        worker = lab.start_worker("cmw_" + "0123456789abcdef" * 4)
        check_refusal(lab, worker, "invalid token")
        assert worker.program.stop() == 143


def test_a_worker_that_is_disabled(tmp_path: Path) -> None:
    with Lab(tmp_path, 3) as lab:
        worker_id, token = lab.create_worker()
        lab.call("POST", f"/workers/{worker_id}/disable")
        check_refusal(lab, lab.start_worker(token), "worker disabled")
        assert lab.call("GET", f"/workers/{worker_id}")["state"] == "OFFLINE"


def test_a_second_worker_with_the_same_token(tmp_path: Path) -> None:
    with Lab(tmp_path, 4) as lab:
        worker_id, token = lab.create_worker()
        first = lab.start_worker(token, 1)
        first.event("link open")
        check_refusal(lab, lab.start_worker(token, 2), "duplicate connection")
        assert lab.call("GET", f"/workers/{worker_id}")["state"] == "ONLINE"
        assert first.health()["connected"] is True
        assert first.events("link lost") == []


@pytest.mark.parametrize(
    ("order", "message"),
    [("regenerate", "invalid token"), ("disable", "worker disabled")],
    ids=["regenerate", "disable"],
)
def test_a_live_link_ends_at_once(tmp_path: Path, order: str, message: str) -> None:
    with Lab(tmp_path, 5) as lab:
        worker_id, token = lab.create_worker()
        worker = lab.start_worker(token, 1)
        worker.event("link open")
        assert worker.health()["connected"] is True
        answer = lab.call("POST", f"/workers/{worker_id}/{order}")
        check_refusal(lab, worker, message)
        lab.until(f"/workers/{worker_id}", lambda found: found["state"] == "OFFLINE")
        if order == "regenerate":
            again = lab.start_worker(answer["token"], 2)
            again.event("link open")
            lab.check_secret(answer["token"])
