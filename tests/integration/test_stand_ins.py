"""What a venue's stand-in can do, on real sockets, with a made-up venue."""

import json
from collections.abc import Iterator
from typing import Any, Self

import pytest
import urllib3
import websocket

from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import deaf, expired, invalid_topics, refusing, silent, swallowing
from recorder.venues import VENUES
from tests.client import PATIENCE_S
from tests.plain import BAN_MS, HISTORY_WEIGHT, WEIGHT_MAX
from tests.waiting import wait_until

KEY, SECRET = "plain-key", "plain-secret"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VENUES, "plain", "tests.plain:Plain")


class Line:
    """A client of a push endpoint."""

    def __init__(self, simulator: Simulator, path: str = "/private") -> None:
        address = f"ws://127.0.0.1:{simulator.port}{path}"
        self.socket = websocket.create_connection(address, timeout=PATIENCE_S, skip_utf8_validation=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.shutdown()  # type: ignore[no-untyped-call]

    def receive(self) -> Any:
        """The next frame; the code of a close."""
        opcode, payload = self.socket.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(payload[:2], "big")
        return json.loads(payload)

    def say(self, *command: object) -> Any:
        """Send a command, and return the next frame that is its answer."""
        self.socket.send(json.dumps(command))
        while (frame := self.receive())[0] not in {"ok", "error"}:
            pass
        return frame

    def until(self, kind: str) -> Any:
        """The next frame of this kind."""
        while (frame := self.receive())[0] != kind:
            pass
        return frame

    def follow(self, topic: str = "all") -> Self:
        """Log in and subscribe."""
        assert self.say("login", KEY, SECRET) == ["ok", "login"]
        assert self.say("sub", topic) == ["ok", topic]
        return self


def started(**options: Any) -> Simulator:
    known: dict[str, Any] = {"venue": "plain", "pushes": 300}
    return Simulator(SimulatorOptions(**known | options))


@pytest.fixture
def exchange() -> Iterator[Simulator]:
    with started() as one:
        yield one


class Asked:
    """A client of REST."""

    def __init__(self, simulator: Simulator) -> None:
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", simulator.port, timeout=PATIENCE_S, retries=False)

    def post(self, what: str, key: str = KEY, **more: object) -> urllib3.BaseHTTPResponse:
        body = json.dumps({"what": what, **more}).encode()
        return self._pool.request("POST", "/query", body=body, headers={"X-Key": key})

    def status(self) -> urllib3.BaseHTTPResponse:
        return self._pool.request("GET", "/status")


def test_a_client_logs_in_after_connecting(exchange: Simulator) -> None:
    with Line(exchange) as line:
        assert line.say("sub", "all") == ["error", "login first"]
        line.follow()
        assert line.receive()[:2] == ["moment", KEY]
    with Line(exchange) as line:
        assert line.say("login", KEY, "wrong") == ["error", "unknown key"]
        assert line.receive() == 4001


def test_another_endpoint_follows_several_accounts_on_one_connection() -> None:
    with started(accounts={"a": "x", "b": "y"}, rate_per_s=200) as exchange, Line(exchange, "/open") as line:
        assert line.say("sub", "all", "c") == ["error", "no topic all"]
        assert line.say("sub", "all", "a") == ["ok", "all"]
        assert line.say("sub", "all", "b") == ["ok", "all"]
        assert {line.until("moment")[1] for _ in range(100)} == {"a", "b"}


def test_bare_text_and_nonsense_are_answered(exchange: Simulator) -> None:
    with Line(exchange) as line:
        line.socket.send("ping")
        assert line.socket.recv() == "pong"
        assert line.say({"any": "JSON"}) == ["error", "unknown command"]


def test_a_subscription_begins_with_the_state_which_repeats_itself() -> None:
    with started(pushes=0) as exchange, Line(exchange) as line:
        first = line.follow("state").receive()
        assert (first[0], first[3], first[4]["cash/BTC"]) == ("state", True, "1.0000000000")
        again = [line.receive() for _ in range(3)]
        assert [one[3:] for one in again] == [[False, first[4]]] * 3
        with swallowing(exchange, ["state"]), pytest.raises(websocket.WebSocketTimeoutException):
            line.socket.settimeout(0.5)
            for _ in range(50):
                line.receive()
        line.socket.settimeout(PATIENCE_S)
        assert line.receive()[0] == "state"


def test_an_answered_ping_of_the_protocol_keeps_the_line() -> None:
    with started(ping_timeout_s=1.5, pushes=0) as exchange, Line(exchange) as answers, Line(exchange):
        answers.follow("state")
        # Reading answers pings; the other client does not read.
        while exchange.connections == 2:
            answers.until("state")
        for _ in range(5):
            answers.until("state")
        assert exchange.connections == 1


def test_a_connection_that_is_too_old_is_closed() -> None:
    with started(connection_max_s=0.5, pushes=0) as exchange, Line(exchange) as line:
        line.follow("state")
        frames = [line.receive()]
        while frames[-1] != 1001:
            assert len(frames) < 100
            frames.append(line.receive())
        assert {frame[0] for frame in frames[:-1]} == {"state"}


def test_answers_have_any_status_headers_and_form(exchange: Simulator) -> None:
    asked = Asked(exchange)
    up = asked.status()
    assert (up.data, up.headers["Content-Type"]) == (b"up", "text/plain")
    balances = asked.post("balances")
    assert json.loads(balances.json()[0]) == ["margin", "USDT", "60000.00000000"]
    assert balances.headers["X-Weight-Left"] == str(WEIGHT_MAX - 1)
    # An error inside a success.
    assert (asked.post("balances", key="other").status, asked.post("balances", key="other").json()[1]) == (200, 3)


def test_too_much_weight_is_refused_and_banned(exchange: Simulator) -> None:
    asked = Asked(exchange)
    for _ in range(WEIGHT_MAX // HISTORY_WEIGHT):
        assert asked.post("fills").status == 200
    refused = asked.post("balances")
    assert (refused.status, refused.headers["Retry-After"]) == (429, str(BAN_MS // 1000))
    assert asked.status().status == 200


def rows(answer: urllib3.BaseHTTPResponse) -> tuple[list[Any], Any]:
    assert answer.status == 200
    found, cursor = answer.json()
    return found, cursor


@pytest.fixture
def traded() -> Iterator[Simulator]:
    with started(wait_for_subscriber=False, start_ms=1_700_000_000_000, pushes=400) as one:
        one.wait_finished(PATIENCE_S)
        yield one


@pytest.mark.parametrize("what", ["fills", "transactions"])
@pytest.mark.parametrize("oldest_first", [False, True])
def test_pages_by_cursor_have_everything_once(traded: Simulator, what: str, oldest_first: bool) -> None:
    asked = Asked(traded)
    everything, _ = rows(asked.post(what, limit=10_000, oldest_first=oldest_first))
    assert len(everything) > 100
    found: list[Any] = []
    cursor = None
    for _ in range(4):
        page, cursor = rows(asked.post(what, limit=len(everything) // 4 + 1, cursor=cursor, oldest_first=oldest_first))
        found += page
    assert (found, cursor) == (everything, None)
    assert [one[0] for one in found] == sorted([one[0] for one in found], reverse=not oldest_first)


def test_windows_of_time_have_everything_once(traded: Simulator) -> None:
    asked = Asked(traded)
    everything, _ = rows(asked.post("fills", limit=10_000))
    middle_ms = everything[len(everything) // 2][0]
    later, _ = rows(asked.post("fills", limit=10_000, since=middle_ms))
    earlier, _ = rows(asked.post("fills", limit=10_000, until=middle_ms))
    assert later + earlier == everything
    assert min(len(later), len(earlier)) > 10
    spot, _ = rows(asked.post("fills", limit=10_000, market="spot-cash"))
    assert {one[2] for one in spot} == {"spot-cash:BTCUSDT"}


def test_what_is_too_old_is_not_served() -> None:
    with started(wait_for_subscriber=False, retention_s={"fills": 5}) as exchange:
        exchange.wait_finished(PATIENCE_S)
        asked = Asked(exchange)
        fills, _ = rows(asked.post("fills", limit=10_000))
        entries, _ = rows(asked.post("transactions", limit=10_000))
        newest_ms = max(fills[0][0], entries[0][0])
        assert newest_ms - fills[-1][0] <= 5_000 < newest_ms - entries[-1][0]


def test_an_expired_key_is_pushed_nothing_and_refused() -> None:
    with started(pushes=None, rate_per_s=500) as exchange, Line(exchange) as line:
        line.follow().receive()
        with expired(exchange):
            line.socket.send("ping")
            while line.socket.recv() != "pong":
                pass
            line.socket.settimeout(0.3)
            with pytest.raises(websocket.WebSocketTimeoutException):
                line.receive()
            with Line(exchange) as other:
                assert other.say("login", KEY, SECRET) == ["error", "the key has expired"]
            assert Asked(exchange).post("balances").json()[1] == 33
        line.socket.settimeout(PATIENCE_S)
        assert line.receive()[0] == "moment"


def test_the_faults_are_those_of_every_venue() -> None:
    with started(pushes=None, rate_per_s=500) as exchange:
        with Line(exchange) as line:
            with invalid_topics(exchange, ["all"]):
                assert line.say("login", KEY, SECRET) == ["ok", "login"]
                assert line.say("sub", "all") == ["error", "no topic all"]
            assert line.say("sub", "all") == ["ok", "all"]
            line.until("moment")
            for fault in (silent(exchange), swallowing(exchange)):
                with fault:
                    line.socket.send("ping")
                    while line.socket.recv() != "pong":
                        pass
                line.until("moment")
            with refusing(exchange, 401):
                assert Asked(exchange).status().status == 200
                assert Asked(exchange).post("balances").status == 401
            with deaf(exchange):
                pass
            with pytest.raises(ConnectionResetError):
                while True:
                    line.receive()
        wait_until(lambda: exchange.connections == 0)
