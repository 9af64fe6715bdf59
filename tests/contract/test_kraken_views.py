"""The views under Kraken's own field names: every documented field of its channels and answers, as sent."""

import json
from typing import Any

import pytest

from recorder.live.channel import Recorded
from recorder.model import PUSH, REST, Decoded, Frame
from recorder.store.venue_views import account_added
from recorder.venues.kraken import answers, derivatives, ledger, objects, views
from tests.contract.test_views import ask
from tests.made import ACCOUNT, NOON_NS, SESSION
from tests.unit.kraken.frames import answer, asked, push, read, sample
from tests.unit.read.desk import Desk

#: What `make test` proves on PostgreSQL too.
ON_POSTGRESQL = ("test_every_field_of_a_push", "test_every_field_of_an_answer")

WHOLE = frozenset(["order_userref", "trade_id", "userref", "pair_decimals", "cost_decimals", "lot_decimals"])
WHOLE |= {"lot_multiplier", "margin_call", "margin_stop", "long_position_limit", "short_position_limit", "unixtime"}
FLAGS = frozenset(["post_only", "reduce_only", "no_mpp", "liquidated", "amended", "margin_borrow", "maker"])
TIMES = frozenset(["timestamp"])


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A record of a Kraken account."""
    with desk.engine.begin() as connection:
        account_added(connection, "kraken")
        connection.exec_driver_sql("UPDATE accounts SET venue = 'kraken'")
    return desk


def recorded(seq: int, source: str, decoded: Decoded, payload: bytes) -> Recorded:
    state = decoded.topic, decoded.status, decoded.error
    return Recorded(Frame(ACCOUNT, SESSION, seq, NOON_NS + seq, source, *state, payload), decoded.rows)


def pushed(seq: int, payload: bytes) -> Recorded:
    decoded = read(payload)
    assert decoded.error is None
    return recorded(seq, PUSH, decoded, payload)


def answered(seq: int, path: str, payload: bytes) -> Recorded:
    decoded = asked(path, payload, "ofs=50&nonce=1")
    assert decoded.error is None
    return recorded(seq, REST, decoded, payload)


def whole(fields: str, **given: object) -> dict[str, Any]:
    """An object with all of these fields, each with a value of its own."""
    made: dict[str, Any] = {
        name: number if name in WHOLE else name in FLAGS or f"{number}.10"
        for number, name in enumerate(fields.split(), 1)
    }
    return made | given


def shown(fields: dict[str, Any]) -> dict[str, Any]:
    """What a view shows of an object."""
    return {
        name: int(value)
        if isinstance(value, bool)
        else json.dumps(value, separators=(",", ":"))
        if isinstance(value, dict | list)
        else value
        for name, value in fields.items()
    }


def only(desk: Desk, view: str) -> dict[str, Any]:
    """The one row of a view."""
    (row,) = ask(desk.engine, f"SELECT * FROM {view}")
    return dict(row)


AT = "2026-09-30T02:53:25.118204Z"
PUSHES: dict[str, dict[str, Any]] = {
    "executions": whole(
        objects.EXECUTION,
        **{"margin": True, "timestamp": AT, "triggers": {"price": 1.5}, "contingent": {"order_type": "limit"}},
        fees=[{"asset": "USD", "qty": 1.5}],
    ),
    "balances": whole(ledger.PUSHED, timestamp=AT),
}


def test_every_field_of_the_channels_of_derivatives(desk: Desk) -> None:
    position = whole(derivatives.OPEN_POSITION, symbol="PF_XBTUSD")
    option = position | {"symbol": "OF_ETHUSD"}
    data = {"futures": [position, position | {"symbol": "PF_ETHUSD"}], "options": [option], "time": AT}
    told = {"channel": "positions", "type": "snapshot", "data": data, "sequence": 1}
    margin = {"channel": "margin", "type": "multi_collateral", "data": {"margin_equity": 4999.40}, "sequence": 2}
    desk.write(
        pushed(0, json.dumps(told).encode()),
        pushed(1, json.dumps(margin).replace("4999.4", "4999.40").encode()),
        pushed(2, push("ledgers", PUSHES["balances"])),
        pushed(3, push("executions", PUSHES["executions"] | {"symbol": "PF_XBTUSD"})),
        pushed(4, push("balances", PUSHES["balances"] | {"wallet_type": "derivatives"})),
    )
    first, second = ask(desk.engine, "SELECT * FROM kraken_positions ORDER BY item")
    expected = shown(position) | {"frame_type": "snapshot", "sequence": 1, "time": AT, "topic": "positions"}
    assert dict(first).items() >= expected.items() and second["symbol"] == "PF_ETHUSD"
    assert only(desk, "kraken_option_positions").items() >= shown(option).items()
    row = only(desk, "kraken_margin")
    assert (row["frame_type"], row["sequence"]) == ("multi_collateral", 2)
    assert row["data"].replace(" ", "") == '{"margin_equity":4999.40}'
    assert only(desk, "kraken_ledgers").items() >= shown(PUSHES["balances"]).items()
    # The channels that spot has, too, are in the same views.
    assert only(desk, "kraken_executions")["topic"] == "derivatives-executions"
    assert only(desk, "kraken_balances")["topic"] == "derivatives-balances"


@pytest.mark.parametrize("topic", list(PUSHES))
def test_every_field_of_a_push(desk: Desk, topic: str) -> None:
    desk.write(pushed(0, push(topic, PUSHES[topic])))
    row = only(desk, f"kraken_{topic}")
    assert row.items() >= (shown(PUSHES[topic]) | {"frame_type": "update", "sequence": 2}).items()
    assert (row["account"], row["seq"], row["item"]) == ("main", 0, 0)


def test_numbers_keep_the_digits_that_were_sent(desk: Desk) -> None:
    desk.write(pushed(0, sample("executions-trade")), pushed(1, sample("balances-snapshot")))
    row = only(desk, "kraken_executions")
    assert (row["last_price"], row["cost"], row["trade_id"]) == ("84210.1", "631.57575", 71200345)
    rows = ask(desk.engine, "SELECT asset, balance, wallets, frame_type FROM kraken_balances ORDER BY item")
    assert [(one["asset"], one["balance"], one["frame_type"]) for one in rows] == [
        ("BTC", "1.2", "snapshot"),
        ("SOL", "500", "snapshot"),
        ("USD", "80595.4943", "snapshot"),
    ]
    assert json.loads(rows[1]["wallets"])[1] == {"type": "earn", "id": "flex", "balance": 200}


ORDER = whole(objects.ORDER.replace(" descr ", " "), amended=True, opentm=1.5, starttm=0, expiretm=0, closetm=2.5)
DESCR = whole(objects.DESCR)
ROWS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "trades": (answers.TRADES, "trades", "txid", whole(objects.TRADE, time=1.5, margin="0.10", misc="")),
    "ledgers": (answers.LEDGER, "ledger", "ledger_id", whole(ledger.ENTRY, time=1.5)),
    "balances": (answers.BALANCES, "", "asset", whole(objects.BALANCE_EX)),
    "positions": (answers.POSITIONS, "", "txid", whole(views.POSITION, margin="0.10")),
    "pairs": (answers.PAIRS, "", "pair", whole(objects.PAIR, fees=[[0, 0.4]], leverage_buy=[2])),
}


@pytest.mark.parametrize("name", list(ROWS))
def test_every_field_of_an_answer(desk: Desk, name: str) -> None:
    path, place, member, row = ROWS[name]
    result: dict[str, Any] = {place: {"XXBT": row}, "count": 1} if place else {"XXBT": row}
    if name == "pairs":
        payload = answer(result)
        decoded = asked(path, payload)._replace(topic=f"{path}?pair=BTC%2FUSD")
        desk.write(recorded(0, REST, decoded, payload))
    else:
        desk.write(answered(0, path, answer(result)))
    expected = shown({name: str(value) if isinstance(value, float) else value for name, value in row.items()})
    assert only(desk, f"kraken_rest_{name}").items() >= (expected | {member: "XXBT", "errors": "[]"}).items()


@pytest.mark.parametrize(
    ("path", "place", "view"),
    [
        (answers.OPEN_ORDERS, "open", "open_orders"),
        (answers.ORDERS, "closed", "closed_orders"),
        (answers.ORDER, "", "query_orders"),
    ],
)
def test_every_field_of_an_order(desk: Desk, path: str, place: str, view: str) -> None:
    rows = {"OA": ORDER | {"margin": "0.10", "descr": DESCR, "trades": ["TA"]}}
    desk.write(answered(0, path, answer({place: rows} if place else rows)))
    found = only(desk, f"kraken_rest_{view}")
    told = {name: str(value) if isinstance(value, float) else value for name, value in ORDER.items()}
    expected = shown(told) | {f"descr_{name}": value for name, value in DESCR.items()}
    expected |= {"txid": "OA", "trades": '["TA"]', "margin": "0.10", "starttm": "0", "expiretm": "0"}
    assert found.items() >= expected.items()


def test_the_clock(desk: Desk) -> None:
    payload = sample("rest-time")
    desk.write(recorded(0, REST, asked(answers.TIME, payload)._replace(topic=answers.TIME), payload))
    row = only(desk, "kraken_rest_time")
    assert (row["unixtime"], row["rfc1123"]) == (1790736805, "Wed, 30 Sep 26 02:53:25 +0000")


def test_a_hostile_frame_leaves_the_others_readable(desk: Desk) -> None:
    nested = b'{"channel":"executions","data":[{"order_id":"1","user":%s}]}' % (b"[" * 900 + b"]" * 900)
    desk.write(recorded(0, PUSH, read(nested), nested), pushed(1, push("executions", PUSHES["executions"])))
    assert [row["seq"] for row in ask(desk.engine, "SELECT seq FROM kraken_executions")][-1:] == [1]
