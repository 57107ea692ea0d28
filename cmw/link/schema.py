"""The JSON schema of every control message, for those who write a worker or a gateway in another language."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from cmw.link import limits
from cmw.link.messages import GatewayMessage, WorkerMessage
from cmw.link.refusal import CloseCode, Refusal


def link_schema() -> dict[str, Any]:
    """Return one JSON Schema (2020-12) document; what `cmw schema link` prints.

    `anyOf` takes either side's messages; `x-limits` and `x-close-codes` hold what a schema cannot say.
    """
    worker, worker_definitions = _side(TypeAdapter(WorkerMessage))
    gateway, gateway_definitions = _side(TypeAdapter(GatewayMessage))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": limits.SUBPROTOCOL,
        "anyOf": [{"title": "worker to gateway", **worker}, {"title": "gateway to worker", **gateway}],
        "$defs": {**worker_definitions, **gateway_definitions},
        "x-protocol": limits.PROTOCOL,
        "x-path": limits.PATH,
        "x-limits": {
            "max_to_gateway_bytes": limits.MAX_TO_GATEWAY_BYTES,
            "max_to_worker_bytes": limits.MAX_TO_WORKER_BYTES,
            "max_samples_bytes": limits.MAX_SAMPLES_BYTES,
            "max_depth": limits.MAX_DEPTH,
            "max_seq": limits.MAX_SEQ,
            "window_bytes": limits.WINDOW_BYTES,
        },
        "x-close-codes": {
            **{str(code.value): code.name for code in CloseCode},
            **{str(refusal.close_code): refusal.message for refusal in Refusal},
        },
    }


def _side(union: TypeAdapter[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    schema = union.json_schema(mode="validation")
    definitions: dict[str, Any] = schema.pop("$defs")
    for definition in definitions.values():
        if "type" in definition["properties"]:
            definition["required"] = ["type", *definition.get("required", [])]
    return {"anyOf": schema["anyOf"]}, definitions
