"""The simulated exchange over real sockets: what a client meets at its door, on its push portal and beside it."""

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import urllib3
import websocket

import tests.client
from recorder.clock import NS_PER_S
from recorder.model import OrderUpdate
from recorder.simulator import BooksError, Simulator, SimulatorOptions
from recorder.simulator.exchange import Exchange
from recorder.simulator.faults import deaf, invalid_topics, refusing, silent, stalled_mid_frame
from recorder.simulator.options import START_MS
from recorder.simulator.sent import NOBODY, Sent, read_sent_log
from recorder.venues.base import Credentials, RestRequest
from recorder.venues.fmex import rest, sign
from recorder.venues.fmex.portal import PUSH_PATH, ping, subscribe
from recorder.venues.fmex.stand_in.rest import OLD_POSITIONS, PRODUCTION
from recorder.wire.http import BODY_BYTES_MAX
from tests.client import PATIENCE_S, TOPICS, fetch, http_error, now_ms
from tests.waiting import wait_until


class Client(tests.client.Client):
    """A client of the simulator's push portal."""

    def __init__(
        self,
        simulator: Simulator,
        *,
        key: str = "",
        secret: str = "",
        at_ms: int | None = None,
        timeout_s: float = PATIENCE_S,
        sockopt: Sequence[tuple[int, int, int]] = (),
    ) -> None:
        who = Credentials(key or simulator.key, secret or simulator.secret)
        super().__init__(simulator.url, who, at_ms=at_ms, timeout_s=timeout_s, sockopt=sockopt)


