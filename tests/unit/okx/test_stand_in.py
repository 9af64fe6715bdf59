"""What expires in a simulated account: its names, and what OKX tells of its end."""

import json
from itertools import islice
from typing import Any

import pytest

from recorder.simulator.exchange import Exchange
from recorder.venues.expiry import expires_ms
from recorder.venues.okx import answers
from recorder.venues.okx.questions import inst_type
from recorder.venues.okx.stand_in import face, frames, states
from recorder.venues.okx.stand_in.rest import OKXRequestHandler
from recorder.venues.stand_in import Backend, Reply, Request
from recorder.venues.view import Span


def test_the_names_of_what_expires_and_of_what_does_not() -> None:
    at_ms = expires_ms("260327")
    assert at_ms
    names = face.dated_symbols(at_ms - 1)
    assert names[:3] == ("BTC-USDT-260327", "BTC-USD-260327", "BTC-USD-260327-83500-C")
    linear, inverse, call, put, _ = dated = face.terms(names)
    assert {one.expires_ms for one in dated} == {at_ms}
    assert [(one.kind, one.settle) for one in (linear, inverse, call)] == [
        ("linear", "USDT"),
        ("inverse", "BTC"),
        ("option", "BTC"),
    ]
    assert [(str(one.strike), one.is_put) for one in (call, put)] == [("83500", False), ("84500", True)]
    assert not [one for one in face.terms(face.DEFAULT_SYMBOLS) if one.expires_ms]
    for one in dated:
        row = states.instrument_row(one)
        assert (row["expTime"], row["instType"]) == (str(at_ms), inst_type(one.symbol))
    row = states.instrument_row(put)
    assert (row["optType"], row["stk"], row["ctType"], row["settleCcy"]) == ("P", "84500", "", "BTC")


@pytest.mark.parametrize(
    "symbol",
    ["BTC", "BTC-USDT-261332", "BTC-USDT-260327-9-C", "BTC-USD-260327-C", "BTC-USD-260327-9-X", "BTC-USD-SWAP-C"],
)
def test_other_instruments_are_not_simulated(symbol: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        face.terms([symbol])


def test_futures_are_delivered_by_an_order_and_options_exercised_by_a_bill() -> None:
    exchange = Exchange(8, venue="okx", expiry_ms=30_000)
    pushed = [json.loads(payload) for _, payload in islice(exchange, 2_000)]

    def told(channel: str) -> list[dict[str, Any]]:
        return [row for push in pushed if push["arg"]["channel"] == channel for row in push["data"]]

    orders = told("orders")
    delivered = [row for row in orders if row["category"] == "delivery" and row["state"] == "filled"]
    assert {row["instId"] for row in delivered} == {"BTC-USDT-200203", "BTC-USD-200203"}
    ended = {(row["instType"], row["cancelSource"]) for row in orders if row["cancelSource"] in {"7", "10"}}
    assert ended and ended <= {("FUTURES", "7"), ("OPTION", "10")}
    reasons = [row["eventType"] for row in told("balance_and_position")]
    assert reasons.count("delivered") == 2
    entries = [entry.state for entry in exchange.view().transactions(Span())]
    bills = [row for state in entries for row in json.loads(state.payload)["data"] if row["type"] == "3"]
    assert {row["subType"] for row in bills if row["instType"] == "FUTURES"} <= {"112", "113"}
    exercised = [row for row in bills if row["instType"] == "OPTION"]
    assert reasons.count("exercised") == len(exercised) == 3
    for row in exercised:
        assert {"170": row["balChg"][0] != "-", "171": row["balChg"][0] == "-", "172": not float(row["balChg"])}[
            row["subType"]
        ]
        assert (row["tradeId"], row["ordId"]) == ("", "")
    # The last push of an option's position is from before its end; that of a future's is that it is flat.
    last = {row["instId"]: row for row in told("positions") if row["instId"].count("-") > 1}
    assert not any(float(row["pos"]) for row in last.values() if row["instType"] == "FUTURES")
    open_options = {row["instId"] for row in last.values() if row["instType"] == "OPTION" and float(row["pos"])}
    assert open_options == {row["instId"] for row in exercised}
    held = [row for state in exchange.view().positions() for row in json.loads(state.payload)["data"]]
    assert not [row for row in held if float(row["pos"]) and row["instId"] in last and row["instType"] != "SWAP"]


def test_a_fill_that_the_exchange_made_says_so() -> None:
    exchange = Exchange(3, venue="okx")
    list(islice(exchange, 300))
    for kind in ("adl", "settlement", "liquidation"):
        exchange.end_position(kind)
        assert exchange.waiting
        list(islice(exchange, exchange.waiting))
    kinds = {fill.kind: fill for fill in exchange.history.fills}
    types = {kind: frames.fill_row(fill)["subType"] for kind, fill in kinds.items()}
    assert types["liquidation"] in {"104", "105"} and types["adl"] in {"125", "126"}
    assert types["settlement"] in {"112", "113"} and types["trade"] in {"1", "2"}
    entries = [one for one in exchange.history.transactions if one.kind != "trade"]
    assert {states.bill_row(one)["type"] for one in entries if one.type == "trade"} == {"3", "5", "9"}
    assert answers.BILLS in {entry.state.topic for entry in exchange.view().transactions(Span())}


def test_options_are_listed_by_their_underlying() -> None:
    terms = face.terms([*face.DEFAULT_SYMBOLS, "BTC-USD-260327-9-C", "ETH-USD-260327-9-C"])
    handler = OKXRequestHandler(Backend(secret_of=lambda _key: None, clock_ms=lambda: 0, terms=terms))

    def listed(query: str) -> list[str]:
        answer = handler.handle(Request("GET", f"{answers.INSTRUMENTS}?instType={query}", {}, "http://x"))
        body = json.loads(answer.body if isinstance(answer, Reply) else bytes(answer))  # type: ignore[arg-type]
        return [one["instId"] for one in body["data"]] or [body["code"]]

    assert listed("OPTION") == ["50014"]
    assert listed("OPTION&uly=BTC-USD") == listed("OPTION&instFamily=BTC-USD") == ["BTC-USD-260327-9-C"]
    assert listed("OPTION&instFamily=ETH-USD&instId=BTC-USD-260327-9-C") == ["0"]
    assert listed("SWAP") == ["BTC-USDT-SWAP", "ETH-USDT-SWAP", "BTC-USD-SWAP"]
