"""A served record with many clients, some of which misbehave; and recording it again."""

import asyncio
import gc
import json
import signal
import socket
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import urllib3
import websocket

from recorder.clock import NS_PER_S, utc_text
from recorder.errors import DatabaseError
from recorder.live.recording import Recording
from recorder.model import AccountUpdate
from recorder.read.record import Record
from recorder.read.replay.events import Event
from recorder.read.replay.frames import ROWS_FIRST
from recorder.replay.serving import Serving, ServingOptions
from recorder.replay.serving.feed import BYTES_MAX
from recorder.replay.serving.portal import ANSWERERS
from recorder.replay.serving.rest import RecordedAccount
from recorder.simulator import Simulator, SimulatorOptions
from recorder.venues.bybit import sign as bybit_sign
from recorder.venues.fmex import rest
from recorder.venues.fmex.portal import ping
from recorder.venues.rest import Credentials
from recorder.wire.server import SETTLE_S
from recorder.wire.server import ClientConnection as Connected
from tests.client import PATIENCE_S, Client, fetch, http_error, now_ms
from tests.contract.scribe import Heard, Scribe, Story
from tests.faults.live import account_at
from tests.integration.process import Folder, Process
from tests.integration.test_hostile_frames import GOOD, HOSTILE
from tests.waiting import wait_until

CLIENTS = 20
#: As large as pushes never are: the kernel's buffers are full after a few hundred.
LARGE_BYTES = 40_000


class Large(Story):
    """Pushes padded with blanks."""

    def __init__(self, pushes: int) -> None:
        super().__init__(3, pushes)
        self.payloads = [payload.ljust(LARGE_BYTES) for payload in self.payloads]


def write(story: Story, folder: Path, sqlite_template: Path) -> str:
    """The address of a complete record of it."""
    scribe = Scribe(folder / "recorder.db", sqlite_template)
    scribe.write(story, Heard(0, len(story.payloads), end="stopped"))
    scribe.engine.dispose()
    return scribe.url


@pytest.fixture(scope="module")
def large(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[bytes]]:
    """A record of large pushes: its address, and the pushes."""
    story = Large(1_000)
    return write(story, tmp_path_factory.mktemp("large"), sqlite_template), story.payloads


def client(serving: Serving, number: int = 0, **options: object) -> Client:
    who = Credentials(key=f"main/{number}", secret=serving.options.secret)
    return Client(serving.url, who, **options)  # type: ignore[arg-type]


#: A client's window is so small that what it does not read waits at the other end.
SMALL_WINDOW = ((socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),)


# Many at once.


class Seen(NamedTuple):
    """The pushes that a client received, and when by the monotonic clock."""

    speed: float
    #: Nothing was asked for before.
    began_s: float
    payloads: list[bytes]
    at_s: list[float]


class Watcher(threading.Thread):
    """A client that reads everything it is sent."""

    def __init__(self, one: Client, speed: float, began_s: float, count: int) -> None:
        super().__init__()
        self._client = one
        self._count = count
        self.seen = Seen(speed, began_s, [], [])

    def run(self) -> None:
        for _ in range(self._count):
            self.seen.payloads.append(self._client.receive())
            self.seen.at_s.append(time.monotonic())


