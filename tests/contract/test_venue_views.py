"""The views under FMex's own field names: every field of the exchange's sample frames, with its digits as sent."""

import json
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from recorder.live.channel import Recorded
from recorder.model import DECODED, SNAPSHOT, UNDECODED
from recorder.store.entries import FramesRedacted
from recorder.venues.fmex import rest
from tests.contract.test_views import ask
from tests.made import ACCOUNT, NOON_NS, SESSION, answered, received
from tests.samples import sample
from tests.unit.read.desk import OTHER, Desk

#: What `make test` proves on PostgreSQL too.
ON_POSTGRESQL = (
    "test_every_field_of_a_push",
    "test_every_field_of_an_answer",
    "test_digits_come_out_as_sent",
    "test_a_hostile_frame_leaves_the_others_readable",
)

ROUND = 75
ONE_ORDER = f"{rest.ORDERS}/849758102002"
MATCHES = f"{ONE_ORDER}/matches"
CLOSED = f"{rest.CLOSED_ORDERS}?limit=100&range=202002&symbol=btcusd_p"
#: Ids, times and bit sets; every other number is text.
INTEGERS = {"id", "features", "created_at", "updated_at", "ts", "gap", "risk_level", "riskLevel", "sequenceId"}
KEY = {"account", "account_id", "session_id", "seq", "received_ns", "topic"}
#: What an answer with closed orders says of itself.
PAGE = ("range", "hasMore", "nextOffsetId")


def rows(desk: Desk, view: str, **among: object) -> list[dict[str, Any]]:
    """The rows of a view, in the order of receipt."""
    found = ask(desk.engine, f"SELECT * FROM {view}")
    found = [row for row in found if among.items() <= row.items()]
    return sorted(found, key=lambda row: (row["received_ns"], row.get("item", 0)))


def as_sent(text: bytes) -> Any:
    """JSON with every number as its digits."""
    return json.loads(text, parse_float=str, parse_int=str)


def column(name: str, value: Any) -> Any:
    """What a view shows of a field."""
    if isinstance(value, bool):
        return int(value)
    return int(value) if name in INTEGERS and value is not None else value


def columns(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: column(name, value) for name, value in fields.items()}


def key_of(one: Recorded, **more: object) -> dict[str, Any]:
    frame = one.frame
    name = {ACCOUNT: "main", OTHER: "other"}[frame.account_id]
    return {
        **{"account": name, "account_id": frame.account_id, "session_id": frame.session_id, "seq": frame.seq},
        **{"received_ns": frame.received_ns, "topic": frame.topic},
        **more,
    }


@pytest.mark.parametrize("name", ["order", "account", "position"])
def test_every_field_of_a_push(desk: Desk, name: str) -> None:
    recorded = [received(seq, sample(kind)) for seq, kind in enumerate(("account", "order", "position", "ping"))]
    recorded += [received(seq, sample(kind)) for seq, kind in enumerate(("hello", "topics", "refused"), 4)]
    recorded.append(received(0, sample(name), account_id=OTHER, at_ns=NOON_NS + 100))
    desk.write(*recorded)
    sent = as_sent(sample(name))
    fields = columns({"ts": sent["ts"], **({} if name == "order" else {"type": sent["type"]}), **sent[name]})
    expected = [{**key_of(one), **fields} for one in recorded if one.frame.payload == sample(name) and one.frame.topic]
    assert len(expected) == 2
    assert rows(desk, f"fmex_{name}") == expected
    assert rows(desk, f"fmex_{name}")[0]["topic"] == sent["type"]


def test_every_field_of_a_ping(desk: Desk) -> None:
    ping = received(0, sample("ping"))
    desk.write(ping, received(1, sample("order")))
    sent = as_sent(sample("ping"))
    fields = {"id": sent["id"], "type": "ping", "ts": int(sent["ts"]), "gap": int(sent["gap"])}
    assert rows(desk, "fmex_ping") == [{**key_of(ping), **fields}]