def refused(**options: Any) -> tuple[int, Any]:
    """Status and body with which a new client is refused."""
    simulator = options.pop("simulator")
    with pytest.raises(websocket.WebSocketBadStatusException) as raised:
        Client(simulator, **options)
    return raised.value.status_code, json.loads(raised.value.resp_body or b"")


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A thousand pushes, then nothing more."""
    with Simulator(SimulatorOptions(pushes=1_000)) as one:
        yield one


# The door.


def test_a_wrong_key_signature_or_time_is_refused(simulator: Simulator) -> None:
    assert refused(simulator=simulator, key="wrong")[0] == 401
    assert refused(simulator=simulator, secret="wrong") == (401, {"status": 401, "msg": "signature mismatch"})
    status, body = refused(simulator=simulator, at_ms=now_ms() - 31_000)
    assert (status, body["msg"][:17]) == (401, "timestamp expired")
    assert refused(simulator=simulator, at_ms=now_ms() + 31_000)[0] == 401
    assert simulator.clients == 0


def test_the_time_that_counts_is_the_servers() -> None:
    with Simulator(SimulatorOptions(clock_offset_ms=3_600_000)) as simulator:
        assert refused(simulator=simulator)[0] == 401
        server_ms = rest.read_server_time_ms(fetch(rest.server_time(simulator.url)))
        assert abs(server_ms - now_ms() - 3_600_000) < 10_000
        with Client(simulator, at_ms=server_ms) as client:
            assert abs(client.answer()["ts"] - server_ms) < 10_000


def test_what_is_not_there_is_not_found(simulator: Simulator) -> None:
    with http_error(404) as found:
        fetch(RestRequest("GET", simulator.url + "/v2/nothing", {}))
    assert found["body"] == {"status": 404, "msg": "path not found"}


ORDER = json.dumps({"symbol": "BTCUSD_P", "type": "LIMIT", "direction": "LONG", "price": 9000, "quantity": 1})


def test_orders_are_refused_on_a_connection_that_is_kept(simulator: Simulator) -> None:
    with urllib3.HTTPConnectionPool("127.0.0.1", simulator.port, maxsize=1, timeout=PATIENCE_S, retries=False) as pool:
        for body in (ORDER.encode(), b"", b"x" * 300_000):
            refused = pool.request("POST", "/v3/contracts/orders", body=body)
            assert (refused.status, refused.json()["status"]) == (403, 403)
            assert "read-only" in refused.json()["msg"]
        chunked = pool.request("POST", "/v3/contracts/orders/1/cancel", body=iter([b"{", b"}"]), chunked=True)
        assert chunked.status == 403
        assert pool.request("DELETE", "/v3/contracts/orders/1").status == 405
        assert pool.request("HEAD", "/v2/public/server-time").status == 405
        assert pool.request("GET", "/v2/public/server-time").status == 200
        assert (pool.num_connections, pool.num_requests) == (1, 7)


def signature_with_plus(key: str, secret: str, url: str) -> dict[str, str]:
    """What proves who asks, at an instant at which the signature has a `+` in it."""
    at_ms = now_ms()
    return next(
        one
        for number in range(1_000)
        if "+" in (one := sign.credentials(key, secret, "GET", url, at_ms - number))[sign.SIGNATURE]
    )


def test_public_clients_run_unchanged(simulator: Simulator) -> None:
    """They sign the production address, escape nothing and write symbols in upper case."""
    who = (simulator.key, simulator.secret)
    query = "&".join(f"{name}={value}" for name, value in signature_with_plus(*who, PRODUCTION + PUSH_PATH).items())
    socket = websocket.create_connection(f"ws://127.0.0.1:{simulator.port}{PUSH_PATH}?{query}", timeout=PATIENCE_S)
    socket.recv()
    socket.send(subscribe(["order.BTCUSD_P"], "1"))
    assert json.loads(socket.recv())["topics"] == ["order.BTCUSD_P"]
    assert json.loads(socket.recv())["type"] == "order.btcusd_p"
    socket.close()
    simulator.wait_finished(PATIENCE_S)
    headers = sign.credentials(*who, "GET", PRODUCTION + OLD_POSITIONS, now_ms())
    answer = json.loads(fetch(RestRequest("GET", simulator.url + OLD_POSITIONS, headers)))
    assert (answer["status"], answer["data"]["results"][0]["user_id"]) == (0, 0)
    headers = sign.credentials(*who, "GET", "https://example.com" + OLD_POSITIONS, now_ms())
    with http_error(401):
        fetch(RestRequest("GET", simulator.url + OLD_POSITIONS, headers))


def raw_answers(simulator: Simulator, *sent: bytes) -> bytes:
    """What comes back for raw bytes until the server closes."""
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=PATIENCE_S) as raw:
        for part in sent:
            raw.sendall(part)
        return b"".join(iter(lambda: raw.recv(65_536), b""))


def test_requests_in_one_packet_are_answered_in_order(simulator: Simulator) -> None:
    get = b"GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n"
    answers = raw_answers(
        simulator, get % (b"/nothing", b"") + get % (b"/v2/public/server-time", b"Connection: close\r\n")
    )
    assert answers.index(b"HTTP/1.1 404") < answers.index(b"HTTP/1.1 200")


def test_a_request_that_waits_to_be_told_to_go_on_is(simulator: Simulator) -> None:
    head = b"POST /v3/contracts/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=PATIENCE_S) as raw:
        raw.sendall(head)
        assert raw.recv(1_000).startswith(b"HTTP/1.1 100")
        raw.sendall(b"{}")
        assert raw.recv(1_000).startswith(b"HTTP/1.1 403")


def test_a_body_without_end_is_refused(simulator: Simulator) -> None:
    head = b"POST /v3/contracts/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"
    answer = raw_answers(simulator, head, b"x" * (BODY_BYTES_MAX + 1))
    assert answer.startswith(b"HTTP/1.1 413") and b'{"status":413' in answer


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000])
def test_what_is_no_request_is_refused_in_the_venues_form(simulator: Simulator, sent: bytes) -> None:
    answer = raw_answers(simulator, sent)
    assert answer.startswith(b"HTTP/1.1 4") and b'{"status":4' in answer


def test_the_push_portal_needs_a_handshake(simulator: Simulator) -> None:
    request = rest.server_time(simulator.url)
    url = sign.push_address(
        simulator.url + PUSH_PATH, simulator.url + PUSH_PATH, simulator.key, simulator.secret, now_ms()
    )
    with http_error(426):
        fetch(request._replace(url=url))
    assert simulator.clients == 0


def test_a_header_given_twice_is_refused(simulator: Simulator) -> None:
    key = b"FC-ACCESS-KEY: a\r\n"
    answer = raw_answers(simulator, b"GET /v3/contracts/accounts HTTP/1.0\r\nHost: x\r\n" + key + key + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400") and b"twice" in answer


def test_a_client_that_only_connects_holds_nothing_up(simulator: Simulator) -> None:
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=PATIENCE_S):
        simulator.close()


# The conversation.


def test_hello_and_ping(simulator: Simulator) -> None:
    with Client(simulator) as client:
        hello = client.answer()
        assert hello["type"] == "hello"
        assert abs(hello["ts"] - now_ms()) < 5_000
        sent_ms = now_ms() - 3_000
        pong = client.say(ping(sent_ms, "7"))
        assert (pong["id"], pong["type"], pong["gap"]) == ("7", "ping", pong["ts"] - sent_ms)
        assert 3_000 <= pong["gap"] < 8_000


def test_subscriptions_are_acknowledged_or_refused(simulator: Simulator) -> None:
    with Client(simulator) as client:
        client.answer()
        bad = client.say(subscribe(["order.xrpusd_p"], "1"))
        assert bad == {"id": "1", "status": 41002, "msg": "invalid sub topic, order.xrpusd_p"}
        many = client.say({"cmd": "sub", "args": ["account"] * 21, "id": "2"})
        assert (many["id"], many["msg"]) == ("2", "too many topics, 21, at most 20 a command")
        assert client.say(subscribe(["account"], "3")) == {"id": "3", "type": "topics", "topics": ["account"]}


def test_nothing_is_pushed_before_the_last_of_several_commands(simulator: Simulator) -> None:
    with Client(simulator) as client:
        client.answer()
        with silent(simulator):  # however long the next one takes
            for topic in TOPICS:
                assert client.say(subscribe([topic], topic))["topics"] == [topic]
        assert client.take(1_000) == [payload for _, payload in islice(Exchange(1), 1_000)]


def test_only_subscribed_topics_are_pushed(simulator: Simulator) -> None:
    with Client(simulator) as client:
        client.subscribe("account", "position.btcusd_p")
        expected = [payload for topic, payload in islice(Exchange(1), 1_000) if not topic.startswith("order")]
        assert client.take(len(expected)) == expected


def test_only_changes_after_the_subscription_are_pushed() -> None:
    with Simulator(SimulatorOptions(rate_per_s=2_000)) as simulator, Client(simulator) as first:
        first.subscribe()
        first.take(100)
        with Client(simulator) as second:
            second.subscribe()
            pushed = second.take(50)
        first_has = first.take(1_000)[:]
        frames = [payload for _, payload in islice(Exchange(1), 20_000)]
        start = frames.index(pushed[0])
        assert start >= 100
        assert pushed == frames[start : start + 50]
        assert first.frames[2:] == frames[: len(first_has) + 100]


def test_unsub_stops_the_pushes() -> None:
    with Simulator(SimulatorOptions(rate_per_s=1_000)) as simulator, Client(simulator) as client:
        client.subscribe("account", "order.btcusd_p")
        client.take(10)
        answer = client.say({"cmd": "unsub", "args": ["order.btcusd_p"], "id": "u"})
        while answer.get("id") != "u":
            answer = client.answer()
        assert answer["topics"] == ["order.btcusd_p"]
        assert {client.answer()["type"] for _ in range(100)} == {"account"}


@pytest.mark.alone
def test_a_client_without_a_ping_is_disconnected() -> None:
    options = SimulatorOptions(ping_timeout_s=2.0, pushes=0)
    with Simulator(options) as simulator, Client(simulator) as pinging, Client(simulator) as mute:
        pinging.answer()
        mute.answer()
        start_s = time.monotonic()
        while time.monotonic() < start_s + 1.5:
            pinging.say(ping(now_ms(), "1"))
        with pytest.raises(websocket.WebSocketConnectionClosedException, match="1008"):
            mute.receive()
        assert pinging.say(ping(now_ms(), "2"))["id"] == "2"


def test_a_client_that_does_not_read_is_disconnected_too() -> None:
    with Simulator(SimulatorOptions(ping_timeout_s=3.0)) as simulator, Client(simulator) as client:
        client.subscribe()
        simulator.wait_subscribed(PATIENCE_S)
        assert simulator.clients == 1
        wait_until(lambda: simulator.connections == 0)


# The pushes.


def test_the_log_is_what_the_client_received_byte_for_byte(tmp_path: Path) -> None:
    options = SimulatorOptions(pushes=3_000, sent_log=tmp_path / "sent")
    with Simulator(options) as simulator, Client(simulator) as client:
        with silent(simulator):
            client.subscribe()
            client.say(ping(now_ms(), "p"))
        client.take(3_000)
        simulator.wait_finished(PATIENCE_S)
        kinds = [sent.kind for sent in simulator.sent]
        assert kinds == ["answer"] * 3 + ["push"] * 3_000
        assert [sent.payload for sent in simulator.sent] == client.frames
        history = simulator.history
    assert list(read_sent_log(tmp_path / "sent")) == history
    assert {one.connection for one in history} == {1}


def test_same_seed_same_frames_and_every_account_its_own() -> None:
    accounts = {"one": "secret", "two": "secret"}
    runs = []
    for _ in range(2):
        with Simulator(SimulatorOptions(seed=5, pushes=500, accounts=accounts)) as simulator:
            with Client(simulator) as one, Client(simulator, key="two", secret="secret") as two:
                runs.append((one.subscribe().take(500), two.subscribe().take(500)))
            simulator.wait_finished(PATIENCE_S)
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[0][1]


def test_two_clients_with_the_same_key_get_the_same(simulator: Simulator) -> None:
    with silent(simulator):
        clients = [Client(simulator).subscribe() for _ in range(2)]
    received = [client.take(1_000) for client in clients]
    assert received[0] == received[1]
    for client in clients:
        client.close()


def test_a_slow_reader_holds_the_exchange_back() -> None:
    small = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)]
    with Simulator(SimulatorOptions(pushes=30_000)) as simulator, Client(simulator, sockopt=small) as client:
        client.subscribe()
        with pytest.raises(TimeoutError):
            simulator.wait_finished(1.5)
        assert len(simulator.sent) < 25_000
        last = client.take(30_000)[-1]
        simulator.wait_finished(PATIENCE_S)
        assert simulator.sent[-1].payload == last


@pytest.mark.alone
def test_a_rate_is_kept() -> None:
    with Simulator(SimulatorOptions(pushes=600, rate_per_s=1_000)) as simulator, Client(simulator) as client:
        client.subscribe()
        client.take(600)
        first, *_, last = [one.sent_ns for one in simulator.sent if one.kind == "push"]
        assert 0.4 < (last - first) / NS_PER_S < 2.0


def test_trading_can_begin_without_anybody() -> None:
    with Simulator(SimulatorOptions(pushes=200, wait_for_subscriber=False)) as simulator:
        simulator.wait_finished(PATIENCE_S)
        credentials = Credentials(simulator.key, simulator.secret)
        assert rest.read_open_orders(fetch(rest.open_orders(simulator.url, credentials, now_ms())))
        assert simulator.sent == []
        assert [one.number for one in simulator.history] == list(range(1, 201)), "what nobody was told is noted"


def test_a_push_has_one_number_whoever_is_told() -> None:
    with Simulator(SimulatorOptions(pushes=300)) as simulator, Client(simulator) as first, Client(simulator) as second:
        with silent(simulator):
            second.subscribe("account")
            first.subscribe()
        simulator.wait_finished(PATIENCE_S)
        told: dict[int, list[Sent]] = {1: [], 2: []}
        for one in simulator.sent:
            told[one.connection].append(one)
        pushes = {one.number: one.payload for one in told[1] if one.kind == "push"}
        assert list(pushes) == list(range(1, 301))
        accounts = {one.number: one.payload for one in told[2] if one.kind == "push"}
        assert accounts == {number: payload for number, payload in pushes.items() if b'{"type":"account"' in payload}
        assert all(one.connection != NOBODY for one in simulator.history)


def test_the_real_clock_can_be_stamped_with() -> None:
    options = SimulatorOptions(pushes=10, live_clock=True, clock_offset_ms=20_000)
    with Simulator(options) as simulator, Client(simulator) as client:
        client.subscribe()
        assert abs(json.loads(client.take(10)[-1])["ts"] - now_ms() - 20_000) < 5_000


def test_a_restarted_simulator_reuses_no_order_id() -> None:
    runs: list[set[int]] = []
    for _ in range(2):
        with Simulator(SimulatorOptions(pushes=2_000, live_clock=True)) as simulator, Client(simulator) as client:
            frames = map(json.loads, client.subscribe("order.btcusd_p").take(500))
            runs.append({frame["order"]["id"] for frame in frames})
    assert max(runs[0]) < min(runs[1])


def test_nothing_is_kept_where_nothing_is_to_be() -> None:
    with Simulator(SimulatorOptions(pushes=10, keep_sent=False)) as simulator, Client(simulator) as client:
        client.subscribe().take(10)
        assert simulator.sent == []


def test_raw_frames_go_to_who_is_subscribed() -> None:
    raw = [b"not json", b"\xff\xfe", b"", b"[" * 70_000]
    with Simulator(SimulatorOptions(pushes=0)) as simulator, Client(simulator) as client, Client(simulator) as other:
        other.answer()
        client.subscribe()
        simulator.wait_subscribed(PATIENCE_S)
        assert [simulator.push(payload) for payload in raw] == [1, 1, 1, 1]
        assert client.take(4) == raw
        assert [sent.payload for sent in simulator.sent if sent.kind == "raw"] == raw


def test_dropped_connections_are_reset_and_trading_goes_on(simulator: Simulator) -> None:
    with Client(simulator) as client:
        client.subscribe()
        client.take(1)
        assert simulator.drop_connections() == 1
        with pytest.raises(ConnectionResetError):
            while True:
                client.receive()
    simulator.wait_finished(PATIENCE_S)
    assert (simulator.connections, simulator.clients) == (0, 1)


def test_drops_every_so_many_pushes() -> None:
    frames = [payload for _, payload in islice(Exchange(1), 930)]
    with Simulator(SimulatorOptions(pushes=930, drop_every=310, rate_per_s=200)) as simulator:
        received: list[bytes] = []
        for _ in range(3):
            with Client(simulator) as client:
                client.subscribe()
                with pytest.raises(ConnectionResetError):
                    while True:
                        received.append(client.receive())
        simulator.wait_finished(PATIENCE_S)
    positions = [frames.index(payload) for payload in received]
    assert positions == sorted(set(positions))
    last_of = {sent.connection: frames.index(sent.payload) + 1 for sent in simulator.sent if sent.kind == "push"}
    assert last_of == {1: 310, 2: 620, 3: 930}


# REST.


def test_rest_tells_what_was_pushed(simulator: Simulator) -> None:
    who = Credentials(simulator.key, simulator.secret)
    url = simulator.url
    with Client(simulator) as client:
        pushes = [json.loads(payload, parse_float=str, parse_int=str) for payload in client.subscribe().take(1_000)]
        simulator.wait_finished(PATIENCE_S)
    accounts = [push["account"] for push in pushes if "account" in push]
    positions = [push["position"] for push in pushes if "position" in push]
    orders = {push["order"]["id"]: push["order"] for push in pushes if "order" in push}
    is_open = {"PENDING", "PARTIAL_FILLED", "STOP_PENDING"}

    (balance,) = rest.read_accounts(fetch(rest.accounts(url, who, now_ms())))
    assert [balance.available, balance.frozen, balance.position_margin] == [
        accounts[-1][name] for name in ("available", "frozen", "position")
    ]
    (position,) = rest.read_positions(fetch(rest.positions(url, who, now_ms())))
    for name in ("quantity", "direction", "margin", "realized_pnl", "entry_price", "liquidation_price"):
        assert getattr(position, name) == positions[-1][name], name
    assert position.risk_level == int(positions[-1]["risk_level"])

    found = rest.read_open_orders(fetch(rest.open_orders(url, who, now_ms())))
    assert {order.order_id for order in found} == {int(i) for i, order in orders.items() if order["status"] in is_open}
    one = rest.read_order(fetch(rest.order(url, who, now_ms(), found[0].order_id)))
    assert one == found[0]
    pushed = orders[str(one.order_id)]
    assert (one.price, one.fee, one.status) == (pushed["price"], pushed["fee"], pushed["status"])

    closed: list[OrderUpdate] = []
    offset = None
    while True:
        page = rest.read_closed_orders(fetch(rest.closed_orders(url, who, now_ms(), "202002", "btcusd_p", offset)))
        closed += page.orders
        offset = page.next_offset_id
        if not page.has_more:
            break
    done = sorted([int(i) for i, order in orders.items() if order["status"] not in is_open], reverse=True)
    assert [order.order_id for order in closed] == done
    assert len(done) > 50

    filled = next(order for order in closed if order.status == "FULLY_FILLED")
    matches = rest.read_matches(fetch(rest.matches(url, who, now_ms(), filled.order_id)))
    assert sum(float(match.quantity or 0) for match in matches) == float(filled.quantity or 0)
    assert all(match.created_at and match.created_at > START_MS for match in matches)


def test_rest_wants_to_know_who_asks(simulator: Simulator) -> None:
    with http_error(401):
        fetch(rest.accounts(simulator.url, Credentials(simulator.key, "wrong"), now_ms()))
    with http_error(401):
        fetch(rest.accounts(simulator.url, Credentials(simulator.key, simulator.secret), now_ms() - 60_000))
    with http_error(401):
        fetch(RestRequest("GET", simulator.url + "/v3/contracts/accounts", {}))


def test_more_than_a_hundred_requests_in_ten_seconds_are_too_many(simulator: Simulator) -> None:
    who = Credentials(simulator.key, simulator.secret)
    for _ in range(100):
        fetch(rest.accounts(simulator.url, who, now_ms()))
    with http_error(429) as found:
        fetch(rest.accounts(simulator.url, who, now_ms()))
    assert found["body"]["status"] == 429
    assert 1 <= int(found["headers"]["Retry-After"]) <= 10
    fetch(rest.server_time(simulator.url))


# Faults.


@pytest.mark.parametrize(("status", "retry_after"), [(503, "3"), (429, "3"), (401, None)])
def test_refusing(simulator: Simulator, status: int, retry_after: str | None) -> None:
    who = Credentials(simulator.key, simulator.secret)
    with Client(simulator) as client:
        client.answer()
        with refusing(simulator, status, retry_after_s=3):
            assert refused(simulator=simulator)[0] == status
            with http_error(status) as found:
                fetch(rest.accounts(simulator.url, who, now_ms()))
            assert found["headers"].get("Retry-After") == retry_after
            assert client.say(ping(now_ms(), "1"))["type"] == "ping"
        fetch(rest.accounts(simulator.url, who, now_ms()))
        Client(simulator).close()


def test_a_refused_key_still_gets_the_time(simulator: Simulator) -> None:
    with refusing(simulator, 401):
        fetch(rest.server_time(simulator.url))
    with refusing(simulator, 503), http_error(503):
        fetch(rest.server_time(simulator.url))


def test_silent(simulator: Simulator) -> None:
    with Client(simulator) as client:
        with silent(simulator):
            client.subscribe()
            simulator.wait_subscribed(PATIENCE_S)
            before = len(simulator.sent)
            assert client.say(ping(now_ms(), "1"))["type"] == "ping"
            with pytest.raises(TimeoutError):
                simulator.wait_finished(0.2)
            assert len(simulator.sent) == before + 1
        client.take(1_000)
        simulator.wait_finished(PATIENCE_S)


def test_deaf(simulator: Simulator) -> None:
    with Client(simulator, timeout_s=2.0) as client:
        client.subscribe()
        with deaf(simulator):
            client.socket.send(ping(now_ms(), "1"))
            with pytest.raises(websocket.WebSocketTimeoutException):
                while True:
                    assert json.loads(client.receive())["type"] != "ping"
            with pytest.raises((TimeoutError, websocket.WebSocketTimeoutException)):
                Client(simulator, timeout_s=0.2)
            with pytest.raises(TimeoutError):
                fetch_within(rest.server_time(simulator.url), 0.2)
            assert simulator.connections == 1
            simulator.wait_finished(PATIENCE_S)
        with pytest.raises(ConnectionResetError):
            client.receive()
    fetch(rest.server_time(simulator.url))
    received = client.frames
    assert received == [sent.payload for sent in simulator.sent][: len(received)]


def test_deaf_outlasts_the_ping_timeout() -> None:
    options = SimulatorOptions(ping_timeout_s=1.0, pushes=0)
    with Simulator(options) as simulator, Client(simulator, timeout_s=2.0) as client, deaf(simulator):
        client.answer()
        with pytest.raises(websocket.WebSocketTimeoutException):
            client.receive()
        assert simulator.connections == 1


def test_stalled_mid_frame(simulator: Simulator) -> None:
    with Client(simulator) as client:
        client.subscribe()
        client.take(1_000)
        with stalled_mid_frame(simulator):
            raw = client.socket.sock
            assert raw
            head = raw.recv(2)
            assert head[0] == 0x81
            raw.settimeout(0.2)
            rest_of_it = raw.recv(1_000)
            assert 0 < len(rest_of_it) < head[1]
            client.socket.ping(b"anybody there?")
            with pytest.raises(TimeoutError):
                raw.recv(1)
            with Client(simulator) as other:
                other.subscribe()
        with pytest.raises(ConnectionResetError):
            raw.recv(1)


def test_invalid_topics(simulator: Simulator) -> None:
    with Client(simulator) as client:
        client.answer()
        with invalid_topics(simulator, ["account"]):
            assert client.say(subscribe(["account"], "1"))["status"] == 41002
            assert client.say(subscribe(["order.btcusd_p"], "2"))["type"] == "topics"
        assert client.say(subscribe(["account"], "3"))["topics"] == ["account"]


def test_faults_nest(simulator: Simulator) -> None:
    with silent(simulator):
        with silent(simulator), refusing(simulator, 503):
            pass
        assert simulator.conditions.silent
        assert simulator.conditions.refuse_status == 0


# Beginning and end.


def test_closing_says_goodbye(simulator: Simulator) -> None:
    with Client(simulator) as client:
        client.answer()
        simulator.close()
        with pytest.raises(websocket.WebSocketConnectionClosedException, match="1001"):
            client.receive()
    simulator.close()


def test_an_address_that_is_taken(simulator: Simulator) -> None:
    with pytest.raises(OSError, match="address already in use"):
        Simulator(SimulatorOptions(port=simulator.port)).start()


def test_a_closed_simulator_says_so(simulator: Simulator) -> None:
    simulator.close()
    with pytest.raises(RuntimeError, match="closed"):
        simulator.push(b"")
    with pytest.raises(RuntimeError, match="closed"):
        simulator.wait_subscribed(PATIENCE_S)
    with pytest.raises(RuntimeError, match="once"):
        simulator.start()


@pytest.mark.parametrize("waiting", [True, False])
def test_an_error_of_its_own_surfaces(monkeypatch: pytest.MonkeyPatch, waiting: bool) -> None:
    def fail(_: Exchange) -> None:
        raise BooksError("books do not balance")

    monkeypatch.setattr(Exchange, "__next__", fail)
    simulator = Simulator(SimulatorOptions(pushes=10, wait_for_subscriber=False))
    with pytest.raises(BooksError, match="do not balance"):
        simulator.start()
        simulator.wait_finished(PATIENCE_S) if waiting else simulator.close()
    simulator.close()


def test_an_error_in_a_conversation_surfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr("recorder.venues.fmex.stand_in.conversation.FMexConversation.receive", fail)
    simulator = Simulator(SimulatorOptions(pushes=10))
    with pytest.raises(AssertionError, match="a bug"), simulator, Client(simulator) as client:
        client.socket.send("{}")
        simulator.wait_subscribed(PATIENCE_S)


def fetch_within(request: RestRequest, timeout_s: float) -> None:
    with urllib.request.urlopen(request.url, timeout=timeout_s):
        pass
