"""The simulated exchange over HTTP: authentication, requests with and without a body, REST."""

import json
import socket

import pytest
import urllib3
import websocket

from recorder.model import FILLED, OrderUpdate
from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.options import START_MS
from recorder.venues.fmex import rest, sign
from recorder.venues.fmex.portal import PUSH_PATH, subscribe
from recorder.venues.fmex.stand_in.rest import OLD_POSITIONS, PRODUCTION
from recorder.venues.rest import Credentials, RestRequest
from recorder.wire.http import BODY_BYTES_MAX
from tests.client import PATIENCE_S, fetch, http_error, now_ms
from tests.integration.simulated import Client, refused


def test_a_wrong_key_signature_or_time_is_refused(simulator: Simulator) -> None:
    assert refused(simulator=simulator, key="wrong")[0] == 401
    assert refused(simulator=simulator, secret="wrong") == (401, {"status": 401, "msg": "signature mismatch"})
    status, body = refused(simulator=simulator, at_ms=now_ms() - 31_000)
    assert (status, body["msg"][:17]) == (401, "timestamp expired")
    assert refused(simulator=simulator, at_ms=now_ms() + 31_000)[0] == 401
    assert simulator.clients == 0


def test_timestamps_are_checked_against_the_servers_clock() -> None:
    with Simulator(SimulatorOptions(clock_offset_ms=3_600_000)) as simulator:
        assert refused(simulator=simulator)[0] == 401
        server_ms = rest.read_server_time_ms(fetch(rest.server_time(simulator.url)))
        assert abs(server_ms - now_ms() - 3_600_000) < 10_000
        with Client(simulator, at_ms=server_ms) as client:
            assert abs(client.answer()["ts"] - server_ms) < 10_000


def test_an_unknown_path_is_not_found(simulator: Simulator) -> None:
    with http_error(404) as found:
        fetch(RestRequest("GET", simulator.url + "/v2/nothing", {}))
    assert found["body"] == {"status": 404, "msg": "path not found"}


ORDER = json.dumps({"symbol": "BTCUSD_P", "type": "LIMIT", "direction": "LONG", "price": 9000, "quantity": 1})


def test_orders_are_refused_and_the_connection_is_kept(simulator: Simulator) -> None:
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
    """Signed headers with a time at which the signature contains a `+`."""
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
    """The response to raw bytes, until the server closes the connection."""
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


def test_expect_100_continue_is_answered(simulator: Simulator) -> None:
    head = b"POST /v3/contracts/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=PATIENCE_S) as raw:
        raw.sendall(head)
        assert raw.recv(1_000).startswith(b"HTTP/1.1 100")
        raw.sendall(b"{}")
        assert raw.recv(1_000).startswith(b"HTTP/1.1 403")


def test_a_body_that_is_too_large_is_refused(simulator: Simulator) -> None:
    head = b"POST /v3/contracts/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"
    answer = raw_answers(simulator, head, b"x" * (BODY_BYTES_MAX + 1))
    assert answer.startswith(b"HTTP/1.1 413") and b'{"status":413' in answer


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000])
def test_malformed_requests_are_refused_in_the_venues_form(simulator: Simulator, sent: bytes) -> None:
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


def test_a_repeated_header_is_refused(simulator: Simulator) -> None:
    key = b"FC-ACCESS-KEY: a\r\n"
    answer = raw_answers(simulator, b"GET /v3/contracts/accounts HTTP/1.0\r\nHost: x\r\n" + key + key + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400") and b"twice" in answer


def test_an_idle_connection_does_not_delay_stopping(simulator: Simulator) -> None:
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=PATIENCE_S):
        simulator.close()


def test_rest_reports_the_pushed_state(simulator: Simulator) -> None:
    who = Credentials(key=simulator.key, secret=simulator.secret)
    url = simulator.url
    with Client(simulator) as client:
        pushes = [json.loads(payload, parse_float=str, parse_int=str) for payload in client.subscribe().take(1_000)]
        simulator.wait_finished(PATIENCE_S)
    accounts = [push["account"] for push in pushes if "account" in push]
    positions = [push["position"] for push in pushes if "position" in push]
    orders = {push["order"]["id"]: push["order"] for push in pushes if "order" in push}
    is_open = {"PENDING", "PARTIAL_FILLED", "STOP_PENDING"}

    (balance,) = rest.read_accounts(fetch(rest.accounts(url, who, now_ms())))
    assert [balance.available, balance.locked, balance.position_margin] == [
        accounts[-1][name] for name in ("available", "frozen", "position")
    ]
    answer = json.loads(fetch(rest.positions(url, who, now_ms())), parse_float=str, parse_int=str)
    (position,) = answer["data"]["results"]
    pushed = positions[-1] | {"riskLevel": positions[-1]["risk_level"]}
    del pushed["risk_level"]
    assert position == pushed | {"closed": pushed["quantity"] == "0", "max_quantity": "10000000"}

    found = rest.read_open_orders(fetch(rest.open_orders(url, who, now_ms())))
    assert {order.order_id for order in found} == {i for i, order in orders.items() if order["status"] in is_open}
    one = rest.read_order(fetch(rest.order(url, who, now_ms(), found[0].order_id)))
    assert one == found[0]
    pushed = orders[one.order_id]
    assert (one.price, one.fee, one.venue_status) == (pushed["price"], pushed["fee"], pushed["status"])

    closed: list[OrderUpdate] = []
    offset = None
    while True:
        page = rest.read_closed_orders(fetch(rest.closed_orders(url, who, now_ms(), "202002", "btcusd_p", offset)))
        closed += page.orders
        offset = page.next_offset_id
        if not page.has_more:
            break
    done = sorted([i for i, order in orders.items() if order["status"] not in is_open], key=int, reverse=True)
    assert [order.order_id for order in closed] == done
    assert len(done) > 50

    filled = next(order for order in closed if order.status == FILLED)
    matches = rest.read_matches(fetch(rest.matches(url, who, now_ms(), filled.order_id)), filled.order_id)
    assert sum(float(match.quantity or 0) for match in matches) == float(filled.quantity or 0)
    assert all(match.executed_ms and match.executed_ms > START_MS for match in matches)


def test_rest_requires_authentication(simulator: Simulator) -> None:
    with http_error(401):
        fetch(rest.accounts(simulator.url, Credentials(key=simulator.key, secret="wrong"), now_ms()))
    with http_error(401):
        fetch(rest.accounts(simulator.url, Credentials(key=simulator.key, secret=simulator.secret), now_ms() - 60_000))
    with http_error(401):
        fetch(RestRequest("GET", simulator.url + "/v3/contracts/accounts", {}))


def test_more_than_a_hundred_requests_in_ten_seconds_are_refused(simulator: Simulator) -> None:
    who = Credentials(key=simulator.key, secret=simulator.secret)
    for _ in range(100):
        fetch(rest.accounts(simulator.url, who, now_ms()))
    with http_error(429) as found:
        fetch(rest.accounts(simulator.url, who, now_ms()))
    assert found["body"]["status"] == 429
    assert 1 <= int(found["headers"]["Retry-After"]) <= 10
    fetch(rest.server_time(simulator.url))
