"""From a document to a plan, or to the list of everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, TypeGuard, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from cmw.load.faults import Fault, Faults, Path, Position, show_value, suggest
from cmw.load.lines import Lines
from cmw.load.plan import LATER_FIELDS, MAX_ENDPOINTS, Group, Plan, Registrar
from cmw.load.plan_checks import check_evidence, check_groups, check_thresholds
from cmw.load.plan_evidence import Evidence
from cmw.load.plan_fields import NAME_EXPECTED, PlanModel
from cmw.load.plan_scenario_checks import check_scenarios
from cmw.load.plan_sip import TLS_FILES, Tls
from cmw.load.plan_sip_checks import check_sip
from cmw.load.plan_sound_checks import check_sounds

ModelT = TypeVar("ModelT", bound=BaseModel)


def parse_plan(
    document: object,
    *,
    positions: Mapping[Path, Position] | None = None,
    name: str = "plan",
    faults: Iterable[Fault] = (),
) -> Plan:
    """Return the plan that `document` describes.

    Args:
        document: mappings, lists, texts, numbers, booleans and None, as JSON and YAML give them. Accounts from a file
            must have been read by the caller: a plan does not open files.
        positions: the line of each value, for the messages.
        name: what the document is called where no line is known.
        faults: what the reader of the file found already; listed with the others.

    Raises:
        PlanError: a SettingsError that lists every fault with its place, what was found and what was expected.
    """
    notes = Faults(name, positions or {}, list(faults))
    plan: Plan | None = None
    if not isinstance(document, Mapping):
        notes.add((), f"found {show_value(document)}, expected a mapping with version, duration and groups")
        notes.raise_if_any()
    assert isinstance(document, Mapping)
    try:
        plan = Plan.model_validate(_settle(document, notes))
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _note(detail, notes)
    registrars = plan.registrars if plan else _valid_parts(Registrar, document.get("registrars"))
    groups = plan.groups if plan else _valid_parts(Group, document.get("groups"))
    known = document.get("groups")
    group_names = known if isinstance(known, Mapping) else {}
    hold_ns = plan.duration if plan else None
    check_groups(registrars, groups, group_names, document.get("registrars"), hold_ns, notes)
    check_sip(registrars, groups, notes)
    check_scenarios(groups, hold_ns, notes)
    check_sounds(groups, plan.sounds if plan else None, notes)
    check_thresholds(document.get("thresholds"), group_names, notes)
    check_evidence(plan.evidence if plan else Evidence(), groups, notes)
    if sum(map(Lines(groups).calls, groups)) > MAX_ENDPOINTS:
        found = f"more than {MAX_ENDPOINTS} endpoints in all, each counted once for each of its calls"
        notes.add(("groups",), f"found {found}, expected at most {MAX_ENDPOINTS}")
    notes.raise_if_any()
    assert plan is not None
    return plan


def _settle(document: Mapping[Any, Any], notes: Faults) -> dict[Any, Any]:
    """Return the document with one-line thresholds as lists; note account files, which only a reader of files knows."""
    settled = dict(document)
    thresholds = settled.get("thresholds")
    if isinstance(thresholds, Mapping):
        settled["thresholds"] = {k: [v] if isinstance(v, str | Mapping) else v for k, v in thresholds.items()}
    registrars = settled.get("registrars")
    if isinstance(registrars, Mapping):
        settled["registrars"] = {k: _settle_accounts(k, v, notes) for k, v in registrars.items()}
    for part in ("registrars", "groups"):
        if isinstance(settled.get(part), Mapping):
            settled[part] = {k: _settle_tls(part, k, v, notes) for k, v in settled[part].items()}
    if isinstance(settled.get("groups"), Mapping):
        settled["groups"] = {k: _settle_profile(k, v, notes) for k, v in settled["groups"].items()}
    return settled


def _settle_tls(part: str, name: object, value: object, notes: Faults) -> object:
    """Return a part without the files that its TLS names, which only a reader of files knows."""
    tls = value.get("tls") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(tls, Mapping) or not TLS_FILES.keys() & tls.keys():
        return value
    for file in TLS_FILES.keys() & tls.keys():
        found = show_value(tls[file])
        notes.add((part, str(name), "tls", file), f"found {found}, expected its text as {TLS_FILES[file]}; only a "
                  "plan that is a file can name a file")  # fmt: skip
    return {**value, "tls": {k: v for k, v in tls.items() if k not in TLS_FILES}}


def _settle_accounts(name: object, registrar: object, notes: Faults) -> object:
    if not isinstance(registrar, Mapping) or not isinstance(registrar.get("accounts"), Mapping):
        return registrar
    notes.add(
        ("registrars", str(name), "accounts"),
        "found a mapping, expected a list of {username, password, realm}; only a plan that is a file "
        "can name a file of accounts",
    )
    return {k: v for k, v in registrar.items() if k != "accounts"}


def _settle_profile(name: object, group: object, notes: Faults) -> object:
    load = group.get("load") if isinstance(group, Mapping) else None
    if not isinstance(group, Mapping) or not isinstance(load, Mapping) or not isinstance(load.get("profile"), Mapping):
        return group
    notes.add(
        ("groups", str(name), "load", "profile"),
        "found a mapping, expected a list of {at, rate}; only a plan that is a file can name a file of a profile",
    )
    return {k: v for k, v in group.items() if k != "load"}


def _valid_parts(model: type[ModelT], raw: object) -> dict[str, ModelT]:
    """Return those entries of a mapping that are right on their own, for the checks across entries."""
    parts: dict[str, ModelT] = {}
    for name, value in raw.items() if isinstance(raw, Mapping) else ():
        try:
            parts[str(name)] = model.model_validate(value)
        except ValidationError:
            continue
    return parts


def _note(detail: ErrorDetails, notes: Faults) -> None:
    """Turn one of pydantic's errors into a fault."""
    path = tuple(part for part in detail["loc"] if part != "[key]")
    if detail["type"] == "extra_forbidden":
        notes.add(path, _unknown_field(path))
    elif detail["type"] == "missing":
        notes.add(path, f"is missing, expected {_expected(path)}")
    elif detail["loc"][-1:] == ("[key]",):
        notes.add(path, f"is no name; expected {_told(detail) or NAME_EXPECTED}")
    else:
        expected = _told(detail)
        notes.add(path, f"found {_found(path, detail)}, expected {expected or _expected(path)}")