def ask_rest(source: str | None = None) -> dict[str, Recorded]:
    """Every sample answer, by the name of the sample."""
    targets = {
        "rest-accounts": rest.ACCOUNTS,
        "rest-positions": rest.POSITIONS,
        "rest-open-orders": rest.OPEN_ORDERS,
        "rest-closed-orders": CLOSED,
        "rest-closed-orders-last": CLOSED,
        "rest-order": ONE_ORDER,
        "rest-matches": MATCHES,
    }
    numbers = count()
    told = {}
    for name, target in targets.items():
        seq = next(numbers)
        one = answered(seq, target, sample(name), NOON_NS + seq, round_id=ROUND)
        told[name] = one if source is None else Recorded(one.frame._replace(source=source), ())
    return told


@pytest.mark.parametrize("source", [None, SNAPSHOT])
def test_every_field_of_an_answer(desk: Desk, source: str | None) -> None:
    told = ask_rest(source)
    desk.write(received(0, sample("order")), *told.values())
    orders = []
    for name in ("rest-open-orders", "rest-closed-orders", "rest-order"):
        data = as_sent(sample(name))["data"]
        page = {field: column(field, data.get(field)) for field in PAGE}
        for item, order in enumerate(data.get("results", [data])):
            orders.append({**key_of(told[name], item=item), **columns(order), **page})
    assert rows(desk, "fmex_rest_orders") == orders
    assert [order["hasMore"] for order in orders] == [None, 1, None]

    sent = as_sent(sample("rest-positions"))
    assert rows(desk, "fmex_rest_positions") == [
        {**key_of(told["rest-positions"], item=item), "status": "ok", **columns(position)}
        for item, position in enumerate(sent["data"]["results"])
    ]
    sent = as_sent(sample("rest-matches"))
    assert rows(desk, "fmex_rest_matches") == [
        {**key_of(told["rest-matches"], item=item), "status": "0", "order_id": 849758102002, **columns(match)}
        for item, match in enumerate(sent["data"]["results"])
    ]
    assert rows(desk, "fmex_rest_accounts") == [
        {
            **key_of(told["rest-accounts"], item=0),
            **{"status": "0", "currency": "BTC", "available": "2.796888254907565438"},
            **{"frozen": "0E-18", "position": "9.747280117178e-06"},
        }
    ]


def test_an_answer_that_lists_several_has_an_item_for_each(desk: Desk) -> None:
    order = b'{"id":%d,"symbol":"X"}'
    listed = b'{"status":0,"data":{"results":[%s,%s,%s]}}' % (order % 5, order % 3, order % 4)
    accounts = b'{"status":0,"data":{"btc":[1.0,2,3],"USD":[4,null,6e1]}}'
    told = [
        answered(0, f"{rest.OPEN_ORDERS}?x=1", listed, NOON_NS, round_id=ROUND),
        answered(1, f"{rest.ACCOUNTS}?x=1", accounts, NOON_NS, round_id=ROUND),
        answered(2, rest.OPEN_ORDERS, b'{"status":0,"data":{"results":[]}}', NOON_NS, round_id=ROUND),
    ]
    desk.write(*told)
    orders = rows(desk, "fmex_rest_orders")
    assert [(order["seq"], order["item"], order["id"]) for order in orders] == [(0, 0, 5), (0, 1, 3), (0, 2, 4)]
    # As the rows of `order_updates`.
    items = ask(desk.engine, "SELECT item FROM order_updates ORDER BY item")
    assert [row["item"] for row in items] == [0, 1, 2]
    balances = [
        tuple(row[name] for name in ("item", "currency", "available", "frozen", "position"))
        for row in rows(desk, "fmex_rest_accounts")
    ]
    assert balances == [(0, "btc", "1.0", "2", "3"), (1, "USD", "4", None, "6e1")]


def order(fields: str, inner: str = '"order"') -> bytes:
    return f'{{"type":"order.btcusd_p","ts":1,{inner}:{{"id":1,{fields}}}}}'.encode()


NUMBERS = ("1.10", "9.747280117178e-06", "0E-18", "-0.0", "1E+5", "12345678901234567890123456789", "100", "0")


