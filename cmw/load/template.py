"""Texts of a plan that differ from endpoint to endpoint: ``{n}`` stands for the endpoint's number in its group."""

from __future__ import annotations

PLACE = "{n}"


def fill(text: str, number: int) -> str:
    """Return `text` with the number of an endpoint, counted from 1, in each place that asks for it."""
    return text.replace(PLACE, str(number)) if PLACE in text else text
