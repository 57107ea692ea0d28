"""The gateway's role against our conformance set, on real connections."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateway.world import open_gateway, run_async
from tests.support.raw_link import RawLink
from tests.support.rfc6455 import CASES, MASKING, TEXT, Case, Frame, Read, message

pytestmark = pytest.mark.loopback


def known(read: Read) -> list[str]:
    """Return the messages that the gateway says it does not know, as they were sent."""
    said = [
        text.partition("unknown type of message: '")[2].partition("'")[0] for text in read.texts if "UNKNOWN" in text
    ]
    return [message(kind) for kind in said]


def shown(text: str) -> str:
    """Return a message as the gateway's answer shows it: the first 64 characters of its type."""
    return message(text.removeprefix('{"type":"').removesuffix('"}')[:64])


@pytest.mark.parametrize("way", ["whole", "byte by byte"])
def test_the_server(tmp_path: Path, way: str) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            _, token = await gateway.create_worker("w1")
            for number, case in enumerate((*CASES, MASKING[True])):
                if way == "byte by byte" and len(case.wire(from_client=True)) > 5000:
                    continue
                link = await RawLink.welcomed(server.port, token, session=f"{number:032x}")
                await play(link, case, way)
                link.close()

    async def play(link: RawLink, case: Case, way: str) -> None:
        wire = case.wire(from_client=True)
        step = len(wire) if way == "whole" else 1
        for at in range(0, len(wire), step):
            link.writer.write(wire[at : at + step])
            await link.writer.drain()
        if case.code is None:
            link.send(Frame(TEXT, b'{"type":"end"}'))
            read = await link.until(lambda read: message("end") in known(read))
            assert (known(read)[:-1], read.code) == ([shown(text) for text in case.texts], None), case.name
        else:
            read = await link.to_the_end()
            assert read.code == case.code, case.name
            answered = known(read)  # what was said right before the end may go unanswered
            assert answered == [shown(text) for text in case.texts][: len(answered)], case.name
        assert tuple(read.pongs) == case.pongs, case.name
        assert read.masked == {False}

    run_async(work())
