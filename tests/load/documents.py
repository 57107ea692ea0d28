"""Plans as documents, for the tests of this directory."""

from __future__ import annotations

from typing import Any


def two_groups(callers: int = 2, callees: int = 2, **top: Any) -> dict[str, Any]:
    """Return a plan whose callers call callees directly at the worker."""
    return {
        "version": 1,
        "name": "two groups",
        "duration": "60s",
        "groups": {
            "callees": {"endpoints": callees},
            "callers": {"endpoints": callers, "call": {"group": "callees"}, "load": {"rate": "10/s"}},
        },
        **top,
    }


def registered(count: int = 4) -> dict[str, Any]:
    """Return a plan of two groups with half of `count` accounts each."""
    document = two_groups(count // 2, count // 2)
    accounts = [{"username": f"{1001 + k}", "password": f"pass-{k}"} for k in range(count)]
    document["registrars"] = {"lab": {"domain": "pbx.example", "port": 5070, "accounts": accounts}}
    for group in document["groups"].values():
        group["registrar"] = "lab"
    return document
