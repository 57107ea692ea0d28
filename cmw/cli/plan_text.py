"""From the text of a plan, YAML or JSON, to a document with the line of each value and its variables filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable
from pathlib import Path as FilePath
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from cmw.cli.document import Source
from cmw.cli.plan_variables import NAME, VariableError, Variables
from cmw.errors import SettingsError
from cmw.load.faults import Path, Position, show_value

MAX_VALUES = 200_000
"""Values of a plan, aliases counted each time they are used."""
MAX_DEPTH = 20
"""A plan is six levels deep; a file nested beyond this is none."""
VARIABLES_EXPECTED = "expected names of letters, digits and '_', each with one value"


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


def parse_yaml(text: str, file: FilePath, variables: Variables) -> Source:
    """Return the document of a YAML text with the line of each value."""
    source = Source()
    _Walk(source, file, variables).build_root(_compose(text, file))
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

    def __init__(self, source: Source, file: FilePath, variables: Variables) -> None:
        self._source = source
        self._file = str(file)
        self._variables = variables
        self._values = 0
        self._keys: set[Path] = set()

    def build_root(self, root: Node | None) -> None:
        """Set the document of the source; the variables of the plan are read first, and are not in it."""
        if isinstance(root, MappingNode):
            self._take_variables(root)
        self._source.document = None if root is None else self._build(root, ())
        self._source.positions.setdefault((), Position(self._file, 1))

    def _take_variables(self, root: MappingNode) -> None:
        for pair in [pair for pair in root.value if pair[0].value == "variables"]:
            root.value.remove(pair)
            if not self._is_first(("variables",), pair[0]):
                continue
            if isinstance(pair[1], MappingNode):
                for key, value in pair[1].value:
                    self._declare(key, value)
            else:
                self._source.fault(("variables",), f"found no mapping, {VARIABLES_EXPECTED}", self._at(pair[1]))

    def _declare(self, key: Node, value: Node) -> None:
        if isinstance(value, ScalarNode) and re.fullmatch(NAME, str(key.value), re.ASCII):
            if not self._is_first(("variables", key.value), key):
                return
            self._variables.declare(key.value, value.value, is_text=value.tag == "tag:yaml.org,2002:str")
        else:
            self._source.fault(("variables",), f"found something else, {VARIABLES_EXPECTED}", self._at(key))

    def _is_first(self, path: Path, key: Node) -> bool:
        """Note where something stands, or that it stood somewhere already."""
        if path in self._keys:
            line = self._source.positions[path].line
            self._source.fault(path, f"found twice, expected once: line {line} has it", self._at(key))
            return False
        self._keys.add(path)
        self._source.positions[path] = self._at(key)
        return True

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
        assert isinstance(node, ScalarNode)
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[Hashable, Any]:
        values: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node, path) if isinstance(key_node, ScalarNode) else None
            if not isinstance(key, str):
                found = show_value(key) if isinstance(key_node, ScalarNode) else "a mapping or a list"
                self._source.fault(path, f"found {found} as a key, expected text", self._at(key_node))
                continue
            if not self._is_first((*path, key), key_node):
                continue
            values[key] = self._build(value_node, (*path, key))
        return values

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        node = self._filled(node, path)
        convert = _SCALARS.get(node.tag)
        if convert is None:
            self._source.fault(path, f"found the tag {node.tag[:60]!r}, expected a plain value", self._at(node))
            return None
        try:
            return convert(node.value)
        except ValueError:
            self._source.fault(path, f"found {show_value(node.value)}, expected a plain value", self._at(node))
            return None

    def _filled(self, node: ScalarNode, path: Path) -> ScalarNode:
        """Return a scalar with what its references stand for; in quotes it stays text, unless it is nothing else."""
        if "${" not in node.value:
            return node
        try:
            text = self._variables.fill(node.value)
        except VariableError as error:
            self._source.fault(path, str(error), self._at(node))
            return node
        is_plain = node.style is None or self._variables.is_plain(node.value)
        return ScalarNode(_resolve_plain(text) if is_plain else node.tag, text, node.start_mark, node.end_mark)


def _resolve_plain(text: str) -> str:
    """Return the tag of a scalar without quotes."""
    return str(_Loader("").resolve(ScalarNode, text, (True, False)))  # type: ignore[no-untyped-call]


def parse_json(text: str, file: FilePath, variables: Variables) -> Source:
    """Return the document of a JSON text. Lines come from YAML's reader, which reads JSON too once tabs are gone."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingsError(f"{file}:{error.lineno}: not JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        raise SettingsError(f"{file}: not JSON that a plan can be: {error}") from error
    try:
        source = parse_yaml(text.replace("\t", " "), file, Variables())
    except SettingsError:
        source = Source(positions={(): Position(str(file), 1)})
    source.faults = [fault for fault in source.faults if fault.message.startswith("found twice")]
    if isinstance(document, dict):
        _declare(document.pop("variables", {}), variables, source)
    source.document = _fill(document, (), variables, source)
    return source


def _declare(values: object, variables: Variables, source: Source) -> None:
    """Note the variables of a JSON document."""
    for name, value in values.items() if isinstance(values, dict) else [("", values)]:
        if re.fullmatch(NAME, name, re.ASCII) is None or isinstance(value, dict | list):
            where = source.positions.get(("variables",))
            source.fault(("variables",), f"found something else, {VARIABLES_EXPECTED}", where)
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            variables.declare(name, text, is_text=text is value)


def _fill(value: Any, path: Path, variables: Variables, source: Source) -> Any:
    """Return a value of a JSON document with what its references stand for."""
    if isinstance(value, dict):
        return {key: _fill(inner, (*path, key), variables, source) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, (*path, k), variables, source) for k, inner in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    try:
        text = variables.fill(value)
    except VariableError as error:
        source.fault(path, str(error), source.positions.get(path))
        return value
    return _SCALARS[_resolve_plain(text)](text) if variables.is_plain(value) else text