def test_digits_come_out_as_sent(desk: Desk) -> None:
    desk.write(*(received(seq, order(f'"price":{number}')) for seq, number in enumerate(NUMBERS)))
    assert [row["price"] for row in rows(desk, "fmex_order")] == list(NUMBERS)
    assert [Decimal(row["price"]) for row in rows(desk, "fmex_order")] == list(map(Decimal, NUMBERS))


def test_what_is_missing_or_null_is_null(desk: Desk) -> None:
    desk.write(received(0, order('"price":null,"symbol":null,"features":null')), received(1, order('"x":1')))
    for row in rows(desk, "fmex_order"):
        assert {name for name, value in row.items() if value is not None} == KEY | {"id", "ts"}


@pytest.mark.parametrize("at", [-(2**63), 2**63 - 1, 0])
def test_an_integer_of_64_bits_is_one(desk: Desk, at: int) -> None:
    desk.write(received(0, order(f'"features":{at},"created_at":{at}')))
    (row,) = rows(desk, "fmex_order")
    assert (row["features"], row["created_at"]) == (at, at)


def test_fields_that_the_decoder_does_not_know_may_hold_anything(desk: Desk) -> None:
    # The documented ones among them are columns.
    strange = [
        ("sequenceId", "9223372036854775808", None),
        ("sequenceId", "1.5", None),
        ("sequenceId", '"17"', 17),
        ("sequenceId", "true", None),
        ("sequenceId", '{"a":1}', None),
        ("hidden", '"true"', 1),
        ("hidden", "7", None),
        ("frozen_margin", '"1.10"', "1.10"),
        ("frozen_margin", '{"a":[1.10]}', '{"a":[1.10]}'),
        ("frozen_margin", r'"a\u0000b"', r"a\u0000b"),
        ("frozen_margin", r'"\u00e9\n\"b\\\""', 'é\n"b\\"'),
        # A text that not every database can hold keeps its escapes, and with it all texts of its frame.
        ("frozen_margin", r'"a\u0000\u00e9\ud83d\ude00\n\"b\\\""', r"a\u0000\u00e9\ud83d\ude00\n\"b\\\""),
        ("frozen_margin", r'"\uD83D\uDE00"', r"\uD83D\uDE00"),
        ("frozen_margin", "1" * 5000, "1" * 5000),
        ("maker_fee_rate", "1e99999", "1e99999"),
        ("updated_at", "-0", 0),
    ]
    for seq, (name, value, _) in enumerate(strange):
        payload = f'{{"status":0,"data":{{"id":1,"{name}":{value}}}}}'.encode()
        desk.write(answered(seq, ONE_ORDER, payload, NOON_NS + seq, round_id=ROUND))
    told = rows(desk, "fmex_rest_orders")
    shown = [(name, value, row[name]) for (name, value, _), row in zip(strange, told, strict=True)]
    assert shown == strange


def test_fields_that_are_not_documented_are_no_columns(desk: Desk) -> None:
    desk.write(received(0, order('"bonus":5')))
    (row,) = rows(desk, "fmex_order")
    assert "bonus" not in row


#: Frames that the recorder or a database's JSON parser may refuse: none may make another frame's row unreadable.
HOSTILE = (
    b"?",
    b"\xff\xfe",
    b"",
    b'{"type":"order.btcusd_p","ts":1,"order":{"id":2',
    b'{"type":"order.btcusd_p","ts":1,"order":{"id":2}}\0{}',
    order('"x":' + "[" * 900 + "]" * 900),
    order('"x":' + "[" * 3000 + "]" * 3000),
    order(r'"x":"\ud800"'),
    order(r'"status":"\ud800"'),
    order(r'"x":"\u0000"'),
    order(r'"\u0000":"\u0000"'),
    order(f'"x":{"9" * 5000}'),
    order('"x":1e99999'),
    order('"x":NaN'),
    order('"price":"9"'),
    order('"x":1', inner=r'"\u006frder"'),
    b'{"type":"order.btcusd_p","ts":1,"order":[{"id":2}]}',
    b'{"type":"order.btcusd_p","ts":1,"order":null}',
    b'["order"]',
    b'"order"',
)

