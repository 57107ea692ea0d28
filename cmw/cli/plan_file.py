"""Read a plan from a YAML or JSON file, its accounts and profiles from CSV files beside it; faults name FILE:LINE."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path as FilePath
from typing import Any

from cmw.cli.accounts_file import read_account_rows
from cmw.cli.document import Source, read_text
from cmw.cli.plan_text import parse_json, parse_yaml
from cmw.cli.plan_variables import Variables
from cmw.cli.profile_file import read_profile_rows
from cmw.cli.sound_files import take_sounds
from cmw.errors import SettingsError
from cmw.load.baseline import fill_baseline, names_baseline
from cmw.load.faults import Path, PlanError, show_value, suggest
from cmw.load.plan import Plan
from cmw.load.plan_fields import MAX_PEM
from cmw.load.plan_parser import parse_plan
from cmw.load.plan_sip import TLS_FILES
from cmw.load.plan_threshold import expression_of, written_rules
from cmw.load.summary import Summary
from cmw.load.thresholds import functions_of
from cmw.net.sip_tls import TlsSettings, client_context

MAX_PLAN_BYTES = 1 << 20


def read_plan(path: str | FilePath, variables: Variables | None = None, baseline: Summary | None = None) -> Plan:
    """Return the plan in a file: ``.json`` is read as JSON, everything else as YAML.

    Args:
        variables: what references in the plan stand for, beside its own variables.
        baseline: the earlier run that thresholds compare with.

    Raises:
        SettingsError: listing every fault with file, line, field, what was found and what was expected.
    """
    file = FilePath(path)
    source = _read_source(file, variables or Variables(), baseline)
    return parse_plan(source.document, positions=source.positions, name=str(file), faults=source.faults)


def read_plan_document(path: str | FilePath) -> Any:
    """Return the document of a plan with the files in it that it names, for a gateway to check.

    Raises:
        SettingsError: the file, or one that it names, cannot be read.
    """
    source = _read_source(FilePath(path), Variables(), None)
    if source.faults:
        raise PlanError(str(path), source.faults)
    return source.document


def _read_source(file: FilePath, variables: Variables, baseline: Summary | None) -> Source:
    text = read_text(file, MAX_PLAN_BYTES, "plan")
    read = parse_json if file.suffix == ".json" else parse_yaml
    source = read(text, file, variables)
    for name in variables.unused:
        source.fault(("variables",), f"--set {name}: found a name that the plan does not use", None)
    _take_accounts(source, file)
    _take_profiles(source, file)
    _take_tls_files(source, file)
    take_sounds(source, file.parent)
    _fill_baseline(source, baseline)
    return source


def _take_accounts(source: Source, file: FilePath) -> None:
    """Put the accounts of each file that a registrar names in the place of its name."""
    for name, registrar in _parts(source, "registrars"):
        if isinstance(registrar.get("accounts"), dict):
            path: Path = ("registrars", name, "accounts")
            registrar["accounts"] = _rows_named(registrar["accounts"], path, source, file, read_account_rows)


def _take_profiles(source: Source, file: FilePath) -> None:
    """Put the points of each profile that a group's load names in the place of its name."""
    for name, group in _parts(source, "groups"):
        load = group.get("load")
        if isinstance(load, dict) and isinstance(load.get("profile"), dict):
            path: Path = ("groups", name, "load", "profile")
            load["profile"] = _rows_named(load["profile"], path, source, file, read_profile_rows)


def _fill_baseline(source: Source, baseline: Summary | None) -> None:
    """Put numbers into the thresholds that compare with an earlier run."""
    thresholds = source.document.get("thresholds") if isinstance(source.document, dict) else None
    if not isinstance(thresholds, dict):
        return
    for metric, written in thresholds.items():
        filled: list[Any] = []
        for k, rule in enumerate(written_rules(written)):
            expression = expression_of(rule)
            if expression is None or not names_baseline(expression):
                filled.append(rule)
                continue
            try:
                number = _against(metric, expression, baseline)
                filled.append({**rule, "threshold": number} if isinstance(rule, dict) else number)
            except ValueError as error:
                path: Path = ("thresholds", metric, k) if isinstance(written, list) else ("thresholds", metric)
                source.fault(path, str(error), source.positions.get(path))
                stand_in = _stand_in(metric)
                filled.append({**rule, "threshold": stand_in} if isinstance(rule, dict) else stand_in)
        thresholds[metric] = filled


