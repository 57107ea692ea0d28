"""What a worker, or whoever has its token, may try: it is closed with the right code, and nobody else notices."""

from __future__ import annotations

import asyncio
from array import array
from pathlib import Path

import pytest

from cmw.core.clock import SECOND
from cmw.core.words import RunStatus, WorkerState
from cmw.gateway import hub, protocols
from cmw.gateway.hub import MAX_UNHANDLED_BYTES
from cmw.gateway.service import Gateway
from cmw.link import events
from cmw.link.limits import MAX_TO_GATEWAY_BYTES
from cmw.link.samples import SampleBatch, encode_samples
from tests.gateway.world import FakeWorker, linked_worker, make_plan, open_gateway, run_async
from tests.support.raw_link import HELLO, RawLink
from tests.support.rfc6455 import BINARY, CLOSE, CONTINUATION, PING, TEXT, Frame

pytestmark = pytest.mark.loopback

BEAT = '{"type":"heartbeat","sent_at_unix_ns":1,"capacity":10}'


def text(content: str | bytes) -> Frame:
    return Frame(TEXT, content.encode() if isinstance(content, str) else content)


def samples(seq: int = 1, run_id: str = "run-1") -> bytes:
    return encode_samples(SampleBatch(run_id, 0, 1, array("I", [0]), {"receive.jitter_ms": array("f", [1.0])}), seq)


AFTER_THE_WELCOME = {
    "no JSON": ((text("hello there"),), 1007),
    "no object": ((text("[1,2]"),), 1007),
    "NaN": ((text(BEAT.replace("10}", '10,"loop_lag_ms":NaN}')),), 1007),
    "Infinity": ((text(BEAT.replace("10}", '10,"rtt_ms":1e999}')),), 1007),
    "a name twice": ((text('{"type":"heartbeat","type":"hello"}'),), 1007),
    "deep": ((text('{"type":"x","a":' + "[" * 10_000 + "]" * 10_000 + "}"),), 1007),
    "a lone surrogate": ((text('{"type":"\\ud800"}'),), 1007),
    "a field of another type": ((text(BEAT.replace("10}", '"ten"}')),), 1007),
    "a number beyond 2^53": ((text('{"type":"report","seq":9007199254740993,"kind":"event","data":{}}'),), 1007),
    "a second hello": ((text(HELLO % ("b" * 32)),), 1008),
    "an oversized text": ((text("x" * (MAX_TO_GATEWAY_BYTES + 1)),), 1009),
    "an oversized binary message": ((Frame(BINARY, b"x" * (MAX_TO_GATEWAY_BYTES + 1)),), 1009),
    "an oversized message in fragments": (
        (Frame(TEXT, b"x", fin=False), *([Frame(CONTINUATION, b"x" * 65_535, fin=False)] * 17)),
        1009,
    ),
    "a frame that claims 2^62 bytes": ((Frame(BINARY, b"x" * (2 << 20), claimed=1 << 62),), 1009),
    "samples that are none": ((Frame(BINARY, b"CMWS\x01"),), 1007),
    "samples cut short": ((Frame(BINARY, samples()[:-1]),), 1007),
    "a bomb of samples": ((Frame(BINARY, samples()[:16] + b"\xff\xff\xff\x7f" + samples()[20:]),), 1009),
    "too many messages of unknown type": ((text('{"type":"x"}'),) * 101, 1008),
}
BEFORE_THE_WELCOME = {
    "a heartbeat first": ((text(BEAT),), 1008),
    "a report first": ((text('{"type":"report","seq":1,"kind":"event","data":{}}'),), 1008),
    "samples first": ((Frame(BINARY, samples()),), 1008),
    "an answer first": ((text('{"type":"command_done","id":"x"}'),), 1008),
    "another version": ((text((HELLO % ("a" * 32)).replace('l":1', 'l":2')),), 4426),
}