def _told(detail: ErrorDetails) -> str | None:
    """Return what a validator of ours says it expected."""
    return detail.get("ctx", {}).get("expected") if detail["type"] == "expected" else None


def _found(path: Path, detail: ErrorDetails) -> str:
    """Return a picture of the value; of accounts and keys only its kind, for it may hold a secret."""
    value = detail["input"]
    if detail["type"] in ("too_long", "too_short") and isinstance(value, Mapping | list):
        return f"{len(value)} entries"
    if ("accounts" in path or path[-2:] == ("tls", "key")) and not isinstance(value, Mapping | list | NoneType):
        return f"a {'text' if isinstance(value, str) else type(value).__name__} (not shown)"
    return show_value(value)


def _unknown_field(path: Path) -> str:
    field = str(path[-1])
    model = _resolve(path[:-1])
    known = list(model.written_fields()) if _is_model(model) else []
    if model is Tls:
        known = [*TLS_FILES, "verify", "server_name"]
    if path == ("variables",):
        return "is not filled in here; only a plan that is a file can have variables"
    if field in LATER_FIELDS:
        return f"is not supported by this version; expected {', '.join(known)}"
    hint = suggest(field, known)
    return f"is not a known field{hint or ';'} expected {', '.join(known)}"


def _expected(path: Path) -> str:
    """Return the phrase of the field at `path`, or of the nearest field above it."""
    for length in range(len(path), 0, -1):
        model = _resolve(path[: length - 1])
        if _is_model(model) and path[length - 1] in model.written_fields():
            if length < len(path) and (inner := _phrase_of_item(_resolve(path))) is not None:
                return inner
            return _phrase(model.written_fields()[str(path[length - 1])])
    return "a mapping"


def _phrase(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra["x-expected"]) if isinstance(extra, dict) else "something else"


def _phrase_of_item(annotation: object) -> str | None:
    if _is_model(annotation):
        return f"a mapping with {', '.join(annotation.written_fields())}"
    return None


def _resolve(path: Path) -> object:
    """Return the annotation at `path` of a plan: a model, or something else."""
    at: object = Plan
    for part in path:
        if _is_model(at):
            if part not in at.written_fields():
                return None
            at = _strip(at.written_fields()[str(part)].annotation)
        elif get_origin(at) in (dict, list):
            at = _strip(get_args(at)[-1])
        else:
            return None
    return at


def _is_model(annotation: object) -> TypeGuard[type[PlanModel]]:
    return isinstance(annotation, type) and issubclass(annotation, PlanModel)


def _strip(annotation: object) -> object:
    """Return the annotation without Annotated and without None."""
    if get_origin(annotation) is Annotated:
        return _strip(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _strip(next(arg for arg in get_args(annotation) if arg is not NoneType))
    return annotation
