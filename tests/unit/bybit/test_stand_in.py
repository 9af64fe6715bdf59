"""The exchange's side of REST: pages of what a simulated account did, as the exchange lists it."""

import json
from typing import Any
from urllib.parse import parse_qsl

from recorder.simulator.exchange import Exchange
from recorder.venues.bybit.stand_in import rest
from recorder.venues.stand_in import Backend

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
        row for category in ("linear", "inverse", "spot") for row in listed(exchange, f"category={category}&limit=7")
    ]
    assert {row["execType"] for row in found} == {"Trade", "Funding", "AdlTrade", "Delivery", "BustTrade"}
    same = "execId", "category", "symbol", "side", "execType", "execPrice", "execQty", "execFee", "execPnl", "execTime"
    told = {row["execId"]: [row[name] for name in same] for row in found}
    assert len(told) == len(found)
    assert told == {one: [row[name] for name in same] for one, row in pushed.items()}
    paid = listed(exchange, "category=linear&execType=Funding")
    assert paid == [row for row in listed(exchange, "category=linear") if row["execType"] == "Funding"] != []
