"""The views under Binance futures' own field names: every documented field of its events and answers, as sent."""

import json
from typing import Any

import pytest

from recorder.live.channel import Recorded
from recorder.model import PUSH, REST, Decoded, Frame
from recorder.store.venue_views import account_added
from recorder.venues.binance import answers, ledger, objects, states, views
from tests.contract.test_views import ask
from tests.made import ACCOUNT, NOON_NS, SESSION
from tests.unit.binance.frames import asked, encoded, read, sample
from tests.unit.read.desk import Desk

#: What `make test` proves on PostgreSQL too.
ON_POSTGRESQL = ("test_every_field_of_an_object", "test_a_hostile_frame_leaves_the_others_readable")


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A record of a Binance account."""
    with desk.engine.begin() as connection:
        account_added(connection, "binance")
        connection.exec_driver_sql("UPDATE accounts SET venue = 'binance'")
    return desk


def recorded(seq: int, source: str, decoded: Decoded, payload: bytes) -> Recorded:
    state = decoded.topic, decoded.status, decoded.error
    return Recorded(Frame(ACCOUNT, SESSION, seq, NOON_NS + seq, source, *state, payload), decoded.rows)


def pushed(seq: int, payload: bytes) -> Recorded:
    return recorded(seq, PUSH, read(payload), payload)


def answered(seq: int, target: str, payload: bytes) -> Recorded:
    return recorded(seq, REST, asked(target, payload), payload)


def whole(fields: str, ints: frozenset[str], flags: frozenset[str], **given: object) -> dict[str, Any]:
    """An object with all of these fields, each with a value of its own."""
    made: dict[str, Any] = {
        name: 9_007_199_254_740_993 + number if name in ints else True if name in flags else f"{number}.10"
        for number, name in enumerate(fields.split(), 1)
    }
    return made | given


def shown(fields: dict[str, Any]) -> dict[str, Any]:
    """What a view shows of an object: of two names that differ only in case, the second one ends with `_`."""
    seen: set[str] = set()
    told: dict[str, Any] = {}
    for name, value in fields.items():
        column = f"{name}_" if name.lower() in seen else name
        seen.add(column.lower())
        if isinstance(value, dict | list):
            told[column] = json.dumps(value, separators=(",", ":"))
        else:
            told[column] = int(value) if isinstance(value, bool) else value
    return told


def only(desk: Desk, view: str) -> dict[str, Any]:
    """The one row of a view."""
    (row,) = ask(desk.engine, f"SELECT * FROM {view}")
    return dict(row)


OF_ORDER = views._ORDER_INTS - {"st"}
OBJECTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "order_trade_update": ("ORDER_TRADE_UPDATE", "o", whole(objects.ORDER, OF_ORDER, views._FLAGS)),
    "algo_update": ("ALGO_UPDATE", "o", whole(objects.ALGO, views._INTS, views._FLAGS - {"ia"}, ia=False)),
    "strategy_update": ("STRATEGY_UPDATE", "su", whole(views._STRATEGY, views._INTS, views._FLAGS)),
    "grid_update": ("GRID_UPDATE", "gu", whole(views._STRATEGY, views._INTS, views._FLAGS)),
    "conditional_order_trigger_reject": (
        "CONDITIONAL_ORDER_TRIGGER_REJECT",
        "or",
        whole("s i r", views._INTS, views._FLAGS),
    ),
}


@pytest.mark.parametrize("name", list(OBJECTS))
def test_every_field_of_an_object(desk: Desk, name: str) -> None:
    event, place, told = OBJECTS[name]
    desk.write(pushed(0, encoded({"e": event, "T": 7, "E": 8, "i": "SgsR", place: told})))
    around = {"frame_e": event, "frame_T": 7, "frame_E_": 8, "frame_i": "SgsR"}
    assert only(desk, f"binance_{name}").items() >= (shown(told) | around).items()


def test_the_assets_and_positions_that_changed(desk: Desk) -> None:
    balance = whole(states.BALANCE, frozenset(), frozenset())
    position = whole(states.POSITION, frozenset(), frozenset(), mt="isolated")
    changes = {"B": [balance], "P": [position, position], "m": "FUNDING_FEE", "S": "BTCUSDT"}
    desk.write(pushed(0, encoded({"e": "ACCOUNT_UPDATE", "T": 7, "E": 8, "a": changes})))
    row = only(desk, "binance_account_update_balances")
    assert row.items() >= (balance | {"m": "FUNDING_FEE", "S": "BTCUSDT", "frame_T": 7}).items()
    rows = [dict(row) for row in ask(desk.engine, "SELECT * FROM binance_account_update_positions ORDER BY item")]
    assert [row["item"] for row in rows] == [0, 1]
    assert rows[1].items() >= (position | {"m": "FUNDING_FEE", "change_S": "BTCUSDT"}).items()


def test_events_that_are_objects_themselves(desk: Desk) -> None:
    desk.write(
        *(
            pushed(seq, sample(name))
            for seq, name in enumerate(["TRADE_LITE", "ACCOUNT_CONFIG_UPDATE", "MARGIN_CALL", "listenKeyExpired"])
        )
    )
    lite = only(desk, "binance_trade_lite")
    expected = {"s": "ETHUSDT", "S_": "SELL", "L": "3010.50", "l_": "0.100", "t_": 7001002003, "T": 1795800000123}
    assert lite.items() >= (expected | {"i": 8389765739811111111, "m": 1}).items()
    assert only(desk, "binance_account_config_update")["ac"] == '{"s":"BTCUSDT","l":25}'
    call = only(desk, "binance_margin_call_positions")
    assert (call["cw"], call["mt"], call["mm"]) == ("3.16", "CROSSED", "1.614445")


def of_rest(fields: str, **given: object) -> dict[str, Any]:
    return whole(fields, views._REST_INTS, views._REST_FLAGS, **given)


ANSWERS: dict[str, tuple[str, dict[str, Any]]] = {
    "orders": (f"{answers.ORDERS}?limit=1000", of_rest(objects.REST_ORDER)),
    "algo_orders": (answers.OPEN_ALGOS, of_rest(objects.REST_ALGO)),
    "trades": (f"{answers.FILLS}?symbol=BTCUSDT", of_rest(objects.REST_FILL)),
    "income": (answers.INCOME, of_rest(ledger.INCOME)),
    "positions": ("/dapi/v1/positionRisk", of_rest(states.REST_POSITION)),
    "balances": (answers.BALANCES, of_rest(states.REST_BALANCE)),
}


@pytest.mark.parametrize("name", list(ANSWERS))
def test_every_field_of_an_answer(desk: Desk, name: str) -> None:
    target, row = ANSWERS[name]
    desk.write(answered(0, target, encoded([row])))
    assert only(desk, f"binance_rest_{name}").items() >= shown(row).items()


def test_a_single_order_a_list_of_instruments_and_the_clock(desk: Desk) -> None:
    order, symbol = of_rest(objects.REST_ORDER), of_rest(states.INSTRUMENT, filters=[])
    del symbol["OrderType"]
    desk.write(
        answered(0, f"{answers.ORDER}?symbol=X&orderId=7", encoded(order)),
        answered(1, answers.INSTRUMENTS, encoded({"timezone": "UTC", "symbols": [symbol]})),
        answered(2, answers.TIME, b'{"serverTime":1795800000000}'),
    )
    assert only(desk, "binance_rest_orders").items() >= shown(order).items()
    assert only(desk, "binance_rest_instruments").items() >= shown(symbol).items()
    assert only(desk, "binance_rest_time")["serverTime"] == 1795800000000


def test_a_hostile_frame_leaves_the_others_readable(desk: Desk) -> None:
    nested = b'{"e":"ORDER_TRADE_UPDATE","T":1,"E":2,"o":{"i":1,"c":%s}}' % (b"[" * 900 + b"]" * 900)
    desk.write(pushed(0, nested), pushed(1, sample("ORDER_TRADE_UPDATE")))
    assert [row["seq"] for row in ask(desk.engine, "SELECT seq FROM binance_order_trade_update")][-1:] == [1]
