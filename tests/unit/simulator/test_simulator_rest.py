"""REST of the simulated exchange: pages of orders, single orders, and refused requests."""

import json
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import pytest

from recorder.simulator.exchange import Exchange
from recorder.venues.fmex.sign import KEY, SIGNATURE, TIMESTAMP, credentials
from recorder.venues.fmex.stand_in.rest import WINDOW_MS, Authenticator, FMexRequestHandler
from recorder.venues.stand_in import AccountQuery, Backend, HttpError, Request
from tests.made import body_of

BASE = "http://127.0.0.1:9010"
NOW_MS = 1_580_900_000_000
CLOSED = "/v3/contracts/orders/closed"


class Desk:
    """One account's REST, after some trading."""

    def __init__(self) -> None:
        exchange = Exchange(1, ("btcusd_p", "ethusd_p"))
        list(islice(exchange, 5_000))
        self.state = exchange.history
        self._view = exchange.view()
        self.now_ms = NOW_MS
        self._handler = FMexRequestHandler(Backend(secret_of={"key": "secret"}.get, clock_ms=lambda: self.now_ms))

    def get(self, path: str, **query: object) -> Any:
        target = f"{path}?{urlencode(sorted(query.items()))}" if query else path
        self.now_ms += WINDOW_MS  # so that the rate limit is never reached
        return self.ask(target, credentials("key", "secret", "GET", BASE + target, self.now_ms))

    def ask(self, target: str, headers: dict[str, str], method: str = "GET") -> Any:
        decided = self._handler.handle(Request(method, target, headers, BASE))
        assert isinstance(decided, AccountQuery)
        assert decided.key == "key"
        return json.loads(body_of(decided.answer(self._view)))


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize("symbol", ["btcusd_p", "ethusd_p", ""])
@pytest.mark.parametrize("limit", [1, 7, 100])
def test_the_pages_of_closed_orders_are_complete_and_repeat_nothing(desk: Desk, symbol: str, limit: int) -> None:
    expected = [
        order.id
        for order in sorted(desk.state.orders.values(), key=lambda order: -order.id)
        if not order.is_open and order.terms.symbol.startswith(symbol.upper())
    ]
    found: list[int] = []
    offset: dict[str, object] = {}
    while True:
        page = desk.get(CLOSED, range="202002", symbol=symbol, limit=limit, **offset)["data"]
        assert len(page["results"]) <= limit
        found += [order["id"] for order in page["results"]]
        if not page["hasMore"]:
            break
        offset = {"offsetId": page["nextOffsetId"]}
    assert page["nextOffsetId"] is None
    assert found == expected
    assert len(expected) > 100


def test_a_page_has_orders_of_its_month_only(desk: Desk) -> None:
    assert desk.get(CLOSED, range="202001")["data"]["results"] == []
    assert len(desk.get(CLOSED)["data"]["results"]) == 20


def test_one_order_and_its_matches(desk: Desk) -> None:
    order = next(order for order in desk.state.orders.values() if len(order.fills) > 1)
    assert desk.get(f"/v3/contracts/orders/{order.id}")["data"]["id"] == order.id
    matches = desk.get(f"/v3/contracts/orders/{order.id}/matches")["data"]["results"]
    assert [match["quantity"] for match in matches] == [float(match.quantity) for match in order.fills]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v3/contracts/orders/1", 404),
        ("/v3/contracts/orders/1/matches", 404),
        ("/v3/contracts/orders/x", 400),
        ("/v3/contracts/orders/1/", 404),
        ("/v3/contracts/orders/1/fills", 404),
        ("/v3/contracts/orders/", 400),
        ("/v3/contracts/nothing", 404),
        ("//[", 404),
        (CLOSED + "?range=202013", 400),
        (CLOSED + "?range=2020%C2%B2%C2%B2", 400),
        (CLOSED + "?limit=0", 400),
        (CLOSED + "?limit=101", 400),
        (CLOSED + "?limit=many", 400),
        (CLOSED + "?offsetId=-1", 400),
        (CLOSED + "?offsetId=1", 400),
        (CLOSED + "?symbol=xrpusd_p", 400),
    ],
)
def test_invalid_requests_are_refused(desk: Desk, target: str, status: int) -> None:
    desk.now_ms += WINDOW_MS
    with pytest.raises(HttpError) as refused:
        desk.ask(target, credentials("key", "secret", "GET", BASE + target, desk.now_ms))
    assert refused.value.status == status


def test_only_get_is_served(desk: Desk) -> None:
    with pytest.raises(HttpError) as refused:
        desk.ask("/v3/contracts/accounts", {}, method="PUT")
    assert refused.value.status == 405
    with pytest.raises(HttpError) as refused:
        desk.ask("/v3/contracts/orders", {}, method="POST")
    assert refused.value.status == 403


def test_query_parameters_are_signed_sorted(desk: Desk) -> None:
    signed = credentials("key", "secret", "GET", f"{BASE}{CLOSED}?limit=1&range=202002", desk.now_ms)
    assert desk.ask(f"{CLOSED}?range=202002&limit=1", signed)["status"] == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({KEY: "other"}, "key"),
        ({SIGNATURE: "AAAA"}, "signature"),
        ({SIGNATURE: "\udcff"}, "signature"),
        ({TIMESTAMP: str(NOW_MS - 30_001)}, "timestamp"),
        ({TIMESTAMP: "²"}, "timestamp"),
        ({TIMESTAMP: ""}, "timestamp"),
    ],
)
def test_invalid_credentials_are_refused(changed: dict[str, str], message: str) -> None:
    guard = Authenticator({"key": "secret"}.get)
    given = credentials("key", "secret", "GET", BASE, NOW_MS)
    assert guard.admit(given, BASE, "", NOW_MS + 30_000) == "key"
    with pytest.raises(HttpError, match=message) as refused:
        guard.admit(given | changed, BASE, "", NOW_MS)
    assert refused.value.status == 401
