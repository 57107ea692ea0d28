"""What the gateway refuses, with the HTTP status that fits."""

from __future__ import annotations

from cmw.errors import CommandError


class RequestError(CommandError):
    """Raised by the service when a request cannot be carried out; nothing changed.

    Args:
        status: the HTTP status of the answer.
        code: an upper-case word for machines.
        detail: one sentence for people.
        details: one line per fault, when there are several.
        retry_after_s: when the same request may succeed, if that is known.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, details: tuple[str, ...] = (), retry_after_s: int | None = None
    ) -> None:
        super().__init__(code, detail)
        self.status = status
        self.details = details
        self.retry_after_s = retry_after_s


def not_found(kind: str, identifier: str) -> RequestError:
    """Return the refusal for an id that is not in the store."""
    return RequestError(404, "NOT_FOUND", f"there is no {kind} {identifier!r}")


def conflict(detail: str) -> RequestError:
    """Return the refusal for a request that the present state does not allow."""
    return RequestError(409, "CONFLICT", detail)


def forbidden(detail: str) -> RequestError:
    """Return the refusal for a request that takes more rights."""
    return RequestError(403, "FORBIDDEN", detail)
