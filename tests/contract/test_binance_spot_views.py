"""The views of Binance spot's events and answers: every documented field, as sent, under the exchange's own name."""

import json
from typing import Any

import pytest

from recorder.live.channel import Recorded
from recorder.model import PUSH, REST, Decoded, Frame
from recorder.store.venue_views import account_added
from recorder.venues.binance_spot import answers, objects
from tests.contract.test_views import ask
from tests.made import ACCOUNT, NOON_NS, SESSION
from tests.unit.binance_spot.frames import answer, asked, event, push, read, sample
from tests.unit.read.desk import Desk

#: What `make test` proves on PostgreSQL too.
ON_POSTGRESQL = ("test_every_field_of_an_event", "test_a_hostile_frame_leaves_the_others_readable")

#: Event → its view, and its documented fields.
EVENTS = {
    "executionReport": ("execution_report", objects.REPORT),
    "balanceUpdate": ("balance_update", "e E a d T"),
    "listStatus": ("list_status", "e E s g c l L r C T O"),
    "externalLockUpdate": ("external_lock_update", "e E a d T"),
}
#: Letters whose values are whole numbers, and truth values; of `executionReport`, and of all others.
NUMBERS = frozenset(["E", "g", "i", "T", "t", "I", "O", "W", "d", "D", "j", "J", "v", "u", "U", "a", "gOV", "eR"])
FLAGS = frozenset(["w", "m", "M", "uS"])


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A record of an account at Binance spot."""
    with desk.engine.begin() as connection:
        account_added(connection, "binance_spot")
        connection.exec_driver_sql("UPDATE accounts SET venue = 'binance_spot'")
    return desk


def recorded(seq: int, source: str, decoded: Decoded, payload: bytes) -> Recorded:
    assert decoded.error is None
    state = decoded.topic, decoded.status, decoded.error
    return Recorded(Frame(ACCOUNT, SESSION, seq, NOON_NS + seq, source, *state, payload), decoded.rows)


def pushed(seq: int, payload: bytes) -> Recorded:
    return recorded(seq, PUSH, read(payload), payload)


def only(desk: Desk, view: str) -> dict[str, Any]:
    """The one row of a view."""
    (row,) = ask(desk.engine, f"SELECT * FROM binance_spot_{view}")
    return dict(row)


def whole(name: str) -> dict[str, Any]:
    """An event with all of its documented fields, each with a value of its own."""
    fields = EVENTS[name][1].split()
    is_report = name == "executionReport"
    made: dict[str, Any] = {}
    for number, letter in enumerate(fields, 1):
        if is_report and letter in FLAGS:
            made[letter] = True
        elif letter in NUMBERS if is_report else letter in {"E", "T", "g"}:
            made[letter] = number
        else:
            made[letter] = f"{number}.10"
    if name == "listStatus":
        made["O"] = [{"s": "BTCUSDT", "i": 17, "c": "a"}]
    asset = {} if is_report or name == "listStatus" else {"a": "BTC"}
    return made | {"e": name} | asset


@pytest.mark.parametrize("name", EVENTS)
def test_every_field_of_an_event(desk: Desk, name: str) -> None:
    told = whole(name)
    desk.write(pushed(0, push(told, subscriptionId=3)))
    row = only(desk, EVENTS[name][0])
    assert (row["account"], row["seq"], row["subscriptionId"]) == ("main", 0, 3)
    for letter, value in told.items():
        if letter != "e":
            (column,) = [one for one in row if one.partition("_")[0] == letter]
            expected = json.dumps(value, separators=(",", ":")) if isinstance(value, list) else value
            assert (column, row[column]) == (column, int(value) if value is True else expected)


def test_every_balance_of_an_event(desk: Desk) -> None:
    desk.write(pushed(0, sample("outboundAccountPosition")))
    rows = ask(desk.engine, "SELECT * FROM binance_spot_outbound_account_position ORDER BY item")
    shown = ("item", "E_event_time", "u_last_update", "a_asset", "f_free", "l_locked")
    assert [tuple(dict(row)[name] for name in shown) for row in rows] == [
        (0, 1795800000201, 1795800000199, "BTC", "0.00999000", "0.00000000"),
        (1, 1795800000201, 1795800000199, "USDT", "9100.50000000", "29.50000000"),
    ]


#: View → its path, its documented fields, and the answer around a row.
ANSWERS: dict[str, tuple[str, str, Any]] = {
    "orders": (f"{answers.ORDERS}?symbol=BTCUSDT", objects.ORDER, lambda row: [row]),
    "my_trades": (f"{answers.TRADES}?symbol=BTCUSDT", objects.TRADE, lambda row: [row]),
    "account": (answers.ACCOUNT, objects.ASSET, lambda row: {"balances": [row], "uid": 7, "canTrade": True}),
    "exchange_info": (
        f"{answers.INSTRUMENTS}?symbols=x",
        objects.INSTRUMENT,
        lambda row: {"timezone": "UTC", "serverTime": 5, "symbols": [row]},
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_field_of_an_answer(desk: Desk, name: str) -> None:
    target, fields, around = ANSWERS[name]
    row: dict[str, Any] = {field: f"{number}.10" for number, field in enumerate(fields.split(), 1)}
    row |= {"filters": []} if name == "exchange_info" else {}
    samples: dict[str, Any] = {}
    for sampled in ("rest-openOrders", "rest-myTrades", "rest-exchangeInfo", "rest-account"):
        found = json.loads(sample(sampled))
        rows = found if isinstance(found, list) else found.get("symbols") or found["balances"]
        samples |= {one: value for one, value in rows[0].items() if not isinstance(value, str)}
    # Numbers, flags and nested values are as in the samples; fields that no sample has are whole numbers or texts.
    others = ("preventedMatchId", "strategyId", "strategyType", "trailingDelta", "trailingTime", "pegOffsetValue")
    numbers = dict.fromkeys((*others, "expiryReason"), 12) | {"usedSor": True}
    row |= {one: value for one, value in (samples | numbers).items() if one in row}
    payload = answer(around(row))
    desk.write(recorded(0, REST, asked(target, payload), payload))
    shown = only(desk, f"rest_{name}")
    for field, value in row.items():
        nested = json.dumps(value, separators=(",", ":")) if isinstance(value, list | dict) else value
        assert (field, shown[field]) == (field, int(value) if isinstance(value, bool) else nested)
    if name == "account":
        assert (shown["account_uid"], shown["account_canTrade"], shown["account"]) == (7, 1, "main")


def test_one_order_and_the_clock(desk: Desk) -> None:
    order, clock = json.dumps(json.loads(sample("rest-openOrders"))[0]).encode(), b'{"serverTime":5}'
    target = f"{answers.ORDER}?symbol=BTCUSDT&orderId=1"
    desk.write(recorded(0, REST, asked(target, order), order), recorded(1, REST, asked(answers.TIME, clock), clock))
    assert only(desk, "rest_orders")["orderId"] == 51000000002
    assert only(desk, "rest_time")["serverTime"] == 5


def test_a_hostile_frame_leaves_the_others_readable(desk: Desk) -> None:
    nested = push(event("executionReport")).replace(b'"c":"a1"', b'"c":"a1","new":%s' % (b"[" * 900 + b"]" * 900))
    desk.write(pushed(0, nested), pushed(1, sample("executionReport")))
    rows = ask(desk.engine, "SELECT seq, i_order_id FROM binance_spot_execution_report ORDER BY seq")
    assert [tuple(row.values()) for row in rows][-1] == (1, 51000000001)