#: View → a condition on a field, which the database must not decide before the frame is known to be valid.
VIEWS = {
    "fmex_order": "features > 3",
    "fmex_account": "ts > 3",
    "fmex_position": "ts > 3",
    "fmex_ping": "gap > 3",
    "fmex_rest_orders": "hidden = 1",
    "fmex_rest_matches": "order_id > 3",
    "fmex_rest_accounts": "frozen = '3'",
    "fmex_rest_positions": "closed = 1",
}


def test_a_hostile_frame_leaves_the_others_readable(desk: Desk) -> None:
    plain = order('"price":1.10,"status":"NEW"')
    recorded = [received(seq, payload) for seq, payload in enumerate((plain, *HOSTILE, plain))]
    # A more lenient decoder may mark any of them as decoded.
    recorded += [
        Recorded(received(100 + seq, payload).frame._replace(status=DECODED, error=None, topic="order.x"), ())
        for seq, payload in enumerate(HOSTILE)
    ]
    for seq, payload in enumerate(HOSTILE):
        for target in (ONE_ORDER, MATCHES, rest.ACCOUNTS, rest.POSITIONS):
            body = b'{"status":0,"data":' + payload + b"}"
            frame = answered(seq, target, body, NOON_NS, round_id=ROUND + 1 + len(target)).frame
            recorded.append(Recorded(frame._replace(status=DECODED, error=None), ()))
    recorded += ask_rest().values()
    desk.write(*recorded)
    for view, condition in VIEWS.items():
        rows(desk, view)
        ask(desk.engine, f"SELECT * FROM {view} WHERE {condition}")
    assert len(ask(desk.engine, "SELECT * FROM fmex_order WHERE price = '1.10' AND status = 'NEW'")) == 2
    assert {0, len(HOSTILE) + 1} <= {row["seq"] for row in rows(desk, "fmex_order", price="1.10", status="NEW")}
    assert rows(desk, "fmex_order", status=r"\ud800")
    for view in VIEWS:
        assert "rest" not in view or rows(desk, view, session_id=ROUND)
    assert UNDECODED in {one.frame.status for one in recorded}


def test_a_redacted_frame_is_not_shown(desk: Desk) -> None:
    desk.write(received(0, sample("order")), received(1, sample("order")))
    redacted = FramesRedacted(ACCOUNT, SESSION, 0, 0, NOON_NS, "me", "by mistake")
    desk.write(entries=[redacted])
    assert [row["seq"] for row in rows(desk, "fmex_order")] == [1]


def test_a_view_shows_only_its_own_venue(desk: Desk) -> None:
    desk.write(received(0, sample("order")))
    with desk.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE accounts SET venue = 'elsewhere'")
    assert rows(desk, "fmex_order") == []


@pytest.mark.parametrize("view", ["fmex_order", "fmex_rest_orders"])
def test_a_filter_on_the_key_reads_only_those_frames(desk: Desk, view: str) -> None:
    sqlite = desk.engine.dialect.name == "sqlite"
    for condition in (f"account_id = {ACCOUNT} AND session_id = {SESSION}", f"session_id = {SESSION}"):
        query = f"{'EXPLAIN QUERY PLAN' if sqlite else 'EXPLAIN'} SELECT * FROM {view} WHERE {condition}"
        if sqlite:
            plan = " / ".join(str(row["detail"]) for row in ask(desk.engine, query))
            assert "SEARCH frames USING INDEX sqlite_autoindex_frames_1 (account_id=? AND session_id=?)" in plan
            assert "MATERIALIZE" not in plan and "CO-ROUTINE" not in plan and "TEMP B-TREE" not in plan
        else:
            plan = "\n".join(str(row["QUERY PLAN"]) for row in ask(desk.engine, query))
            # One partition of all, by its key.
            assert plan.count(" on frames_") == 1