def test_twenty_clients_get_all_pushes_in_order_each_at_its_own_pace(tmp_path: Path, sqlite_template: Path) -> None:
    story = Story(4, 200, step_ns=NS_PER_S // 100, pauses={100: NS_PER_S // 2})
    url = write(story, tmp_path, sqlite_template)
    speeds = [1.0 + number % 4 for number in range(CLIENTS)]
    with ExitStack() as stack:
        serving = stack.enter_context(Serving(url, ServingOptions()))
        watchers = []
        for number, speed in enumerate(speeds):
            began_s = time.monotonic()
            one = stack.enter_context(client(serving, number, more=f"&speed={speed}")).subscribe()
            watchers.append(Watcher(one, speed, began_s, 200))
            watchers[-1].start()
        assert len(serving.status().clients) == CLIENTS
        for watcher in watchers:
            watcher.join(PATIENCE_S * 3)
        serving.wait_finished(CLIENTS, PATIENCE_S)
    late_s = []
    for speed, began_s, payloads, at_s in (watcher.seen for watcher in watchers):
        assert payloads == story.payloads
        for number, came_s in enumerate(at_s):
            due_s = (story.at_ns(number) - story.at_ns(0)) / NS_PER_S / speed
            assert came_s >= began_s + due_s, "none too early"
            late_s.append(came_s - at_s[0] - due_s)
    assert abs(statistics.median(late_s)) < 0.25, "at the pace of the record"


def test_a_client_that_does_not_read_delays_no_other(large: tuple[str, list[bytes]]) -> None:
    url, payloads = large
    with Serving(url, ServingOptions(speed=None)) as serving, ExitStack() as stack:
        deaf = [stack.enter_context(client(serving, number, sockopt=SMALL_WINDOW)).subscribe() for number in range(3)]
        for number in range(3, 6):
            with client(serving, number).subscribe() as reads:
                assert reads.take(len(payloads)) == payloads
        portal = serving._running.server
        waiting_bytes = serving._running.call(lambda: [line.waiting_bytes for line in portal._feeds])[: len(deaf)]
        assert all(0 < one <= BYTES_MAX + LARGE_BYTES for one in waiting_bytes)
        assert [one for one, _, _ in serving.status().clients[:3]] == [1, 2, 3], "they are still there"
        for one in deaf:  # and nothing is lost, should they wake up
            assert one.take(len(payloads)) == payloads


def test_a_client_that_never_reads_is_disconnected(
    large: tuple[str, list[bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    url, payloads = large
    with (
        Serving(url, ServingOptions(speed=None, patience_s=0.3)) as serving,
        client(serving, sockopt=SMALL_WINDOW).subscribe() as deaf,
    ):
        portal = serving._running.server
        serving._running.wait(lambda: not portal._feeds, PATIENCE_S, "it to be gone")
        assert "client 1 has read nothing for 0.3 s and is disconnected" in caplog.text
        with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
            deaf.take(len(payloads))
        assert deaf.frames[2:] == payloads[: len(deaf.frames) - 2], "what came was in order"


def test_a_client_that_reads_slowly_stays_connected(large: tuple[str, list[bytes]]) -> None:
    url, payloads = large
    with (
        Serving(url, ServingOptions(speed=None, patience_s=4.0)) as serving,
        client(serving, sockopt=SMALL_WINDOW).subscribe() as slow,
    ):
        began_s = time.monotonic()
        for _ in range(70):  # what is held for it lasts longer than patience
            slow.take(1)
            time.sleep(0.1)
        slow.take(len(payloads) - 70)
        assert time.monotonic() - began_s > 7.0
        assert slow.frames[2:] == payloads


def test_a_client_that_keeps_sending_gets_all_pushes(large: tuple[str, list[bytes]]) -> None:
    url, payloads = large
    with Serving(url, ServingOptions(speed=None)) as serving, client(serving).subscribe() as one:
        del one.frames[:]
        until_s = time.monotonic() + PATIENCE_S
        while len(one.frames) < len(payloads) and time.monotonic() < until_s:
            one.socket.send(ping(now_ms(), "p"))  # the next as soon as one is answered: it is never silent
            while json.loads(one.receive())["type"] != "ping":
                pass
            del one.frames[-1]
    assert one.frames == payloads


def test_clients_come_and_go(large: tuple[str, list[bytes]]) -> None:
    url, payloads = large
    with Serving(url, ServingOptions(speed=None)) as serving:
        for number in range(30):
            with client(serving).subscribe() as one:
                assert one.take(3) == payloads[:3]
                if number % 3 == 0:
                    one.socket.send_close()
        with client(serving).subscribe() as one:
            assert one.take(len(payloads)) == payloads
        portal = serving._running.server
        serving._running.wait(lambda: not portal._feeds, PATIENCE_S, "all to be gone")
        assert serving.status().clients == ()
        assert serving.status().frames >= 30 * 3 + len(payloads)
        gc.collect()
        assert sum(issubclass(type(one), Connected | asyncio.Transport) for one in gc.get_objects()) < 8, (
            "and nobody keeps them"
        )


def test_a_request_is_refused_if_the_record_cannot_be_read(
    large: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_self: RecordedAccount) -> Iterator[AccountUpdate]:
        raise DatabaseError("The disk is gone: look for it.")

    with Serving(large[0], ServingOptions()) as serving:
        request = rest.accounts(serving.url, Credentials(key="main", secret=serving.options.secret), now_ms())
        with monkeypatch.context() as broken, http_error(503) as refused:
            broken.setattr(RecordedAccount, "balances", failing)
            fetch(request)
        assert refused["body"]["msg"] == "The disk is gone: look for it."
        assert b'"status":0' in fetch(request)


def test_the_positions_of_old_keys_are_forgotten(
    large: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.replay.serving.portal.KEYS_MAX", 2)
    with Serving(large[0], ServingOptions()) as serving:
        for number in (0, 1, 0, 2):  # the newest are remembered
            with client(serving, number) as one:
                assert one.answer()["type"] == "hello"
        assert list(serving._running.server._positions) == ["main/0", "main/2"]


def test_a_client_without_pings_is_disconnected(large: tuple[str, list[bytes]]) -> None:
    url, payloads = large
    with (
        Serving(url, ServingOptions(speed=None, ping_timeout_s=5.0)) as serving,
        client(serving).subscribe() as silent,
    ):
        silent.take(len(payloads))
        with pytest.raises(websocket.WebSocketConnectionClosedException, match="1008"):
            silent.receive()


def test_a_client_is_disconnected_with_a_reason_if_the_record_can_no_longer_be_read(
    large: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url, payloads = large
    replay = Record.replay
    broken = iter([False, True, False])  # the first is asked for what it refuses, before anybody comes

    def breaking(events: Iterator[Event]) -> Iterator[Event]:
        for number, event in enumerate(events):
            if number == 100:
                raise DatabaseError("The disk is gone: look for it.")
            yield event

    def replaying(self: Record, *arguments: object, **options: object) -> Iterator[Event]:
        events = replay(self, *arguments, **options)  # type: ignore[arg-type]
        return breaking(events) if next(broken) else events

    monkeypatch.setattr(Record, "replay", replaying)
    with Serving(url, ServingOptions(speed=None)) as serving:
        with (
            client(serving).subscribe() as one,
            pytest.raises(websocket.WebSocketConnectionClosedException, match="1011"),
        ):
            one.take(len(payloads))
        assert "client 1: The disk is gone: look for it." in caplog.text
        with client(serving).subscribe() as another:
            assert another.take(len(payloads)) == payloads


def test_a_malformed_request_affects_no_other_client(large: tuple[str, list[bytes]]) -> None:
    with Serving(large[0], ServingOptions()) as serving:
        host, port = serving.options.host, serving._running.server.port
        for lines, status in [
            (b"Host: a\r\nHost: b", b"400"),
            (b"Host: \xc3\xa9", b"401"),
            (b"Host: a\r\nFC-ACCESS-KEY: a\r\nFC-ACCESS-KEY: b", b"400"),
            (b"Host: a\r\nFC-ACCESS-KEY: \xc3\xa9", b"401"),
        ]:
            with socket.create_connection((host, port), PATIENCE_S) as one:
                one.sendall(b"GET /v3/contracts/orders/open HTTP/1.1\r\n" + lines + b"\r\n\r\n")
                assert one.recv(4096).split()[1] == status
        assert serving.status().clients == ()


@pytest.mark.parametrize("come", ["asks before", "asks with it", "connects with it"])
def test_stopping_waits_for_no_client(
    large: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch, come: str
) -> None:
    asked, answers = threading.Semaphore(0), threading.Event()

    def slow(_self: RecordedAccount) -> Iterator[AccountUpdate]:
        asked.release()
        answers.wait(PATIENCE_S)
        return iter(())

    monkeypatch.setattr(RecordedAccount, "balances", slow)
    with Serving(large[0], ServingOptions()) as serving, ExitStack() as stack:
        address = serving.options.host, serving._running.server.port
        clients: list[socket.socket] = []

        def connect() -> None:
            clients.extend(stack.enter_context(socket.create_connection(address)) for _ in range(3 * ANSWERERS))

        def ask() -> None:
            for client in clients:
                request = rest.accounts(serving.url, Credentials(key="main", secret=serving.options.secret), now_ms())
                head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
                host, _, path = request.url.removeprefix("http://").partition("/")
                client.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n".encode())

        def with_the_end(come: Callable[[], None], turns: int) -> None:
            """A new connection is noticed in the next turn of the event loop, after stopping has begun."""
            come()
            end_after(turns)

        def end_after(turns: int) -> None:
            then = partial(end_after, turns - 1) if turns > 1 else serving._running.server.stop
            asyncio.get_running_loop().call_soon(then)

        if come == "connects with it":
            # Accepted in the first turn, a connection in the third: in between is the end.
            serving._running.call(partial(with_the_end, connect, 2))
        else:
            connect()
            fetch(rest.server_time(serving.url))  # who came before this is in by now
            if come == "asks with it":
                serving._running.call(partial(with_the_end, ask, 1))
            else:
                ask()
                for _ in range(ANSWERERS):
                    assert asked.acquire(timeout=PATIENCE_S)
        began_s = time.monotonic()
        serving.close()
        took_s = time.monotonic() - began_s
    answers.set()
    assert took_s < PATIENCE_S / 2


# Records of other exchanges.


def record_simulated(venue: str, path: Path) -> str:
    """The address of a record of a simulated account."""
    url = f"sqlite:///{path / 'recorder.db'}"
    options = SimulatorOptions(venue=venue, pushes=100, rate_per_s=200, live_clock=True, funding_interval_s=0.05)
    with Simulator(options) as exchange, Recording(url, [account_at(exchange)]) as recording:
        exchange.wait_finished(PATIENCE_S)
        wait_until(lambda: rows_of(url, "SELECT 1 FROM transactions WHERE transaction_id IS NOT NULL"))
        wait_until(lambda: not recording.state().frames_waiting)
    return url


def rows_of(url: str, query: str) -> list[Any]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        return database.execute(query).fetchall()


def pushes_of(url: str, *topics: str) -> list[Any]:
    """The recorded pushes of topics."""
    rows = rows_of(url, "SELECT topic, payload FROM frames WHERE source = 'push' AND status = 'decoded'")
    return [json.loads(payload) for topic, payload in rows if topic in topics]


def test_a_record_of_hyperliquid_is_served_under_the_address_of_its_account(tmp_path: Path) -> None:
    url = record_simulated("hyperliquid", tmp_path)
    fills, states = pushes_of(url, "userFills"), pushes_of(url, "allDexsClearinghouseState")
    with Serving(url, ServingOptions(speed=None)) as serving:
        name, address = serving.keys
        assert (name, len(address)) == ("main", 42)
        follower = websocket.create_connection(f"{serving.url.replace('http', 'ws')}/ws", timeout=PATIENCE_S)
        with closing(follower):
            for user, kind in ((f"0x{'0' * 40}", "userFills"), (address, "userFills"), (address, "clearinghouseState")):
                follower.send(json.dumps({"method": "subscribe", "subscription": {"type": kind, "user": user}}))
            heard = [json.loads(follower.recv()) for _ in range(3 + len(fills) + len(states))]
            # Nobody has recorded the first account.
            assert [one["channel"] for one in heard[:3]] == ["error", *["subscriptionResponse"] * 2]
            assert [one for one in heard if one["channel"] == "userFills"] == fills
            single = [one["data"]["clearinghouseState"] for one in heard if one["channel"] == "clearinghouseState"]
            assert single == [one["data"]["clearinghouseStates"][0][1] for one in states]
            serving.wait_finished(timeout_s=PATIENCE_S)

            def ask(kind: str, **more: object) -> Any:
                body = {"type": kind, "user": address, **more}
                return urllib3.request("POST", f"{serving.url}/info", json=body).json()

            assert ask("clearinghouseState")["assetPositions"] == single[-1]["assetPositions"]
            payments = [one for frame in pushes_of(url, "userFundings") for one in frame["data"]["fundings"]]
            listed = [{"time": one["time"], **one["delta"]} for one in ask("userFunding", startTime=0)]
            assert [{**one, "type": "funding"} for one in payments] == listed
            # The first snapshot has several rows in one frame.
            deposits = [
                one["delta"]
                for frame in pushes_of(url, "userNonFundingLedgerUpdates")
                for one in frame["data"]["nonFundingLedgerUpdates"]
            ]
            assert len(deposits) > 2
            assert [one["delta"] for one in ask("userNonFundingLedgerUpdates", startTime=0)] == deposits


def test_a_record_of_bybit_is_served_with_its_ledger_apart_from_its_executions(tmp_path: Path) -> None:
    url = record_simulated("bybit", tmp_path)
    executions = pushes_of(url, "execution")
    assert {one["data"][0]["execType"] for one in executions} == {"Trade", "Funding"}
    with Serving(url, ServingOptions(speed=None)) as serving:
        secret = serving.options.secret
        follower = websocket.create_connection(f"{serving.url.replace('http', 'ws')}/v5/private", timeout=PATIENCE_S)
        with closing(follower):
            expires = str(now_ms() + 10_000)
            signed = bybit_sign.signature(secret, f"GET/realtime{expires}")
            commands = {"auth": ["main", expires, signed], "subscribe": ["execution"]}
            for number, (op, args) in enumerate(commands.items()):
                follower.send(json.dumps({"req_id": number, "op": op, "args": args}))
                assert json.loads(follower.recv()).items() >= {"op": op, "req_id": str(number), "success": True}.items()
            assert [json.loads(follower.recv()) for _ in executions] == executions
            serving.wait_finished(timeout_s=PATIENCE_S)
            query = "accountType=UNIFIED&limit=50"
            address = f"{serving.url}/v5/account/transaction-log?{query}"
            answer = urllib3.request("GET", address, headers=bybit_sign.headers("main", secret, query, now_ms())).json()
            assert answer["result"]["list"]
            assert all("transactionTime" in one for one in answer["result"]["list"])


# As processes.


def served(folder: Folder, *arguments: str) -> tuple[Process, str]:
    """`recorder serve`, and the address it prints."""
    process = Process(folder, "serve", "--port", "0", *arguments, show=True)
    process.wait_for("Serving the record at ")
    return process, process.errors.partition("Serving the record at ")[2].partition(" ")[0]


def test_recording_a_served_record_gives_the_same_pushes(folder: Folder, tmp_path: Path) -> None:
    with Simulator(SimulatorOptions(pushes=3_000, symbols=("btcusd_p", "ethusd_p"))) as exchange:
        folder.configure(exchange, symbols=("btcusd_p", "ethusd_p"))
        with folder.run() as process:
            process.wait_for("covered")
            for number, hostile in enumerate(HOSTILE.values()):
                exchange.push(hostile)
                exchange.push(GOOD % number)
            folder.finish(process, exchange)
    copy = Folder(tmp_path / "copy")
    copy.path.mkdir()
    process, url = served(folder, "--speed", "max")
    with process:
        copy.env = {"KEY": "main", "SECRET": "replay-secret"}
        copy.write(
            f'[accounts.main]\nvenue = "fmex"\nurl = "{url}"\nkey = "env:KEY"\nsecret = "env:SECRET"\n'
            'symbols = ["btcusd_p", "ethusd_p"]\n'
        )
        with copy.run("--stop-when-idle", "4s") as recording:
            assert recording.wait() == 0, recording.errors
        assert "reconciled" in recording.errors
        code, took_s = process.stop(signal.SIGINT)
    assert code == 0, process.errors
    assert took_s < PATIENCE_S
    pushes = "SELECT topic, status, error, payload FROM frames WHERE source = 'push' AND status <> 'control'"
    pushes += " AND topic IS NOT 'ping' ORDER BY session_id, seq"
    assert copy.rows(pushes) == folder.rows(pushes)
    assert len(copy.rows(pushes)) == 3_000 + 2 * len(HOSTILE)
    states = "SELECT event_ms, order_id, status, filled_quantity, fee, extra FROM order_updates"
    states += " WHERE event_ms IS NOT NULL ORDER BY session_id, seq"
    assert copy.rows(states) == folder.rows(states)
    assert copy.rows("SELECT * FROM discrepancies") == []


@pytest.mark.long
def test_memory_stays_flat_while_clients_do_not_read(sqlite_template: Path, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    write(Large(2_000), tmp_path, sqlite_template)
    process, url = served(folder, "--speed", "max", "--patience", "1m")
    with process, ExitStack() as stack:
        who = Credentials(key="main", secret="replay-secret")
        with Client(url, who).subscribe() as one:
            one.take(2_000)
        before_bytes = process.peak_bytes()
        for _ in range(CLIENTS):
            deaf = stack.enter_context(Client(url, who, sockopt=SMALL_WINDOW)).subscribe()
            deaf.take(1)
        with Client(url, who).subscribe() as one:
            one.take(2_000)
        # Of each, the frames read at a time, once more on their way, and a connection to the database, for which SQLite
        # keeps the schema: less than 1 MB. All of what they do not read were 1.6 GB.
        assert process.peak_bytes() - before_bytes < CLIENTS * 3 * ROWS_FIRST * LARGE_BYTES
        assert process.stop()[0] == 0


@pytest.mark.parametrize(
    "arguments", [["--since", "2030-01-01"], ["--account", "nobody"], ["--database", "sqlite:///no.db"]]
)
def test_an_error_of_the_command_is_one_sentence(sqlite_template: Path, tmp_path: Path, arguments: list[str]) -> None:
    folder = Folder(tmp_path)
    write(Story(1, 10), tmp_path, sqlite_template)
    ended = folder.command("serve", "--port", "0", *arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1, ended.stderr


def test_a_taken_port_a_record_with_gaps_and_an_empty_record_are_refused(sqlite_template: Path, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    story = Story(1, 20)
    scribe = Scribe(tmp_path / "recorder.db", sqlite_template)
    scribe.write(story, Heard(0, 10), Heard(12, 20, end="stopped"))
    scribe.engine.dispose()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = folder.command("serve", "--port", str(port))
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "check --host and --port" in ended.stderr
    ended = folder.command("serve", "--port", "0", "--require-complete")
    assert ended.returncode == 1
    assert "Pushes may have been missed" in ended.stderr
    ended = folder.command("serve", "--port", "0", "--database", f"sqlite:///{sqlite_template}")
    assert ended.returncode == 2
    assert "record something first" in ended.stderr


def test_the_terminal_or_the_log_shows_the_position_of_each_client(sqlite_template: Path, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    story = Story(1, 20, pauses={10: 3_600 * NS_PER_S})
    write(story, tmp_path, sqlite_template)
    process, url = served(folder)
    with process:
        with Client(url, Credentials(key="main", secret="replay-secret")).subscribe() as one:
            assert one.take(10) == story.payloads[:10]
            assert one.say(ping(now_ms(), "p"))["type"] == "ping"  # in the middle of the pause
            time.sleep(3 * SETTLE_S)
        process.wait_for("client 1: disconnected at 2020-02-04 07:40:53.671 UTC, after 10 pushes")
        assert process.errors.count("client 1: replays main from the beginning, at 1 times the pace") == 1
        assert process.stop()[0] == 0


def test_a_replay_can_start_within_a_session(sqlite_template: Path, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    story = Story(1, 20, pauses={10: 3_600 * NS_PER_S})
    write(story, tmp_path, sqlite_template)
    since = utc_text(story.before(10)).replace(" ", "T")
    ended = folder.command("replay", "--since", since, "--speed", "1")  # and not an hour later
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count('"event":"frame"') == 10
