"""The directory of evidence in the report of a run: a directory of its own for each endpoint that is kept."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cmw.cli.evidence_page import CURVES, evidence_files
from cmw.load.evidence import Evidence
from cmw.load.outcome import EndpointReport
from cmw.load.packets import EvidencePackets

DIRECTORY = "evidence"

_ODD = re.compile(r"[^A-Za-z0-9._-]")

Row = Mapping[str, Any]
PacketsOf = Callable[[int], Awaitable[Sequence[EvidencePackets]]]


async def no_packets(endpoint: int) -> Sequence[EvidencePackets]:
    """Return none: nobody kept them."""
    return ()


class EvidenceFiles:
    """Gather what belongs to the endpoints that are kept, and write it.

    Args:
        documents: of `cmw.load.evidence.Evidence`; those that cannot be read are left out.
        with_sound: WAV files of what was said are wanted too.
    """

    def __init__(self, documents: Iterable[Mapping[str, Any]], *, with_sound: bool = False) -> None:
        self._with_sound = with_sound
        self._kept = {found.endpoint: found for document in documents if (found := _read(document)) is not None}
        self._samples: dict[int, list[Row]] = {index: [] for index in self._kept}

    def add(self, row: Row) -> None:
        """Take a sample; those of other endpoints are none of ours."""
        samples = self._samples.get(row["endpoint"])
        if samples is not None:
            samples.append({key: row.get(key) for key in ("second", *(curve[0] for curve in CURVES))})

    async def write(
        self, report: Path, reports: Iterable[EndpointReport], packets_of: PacketsOf = no_packets
    ) -> dict[int, str]:
        """Write the files; return the directory of each endpoint, from that of the report.

        Args:
            packets_of: gives what is kept of the packets of an endpoint.

        Raises:
            OSError: they cannot be written.
        """
        by_index = {each.index: each for each in reports if each.index in self._kept}
        for index, evidence in self._kept.items():
            directory = report / evidence_path(index, evidence.name)
            directory.mkdir(parents=True, exist_ok=True)
            samples = sorted(self._samples[index], key=lambda row: row["second"])
            packets = await packets_of(index)
            files = evidence_files(evidence, by_index.get(index), samples, packets, with_sound=self._with_sound)
            for name, content in files.items():
                (directory / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return {index: evidence_path(index, evidence.name) for index, evidence in self._kept.items()}


def evidence_path(index: int, name: str) -> str:
    """Return the directory of an endpoint, from that of the report."""
    return f"{DIRECTORY}/{index:05d}-{_ODD.sub('_', name)[:80]}"


def evidence_in(report: Path) -> dict[int, str]:
    """Return the directories of evidence that a report has, by endpoint."""
    found = {}
    for directory in sorted((report / DIRECTORY).glob("*/index.html")):
        number = directory.parent.name.partition("-")[0]
        if number.isascii() and number.isdigit():
            found[int(number)] = f"{DIRECTORY}/{directory.parent.name}"
    return found


def _read(document: Mapping[str, Any]) -> Evidence | None:
    try:
        return Evidence.model_validate(document)
    except ValidationError:
        return None
