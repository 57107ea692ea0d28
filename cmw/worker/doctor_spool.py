"""The directory that a worker keeps its reports in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from cmw.worker.finding import Finding, fail, ok, warn
from cmw.worker.settings import WorkerSettings

MIB = 1 << 20


def look_at_spool(settings: WorkerSettings) -> Iterator[Finding]:
    """Tell whether `SPOOL_DIR`, where set, can be written to and has room; what is missing of it a worker makes."""
    if settings.spool_dir is None:
        return
    directory = Path(settings.spool_dir).absolute()
    place = next(each for each in (directory, *directory.parents) if each.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        remedy = "mount a volume there that the user of the worker may write to"
        yield fail("spool", f"SPOOL_DIR: {place} is no directory that can be written to", remedy)
        return
    free, wanted = shutil.disk_usage(place).free, settings.spool_max_bytes
    found = f"{directory} has {free // MIB} MiB free, SPOOL_MAX_BYTES is {wanted // MIB} MiB"
    if free < wanted:
        yield warn("spool", found, "a larger volume, or a smaller SPOOL_MAX_BYTES")
    else:
        yield ok("spool", found)
