"""The simulated exchange is repeatable, and shows everything that the page documents."""

import hashlib
import json
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest

from recorder.model import DECODED
from recorder.simulator.exchange import Exchange
from recorder.simulator.history import AccountHistory
from recorder.venues.fmex.decode import decode
from recorder.venues.fmex.orders import OPEN
from recorder.venues.fmex.stand_in.frames import status

#: Pushes until everything rare has happened with seed 1.
LONG_ENOUGH = 12_000

STATUSES = {
    "PENDING",
    "PARTIAL_FILLED",
    "FULLY_FILLED",
    "PARTIAL_CANCELLED",
    "FULLY_CANCELLED",
    "STOP_PENDING",
    "STOP_FAILED",
    "STOP_CANCELLED",
}


@pytest.fixture(scope="module")
def seen() -> tuple[AccountHistory, list[dict[str, Any]]]:
    exchange = Exchange(1)
    frames = [payload for _, payload in islice(exchange, LONG_ENOUGH)]
    return exchange.history, [json.loads(payload, parse_float=Decimal) for payload in frames]


@pytest.fixture(scope="module")
def orders(seen: tuple[AccountHistory, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [push["order"] for push in seen[1] if "order" in push]


def test_same_seed_same_frames() -> None:
    symbols = ("btcusd_p", "ethusd_p")
    once, again = (list(islice(Exchange(7, symbols), 3_000)) for _ in range(2))
    assert once == again
    assert once != list(islice(Exchange(8, symbols), 3_000))


def test_a_seed_gives_the_same_frames_in_every_version() -> None:
    # Another process, another version of Python: the same bytes. Whoever changes the trading changes this on purpose.
    frames = b"".join(payload for _, payload in islice(Exchange(1), 10_000))
    assert hashlib.sha256(frames).hexdigest()[:16] == "45ff9a782b7eb64c"


def test_the_real_clock_changes_nothing_but_the_times_and_ids() -> None:
    def timeless(exchange: Exchange) -> list[tuple[str, Any]]:
        frames = []
        for topic, payload in islice(exchange, 500):
            push = json.loads(payload)
            inner = push[topic.partition(".")[0]]
            frames.append((topic, {name: inner[name] for name in inner if name != "id" and not name.endswith("_at")}))
        return frames

    assert timeless(Exchange(5)) == timeless(Exchange(5, clock_ms=lambda: 1_600_000_000_000))


def test_all_statuses(orders: list[dict[str, Any]]) -> None:
    assert {order["status"] for order in orders} == STATUSES


def test_all_types_directions_and_flags(orders: list[dict[str, Any]]) -> None:
    assert {order["type"] for order in orders} == {"LIMIT", "MARKET"}
    assert {order["direction"] for order in orders} == {"LONG", "SHORT"}
    for bit in (0x01, 0x02, 0x04, 0x08, 0x8000):
        assert any(order["features"] & bit for order in orders), hex(bit)


def test_stops_trigger_and_trail(orders: list[dict[str, Any]]) -> None:
    assert any(order["trigger_on"] and order["status"] == "FULLY_FILLED" for order in orders)
    trailing: dict[int, set[Decimal]] = {}
    for order in orders:
        if order["trailing_distance"]:
            trailing.setdefault(order["id"], set()).add(order["trailing_base_price"])
    assert max(len(bases) for bases in trailing.values()) > 3


def test_positions_open_close_and_reverse(seen: tuple[AccountHistory, list[dict[str, Any]]]) -> None:
    positions = [push["position"] for push in seen[1] if "position" in push]
    assert {position["direction"] for position in positions} == {"LONG", "SHORT"}
    assert {0, 1} <= {position["risk_level"] for position in positions}
    assert any(position["quantity"] == 0 for position in positions)


def test_an_order_only_goes_forward(orders: list[dict[str, Any]]) -> None:
    last: dict[int, dict[str, Any]] = {}
    for order in orders:
        before = last.get(order["id"])
        if before:
            assert before["status"] in OPEN
            assert order["unfilled_quantity"] <= before["unfilled_quantity"]
            assert order["created_at"] == before["created_at"]
        last[order["id"]] = order


def test_fees_and_quantities_of_matches_sum_up_to_the_order(seen: tuple[AccountHistory, list[dict[str, Any]]]) -> None:
    matched = [order for order in seen[0].orders.values() if order.fills]
    assert len(matched) > 500
    for order in matched:
        assert sum(fill.fee for fill in order.fills) == order.fee
        assert sum(fill.quantity for fill in order.fills) == order.filled_quantity
        notional = sum([fill.quantity * fill.price for fill in order.fills], Decimal(0))
        assert abs(notional / order.filled_quantity - order.average_price) < Decimal("1E-15")


def test_the_history_is_the_pushed_state(seen: tuple[AccountHistory, list[dict[str, Any]]]) -> None:
    told, pushes = seen
    last_balance = [push["account"] for push in pushes if "account" in push][-1]
    (balance,) = told.balances.values()
    assert (balance.available, balance.locked) == (last_balance["available"], last_balance["frozen"])
    last_orders = {push["order"]["id"]: push["order"]["status"] for push in pushes if "order" in push}
    assert {order.id: status(order) for order in told.orders.values()} == last_orders
    assert [order.id for order in told.open_orders()] == sorted(
        [order_id for order_id, status in last_orders.items() if status in OPEN], reverse=True
    )


def test_times_never_go_back(seen: tuple[AccountHistory, list[dict[str, Any]]]) -> None:
    stamps = [push["ts"] for push in seen[1]]
    assert stamps == sorted(stamps)


def test_every_push_is_decoded() -> None:
    for topic, payload in islice(Exchange(2, ("btcusd_p", "ethusd_p")), 3_000):
        decoded = decode(payload)
        assert (decoded.status, decoded.topic) == (DECODED, topic)
        assert not any(getattr(update, "extra", None) for update in decoded.updates)
