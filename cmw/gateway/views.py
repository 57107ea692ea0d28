"""What callers see of workers and runs, in the API and in the process; the API's JSON has these names."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from cmw.core.words import RunStatus, WorkerState
from cmw.load.search import SearchPart

LABEL = r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]{0,98}[^\s\x00-\x1f\x7f])?$"

Label = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=100, pattern=LABEL)]
"""What people call something: 1 to 100 printable characters without blanks around."""


class WorkerView(BaseModel):
    """A worker, without its token."""

    id: str
    name: str = Field(
        description="the worker's own WORKER_NAME while it is set, else the name given when it was created"
    )
    configured_name: str = Field(description="the name given when it was created, by which it is found")
    region: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    capacity: int = Field(
        description="endpoints it may have at once: the configured number, or less if the worker says less"
    )
    configured_capacity: int
    active_endpoints: int = Field(description="endpoints of runs that are not over")
    enabled: bool
    draining: bool = Field(description="it takes no new runs, and finishes what it has")
    state: WorkerState
    fault: str = Field(default="", description="why it cannot work, while its state is ERROR")
    token_prefix: str = Field(description="the first 12 of the token's 68 characters")
    created_at: str
    last_seen_at: str | None = None
    version: str | None = None
    host: str | None = None
    sip_ip: str | None = None
    media_ip: str | None = None
    engine: str | None = Field(default=None, description="the media engine it runs")
    load: dict[str, Any] = Field(default_factory=dict, description="what its last heartbeat said")


class WorkerWithToken(WorkerView):
    """A worker with its token: the only time that the token is shown."""

    token: str


class EvidenceView(BaseModel):
    """An endpoint whose SIP messages are kept."""

    endpoint: int = Field(description="its number in the run")
    name: str
    messages: int = Field(description="how many are kept")
    messages_left_out: int = Field(description="how many came after those")


class RunPart(BaseModel):
    """What one worker has of a run."""

    worker_id: str
    worker_name: str
    state: str = Field(description="ASSIGNED, PREPARED, STARTED, DONE or LOST")
    endpoints: int
    reason: str = ""


class RunView(BaseModel):
    """A run, without its results."""

    id: str
    name: str
    status: RunStatus
    verdict: str | None = None
    reason: str = ""
    endpoints: int
    project_id: str | None = Field(default=None, description="of a run of a test")
    test_id: str | None = None
    placement: dict[str, Any] = Field(default_factory=dict, description="which workers it may have")
    created_at: str
    queued_at: str | None = None
    wait_until: str | None = Field(default=None, description="until when it may wait for room")
    started_at: str | None = None
    ended_at: str | None = None
    progress: dict[str, Any] = Field(
        default_factory=dict, description="the sum of what its workers last said; of a search, that of its present step"
    )
    workers: list[RunPart] = Field(default_factory=list)
    search: SearchPart | None = Field(default=None, description="what a search has found so far")
    step_id: str | None = Field(default=None, description="the run that is the present step of a search")
    search_id: str | None = Field(default=None, description="the search whose step it is")
    exit_code: int | None = Field(default=None, description="the exit code of `cmw run` for this run, once it is over")
    late_reports: int = Field(
        default=0,
        description="reports and sample batches that came after the run was over; its summary is without them",
    )


class Page(BaseModel):
    """Which part of a list is asked for."""

    page: int = 1
    per_page: int = 25

    @property
    def offset(self) -> int:
        """Return how many items come before this page."""
        return (self.page - 1) * self.per_page