def _stand_in(metric: str) -> str:
    """Return an expression in place of one that is told as a fault, so that those after it keep their places."""
    try:
        return f"{functions_of(metric).split(', ')[-1]} > 0"
    except ValueError:
        return "avg > 0"


def _against(metric: str, expression: str, baseline: Summary | None) -> str:
    if baseline is None:
        raise ValueError(f"found {expression[:80]!r}, expected --baseline beside it, with the report of an earlier run")
    return fill_baseline(metric, expression, baseline)


def _parts(source: Source, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    parts = source.document.get(kind) if isinstance(source.document, dict) else None
    for name, part in parts.items() if isinstance(parts, dict) else ():
        if isinstance(part, dict):
            yield name, part


def _rows_named(
    named: dict[str, Any],
    path: Path,
    source: Source,
    file: FilePath,
    read: Callable[[FilePath, Path, Source], list[dict[str, str]]],
) -> list[Any]:
    """Return the rows of ``{file: NAME}``; the name is taken from the directory of the plan."""
    position = source.positions.get(path)
    for key in named.keys() - {"file"}:
        where = source.positions.get((*path, key), position)
        source.fault((*path, key), f"is not a known field{suggest(key, ['file']) or ';'} expected file", where)
    wanted = named.get("file")
    if not isinstance(wanted, str) or not wanted or "\0" in wanted:
        where = source.positions.get((*path, "file"), position)
        source.fault((*path, "file"), f"found {show_value(wanted)}, expected the name of a CSV file", where)
        return []
    try:
        return read(file.parent / wanted, path, source)
    except SettingsError as error:
        source.fault((*path, "file"), str(error), source.positions.get((*path, "file"), position))
        return []


def _take_tls_files(source: Source, file: FilePath) -> None:
    """Put the text of each certificate and key that a registrar or group names in the place of its name."""
    for part in ("registrars", "groups"):
        for name, value in _parts(source, part):
            tls = value.get("tls")
            if isinstance(tls, dict) and TLS_FILES.keys() & tls.keys():
                value["tls"] = _tls_named(tls, (part, name, "tls"), source, file)


def _tls_named(tls: dict[str, Any], path: Path, source: Source, file: FilePath) -> dict[str, Any]:
    """Return the settings with texts for files; faults of the files are those of the fields that name them."""
    read = {key: value for key, value in tls.items() if key not in TLS_FILES}
    files: dict[str, str] = {}
    for name, field in TLS_FILES.items():
        wanted = tls.get(name)
        if name not in tls:
            continue
        position = source.positions.get((*path, name))
        if field in tls:
            source.fault((*path, name), f"found beside {field}, expected one of them", position)
        elif not isinstance(wanted, str) or not wanted or "\0" in wanted:
            source.fault((*path, name), f"found {show_value(wanted)}, expected the name of a PEM file", position)
        else:
            files[name] = str(file.parent / wanted)
            try:
                read[field] = read_text(file.parent / wanted, MAX_PEM, "PEM file")
            except SettingsError as error:
                source.fault((*path, name), str(error), position)
        if position is not None:
            source.positions.setdefault((*path, field), position)
    if all(field in read for name, field in TLS_FILES.items() if name in tls):
        _check_tls_files(files, path, source)
    return read


def _check_tls_files(files: dict[str, str], path: Path, source: Source) -> None:
    """Note what TLS itself has against the files."""
    settings = TlsSettings(
        ca_file=files.get("ca_file"), certificate=files.get("certificate_file"), key=files.get("key_file")
    )
    try:
        client_context(settings, checks_host=False)
    except SettingsError as error:
        field = "ca_file" if "CA file" in str(error) else "certificate_file"
        source.fault((*path, field), str(error), source.positions.get((*path, field)))
