"""A SIP user agent of the `baresip-python` package in a process of its own, told what to do over a pipe.

Run as a program it is the agent: a line of JSON is a command, a line on its standard output an answer or an event.
`BaresipAgent` starts it and speaks with it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

IP = "127.0.0.1"
PATIENCE_S = 20

CONFIG = """\
sip_listen {ip}:{port}
rtp_ports {rtp}-{rtp_last}
ausrc_srate 48000
auplay_srate 48000
ausrc_channels 1
auplay_channels 1
{more}
"""


class BaresipAgent:
    """The other end of the pipe: commands, and the events of each call in their order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._kept: list[dict[str, Any]] = []
        self.told: list[str] = []
        self.reader = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            text = line.decode("utf-8", "replace").rstrip()
            self.told.append(text)
            if text.startswith("{"):
                fact = json.loads(text)
                (self._events if "event" in fact else self._answers).put_nowait(fact)

    async def ask(self, command: str, **arguments: Any) -> Any:
        """Carry out a command; return what it gives, fail with what it raises."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, **arguments}).encode() + b"\n")
        answer = await asyncio.wait_for(self._answers.get(), PATIENCE_S)
        assert "error" not in answer, f"{command}: {answer['error']}\n" + "\n".join(self.told[-80:])
        return answer["result"]

    async def until(self, event: str, call: int | None = None) -> dict[str, Any]:
        """Return the next event of a name, of a call if one is given; others are kept."""
        for fact in self._kept:
            if _fits(fact, event, call):
                self._kept.remove(fact)
                return fact
        while True:
            try:
                fact = await asyncio.wait_for(self._events.get(), PATIENCE_S)
            except TimeoutError:
                raise AssertionError(f"no {event}:\n" + "\n".join(self.told[-80:])) from None
            if _fits(fact, event, call):
                return fact
            self._kept.append(fact)

    async def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), PATIENCE_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self.reader


def _fits(fact: dict[str, Any], event: str, call: int | None) -> bool:
    return fact["event"] == event and call in (None, fact["call"])


@asynccontextmanager
async def baresip_agent(
    port: int, user: str = "bob", transport: str = "udp", *, domain: str = "", more: str = "", digits: str = "info"
) -> AsyncIterator[BaresipAgent]:
    """Start an agent at 127.0.0.1: it uses no address of loopback that no interface has.

    Args:
        port: where it listens over UDP and TCP; TLS is at the next one.
        user: its user name; the password of U is ``pw-U``.
        transport: ``udp``, ``tcp`` or ``tls``.
        domain: registrar; "" registers nowhere.
        more: further lines of configuration.
        digits: how it sends them: ``info`` or ``rtpevent``.
    """
    settings = {"port": port, "user": user, "transport": transport, "domain": domain, "more": more, "digits": digits}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        json.dumps(settings),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    agent = BaresipAgent(process)
    try:
        await agent.until("ready")
        yield agent
    finally:
        await agent.close()


# The agent itself.


class Agent:
    """What the commands of the pipe do.

    Args:
        user_agent: of `baresip`.
    """

    def __init__(self, user_agent: Any) -> None:
        self._user_agent = user_agent
        self._calls: dict[int, Any] = {}
        user_agent.on_incoming(self._keep)
        user_agent.on_transfer_call(self._keep)

    def _keep(self, call: Any) -> None:
        self._calls[call.handle] = call
        call.on(lambda event: tell(event=event.event.name, call=event.call, text=event.text or ""))
        call.on_dtmf(lambda digit: tell(event="DIGIT", call=call.handle, text=digit.digit))
        tell(event=f"NEW_{call.state.value}", call=call.handle, text="")

    async def do(self, do: str, **arguments: Any) -> Any:
        """Carry out one command; those about a call are methods of `baresip.Call`."""
        if do == "dial":
            call = await self._user_agent.dial(arguments["uri"])
            self._keep(call)
            return call.handle
        if do in ("register", "unregister"):
            return await getattr(self._user_agent, do)()
        call = self._calls[arguments.pop("call")]
        if "consult" in arguments:
            arguments["consult_call"] = self._calls[arguments.pop("consult")]
        result = await _insist(getattr(call, do), arguments)
        if do == "accept_transfer":
            self._keep(result)
            return result.handle
        return None


async def _insist(command: Any, arguments: dict[str, Any]) -> Any:
    """Carry out a command on a call, again while the answer to the last re-INVITE is still being digested."""
    while True:
        try:
            return await command(**arguments)
        except Exception as error:
            if "already in flight" not in str(error):
                raise
            await asyncio.sleep(0.02)


def tell(**fact: Any) -> None:
    print(json.dumps(fact), flush=True)


async def _serve(settings: dict[str, Any]) -> None:
    from baresip import Account, Config, Runtime, UserAgent

    runtime = Runtime()
    port = settings["port"]
    rtp = 20000 + port % 200 * 60
    config = Config(
        net_interface=IP,
        max_concurrent_calls=50,
        audio_source="ausine,440",
        audio_player="aumem",
        extra_config_text=CONFIG.format(ip=IP, port=port, rtp=rtp, rtp_last=rtp + 58, more=settings["more"]),
    )
    await runtime.start(config)
    account = Account(
        settings["user"],
        settings["domain"] or f"{IP}:{port}",
        f"pw-{settings['user']}",
        reg_interval=60 if settings["domain"] else 0,
        transport=settings["transport"],
        dtmf_mode=settings["digits"],
    )
    agent = Agent(await UserAgent.create(runtime, account))
    tell(event="ready", call=0)
    tasks: set[asyncio.Task[None]] = set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        task = asyncio.create_task(_carry_out(agent, json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await runtime.close()


async def _carry_out(agent: Agent, command: dict[str, Any]) -> None:
    try:
        tell(result=await agent.do(**command))
    except Exception as error:
        tell(error=repr(error))


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(sys.argv[1])))
