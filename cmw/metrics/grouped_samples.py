"""The samples of a run, added up by group of endpoints."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from cmw.metrics.samples import SampleAggregate

Columns = Mapping[str, "array[float] | array[int]"]


class GroupedSamples:
    """One `SampleAggregate` for each group.

    Args:
        group_of: the group of each endpoint, by its number in the run; those that it does not have are of the group "".
    """

    def __init__(self, group_of: Mapping[int, str] | None = None) -> None:
        self._group_of = group_of or {}
        self._groups: dict[str, SampleAggregate] = {}

    def add(self, endpoints: Sequence[int], columns: Columns) -> None:
        """Add one batch: for each column one value of each endpoint, as `SampleAggregate.add` takes them."""
        rows: dict[str, list[int]] = {}
        for row, endpoint in enumerate(endpoints):
            rows.setdefault(self._group_of.get(endpoint, ""), []).append(row)
        for group, its in rows.items():
            part = columns if len(rows) == 1 else {name: _rows(values, its) for name, values in columns.items()}
            self._groups.setdefault(group, SampleAggregate()).add(part)

    def merge(self, other: GroupedSamples) -> None:
        """Add what `other` holds, which stays as it is."""
        for group, aggregate in other._groups.items():
            self._groups.setdefault(group, SampleAggregate()).merge(aggregate)

    @property
    def total(self) -> SampleAggregate:
        """Return what all groups hold together."""
        return SampleAggregate.sum_of(self._groups.values())

    def of(self, group: str) -> SampleAggregate:
        """Return what a group holds. Do not change it."""
        return self._groups.get(group) or SampleAggregate()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON document that `from_dict` reads back."""
        return {"groups": {group: aggregate.to_dict() for group, aggregate in self._groups.items()}}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> GroupedSamples:
        """Return what `to_dict` wrote, or `SampleAggregate.to_dict`: that is of endpoints whose group is not known.

        Raises:
            ValueError: when a histogram is malformed.
        """
        found = cls()
        groups = document.get("groups", {"": document})
        found._groups = {str(group): SampleAggregate.from_dict(part) for group, part in groups.items()}
        return found


def _rows(values: array[Any], rows: Sequence[int]) -> array[Any]:
    picked = itemgetter(*rows)(values)
    return array(values.typecode, picked if len(rows) > 1 else (picked,))
