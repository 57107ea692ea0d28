"""Read a plan from a YAML or JSON file, its accounts and profiles from CSV files beside it; faults name FILE:LINE."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path as FilePath
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from cmw.cli.accounts_file import read_account_rows
from cmw.cli.document import Source, read_text
from cmw.cli.profile_file import read_profile_rows
from cmw.errors import SettingsError
from cmw.load.faults import Path, Position, show_value, suggest
from cmw.load.plan import Plan
from cmw.load.plan_fields import MAX_PEM
from cmw.load.plan_parser import parse_plan
from cmw.load.plan_sip import TLS_FILES
from cmw.net.sip_tls import TlsSettings, client_context

MAX_PLAN_BYTES = 1 << 20
MAX_VALUES = 200_000
"""Values of a plan, aliases counted each time they are used."""
MAX_DEPTH = 20
"""A plan is six levels deep; a file nested beyond this is none."""


def read_plan(path: str | FilePath) -> Plan:
    """Return the plan in a file: ``.json`` is read as JSON, everything else as YAML.

    Raises:
        SettingsError: listing every fault with file, line, field, what was found and what was expected.
    """
    file = FilePath(path)
    text = read_text(file, MAX_PLAN_BYTES, "plan")
    source = _parse_json(text, file) if file.suffix == ".json" else _parse_yaml(text, file)
    _take_accounts(source, file)
    _take_profiles(source, file)
    _take_tls_files(source, file)
    return parse_plan(source.document, positions=source.positions, name=str(file), faults=source.faults)


class _Loader(yaml.SafeLoader):
    """YAML 1.1 with the scalars of YAML 1.2: ``on``, ``1:30`` and dates are text, not something else."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]{1,40}", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]{1,40}\.[0-9]{0,40}|\.[0-9]{1,40}|[0-9]{1,40}(?=[eE]))(?:[eE][-+]?[0-9]{1,3})?",
     "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN"),
):  # fmt: skip
    _first_chars = [*_first, ""] if _tag == "null" else list(_first)
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first_chars)

_SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:null": lambda _: None,
    "tag:yaml.org,2002:str": str,
}

_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


def _parse_yaml(text: str, file: FilePath) -> Source:
    """Return the document of a YAML text with the line of each value."""
    source = Source()
    _Walk(source, file).build_root(_compose(text, file))
    return source


def _compose(text: str, file: FilePath) -> Node | None:
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}" if mark else f"{file}"
        about = ", ".join(part for part in (error.context, error.problem) if part)
        raise SettingsError(f"{where}: not YAML: {about}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise SettingsError(f"{file}: found a document nested too deeply, expected a plan") from error
    except ValueError as error:  # an escape such as \U00110000
        raise SettingsError(f"{file}: not YAML: {error}") from error


class _Walk:
    """Turns nodes into values, bounded in number and depth, and notes the line of each."""

    def __init__(self, source: Source, file: FilePath) -> None:
        self._source = source
        self._file = str(file)
        self._values = 0

    def build_root(self, root: Node | None) -> None:
        """Set the document of the source."""
        self._source.document = None if root is None else self._build(root, ())
        self._source.positions.setdefault((), Position(self._file, 1))

    def _at(self, node: Node) -> Position:
        return Position(self._file, node.start_mark.line + 1)

    def _build(self, node: Node, path: Path) -> Any:
        self._values += 1
        position = self._at(node)
        if self._values > MAX_VALUES or len(path) > MAX_DEPTH:
            raise SettingsError(f"{position}: found a document that is too large or too deep, expected a plan")
        self._source.positions.setdefault(path, position)
        if isinstance(node, MappingNode | SequenceNode) and node.tag not in _COLLECTIONS:
            self._source.fault(path, f"found the tag {node.tag[:60]!r}, expected none", position)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self._build(item, (*path, k)) for k, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[Hashable, Any]:
        values: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node, path) if isinstance(key_node, ScalarNode) else None
            if not isinstance(key, str):
                found = show_value(key) if isinstance(key_node, ScalarNode) else "a mapping or a list"
                self._source.fault(path, f"found {found} as a key, expected text", self._at(key_node))
                continue
            if key in values:
                first = self._source.positions[(*path, key)]
                self._source.fault((*path, key), f"found twice, expected once: line {first.line} has it",
                                   self._at(key_node))  # fmt: skip
                continue
            self._source.positions[(*path, key)] = self._at(key_node)
            values[key] = self._build(value_node, (*path, key))
        return values

    def _scalar(self, node: Node, path: Path) -> Any:
        convert = _SCALARS.get(node.tag)
        if convert is None:
            self._source.fault(path, f"found the tag {node.tag[:60]!r}, expected a plain value", self._at(node))
            return None
        try:
            return convert(node.value)
        except ValueError:
            self._source.fault(path, f"found {show_value(node.value)}, expected a plain value", self._at(node))
            return None


def _parse_json(text: str, file: FilePath) -> Source:
    """Return the document of a JSON text. Lines come from YAML's reader, which reads JSON too once tabs are gone."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingsError(f"{file}:{error.lineno}: not JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        raise SettingsError(f"{file}: not JSON that a plan can be: {error}") from error
    try:
        source = _parse_yaml(text.replace("\t", " "), file)
    except SettingsError:
        source = Source(positions={(): Position(str(file), 1)})
    source.document = document
    source.faults = [fault for fault in source.faults if fault.message.startswith("found twice")]
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
