"""Calls between sipp, which plays a scenario, and a user agent of ours, which follows a script."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from cmw.sip.call_options import PLAIN, CallOptions
from tests.support.desk import PATIENCE_S, Desk, Script, desk, run_scene
from tests.support.peers import expect_played, sipp_scenario, sipp_told
from tests.support.sipp_scenario import Scenario

CALLS = 5
PORT = 5060


class _Play:
    """What both sides of a play need.

    Args:
        directory: for sipp's files.
        new_ip: gives addresses.
        mode: sipp's transport: ``u1``, ``t1`` or ``tn``.

    Attributes:
        sent: how many requests of ours, by method, and responses, by ``SIP/2.0``, went out.
    """

    calls = CALLS

    def __init__(self, directory: Path, new_ip: Callable[[], str], mode: str) -> None:
        self.directory = directory
        self.mode = mode
        self.ip, self.peer_ip = new_ip(), new_ip()
        self.sent: Counter[str] = Counter()


class SippTakesCalls(_Play):
    """Place calls to sipp, all at once; both sides have to be content with every one."""

    def __call__(
        self, scenario: Scenario, script: Callable[[Desk, str], Awaitable[None]], *, calls: int = CALLS
    ) -> None:
        uri = f"sip:service@{self.peer_ip}" + (";transport=tcp" if self.mode[0] == "t" else "")

        async def scene() -> None:
            async with desk(self.ip) as us:
                self.sent = us.sent
                await asyncio.gather(*[script(us, uri) for _ in range(calls)])

        with sipp_scenario(self.directory, scenario, self.peer_ip, self.mode, calls) as peer:
            try:
                run_scene(scene)
            except BaseException as error:
                error.add_note(sipp_told(self.directory, peer))
                raise
            expect_played(self.directory, peer, calls)


class SippPlacesCalls(_Play):
    """Take calls of sipp, all at once; both sides have to be content with every one."""

    def __call__(
        self, scenario: Scenario, script: Script | None, *, calls: int = CALLS, options: CallOptions = PLAIN
    ) -> None:
        """Run the scenario; `script` None is for calls that are refused without asking anybody."""
        target = f"{self.ip}:{PORT}"

        async def scene() -> None:
            async with desk(self.ip) as us:
                self.sent = us.sent
                us.do(lambda agent, now: agent.set_inbound_options(options))
                with sipp_scenario(self.directory, scenario, self.peer_ip, self.mode, calls, target) as peer:
                    try:
                        await _follow(us, script, calls if script is not None else 0)
                    except BaseException as error:
                        error.add_note(sipp_told(self.directory, peer))
                        raise
                    await asyncio.to_thread(expect_played, self.directory, peer, calls)

        run_scene(scene)


async def _follow(us: Desk, script: Script | None, calls: int) -> None:
    """Follow the script in so many calls at once."""
    scripts = []
    for _ in range(calls):
        assert script is not None
        offered = await asyncio.wait_for(us.offered.get(), PATIENCE_S)
        scripts.append(asyncio.ensure_future(script(us, offered)))
    await asyncio.gather(*scripts)