def test_each_is_closed_with_its_code_and_nobody_else_notices(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            good, view, _ = await linked_worker(gateway, server, "good", seconds=None)
            _, token = await gateway.create_worker("hostile")
            run_id = await gateway.start_run(make_plan())
            await good.ordered("start_run")
            for number, (name, (frames, code)) in enumerate((AFTER_THE_WELCOME | BEFORE_THE_WELCOME).items()):
                opened = RawLink.welcomed if name in AFTER_THE_WELCOME else RawLink.upgraded
                link = await opened(server.port, token, session=f"{number:032x}")
                link.send(*frames)
                read = await link.to_the_end()
                assert read.code == code, name
                link.close()
            good.report_second(run_id, 0)
            good.finish(run_id)
            run = await gateway.wait_run(run_id)
            assert (run.status, run.verdict) == (RunStatus.COMPLETED, "PASSED")
            assert gateway.state(view.id) is WorkerState.ONLINE
            assert not [event for event in good.events if isinstance(event, events.LinkLost)]
            await good.stop()

    run_async(work())


def test_what_is_said_of_another_workers_run_changes_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            good, _, _ = await linked_worker(gateway, server, "good", seconds=None)
            run_id = await gateway.start_run(make_plan())
            await good.ordered("start_run")
            _, token = await gateway.create_worker("hostile", 1)
            link = await RawLink.welcomed(server.port, token)
            for answer in (
                f'{{"type":"command_rejected","id":"start-{run_id}","code":"NO","detail":"mine now"}}',
                f'{{"type":"command_rejected","id":"prepare-{run_id}","code":"NO"}}',
                f'{{"type":"command_done","id":"stop-{run_id}"}}',
                f'{{"type":"report","seq":1,"kind":"run_done","run_id":"{run_id}","data":{{}}}}',
                f'{{"type":"report","seq":2,"kind":"endpoint","run_id":"{run_id}","data":{{"index":0}}}}',
            ):
                link.say(answer)
            link.send(Frame(BINARY, samples(3, run_id)))
            await link.until(lambda read: any('"seq":3' in said for said in read.texts))
            good.report_second(run_id, 0)
            good.finish(run_id)
            run = await gateway.wait_run(run_id)
            assert (run.status, run.verdict) == (RunStatus.COMPLETED, "PASSED")
            assert len([row async for row in gateway.samples(run_id)]) == 8
            link.close()
            await good.stop()

    run_async(work())


def test_pings_that_nobody_reads_the_answers_of_take_no_memory(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            _, token = await gateway.create_worker("hostile")
            link = await RawLink.welcomed(server.port, token)
            socket = protocol_of(gateway)
            flood = Frame(PING, b"p" * 125).wire(from_client=True) * 1000
            for _ in range(60):  # 8 MB of pings
                link.writer.write(flood)
                await asyncio.wait_for(link.writer.drain(), 10)
            link.say(BEAT)
            assert socket.transport.get_write_buffer_size() < 1 << 18
            await link.until(lambda read: any("heartbeat_reply" in said for said in read.texts))
            assert socket.transport.get_write_buffer_size() == 0
            link.close()

    run_async(work())


def test_a_worker_that_says_more_than_is_handled_is_not_read(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            _, token = await gateway.create_worker("hostile")
            link = await RawLink.welcomed(server.port, token)
            (live,) = gateway._hub._links.values()
            async with gateway._coordinator._turn:
                link.say('{"type":"command_done","id":"start-x"}')  # waits for its turn, and all else behind it
                filler = Frame(TEXT, b'{"type":"x","a":"' + b"y" * 1_000_000 + b'"}')
                for _ in range(8):
                    link.send(filler)
                async with asyncio.timeout(10):
                    while not live.is_held_up:  # noqa: ASYNC110 - nothing tells us
                        await asyncio.sleep(0.01)
                assert live.unhandled_bytes <= MAX_UNHANDLED_BYTES + MAX_TO_GATEWAY_BYTES
            read = await link.until(lambda read: sum("UNKNOWN_TYPE" in said for said in read.texts) == 8)
            assert read.code is None
            link.close()

    run_async(work())


def test_heartbeats_are_answered_while_the_store_is_stuck(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            _, token = await gateway.create_worker("w1")
            link = await RawLink.welcomed(server.port, token)
            async with gateway._coordinator._turn, gateway._database._writer:
                link.say('{"type":"command_done","id":"start-x"}')
                link.say('{"type":"report","seq":1,"kind":"event","run_id":"r","data":{}}')
                link.say(BEAT)
                read = await link.until(lambda read: any("heartbeat_reply" in said for said in read.texts))
                assert not any('"ack"' in said for said in read.texts)
            await link.until(lambda read: any('"ack"' in said for said in read.texts))
            link.close()

    run_async(work())


def test_a_worker_that_takes_nothing_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "LINGER_S", 0.2)
    monkeypatch.setattr(hub, "CLOSE_LIMIT", SECOND // 5)

    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            view, token = await gateway.create_worker("hostile")
            link = await RawLink.welcomed(server.port, token)
            socket = protocol_of(gateway)
            for number in range(8):  # 24 MB that nobody reads
                gateway._hub.command(view.id, f"c-{number}", "drain", None, {"x": "y" * 3_000_000})
            await asyncio.sleep(0)
            await gateway.regenerate_token(view.id)
            async with asyncio.timeout(20):
                while not socket.transport.is_closing():  # noqa: ASYNC110 - nothing tells us
                    await asyncio.sleep(0.01)
            assert gateway.state(view.id) is WorkerState.OFFLINE
            link.close()

    run_async(work())


@pytest.mark.parametrize(
    ("head", "answer"),
    [
        (b"", b"408"),
        (b"GET /link/v1 HTTP/1.1\r\nHost: x\r\n", b"408"),
        (b"POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", b""),
    ],
)
def test_a_request_that_does_not_end_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes, answer: bytes
) -> None:
    monkeypatch.setattr(protocols, "HEAD_S", 0.2)
    monkeypatch.setattr(protocols, "BODY_S", 0.2)

    async def work() -> None:
        async with open_gateway(tmp_path) as (_, server):
            link = await RawLink.connect(server.port)
            link.writer.write(head)
            await link.to_the_end()
            assert answer in link.raw
            link.close()

    run_async(work())


def test_a_head_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (_, server):
            link = await RawLink.connect(server.port)
            link.writer.write(b"GET /link/v1 HTTP/1.1\r\nX: " + b"x" * 200_000)
            await link.to_the_end()
            assert link.raw.startswith(b"HTTP/1.1 400 ")
            link.close()

    run_async(work())


def test_a_link_outlives_the_time_that_a_head_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "HEAD_S", 0.1)

    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            _, token = await gateway.create_worker("w1")
            link = await RawLink.welcomed(server.port, token)
            await asyncio.sleep(0.3)  # three times as long as the timer would take
            link.say(BEAT)
            await link.until(lambda read: any("heartbeat_reply" in said for said in read.texts))
            link.close()

    run_async(work())


def test_a_worker_that_was_restarted_is_let_in_while_what_it_said_is_handled(tmp_path: Path) -> None:
    """The former connection used to count as live until everything that had come over it was handled."""

    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            _, token = await gateway.create_worker("w1")
            link = await RawLink.welcomed(server.port, token)
            async with gateway._coordinator._turn:
                link.say('{"type":"command_done","id":"start-x"}')  # waits for its turn
                link.send(Frame(CLOSE))
                await link.to_the_end()
                successor = FakeWorker(server.port, token).start()
                async with asyncio.timeout(10):
                    while gateway._hub._links[link_id(gateway)].session == "a" * 32:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
            await successor.seen(events.LinkOpened)
            assert not [event for event in successor.events if isinstance(event, events.LinkRefused)]
            await successor.stop()

    run_async(work())


def link_id(gateway: Gateway) -> str:
    (worker_id,) = gateway._hub._links
    return worker_id


def test_what_a_worker_finished_before_it_was_restarted_counts(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_gateway(tmp_path) as (gateway, server):
            worker, _, token = await linked_worker(gateway, server, seconds=None)
            run_id = await gateway.start_run(make_plan())
            await worker.ordered("start_run")
            async with gateway._database._writer:  # nothing is committed for now
                worker.report_second(run_id, 0)
                worker.finish(run_id)
                await asyncio.sleep(0)
                await worker.client.close(2.0)
                successor = FakeWorker(server.port, token).start()
                (live,) = gateway._hub._links.values()
                async with asyncio.timeout(10):
                    while gateway._hub._links.get(live.worker_id) is live:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
            run = await gateway.wait_run(run_id)
            assert (run.status, run.reason) == (RunStatus.COMPLETED, "")
            await successor.stop()

    run_async(work())


def protocol_of(gateway: Gateway) -> protocols.LinkWebSocket:
    """Return uvicorn's end of the only link."""
    (live,) = gateway._hub._links.values()
    receive = live.websocket._receive
    protocol = receive.__self__ if hasattr(receive, "__self__") else None
    assert isinstance(protocol, protocols.LinkWebSocket)
    return protocol
