"""The views under Bitget's own field names: every documented field of its topics and answers, as sent."""

import json
from typing import Any

import pytest

from recorder.live.channel import Recorded
from recorder.model import PUSH, REST, Decoded, Frame
from recorder.store.venue_views import account_added
from recorder.venues.bitget import answers, ledger, objects
from tests.contract.test_views import ask
from tests.made import ACCOUNT, NOON_NS, SESSION
from tests.unit.bitget.frames import answer, asked, page, push, read
from tests.unit.read.desk import Desk

#: What `make test` proves on PostgreSQL too.
ON_POSTGRESQL = ("test_every_field_of_a_push", "test_a_hostile_frame_leaves_the_others_readable")

#: Fields that are no text.
NUMBERS = frozenset(["createdTime", "updatedTime", "execTime", "ts", "launchTime", "requestId", "serverTime"])


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A record of a Bitget account."""
    with desk.engine.begin() as connection:
        account_added(connection, "bitget")
        connection.exec_driver_sql("UPDATE accounts SET venue = 'bitget'")
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
    made: dict[str, Any] = {
        name: number if name == "requestId" else str(number) if name in NUMBERS else f"{number}.10"
        for number, name in enumerate(fields.split(), 1)
    }
    return made | given


def shown(fields: dict[str, Any]) -> dict[str, Any]:
    """What a view shows of an object."""
    return {
        name: int(value)
        if name in NUMBERS
        else json.dumps(value, separators=(",", ":"))
        if isinstance(value, dict | list)
        else value
        for name, value in fields.items()
    }


def only(desk: Desk, view: str) -> dict[str, Any]:
    """The one row of a view."""
    (row,) = ask(desk.engine, f"SELECT * FROM {view}")
    return {name: compact(value) for name, value in dict(row).items()}


def compact(value: Any) -> Any:
    """Lists and objects without the blanks with which PostgreSQL shows them."""
    is_json = isinstance(value, str) and value.startswith(("[", "{"))
    return json.dumps(json.loads(value), separators=(",", ":")) if is_json else value


FEES = [{"feeCoin": "USDT", "fee": "0.10"}]
PUSHES: dict[str, dict[str, Any]] = {
    "order": whole(objects.ORDER, feeDetail=FEES),
    "fill": whole(objects.FILL, feeDetail=FEES),
    "strategy-order": whole(objects.STRATEGY),
    "position": whole(objects.POSITION),
    "adl-notification": whole("symbol side status price amount ts"),
    "fast-fill": whole(objects.FILL, feeDetail=FEES),
}


@pytest.mark.parametrize("topic", list(PUSHES))
def test_every_field_of_a_push(desk: Desk, topic: str) -> None:
    desk.write(pushed(0, push(topic, PUSHES[topic])))
    row = only(desk, f"bitget_{topic.replace('-', '_')}")
    assert row.items() >= (shown(PUSHES[topic]) | {"push_action": "snapshot", "push_ts": 1790757000140}).items()
    assert (row["account"], row["seq"], row["item"]) == ("main", 0, 0)


def test_a_fast_fill_that_is_an_object(desk: Desk) -> None:
    desk.write(pushed(0, push("fast-fill", data=PUSHES["fast-fill"])))
    assert only(desk, "bitget_fast_fill")["execId"] == PUSHES["fast-fill"]["execId"]


def test_balances_stand_beside_the_accounts_sums(desk: Desk) -> None:
    coin, sums = whole(objects.COIN), whole(objects.ACCOUNT)
    desk.write(pushed(0, push("account", {**sums, "coin": [coin]})))
    expected = shown(coin) | {f"account_{name}": value for name, value in sums.items()}
    assert only(desk, "bitget_account").items() >= expected.items()


def test_balances_in_an_answer(desk: Desk) -> None:
    coin, sums = whole(objects.REST_COIN), whole(objects.REST_ACCOUNT)
    desk.write(answered(0, answers.ASSETS, answer({**sums, "assets": [coin]})))
    expected = shown(coin) | {f"account_{name}": value for name, value in sums.items()}
    assert only(desk, "bitget_rest_assets").items() >= expected.items()


def listed(fields: str, **given: object) -> tuple[dict[str, Any], bytes]:
    row = whole(fields, **given)
    return row, page(row)


def direct(fields: str, *, as_list: bool, **given: object) -> tuple[dict[str, Any], bytes]:
    row = whole(fields, **given)
    return row, answer([row] if as_list else row)


ANSWERS: dict[str, tuple[str, tuple[dict[str, Any], bytes]]] = {
    "orders": (f"{answers.ORDERS}?category=SPOT", listed(objects.REST_ORDER, feeDetail=FEES)),
    "order_info": (f"{answers.ORDER}?orderId=1", direct(objects.REST_ORDER, as_list=False, feeDetail=FEES)),
    "fills": (answers.FILLS, listed(objects.REST_FILL, feeDetail=FEES)),
    "open_strategy_orders": (f"{answers.OPEN_STRATEGIES}?category=SPOT", direct(objects.STRATEGY, as_list=True)),
    "strategy_orders": (f"{answers.STRATEGIES}?category=SPOT", listed(objects.STRATEGY)),
    "positions": (f"{answers.POSITIONS}?category=USDT-FUTURES", listed(objects.REST_POSITION)),
    "records": (f"{answers.RECORDS}?category=OTHER", listed(ledger.RECORD)),
    "funding_records": (answers.FUNDING_RECORDS, listed(ledger.FUNDING_RECORD)),
    "funding_assets": (answers.FUNDING_ASSETS, direct(objects.FUNDING_COIN, as_list=True)),
    "instruments": (
        f"{answers.INSTRUMENTS}?category=SPOT",
        direct(objects.INSTRUMENT, as_list=True, pricePrecision="2", quantityPrecision="3"),
    ),
    "time": (answers.TIME, direct("serverTime", as_list=False)),
    "info": (answers.INFO, direct("userId parentId permType permissions ips", as_list=False, permissions=["uta_mgt"])),
    "settings": (
        answers.SETTINGS,
        direct("uid accountMode assetMode accountLevel holdMode stpMode", as_list=False),
    ),
}


@pytest.mark.parametrize("name", list(ANSWERS))
def test_every_field_of_an_answer(desk: Desk, name: str) -> None:
    target, (row, payload) = ANSWERS[name]
    desk.write(answered(0, target, payload))
    expected = shown(row) | {"answer_code": "00000", "answer_msg": "success", "answer_requestTime": 1790757100000}
    assert only(desk, f"bitget_rest_{name}").items() >= expected.items()


def test_a_hostile_frame_leaves_the_others_readable(desk: Desk) -> None:
    arg = b'{"arg":{"instType":"UTA","topic":"order"},"data":[{"orderId":"1","category":%s}]}'
    nested = arg % (b"[" * 900 + b"]" * 900)
    desk.write(pushed(0, nested), pushed(1, push("order", PUSHES["order"])))
    assert [row["seq"] for row in ask(desk.engine, "SELECT seq FROM bitget_order")][-1:] == [1]
