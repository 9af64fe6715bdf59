"""The views under Deribit's own field names: every documented field of its channels and answers, as sent."""

import json
from typing import Any

import pytest

from recorder.live.channel import Recorded
from recorder.model import PUSH, REST, Decoded, Frame
from recorder.store.venue_views import account_added
from recorder.venues.deribit import answers, ledger, objects, views
from tests.contract.test_views import ask
from tests.made import ACCOUNT, NOON_NS, SESSION
from tests.unit.deribit.frames import answer, asked, changes, push, read, sample
from tests.unit.read.desk import Desk

#: What `make test` proves on PostgreSQL too.
ON_POSTGRESQL = ("test_every_part_of_a_change", "test_a_hostile_frame_leaves_the_others_readable")


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A record of a Deribit account."""
    with desk.engine.begin() as connection:
        account_added(connection, "deribit")
        connection.exec_driver_sql("UPDATE accounts SET venue = 'deribit'")
    return desk


def recorded(seq: int, source: str, decoded: Decoded, payload: bytes) -> Recorded:
    state = decoded.topic, decoded.status, decoded.error
    return Recorded(Frame(ACCOUNT, SESSION, seq, NOON_NS + seq, source, *state, payload), decoded.rows)


def pushed(seq: int, payload: bytes) -> Recorded:
    return recorded(seq, PUSH, read(payload), payload)


def answered(seq: int, target: str, payload: bytes) -> Recorded:
    return recorded(seq, REST, asked(target, payload), payload)


def whole(fields: str, **given: object) -> dict[str, Any]:
    """An object with all of these fields, each with a value of its own."""
    made: dict[str, Any] = {}
    for number, name in enumerate(fields.split(), 1):
        made[name] = number if name in views._WHOLE else name in views._FLAGS or _value(name, number)
    return made | given


def _value(name: str, number: int) -> object:
    texts = ("_id", "name", "state", "type", "label", "direction", "currency", "liquidity", "liquidation", "reason")
    return f"{name} {number}" if name.endswith((*texts, "trigger", "time_in_force", "kind")) else number + 0.5


def shown(fields: dict[str, Any]) -> dict[str, Any]:
    """What a view shows of an object: numbers as they are written."""
    return {
        name: value
        if isinstance(value, str | None)
        else int(value)
        if name in views._WHOLE | views._FLAGS
        else json.dumps(value, separators=(",", ":"))
        for name, value in fields.items()
    }


def only(desk: Desk, view: str) -> dict[str, Any]:
    """The one row of a view."""
    (row,) = ask(desk.engine, f"SELECT * FROM {view}")
    return dict(row)


PARTS = {
    "orders": whole(objects.ORDER, price="market_price", oto_order_ids=["7"], post_only=True),
    "trades": whole(objects.TRADE, matching_id=None, legs=[], trade_allocations=[{"amount": 1}], reduce_only=False),
    "positions": whole(objects.POSITION),
}


@pytest.mark.parametrize("part", list(PARTS))
def test_every_part_of_a_change(desk: Desk, part: str) -> None:
    frame = changes(**{part: [PARTS[part]]})
    desk.write(pushed(0, frame))
    row = only(desk, f"deribit_changes_{part}")
    assert row.items() >= (shown(PARTS[part]) | {"channel": "user.changes.any.any.raw"}).items()
    assert (row["account"], row["seq"], row["item"]) == ("main", 0, 0)
    assert [len(ask(desk.engine, f"SELECT * FROM deribit_changes_{other}")) for other in PARTS] == [
        int(other == part) for other in PARTS
    ]


@pytest.mark.parametrize("part", ["orders", "trades"])
def test_channels_of_their_own(desk: Desk, part: str) -> None:
    desk.write(pushed(0, push(f"user.{part}.any.any.raw", [PARTS[part]])))
    assert only(desk, f"deribit_{part}").items() >= shown(PARTS[part]).items()


def test_the_portfolio(desk: Desk) -> None:
    fields = whole(objects.PORTFOLIO, delta_total_map={"btc_usd": 1.5})
    desk.write(pushed(0, push("user.portfolio.btc", fields)))
    assert only(desk, "deribit_portfolio").items() >= (shown(fields) | {"channel": "user.portfolio.btc"}).items()


def test_digits_are_as_sent(desk: Desk) -> None:
    desk.write(pushed(0, sample("changes")))
    assert (
        only(desk, "deribit_changes_trades").items() >= {"fee": "-4.0e-8", "price": "9.15e4", "amount": "40.0"}.items()
    )


ANSWERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "summaries": (answers.BALANCES, "summaries", whole(objects.PORTFOLIO)),
    "positions": (f"{answers.POSITIONS}?currency=any", "", whole(objects.POSITION)),
    "open_orders": (f"{answers.OPEN_ORDERS}?type=all", "", whole(objects.ORDER)),
    "order_history": (f"{answers.ORDERS}?currency=BTC", "orders", whole(objects.ORDER)),
    "trigger_order_history": (f"{answers.TRIGGERS}?currency=BTC", "entries", whole(objects.TRIGGER)),
    "user_trades": (f"{answers.FILLS}?currency=BTC", "trades", whole(objects.TRADE, legs=None)),
    "transaction_log": (f"{answers.LOG}?currency=BTC", "logs", whole(ledger.ENTRY, id=90000111, info={"a": 1})),
    "instruments": (f"{answers.INSTRUMENTS}?currency=any", "", whole(objects.INSTRUMENT, tick_size_steps=[])),
}


@pytest.mark.parametrize("name", list(ANSWERS))
def test_every_field_of_an_answer(desk: Desk, name: str) -> None:
    target, place, row = ANSWERS[name]
    desk.write(answered(0, target, answer({place: [row]} if place else [row])))
    around = {"usIn": "1795852800130412", "usDiff": "608", "testnet": 0}
    assert only(desk, f"deribit_rest_{name}").items() >= (shown(row) | around).items()


@pytest.mark.parametrize(
    ("target", "view", "row"),
    [
        (f"{answers.ORDER}?order_id=7", "open_orders", whole(objects.ORDER)),
        (f"{answers.POSITION}?instrument_name=X", "positions", whole(objects.POSITION)),
        (f"{answers.INSTRUMENT}?instrument_name=X", "instruments", whole(objects.INSTRUMENT)),
    ],
)
def test_an_answer_about_one_thing_is_a_list_of_one(desk: Desk, target: str, view: str, row: dict[str, Any]) -> None:
    desk.write(answered(0, target, answer(row)))
    assert only(desk, f"deribit_rest_{view}").items() >= shown(row).items()


def test_a_hostile_frame_leaves_the_others_readable(desk: Desk) -> None:
    nested = changes(orders=[{"order_id": "1", "label": "@"}]).replace(b'"@"', b"[" * 900 + b"]" * 900)
    desk.write(pushed(0, nested), pushed(1, changes(orders=[PARTS["orders"]])))
    assert [row["seq"] for row in ask(desk.engine, "SELECT seq FROM deribit_changes_orders")][-1:] == [1]
