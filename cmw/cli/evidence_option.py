"""`--evidence`: whose evidence a run keeps, whatever its plan says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer

from cmw.load.plan import Plan
from cmw.load.plan_checks import has_endpoint
from cmw.load.plan_evidence import MAX_CALLS, MAX_RANKED, Evidence

RTP_CALLS = 20
"""Of so many calls at a time packets are kept, where neither plan nor option says."""

MOST = {"rtp": MAX_CALLS, "worst": MAX_RANKED, "slowest": MAX_RANKED}

EvidenceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--evidence",
        help="Whose SIP, RTP and RTCP are kept: so many that fail (20), all, worst:5, slowest:5, an endpoint such as "
        "callers-0001, or none; rtp:50 for the packets of 50 calls at a time. Repeat for more.",
        metavar="WHO",
        show_default="what the plan says",
    ),
]


WavOption = Annotated[
    bool, typer.Option("--wav", help="Write what was heard and said in the calls whose packets are kept as WAV files.")
]


def with_evidence(plan: Plan, words: Sequence[str] | None, *, with_sound: bool = False) -> Plan:
    """Return the plan with the evidence that the options ask for; what they do not say is as the plan says.

    Args:
        with_sound: what was said is wanted, for which packets have to be kept.

    Raises:
        typer.BadParameter: a word that asks for nothing.
    """
    if not words and not with_sound:
        return plan
    found = _chosen(plan, words or [])
    if with_sound and not found.rtp:
        raise typer.BadParameter("expected packets to be kept, such as by --evidence all", param_hint="--wav")
    return plan.model_copy(update={"evidence": found})


def _chosen(plan: Plan, words: Sequence[str]) -> Evidence:
    if "none" in words:
        if len(words) > 1:
            raise _bad("none", "no other --evidence beside it")
        return Evidence(calls=0, worst=0, slowest=0)
    said = _said(plan, words)
    found = Evidence.model_validate(plan.evidence.model_dump(exclude_unset=True) | said)
    if found.chooses and "rtp" not in found.model_fields_set:
        found = found.model_copy(update={"rtp": RTP_CALLS})
    if found.rtp and not found.chooses:
        raise _bad(f"rtp:{found.rtp}", "somebody whose packets are kept")
    return found


def _said(plan: Plan, words: Iterable[str]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for word in words:
        kind, colon, number = word.partition(":")
        if word == "all":
            said["endpoints"] = _all(plan)
        elif word.isascii() and word.isdigit():
            said["calls"] = _number(word, word, MAX_CALLS)
        elif colon and kind in MOST:
            said[kind] = _number(word, number, MOST[kind])
        elif has_endpoint(plan.groups, word):
            said["endpoints"] = list(dict.fromkeys([*said.get("endpoints", plan.evidence.endpoints), word]))
        else:
            raise _bad(word, _expected(plan.groups))
    return said


def _all(plan: Plan) -> list[str]:
    names = [f"{name}-{number:04d}" for name, group in plan.groups.items() for number in range(1, group.endpoints + 1)]
    if len(names) > MAX_CALLS:
        raise _bad(f"all, which are {len(names)}", f"at most {MAX_CALLS} endpoints; worst:20 or names of some")
    return names


def _number(word: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= most):
        raise _bad(word, f"a whole number from 0 to {most} in it")
    return int(text)


def _expected(groups: Mapping[str, object]) -> str:
    return f"a number, all, none, worst:N, slowest:N, rtp:N or an endpoint such as {next(iter(groups))}-0001"


def _bad(found: str, expected: str) -> typer.BadParameter:
    return typer.BadParameter(f"found {found}, expected {expected}", param_hint="--evidence")
