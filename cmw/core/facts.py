"""Values that are made by the thousand and never changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def fact(cls: type[T]) -> type[T]:
    """Make a dataclass of a class: frozen for the type checker, and not at run time, where that costs twice as much."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
