"""The views under OKX's own field names: every documented field of its channels and answers, as sent."""

import json
from typing import Any

import pytest

from recorder.live.channel import Recorded
from recorder.model import PUSH, REST, Decoded, Frame
from recorder.store.venue_views import account_added
from recorder.venues.okx import answers, ledger, objects
from tests.contract.test_views import ask
from tests.made import ACCOUNT, NOON_NS, SESSION
from tests.unit.okx.frames import answer, asked, push, read, sample
from tests.unit.read.desk import Desk

#: What `make test` proves on PostgreSQL too.
ON_POSTGRESQL = ("test_every_field_of_a_push", "test_a_hostile_frame_leaves_the_others_readable")

#: Fields that are no text.
TIMES = frozenset(["cTime", "uTime", "pTime", "ts", "fillTime", "triggerTime", "listTime", "expTime"])
TIMES |= {"auctionEndTime", "contTdSwTime", "preMktSwTime"}
FLAGS = frozenset(["collateralEnabled", "collateralRestrict"])


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A record of an OKX account."""
    with desk.engine.begin() as connection:
        account_added(connection, "okx")
        connection.exec_driver_sql("UPDATE accounts SET venue = 'okx'")
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
        name: str(number) if name in TIMES else name in FLAGS or f"{number}.10"
        for number, name in enumerate(fields.split(), 1)
    }
    return made | given


def shown(fields: dict[str, Any]) -> dict[str, Any]:
    """What a view shows of an object."""
    return {
        name: int(value)
        if name in TIMES or isinstance(value, bool)
        else json.dumps(value, separators=(",", ":"))
        if isinstance(value, dict | list)
        else value
        for name, value in fields.items()
    }


def only(desk: Desk, view: str) -> dict[str, Any]:
    """The one row of a view."""
    (row,) = ask(desk.engine, f"SELECT * FROM {view}")
    return dict(row)


PUSHES: dict[str, dict[str, Any]] = {
    "orders": whole(objects.ORDER, attachAlgoOrds=[{"sz": "1"}], linkedAlgoOrd={"algoId": "7"}),
    "orders-algo": whole(objects.ALGO, ordIdList=["7"]),
    "algo-advance": whole(objects.ALGO),
    "positions": whole(objects.POSITION, closeOrderAlgo=[]),
    "deposit-info": whole(f"{ledger.DEPOSIT} {ledger.PUSHED}", state="2"),
    "withdrawal-info": whole(f"{ledger.WITHDRAWAL} {ledger.PUSHED}", state="2"),
    "fills": whole("instId fillSz fillPx side ts ordId clOrdId tradeId execType count"),
    "liquidation-warning": whole(
        "instType instId mgnMode posId posSide pos posCcy lever markPx mgnRatio ccy cTime uTime pTime"
    ),
}


@pytest.mark.parametrize("topic", list(PUSHES))
def test_every_field_of_a_push(desk: Desk, topic: str) -> None:
    desk.write(pushed(0, push(topic, PUSHES[topic])))
    row = only(desk, f"okx_{topic.replace('-', '_')}")
    assert row.items() >= shown(PUSHES[topic]).items()
    assert (row["account"], row["seq"], row["item"]) == ("main", 0, 0)


def test_balances_stand_beside_the_accounts_sums(desk: Desk) -> None:
    balance = whole(objects.BALANCE)
    desk.write(
        pushed(0, push("account", {"totalEq": "7.10", "uTime": "5", "details": [balance]}, eventType="snapshot"))
    )
    sums = {"account_totalEq": "7.10", "account_uTime": 5, "eventType": "snapshot"}
    assert only(desk, "okx_account").items() >= (shown(balance) | sums).items()


def test_what_changed_together(desk: Desk) -> None:
    desk.write(pushed(0, sample("balance_and_position")))
    row = only(desk, "okx_balance_and_position_balances")
    expected = {"ccy": "USDT", "cashBal": "5002.54335", "uTime": 1790755200870, "eventType": "funding_fee"}
    assert row.items() >= expected.items()


ANSWERS: dict[str, tuple[str, dict[str, Any]]] = {
    "orders": (f"{answers.ORDERS}?instType=SWAP", whole(objects.ORDER)),
    "orders_algo": (f"{answers.ALGOS}?ordType=trigger", whole(objects.ALGO)),
    "fills": (answers.FILLS, whole(objects.FILL)),
    "positions": (answers.POSITIONS, whole(objects.POSITION)),
    "bills": (answers.BILLS, whole(ledger.BILL)),
    "fund_balances": (answers.FUND_BALANCES, whole(objects.FUND_BALANCE)),
    "fund_bills": (answers.FUND_BILLS, whole(ledger.FUND_BILL)),
    "deposits": (answers.DEPOSITS, whole(ledger.DEPOSIT, state="2")),
    "withdrawals": (answers.WITHDRAWALS, whole(ledger.WITHDRAWAL, state="2")),
    "instruments": (f"{answers.INSTRUMENTS}?instType=SWAP", whole(objects.INSTRUMENT)),
    "time": (answers.TIME, {"ts": "1795600000000"}),
    "config": (answers.CONFIG, whole("uid mainUid acctLv posMode perm ip label feeType settleCcy type")),
}


@pytest.mark.parametrize("name", list(ANSWERS))
def test_every_field_of_an_answer(desk: Desk, name: str) -> None:
    target, row = ANSWERS[name]
    desk.write(answered(0, target, answer(row)))
    assert only(desk, f"okx_rest_{name}").items() >= (shown(row) | {"answer_code": "0"}).items()


def test_a_hostile_frame_leaves_the_others_readable(desk: Desk) -> None:
    nested = b'{"arg":{"channel":"orders"},"data":[{"ordId":"1","tag":%s}]}' % (b"[" * 900 + b"]" * 900)
    desk.write(pushed(0, nested), pushed(1, push("orders", PUSHES["orders"])))
    assert [row["seq"] for row in ask(desk.engine, "SELECT seq FROM okx_orders")][-1:] == [1]
