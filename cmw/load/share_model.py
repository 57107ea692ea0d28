"""What the models of a share have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer, SecretStr, SerializationInfo


class ShareModel(BaseModel):
    """Base of the share's models. Unknown fields are ignored: a newer gateway may know more than an older worker."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


def _show(value: SecretStr, info: SerializationInfo) -> str:
    return value.get_secret_value() if isinstance(info.context, dict) and info.context.get("reveal") else str(value)


SecretText = Annotated[SecretStr, PlainSerializer(_show, when_used="json")]
"""Shows neither in repr nor in `model_dump`, unless the latter's context says ``reveal``."""
