"""The summary of an earlier run, from its report directory or from its summary.json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cmw.cli.document import read_text
from cmw.errors import SettingsError
from cmw.load.summary import Summary

MAX_SUMMARY_BYTES = 16 << 20

BaselineOption = Annotated[
    Path | None,
    typer.Option(help="Report of an earlier run, or its summary.json: what `baseline` in thresholds stands for."),
]


def read_summary(path: Path) -> Summary:
    """Return the summary in a file, or in the directory of a report.

    Raises:
        SettingsError: there is none, or it is of another version.
    """
    file = path / "summary.json" if path.is_dir() else path
    try:
        return Summary.model_validate_json(read_text(file, MAX_SUMMARY_BYTES, "summary"))
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        place = ".".join(map(str, detail["loc"])) or "the whole file"
        raise SettingsError(f"{file}: found no summary.json of a run: {place}: {detail['msg']}") from None
