"""A run as server-sent events. Source: WHATWG HTML, server-sent events.

Every event has all that is known of the run, so one that was missed is no loss: who connects again gets the present.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import ujson

from cmw.gateway.service import Gateway

RETRY_MS = 2000
"""What a client is asked to wait before it connects again."""


async def event_stream(gateway: Gateway, run_id: str) -> AsyncIterator[str]:
    """Yield an event `run` for each change until the run is over, and comments in between so that nobody gives up."""
    yield f"retry: {RETRY_MS}\n\n"
    async for view in gateway.watch_run(run_id):
        if view is None:
            yield ": still there\n\n"
        else:
            yield f"event: run\ndata: {ujson.dumps(view.model_dump(mode='json'))}\n\n"
