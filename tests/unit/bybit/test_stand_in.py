"""The exchange's side of REST: pages of what a simulated account did, as the exchange lists it."""

import json
from decimal import Decimal
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

import pytest

from recorder.simulator.exchange import Exchange
from recorder.venues.bybit.stand_in import face, ledger, rest
from recorder.venues.bybit.words import settle_coin
from recorder.venues.expiry import expires_ms
from recorder.venues.stand_in import Backend

#: How orders end that are open when their instrument expires.
EXPIRED = {"CancelBySettle", "CancelByDelivery"}
BACKEND = Backend(secret_of=lambda _key: None, clock_ms=lambda: 0)


def listed(exchange: Exchange, query: str) -> list[Any]:
    """All pages of the list of executions, oldest first."""
    rows: list[Any] = []
    asked = dict(parse_qsl(query))
    while True:
        page, asked["cursor"] = rest._executions(exchange.view(), asked, BACKEND)
        assert page or not rows
        rows += page
        if not asked["cursor"]:
            return rows[::-1]


def test_every_execution_is_listed_once_funding_and_what_the_exchange_ended_among_them() -> None:
    exchange = Exchange(5, venue="bybit", funding_interval_ms=2_000)
    pushed: dict[str, Any] = {}
    for number in range(1_500):
        if number in {300, 600, 900}:
            exchange.end_position({300: "adl", 600: "settlement", 900: "liquidation"}[number])  # type: ignore[arg-type]
        topic, payload = next(exchange)
        if topic == "execution":
            row = json.loads(payload)["data"][0]
            pushed[row["execId"]] = row
    found = [
        row
        for category in ("linear", "inverse", "spot", "option")
        for row in listed(exchange, f"category={category}&limit=7")
    ]
    assert {row["execType"] for row in found} == {"Trade", "Funding", "AdlTrade", "Delivery", "BustTrade"}
    same = "execId", "category", "symbol", "side", "execType", "execPrice", "execQty", "execFee", "execPnl", "execTime"
    told = {row["execId"]: [row[name] for name in same] for row in found}
    assert len(told) == len(found)
    assert told == {one: [row[name] for name in same] for one, row in pushed.items()}
    paid = listed(exchange, "category=linear&execType=Funding")
    assert paid == [row for row in listed(exchange, "category=linear") if row["execType"] == "Funding"] != []


def test_the_names_of_what_expires_and_of_what_does_not() -> None:
    at_ms = expires_ms("27MAR26")
    assert at_ms
    names = face.dated_symbols(at_ms - 1)
    assert names[:3] == ("BTCUSDT-27MAR26", "BTCUSDH26", "BTC-27MAR26-94500-C-USDT")
    assert face.dated_symbols(at_ms)[:2] == ("BTCUSDT-28MAR26", "BTCUSDM26")
    linear, inverse, call, put, *_ = dated = face.terms(names)
    assert {one.expires_ms for one in dated} == {at_ms}
    assert [one.market for one in dated] == ["linear", "inverse", "option", "option", "option"]
    assert (linear.settle, inverse.settle, call.settle, call.base) == ("USDT", "BTC", "USDT", "BTC")
    assert [(str(one.strike), one.is_put) for one in (call, put)] == [("94500", False), ("93500", True)]
    (usdc,) = face.terms(["ETH-27MAR26-2800-C"])
    assert usdc.settle == "USDC"
    assert not [one for one in face.terms(face.DEFAULT_SYMBOLS) if one.expires_ms]
    for one in (*dated, usdc):
        row = ledger.instrument_row(one)
        assert row["deliveryTime"] == str(at_ms)
        assert settle_coin(one.market, one.symbol) == row["settleCoin"] == one.settle
    assert ledger.instrument_row(put)["optionsType"] == "Put"
    assert [ledger.instrument_row(one)["contractType"] for one in (linear, inverse)] == [
        "LinearFutures",
        "InverseFutures",
    ]


@pytest.mark.parametrize(
    "symbol", ["BTC", "BTCUSDX26", "BTCUSDT-31FEB26", "BTCUSDC-27MAR26", "BTC-31FEB26-9-C-USDT", "spot:BTCUSDT-27MAR26"]
)
def test_other_instruments_are_not_simulated(symbol: str) -> None:
    with pytest.raises(ValueError, match=r"is not a|needs a quote"):
        face.terms([symbol])


def test_what_expired_is_delivered() -> None:
    exchange = Exchange(2, venue="bybit", expiry_ms=30_000)
    pushed = [json.loads(payload) for _, payload in islice(exchange, 1_500)]
    rows = [row for push in pushed if push["topic"] == "execution" for row in push["data"]]
    types = {(row["category"], row["execType"]) for row in rows if row["createType"] == "CreateBySettle"}
    assert types == {("linear", "Delivery"), ("inverse", "Settle")}
    ended = [row for push in pushed if push["topic"] == "order" for row in push["data"] if "By" in row["cancelType"]]
    over = {(row["category"] == "option", row["cancelType"]) for row in ended if row["cancelType"] in EXPIRED}
    assert over and over <= {(False, "CancelBySettle"), (True, "CancelByDelivery")}
    asked = {"cursor": "", "limit": "50"}
    delivered: list[Any] = []
    while True:
        page, asked["cursor"] = rest._transactions(exchange.view(), asked, BACKEND)
        delivered += [row for row in page if row["type"] == "DELIVERY"]
        if not asked["cursor"]:
            break
    assert {row["category"] for row in delivered} == {"linear", "inverse", "option"}
    for row in delivered:
        change, flow, fee = (Decimal(row[name] or 0) for name in ("change", "cashFlow", "fee"))
        assert change == flow - fee
        assert (row["category"] == "option") == (row["tradeId"] == "") == (row["orderId"] == "")
    # Each position is told to be flat, and is in no list.
    for category in ("linear", "inverse", "option"):
        listed_now, _ = rest._positions(exchange.view(), {"category": category, "settleCoin": "USDT"}, BACKEND)
        assert not [row for row in listed_now if "-" in row["symbol"]]
