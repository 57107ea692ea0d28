"""Which workers a run may have."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

LabelKey = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$")]
LabelValue = Annotated[str, StringConstraints(strict=True, max_length=63, pattern=r"^[A-Za-z0-9_.-]*$")]
Region = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=64, json_schema_extra={"additionalProperties": False})]


class Placement(BaseModel):
    """Which workers a run may have; all that is said must hold, and nothing said means any worker."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    region: Region | None = Field(default=None, description="only workers of this region")
    labels: Labels = Field(default_factory=dict, description="only workers that have all of these labels")
    workers: Annotated[list[str], Field(max_length=1000)] | None = Field(
        default=None, description="only these workers, by id or by the name they were created with"
    )

    def allows(self, worker: dict[str, Any]) -> bool:
        """Tell whether a run may have a worker, by its row in the store."""
        if self.region is not None and worker["region"] != self.region:
            return False
        if self.workers is not None and not {worker["id"], worker["name"]} & set(self.workers):
            return False
        return all(worker["labels"].get(key) == value for key, value in self.labels.items())

    def to_document(self) -> dict[str, Any]:
        """Return what was said of it."""
        return self.model_dump(mode="json", exclude_none=True, exclude_defaults=True)

    def __str__(self) -> str:
        parts = [f"region {self.region}"] if self.region is not None else []
        parts += [f"label {key}={value}" for key, value in sorted(self.labels.items())]
        parts += [f"one of {', '.join(self.workers)}"] if self.workers is not None else []
        return ", ".join(parts)


ANYWHERE = Placement()
"""Any worker."""
