"""Fill in the templates of our chart: the part of Helm's language that they keep to, and an error for all else.

It is here because no package index has Helm itself; where a `helm` is found, the tests compare the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

_TOKENS = re.compile(r"\{\{-?.*?-?\}\}", re.DOTALL)


def render(chart: Path, values: Mapping[str, Any], release: str = "load") -> list[dict[str, Any]]:
    """Return the documents that the chart comes to with these values."""
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    scope = {
        "Values": values,
        "Release": {"Name": release},
        "Chart": {"AppVersion": str(about["appVersion"]), "Name": about["name"]},
    }
    texts = (_fill(template.read_text(), scope) for template in sorted((chart / "templates").glob("*.yaml")))
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def merge(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with changes laid over them, as ``--values`` does."""
    merged = dict(values)
    for name, value in changes.items():
        inner = merged.get(name)
        merged[name] = merge(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


def _fill(text: str, scope: Mapping[str, Any]) -> str:
    pieces = list(_pieces(text))
    filled, rest = _block(pieces, 0, {**scope, ".": scope})
    assert rest == len(pieces), "an end too many"
    return filled


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Return text and actions by turns, white space trimmed where a ``-`` says so."""
    at, trims = 0, False
    for match in _TOKENS.finditer(text):
        action = match[0]
        before = text[at : match.start()]
        before = before.lstrip() if trims else before
        yield "text", before.rstrip() if action.startswith("{{-") else before
        trims = action.endswith("-}}")
        yield "action", action.strip("{}").removeprefix("-").removesuffix("-").strip()
        at = match.end()
    yield "text", text[at:].lstrip() if trims else text[at:]


def _block(pieces: list[tuple[str, str]], at: int, scope: Mapping[str, Any]) -> tuple[str, int]:
    """Return what is filled in up to the end of a block, and where that is."""
    out = []
    while at < len(pieces):
        kind, text = pieces[at]
        word = text.split(" ")[0] if kind == "action" else ""
        if word in ("end", "else"):
            return "".join(out), at
        if word in ("if", "with", "range"):
            filled, at = _branch(pieces, at, scope)
            out.append(filled)
        else:
            out.append(text if kind == "text" else str(_show(_value(text, scope))))
        at += 1
    return "".join(out), at


def _branch(pieces: list[tuple[str, str]], at: int, scope: Mapping[str, Any]) -> tuple[str, int]:
    word, _, what = pieces[at][1].partition(" ")
    if word == "range":
        names, _, source = what.partition(" := ")
        key, value = names.split(", ")
        items = sorted(_value(source, scope).items())
        scopes = [{**scope, key: each, value: inner} for each, inner in items]
    else:
        found = _value(what, scope)
        scopes = [] if not found else [{**scope, ".": found} if word == "with" else scope]
    filled = "".join(_block(pieces, at + 1, each)[0] for each in scopes)
    _, end = _block(pieces, at + 1, scopes[0] if scopes else {**scope, "skip": True})
    if pieces[end][1] == "else":
        other, end = _block(pieces, end + 1, scope)
        filled = filled if scopes else other
    assert pieces[end][1] == "end", pieces[end][1]
    return filled, end


def _value(text: str, scope: Mapping[str, Any]) -> Any:
    first, *pipes = (part.strip() for part in text.split("|"))
    value = _call(first.split(), scope)
    for pipe in pipes:
        name, *words = pipe.split()
        if name == "quote":
            value = '"' + str(_show(value)).replace("\\", "\\\\").replace('"', '\\"') + '"'
        elif name == "nindent":
            value = "".join("\n" + " " * int(words[0]) + line for line in str(value).split("\n"))
        else:
            raise AssertionError(f"not in our part of the language: {pipe}")
    return value


def _call(words: list[str], scope: Mapping[str, Any]) -> Any:
    if words[0] == "toYaml":
        return yaml.safe_dump(_look(words[1], scope), default_flow_style=False).rstrip("\n")
    if words[0] == "add":
        return sum(int(word) if word.isdecimal() else _look(word, scope) for word in words[1:])
    assert len(words) == 1, f"not in our part of the language: {words}"
    return _look(words[0], scope)


def _look(path: str, scope: Mapping[str, Any]) -> Any:
    if scope.get("skip"):
        return {}
    if path == "." or path.startswith("$"):
        return scope[path]
    assert path.startswith("."), f"not in our part of the language: {path}"
    found: Any = scope
    for name in path[1:].split("."):
        assert name in found, f"{path} is not among the values"
        found = found[name]
    return found


def _show(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
