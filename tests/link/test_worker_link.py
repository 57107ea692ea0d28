"""The worker's role against the gateway's, in virtual time."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import pytest

from cmw.core.clock import MILLISECOND, SECOND, WallClock
from cmw.errors import LocalProtocolError
from cmw.link import events
from cmw.link.limits import MAX_TO_GATEWAY_BYTES, MAX_TO_WORKER_BYTES
from cmw.link.messages import Command
from cmw.link.presence import WorkerInfo, WorkerStatus
from cmw.link.refusal import CloseCode, Refusal
from cmw.link.spool import Entry, Place, Spool, Worth
from cmw.link.worker_link import Predecessor, WorkerLink
from cmw.link.worker_states import IGNORED, STATE_LIMITS, TRANSITIONS, Input, LinkState
from tests.link.world import TOKEN, Server, Store, World, drain, make_batch, make_link
from tests.support.ids import CountingIds


def opened(**settings: object) -> World:
    world = World(make_link(), **settings)  # type: ignore[arg-type]
    world.link.start(now=0)
    world.settle()
    assert world.link.is_open
    return world


class TestOpening:
    def test_hello_and_welcome_open_the_link(self) -> None:
        world = opened()
        assert world.of(events.LinkOpened) == [events.LinkOpened("w-1", "lab", 0)]
        assert world.server is not None
        hello = world.server.link.hello
        assert hello is not None
        assert (hello.session, hello.capacity, hello.host) == (world.link.session, 50, "lab-1")

    def test_the_upgrade_carries_path_token_session_and_offers_no_extension(self) -> None:
        world = opened()
        assert world.server is not None
        request = world.server.request
        assert request is not None
        headers = dict(request.extra_headers)
        assert request.target == "/link/v1"
        assert request.subprotocols == ["cmw.link.v1"]
        assert request.extensions == []
        assert headers[b"authorization"] == b"Bearer " + TOKEN.encode()
        assert headers[b"cmw-session"] == world.link.session.encode()

    @pytest.mark.parametrize("chunk", [0, 1, 7])
    def test_bytes_may_come_in_any_pieces(self, chunk: int) -> None:
        world = opened(chunk=chunk)
        world.link.report("event", "run-1", {"a": 1}, now=0)
        world.link.send_samples(make_batch(), now=0)
        world.settle()
        assert [seq for _, seq, _ in world.store.rows] == [1, 2]
        assert world.link.pending == 0

    def test_the_token_is_in_no_repr_event_or_error(self) -> None:
        world = opened(chunk=1)
        world.cut()
        world.status = 401
        world.run_until(100 * SECOND)
        seen = repr(world.link) + repr(world.events) + repr(world.store) + repr(world.link.spool)
        assert TOKEN not in seen
        bad = TOKEN + "\r\nX: y"
        with pytest.raises(LocalProtocolError) as caught:
            WorkerLink(host="h", token=bad, info=WorkerInfo(capacity=1), ids=CountingIds(), wall=WallClock(0, 0), now=0)
        assert TOKEN not in str(caught.value)

    def test_connect_is_illegal_when_nothing_was_asked_for(self) -> None:
        link = make_link()
        with pytest.raises(LocalProtocolError):
            link.connect(now=0)
        assert link.state is LinkState.IDLE


class TestRefusals:
    @pytest.mark.parametrize("refusal", list(Refusal))
    def test_http_status_gives_the_exact_text_and_one_try_a_minute(self, refusal: Refusal) -> None:
        world = World(make_link(), status=refusal.status)
        world.link.start(now=0)
        world.run_until(150 * SECOND)
        refused = world.of(events.LinkRefused)
        assert refused[0] == events.LinkRefused(refusal.status, refusal.message, 60 * SECOND)
        assert world.dials == [0, 60 * SECOND, 120 * SECOND]
        assert world.of(events.LinkLost) == []

    @pytest.mark.parametrize("refusal", list(Refusal))
    def test_close_code_gives_the_exact_text_and_one_try_a_minute(self, refusal: Refusal) -> None:
        world = opened()
        assert world.server is not None
        world.server.link.refuse(refusal, now=0)
        world.settle()
        assert world.of(events.LinkRefused) == [events.LinkRefused(refusal.close_code, refusal.message, 60 * SECOND)]
        assert world.link.close_expected

    def test_the_texts_are_the_pages(self) -> None:
        assert [refusal.message for refusal in Refusal] == [
            "authentication failed: invalid token",
            "authentication failed: worker disabled",
            "authentication failed: duplicate connection",
        ]

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_redirects_are_refused(self, status: int) -> None:
        world = World(make_link(), status=status)
        world.link.start(now=0)
        world.settle()
        (lost,) = world.of(events.LinkLost)
        assert isinstance(lost, events.LinkLost)
        assert lost.reason == f"redirect refused: HTTP {status}"

    @pytest.mark.parametrize("status", [200, 404, 429, 500, 503])
    def test_other_statuses_are_a_lost_link(self, status: int) -> None:
        world = World(make_link(), status=status)
        world.link.start(now=0)
        world.settle()
        (lost,) = world.of(events.LinkLost)
        assert isinstance(lost, events.LinkLost)
        assert str(status) in lost.reason


class TestReconnecting:
    def test_delays_double_to_thirty_seconds_with_jitter(self) -> None:
        link = make_link()  # CountingIds.unit() is 0.5
        link.start(now=0)
        delays = []
        now = 0
        for _ in range(7):
            assert isinstance(link.next_event(), events.ConnectDue)
            link.connect_failed("refused", now=now)
            lost = link.next_event()
            assert isinstance(lost, events.LinkLost)
            assert lost.retry_at is not None
            delays.append((lost.retry_at - now) // MILLISECOND)
            now = lost.retry_at
            link.handle_timeout(now=now)
        assert delays == [750, 1250, 2250, 4250, 8250, 15250, 15250]

    def test_back_off_begins_again_when_a_link_has_held(self) -> None:
        world = opened()
        world.run_until(31 * SECOND)
        world.cut()
        (lost,) = world.of(events.LinkLost) or drain(world.link)
        assert isinstance(lost, events.LinkLost)
        assert lost.retry_at == 31 * SECOND + 750 * MILLISECOND

    def test_back_off_goes_on_when_a_link_breaks_at_once(self) -> None:
        world = opened()
        for _ in range(4):
            world.cut()
            world.settle()
            world.run_until(world.now + 20 * SECOND)
        assert world.dials[1:4] == sorted(world.dials[1:4])
        assert world.dials[1] == 750 * MILLISECOND

    def test_what_was_not_acknowledged_is_sent_again_in_order(self) -> None:
        world = opened(commit=False)
        for number in range(5):
            world.link.report("endpoint", "run-1", {"n": number}, now=0)
        world.settle()
        world.cut()
        assert world.link.pending == 5
        world.commit = True
        world.run_until(5 * SECOND)
        assert [content for _, _, content in world.store.rows] == [{"n": n} for n in range(5)]
        assert world.link.pending == 0

    def test_what_was_committed_but_not_acknowledged_is_not_sent_again(self) -> None:
        world = opened(commit=False)
        world.link.report("endpoint", "run-1", {"n": 1}, now=0)
        world.settle()
        server = world.server
        world.cut()
        assert server is not None
        world.commit = True
        server.store.rows.append((world.link.session, 1, {"n": 1}))
        world.run_until(5 * SECOND)
        assert len(world.store.rows) == 1
        assert events.Acknowledged(1) in world.events
        assert world.server is not None
        assert world.server.link.duplicates == 0

    def test_reports_may_be_made_while_the_gateway_is_away(self) -> None:
        link = make_link()
        assert link.report("endpoint", "run-1", {}, now=0) == 1
        assert link.send_samples(make_batch(), now=0) == [2]
        world = World(link)
        link.start(now=0)
        world.settle()
        assert [seq for _, seq, _ in world.store.rows] == [1, 2]

    def test_dialling_that_takes_too_long_is_lost(self) -> None:
        link = make_link()
        link.start(now=0)
        drain(link)
        link.handle_timeout(now=15 * SECOND)
        (lost,) = drain(link)
        assert isinstance(lost, events.LinkLost)
        assert lost.reason == "dialling took too long"
        with pytest.raises(LocalProtocolError):
            link.connect(now=15 * SECOND)

    @pytest.mark.parametrize(("answer", "state"), [(b"", "upgrading"), (b"HTTP/1.1 101 ", "upgrading")])
    def test_a_silent_gateway_is_lost(self, answer: bytes, state: str) -> None:
        link = make_link()
        link.start(now=0)
        drain(link)
        link.connect(now=0)
        link.receive_data(answer, now=1)
        link.handle_timeout(now=10 * SECOND)
        (lost,) = drain(link)
        assert isinstance(lost, events.LinkLost)
        assert lost.reason == f"{state} took too long"


class TestHeartbeat:
    def test_every_fifteen_seconds_with_the_status(self) -> None:
        world = opened()
        world.link.update(WorkerStatus(capacity=40, endpoints=7, calls=3, loop_lag_ms=0.4))
        world.run_until(46 * SECOND)
        assert world.server is not None
        beats = [event for event in world.server.events if isinstance(event, events.HeartbeatReceived)]
        assert len(beats) == 5  # one more at once, for the capacity is another one
        assert beats[-1].heartbeat.load.endpoints == 7
        assert beats[-1].heartbeat.capacity == 40
        assert world.link.is_open

    def test_a_fault_is_told_at_once_and_once(self) -> None:
        world = opened()
        assert world.server is not None
        for at, fault in enumerate(("no room", "no room", ""), 1):
            world.link.update(WorkerStatus(capacity=50, fault=fault))
            world.run_until(at * SECOND)
        beats = [event.heartbeat for event in world.server.events if isinstance(event, events.HeartbeatReceived)]
        assert [beat.fault for beat in beats] == ["", "no room", ""]

    def test_another_capacity_is_told_at_once_and_once(self) -> None:
        world = opened()
        assert world.server is not None
        for at, capacity in enumerate((40, 40, 0), 1):
            world.link.update(WorkerStatus(capacity=capacity))
            world.run_until(at * SECOND)
        beats = [event.heartbeat for event in world.server.events if isinstance(event, events.HeartbeatReceived)]
        assert [beat.capacity for beat in beats[1:]] == [40, 0]

    def test_offset_of_the_gateways_clock(self) -> None:
        world = opened(offset_ns=250 * MILLISECOND)
        measured = world.of(events.ClockMeasured)
        assert measured == [events.ClockMeasured(250.0, 0.0)]

    @pytest.mark.parametrize("bad", [{"loop_lag_ms": float("nan")}, {"endpoints": -1}, {"runs": ("a b",)}])
    def test_a_status_that_no_message_holds_is_refused_before_any_change(self, bad: dict[str, object]) -> None:
        link = make_link()
        with pytest.raises(LocalProtocolError):
            link.update(WorkerStatus(capacity=1, **bad))  # type: ignore[arg-type]

    def test_silence_of_45_seconds_is_a_lost_link(self) -> None:
        world = opened()
        world.server = None  # the path is gone without a word
        world.link.handle_timeout(now=44 * SECOND)
        world.link.data_to_send()
        assert world.link.is_open
        world.link.handle_timeout(now=45 * SECOND)
        (lost,) = drain(world.link)
        assert isinstance(lost, events.LinkLost)
        assert lost.reason == "nothing heard for 45 s"
        assert world.link.close_expected

    def test_pings_alone_are_no_sign_of_life(self) -> None:
        world = opened()
        server = world.server
        assert server is not None
        for second in range(1, 50):
            world.link.handle_timeout(now=second * SECOND)
            world.link.data_to_send()
            server.ping(b"x")
            world.link.receive_data(server.data_to_send(), now=second * SECOND)
        assert not world.link.is_open

    def test_a_flood_of_pings_costs_one_pong(self) -> None:
        world = opened()
        assert world.server is not None
        for number in range(1000):
            world.server.ping(b"%d" % number)
        world.link.receive_data(world.server.data_to_send(), now=0)
        assert len(world.link.data_to_send()) == 2 + 4 + 3


class TestCommands:
    def test_accepted_done_and_forgotten(self) -> None:
        world = opened()
        assert world.server is not None
        world.server.link.send_command("c-1", "prepare_run", "run-1", {"share": {}}, now=0)
        world.settle()
        assert world.carried_out == ["c-1"]
        assert world.store.answers == [
            events.CommandWasAccepted("c-1"),
            events.CommandWasDone("c-1", {"did": "prepare_run"}),
        ]
        assert world.store.commands.outstanding() == []

    def test_one_that_comes_again_is_answered_again_but_not_carried_out_twice(self) -> None:
        world = opened()
        assert world.server is not None
        text = '{"type":"command","id":"c-1","name":"drain"}'
        world.server.say(text)
        world.server.say(text)
        world.settle()
        world.cut()
        world.run_until(5 * SECOND)
        world.server.say(text)
        world.settle()
        assert world.carried_out == ["c-1"]

    def test_outstanding_ones_come_again_after_a_reconnect(self) -> None:
        world = opened(answer_commands=False)
        assert world.server is not None
        world.server.link.send_command("c-1", "start_run", "run-1", now=0)
        world.settle()
        world.link.accept("c-1", now=0)
        world.cut()
        world.link.done("c-1", {"ok": True}, now=0)
        world.run_until(5 * SECOND)
        assert [type(answer) for answer in world.store.answers].count(events.CommandWasDone) == 1
        assert len(world.of(events.CommandReceived)) == 1

    def test_an_answer_given_offline_reaches_a_gateway_that_has_forgotten_the_command(self) -> None:
        world = opened(answer_commands=False)
        assert world.server is not None
        world.server.link.send_command("c-1", "start_run", "run-1", now=0)
        world.settle()
        world.cut()
        world.link.done("c-1", {"ok": True}, now=0)
        world.store.commands = type(world.store.commands)()
        world.run_until(5 * SECOND)
        assert world.store.answers == [events.CommandWasDone("c-1", {"ok": True})]

    def test_rejected(self) -> None:
        world = opened(answer_commands=False)
        assert world.server is not None
        world.server.link.send_command("c-1", "nonsense", now=0)
        world.settle()
        world.link.reject("c-1", "UNKNOWN_COMMAND", "no such command", now=0)
        world.settle()
        assert world.store.answers == [events.CommandWasRejected("c-1", "UNKNOWN_COMMAND", "no such command")]

    def test_too_many_at_a_time_are_rejected_as_busy(self) -> None:
        world = opened(answer_commands=False)
        assert world.server is not None
        for number in range(257):
            world.server.link.send_command(f"c-{number}", "drain", now=0)
        world.settle()
        assert [type(answer) for answer in world.store.answers] == [events.CommandWasRejected]

    @pytest.mark.parametrize("command_id", ["never-came", ""])
    def test_answering_what_never_came_is_refused(self, command_id: str) -> None:
        with pytest.raises(LocalProtocolError):
            opened().link.accept(command_id, now=0)


class TestReports:
    def test_what_is_no_json_is_refused_and_uses_no_number(self) -> None:
        link = make_link()
        for data in ({"a": float("nan")}, {"a": {1}}, {"a": "x" * MAX_TO_GATEWAY_BYTES}):
            with pytest.raises(LocalProtocolError):
                link.report("endpoint", "run-1", data, now=0)
        with pytest.raises(LocalProtocolError):
            link.report("gossip", "run-1", {}, now=0)
        assert link.report("endpoint", "run-1", {}, now=0) == 1

    def test_a_lone_surrogate_becomes_a_replacement_character(self) -> None:
        world = opened()
        world.link.report("endpoint", "run-1", {"reason": "a\udcffb"}, now=0)
        world.settle()
        assert world.store.rows[0][2] == {"reason": "a\ufffdb"}

    def test_a_big_batch_goes_in_parts(self) -> None:
        world = opened()
        numbers = world.link.send_samples(make_batch(endpoints=100_000), now=0)
        world.settle()
        assert len(numbers) > 1
        assert [seq for _, seq, _ in world.store.rows] == numbers

    def test_the_window_bounds_what_is_in_flight_and_heartbeats_pass(self) -> None:
        world = World(make_link(spool=Spool(window_bytes=10_000)), commit=False)
        for number in range(100):
            world.link.report("endpoint", "run-1", {"n": number, "x": "y" * 1000}, now=0)
        world.link.start(now=0)
        world.settle()
        assert world.server is not None
        arrived = [event for event in world.server.events if isinstance(event, events.ReportReceived)]
        assert 1 <= len(arrived) <= 10
        world.run_until(40 * SECOND)
        beats = [event for event in world.server.events if isinstance(event, events.HeartbeatReceived)]
        assert len(beats) == 3
        world.server.commit(now=world.now)
        world.settle()
        assert len(world.store.rows) == 100

    def test_a_hole_of_dropped_samples_is_no_obstacle_and_is_told(self) -> None:
        world = World(make_link(spool=Spool(max_bytes=3_000)))
        for second in range(50):
            world.link.send_samples(make_batch(second), now=0)
        world.link.report("endpoint", "run-1", {"outcome": "SUCCESS"}, now=0)
        world.link.start(now=0)
        world.settle()
        assert world.link.pending == 0
        assert world.store.rows[-1][1:] == (51, {"outcome": "SUCCESS"})
        assert 1 < len(world.store.rows) < 20
        assert world.server is not None
        assert world.server.link.hello is not None
        dropped = world.server.link.hello.dropped_samples
        assert dropped == 51 - len(world.store.rows) + 1
        assert world.store.rows[0][1:] == (
            1,
            {
                "kind": "spool_dropped",
                "sample_batches": dropped,
                "reports": 0,
                "first_second": 0,
                "last_second": dropped - 1,
            },
        )


def left_behind(*seqs: int, session: str = "e" * 32, acknowledged: int = 0) -> Predecessor:
    """Return what an earlier process left: one report for each number."""
    shelf = TextShelf({seq: f'{{"type":"report","seq":{seq},"kind":"event","data":{{"n":{seq}}}}}' for seq in seqs})
    entries = [Entry(seq, Worth.OUTCOME, None, 300, "run-1", None, (seq, 0, 0)) for seq in seqs]
    return Predecessor(session, Spool.restored(entries, acknowledged=acknowledged, shelf=shelf))


class TextShelf:
    def __init__(self, texts: dict[int, str]) -> None:
        self._texts = texts

    def read(self, place: Place) -> str:
        return self._texts[place[0]]


class TestPredecessors:
    """What an earlier process of this worker left comes first, under its own session."""

    def test_is_delivered_under_its_session_before_ours_begins(self) -> None:
        world = World(make_link(predecessors=[left_behind(3, 4), left_behind(9, session="f" * 32)]))
        world.store.rows.append(("e" * 32, 3, {"n": 3}))
        world.link.report("endpoint", "run-2", {"n": 1}, now=0)
        world.link.start(now=0)
        world.run_until(10 * SECOND)
        assert world.store.rows == [
            ("e" * 32, 3, {"n": 3}),
            ("e" * 32, 4, {"n": 4}),
            ("f" * 32, 9, {"n": 9}),
            (world.link.session, 1, {"n": 1}),
        ]
        assert world.of(events.EarlierReportsDelivered) == [
            events.EarlierReportsDelivered("e" * 32, 2),
            events.EarlierReportsDelivered("f" * 32, 1),
        ]
        assert len(world.of(events.LinkOpened)) == 1
        assert not world.of(events.LinkLost)
        assert world.dials == [0, SECOND // 2, SECOND]
        assert world.link.is_open
        assert world.link.pending == 0

    def test_says_whose_they_are_and_that_there_is_no_room_meanwhile(self) -> None:
        world = World(make_link(predecessors=[left_behind(1)]), commit=False)
        world.link.start(now=0)
        world.settle()
        assert world.server is not None
        hello = world.server.link.hello
        assert hello is not None
        assert (hello.session, hello.capacity, hello.runs) == ("e" * 32, 0, [])
        assert world.server.request is not None
        assert (b"cmw-session", b"e" * 32) in [(k.lower(), v) for k, v in world.server.request.extra_headers]
        assert not world.link.is_open
        assert world.link.pending == 1

    def test_commands_wait_for_our_own_session(self) -> None:
        world = World(make_link(predecessors=[left_behind(1)]), commit=False)
        world.store.commands.submit(Command(id="c-1", name="prepare_run", run_id="run-2", data={}))
        world.link.start(now=0)
        world.settle()
        assert world.carried_out == []
        assert world.server is not None
        world.commit = True
        world.server.commit(now=0)
        world.run_until(5 * SECOND)
        assert world.carried_out == ["c-1"]

    def test_survive_lost_connections_and_refusals(self) -> None:
        world = World(make_link(predecessors=[left_behind(1)]), commit=False)
        world.link.start(now=0)
        world.settle()
        world.cut()
        world.status = 503
        world.run_until(5 * SECOND)
        world.status, world.commit = 101, True
        world.run_until(60 * SECOND)
        assert world.store.rows == [("e" * 32, 1, {"n": 1})]
        assert world.link.is_open

    def test_are_given_up_when_the_gateway_closes_over_them_three_times(self) -> None:
        world = World(make_link(predecessors=[left_behind(1, 2)]), commit=False)
        world.link.start(now=0)
        for _ in range(3):
            world.settle()
            assert world.server is not None
            world.server.link.end(CloseCode.INVALID_DATA, "torn", now=world.now)
            world.server.drain(world.now)
            world.run_until(world.now + 10 * SECOND)
        assert world.of(events.EarlierReportsAbandoned) == [
            events.EarlierReportsAbandoned("e" * 32, 2, "closed by the gateway: 1007 torn")
        ]
        assert world.link.is_open

    def test_close_ends_while_they_are_delivered(self) -> None:
        world = World(make_link(predecessors=[left_behind(1)]), commit=False)
        world.link.start(now=0)
        world.settle()
        world.link.close(now=0)
        world.run_until(10 * SECOND)
        assert world.link.state is LinkState.CLOSED
        assert world.link.pending == 1


class TestRetryAfter:
    @pytest.mark.parametrize("status", [429, 503])
    def test_is_honoured_on_top_of_the_back_off(self, status: int) -> None:
        world = World(make_link(), status=status, retry_after="7")
        world.link.start(now=0)
        world.run_until(60 * SECOND)
        assert all(later - sooner >= 7.5 * SECOND for sooner, later in pairwise(world.dials))

    def test_a_date_counts_from_the_wall_clock(self) -> None:
        world = World(make_link(), status=503, retry_after="Tue, 14 Nov 2023 22:13:30 GMT")  # UNIX_NS + 10 s
        world.link.start(now=0)
        world.run_until(30 * SECOND)
        assert 10.5 * SECOND <= world.dials[1] <= 11 * SECOND

    def test_is_not_believed_beyond_five_minutes(self) -> None:
        world = World(make_link(), status=503, retry_after="99999")
        world.link.start(now=0)
        world.run_until(400 * SECOND)
        assert 300 * SECOND < world.dials[1] <= 301 * SECOND

    @pytest.mark.parametrize("text", ["", "soon", "-5", "1.5", "Tue, 14 Nov 2023 22:13:30 +0000", "٣"])
    def test_nonsense_changes_nothing(self, text: str) -> None:
        world = World(make_link(), status=503, retry_after=text)
        world.link.start(now=0)
        world.run_until(SECOND)
        assert world.dials[1] <= SECOND

    def test_is_ignored_with_another_status(self) -> None:
        world = World(make_link(), status=500, retry_after="100")
        world.link.start(now=0)
        world.run_until(SECOND)
        assert len(world.dials) > 1


class TestHostileGateway:
    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("not json", CloseCode.INVALID_DATA),
            ("[]", CloseCode.INVALID_DATA),
            ('{"type":"ack","seq":NaN}', CloseCode.INVALID_DATA),
            ('{"type":"ack","seq":1,"seq":1}', CloseCode.INVALID_DATA),
            ('{"type":"ack","seq":"1"}', CloseCode.INVALID_DATA),
            ('{"type":"ack","seq":-1}', CloseCode.INVALID_DATA),
            ('{"type":"command","id":"a","name":"b","data":' + "[" * 40 + "]" * 40 + "}", CloseCode.INVALID_DATA),
            ('{"type":"ack","seq":1}', CloseCode.POLICY_VIOLATION),
            (
                '{"type":"welcome","protocol":1,"worker_id":"w","name":"n","acknowledged":0}',
                CloseCode.POLICY_VIOLATION,
            ),
        ],
    )
    def test_is_closed_with_the_right_code(self, text: str, code: CloseCode) -> None:
        world = opened()
        server = world.server
        assert server is not None
        server.say(text)
        world.settle()
        assert server.closed_by_worker == code
        assert len(world.of(events.LinkLost)) == 1

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            (b"\x82\x01x", CloseCode.UNSUPPORTED_DATA),
            (b"\x81\x01\xff", CloseCode.INVALID_DATA),
            (b"\x81\x81abcdx", CloseCode.PROTOCOL_ERROR),
            (b"\xc1\x01x", CloseCode.PROTOCOL_ERROR),
            (b"\x83\x01x", CloseCode.PROTOCOL_ERROR),
            (b"\x80\x01x", CloseCode.PROTOCOL_ERROR),
            (b"\x01\x01{\x81\x01}", CloseCode.PROTOCOL_ERROR),
            (b"\x09\x01x", CloseCode.PROTOCOL_ERROR),
            (b"\x89\x7e\x00\x80" + b"x" * 128, CloseCode.PROTOCOL_ERROR),
        ],
    )
    @pytest.mark.parametrize("chunk", [0, 1])
    def test_broken_frames_are_closed_with_the_right_code(self, frame: bytes, code: CloseCode, chunk: int) -> None:
        world = opened(chunk=chunk)
        server = world.server
        assert server is not None
        server.raw(frame)
        world.settle()
        assert server.closed_by_worker == code

    def test_a_message_above_the_limit_is_closed_as_too_big(self) -> None:
        world = opened()
        server = world.server
        assert server is not None
        server.raw(b"\x01\x7f" + (MAX_TO_WORKER_BYTES // 2).to_bytes(8, "big") + b" " * (MAX_TO_WORKER_BYTES // 2))
        server.raw(b"\x80\x7f" + (MAX_TO_WORKER_BYTES).to_bytes(8, "big") + b" " * MAX_TO_WORKER_BYTES)
        world.settle()
        assert server.closed_by_worker == CloseCode.TOO_BIG

    def test_unknown_types_are_answered_with_an_error_a_hundred_times(self) -> None:
        world = opened()
        server = world.server
        assert server is not None
        for _ in range(100):
            server.say('{"type":"weather"}')
        world.settle()
        errors = [event for event in server.events if isinstance(event, events.ErrorReceived)]
        assert len(errors) == 100
        assert errors[0].code == "UNKNOWN_TYPE"
        server.say('{"type":"weather"}')
        world.settle()
        assert server.closed_by_worker == CloseCode.POLICY_VIOLATION

    def test_unknown_fields_are_ignored(self) -> None:
        world = opened()
        assert world.server is not None
        world.server.say('{"type":"command","id":"c-1","name":"drain","colour":"blue"}')
        world.settle()
        assert world.carried_out == ["c-1"]

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\n\r\n",
            b"\x00" * 100,
            b"x" * 100_000,
            b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: \xff\r\n\r\n",
        ],
    )
    def test_nonsense_instead_of_an_upgrade_is_a_lost_link(self, answer: bytes) -> None:
        link = make_link()
        link.start(now=0)
        drain(link)
        link.connect(now=0)
        link.data_to_send()
        link.receive_data(answer, now=1)
        assert [type(event) for event in drain(link)] == [events.LinkLost]
        assert link.close_expected

    def test_a_gateway_that_takes_nothing_cannot_fill_our_memory(self) -> None:
        world = opened()
        server = world.server
        assert server is not None
        result = {"x": "y" * 900_000}
        for number in range(20):
            server.say(f'{{"type":"command","id":"c-{number}","name":"drain"}}')
            world.link.receive_data(server.data_to_send(), now=0)
            for event in drain(world.link):
                if isinstance(event, events.CommandReceived):
                    world.link.done(event.id, result, now=0)
        assert not world.link.is_open


class TestClosing:
    def test_close_says_goodbye_and_does_not_come_back(self) -> None:
        world = opened()
        server = world.server
        assert server is not None
        world.link.close(now=0)
        world.settle()
        assert server.closed_by_worker == CloseCode.GOING_AWAY
        assert world.of(events.LinkClosed) == [events.LinkClosed()]
        assert world.link.next_timeout() is None
        assert world.link.state is LinkState.CLOSED

    def test_close_does_not_wait_for_ever(self) -> None:
        world = opened()
        world.server = None
        world.link.close(now=0)
        world.link.data_to_send()
        world.link.handle_timeout(now=5 * SECOND)
        assert drain(world.link) == [events.LinkClosed()]
        assert world.link.close_expected

    @pytest.mark.parametrize("state", list(LinkState))
    def test_close_ends_every_state(self, state: LinkState) -> None:
        link = make_link()
        link.state = state
        link.close(now=0)
        assert link.state in (LinkState.CLOSING, LinkState.CLOSED)


class TestTable:
    """(state, input) pairs that can come about have a row; the others are refused as commands."""

    ILLEGAL: ClassVar[dict[Input, set[LinkState]]] = {
        Input.START: set(LinkState) - {LinkState.IDLE},
        Input.CONNECTED: set(LinkState) - {LinkState.DIALLING},
        Input.DIAL_DUE: set(LinkState) - {LinkState.WAITING},
        Input.UPGRADED: set(LinkState) - {LinkState.UPGRADING},
        Input.WELCOMED: set(LinkState) - {LinkState.GREETING},
        Input.LOST: {LinkState.IDLE, LinkState.WAITING},
        Input.REFUSED: {LinkState.IDLE, LinkState.WAITING, LinkState.DIALLING},
        Input.HANDED_OVER: set(LinkState) - {LinkState.OPEN},
        Input.CLOSE: set(),
    }

    @pytest.mark.parametrize("state", list(LinkState))
    @pytest.mark.parametrize("given", list(Input))
    def test_is_total(self, state: LinkState, given: Input) -> None:
        places = ((state, given) in TRANSITIONS, (state, given) in IGNORED, state in self.ILLEGAL[given])
        assert sum(places) == 1

    def test_every_state_reaches_the_end(self) -> None:
        reaching = {LinkState.CLOSED}
        for _ in LinkState:
            reaching |= {state for (state, _), (target, _) in TRANSITIONS.items() if target in reaching}
        assert reaching == set(LinkState)

    def test_states_with_a_peer_to_wait_for_have_a_limit(self) -> None:
        assert set(STATE_LIMITS) == {LinkState.DIALLING, LinkState.UPGRADING, LinkState.GREETING, LinkState.CLOSING}


def test_a_server_that_speaks_another_version_is_left() -> None:
    link = make_link()
    link.start(now=0)
    drain(link)
    link.connect(now=0)
    server = Server(Store(), now=0)
    server.link.welcome = lambda **_: server.link._frames.append(  # type: ignore[method-assign]
        '{"type":"welcome","protocol":2,"worker_id":"w","name":"n","acknowledged":0}'
    )
    for _ in range(3):
        server.receive_data(link.data_to_send(), now=0)
        link.receive_data(server.data_to_send(), now=0)
    server.receive_data(link.data_to_send(), now=0)
    assert server.closed_by_worker == CloseCode.UNSUPPORTED_PROTOCOL
