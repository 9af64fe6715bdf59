"""The views under Bybit's own field names: every documented field of its topics and answers, digits as sent."""

import json
from typing import Any

import pytest

from recorder.live.channel import Recorded
from recorder.model import DECODED, PUSH, REST, SNAPSHOT, Frame
from recorder.store.venue_views import account_added
from recorder.venues.bybit import answers, instruments, ledger, objects
from tests.contract.test_views import ask
from tests.made import ACCOUNT, NOON_NS, SESSION
from tests.unit.bybit.frames import asked, push, read, row, sample
from tests.unit.read.desk import Desk

#: What `make test` proves on PostgreSQL too.
ON_POSTGRESQL = (
    "test_every_field_of_a_push",
    "test_every_field_of_an_answer",
)

KEY = ("account", "account_id", "session_id", "seq", "received_ns", "topic")
#: The venue's name → the column, where a column of the frame has that name.
RENAMED = {"seq": "cross_seq"}
#: Fields that are not documented as texts: whole numbers and flags.
INTEGERS = frozenset(
    [
        "positionIdx",
        "triggerDirection",
        "smpGroup",
        "riskId",
        "tradeMode",
        "autoAddMargin",
        "adlRankIndicator",
        "openTime",
        "cross_seq",
        "createdTime",
        "updatedTime",
        "execTime",
        "transactionTime",
        "deliveryTime",
        "launchTime",
        "successAt",
        "createTime",
        "updateTime",
        "timestamp",
        "mmrSysUpdatedTime",
        "mmrSysUpdateTime",
        "leverageSysUpdatedTime",
        "creationTime",
        "time",
        "retCode",
        "readOnly",
        "deadlineDay",
        "uta",
        "unifiedMarginStatus",
        "fundingInterval",
    ]
)
#: Where a time is in seconds, it is text as sent.
IN_SECONDS = {"bybit_rest_fund_log": "createTime"}


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A record of a Bybit account."""
    with desk.engine.begin() as connection:
        account_added(connection, "bybit")
        connection.exec_driver_sql("UPDATE accounts SET venue = 'bybit'")
    return desk


def pushed(seq: int, payload: bytes) -> Recorded:
    decoded = read(payload)
    assert decoded.error is None
    state = decoded.topic, decoded.status, decoded.error
    return Recorded(Frame(ACCOUNT, SESSION, seq, NOON_NS + seq, PUSH, *state, payload), decoded.rows)


def answered(seq: int, target: str, payload: bytes, source: str = REST) -> Recorded:
    decoded = asked(target, payload)
    assert decoded.error is None
    state = decoded.topic, decoded.status, decoded.error
    frame = Frame(ACCOUNT, SESSION, seq, NOON_NS + seq, source, *state, payload)
    return Recorded(frame, () if source == SNAPSHOT else decoded.rows)


def rows(desk: Desk, view: str) -> list[dict[str, Any]]:
    """The rows of a view in the order of receipt, without the columns of the frame."""
    found = sorted(ask(desk.engine, f"SELECT * FROM {view}"), key=lambda row: (row["seq"], row.get("item", 0)))
    for one in found:
        assert (one["account"], one["account_id"], one["session_id"]) == ("main", ACCOUNT, SESSION)
        assert one["received_ns"] == NOON_NS + one["seq"]
    return [{name: value for name, value in one.items() if name not in KEY} for one in found]


def columns(view: str, fields: dict[str, Any]) -> dict[str, Any]:
    """What a view shows of the fields of an object."""
    shown: dict[str, Any] = {}
    for sent_name, value in fields.items():
        name = RENAMED.get(sent_name, sent_name)
        if isinstance(value, bool):
            shown[name] = int(value)
        elif isinstance(value, dict | list):
            shown[name] = json.dumps(value, separators=(",", ":"))
        elif value is not None and name in INTEGERS and IN_SECONDS.get(view) != name:
            shown[name] = None if value == "" else int(value)
        else:
            shown[name] = None if value is None else str(value)
    return shown


def whole(fields: str, *, flags: str = "", **nested: object) -> dict[str, Any]:
    """An object with all of these fields, each with a value of its own."""
    made: dict[str, Any] = {}
    for number, name in enumerate(fields.split(), 1):
        made[name] = name in flags.split() or (number if RENAMED.get(name, name) in INTEGERS else f"{number}.10")
    return made | nested


def named(struct: type) -> str:
    """The names in JSON of the fields that reach a column."""
    return " ".join(struct.__struct_encode_fields__)  # type: ignore[attr-defined]


ORDER = whole(
    f"{named(objects.OrderObject)} {objects.OTHER_ORDER_FIELDS}",
    flags="reduceOnly closeOnTrigger rpiTakerAccess",
    cumFeeDetail={"USDT": "0.10"},
)
EXECUTION = whole(
    f"{named(objects.ExecutionObject)} {objects.OTHER_EXECUTION_FIELDS}",
    flags="isMaker",
    extraFees=[{"feeCoin": "USDT", "fee": "0.10"}],
)
POSITION = whole(f"{named(objects.PositionObject)} {objects.OTHER_POSITION_FIELDS}", flags="isReduceOnly")
COIN = whole(f"{named(objects.CoinObject)} {objects.OTHER_COIN_FIELDS}", flags="collateralSwitch marginCollateral")
WALLET = whole(f"accountType {objects.OTHER_WALLET_FIELDS}")
FAST = whole(
    "category symbol execId execPrice execQty orderId isMaker orderLinkId side execTime seq",
    flags="isMaker",
)
GREEKS = whole("baseCoin totalDelta totalGamma totalVega totalTheta")
PUSHED = {"id": "7", "creationTime": 1795600000124}


def test_every_field_of_a_push(desk: Desk) -> None:
    wallet = WALLET | {"coin": [COIN, COIN | {"coin": "BTC"}]}
    frames = [
        push("order", ORDER, row("order")),
        push("order.spot", ORDER),
        push("execution", EXECUTION),
        push("execution.fast", FAST),
        push("position", POSITION),
        push("wallet", wallet),
        push("greeks", GREEKS),
        sample("pong"),
    ]
    desk.write(*(pushed(seq, frame) for seq, frame in enumerate(frames)))
    first = {"item": 0, **PUSHED}

    orders = rows(desk, "bybit_order")
    assert orders[0] == first | columns("bybit_order", ORDER)
    # What the sample does not have is NULL.
    assert orders[1] == first | {"item": 1} | dict.fromkeys(orders[0].keys() - first.keys()) | columns(
        "bybit_order", row("order")
    )
    assert orders[2:] == orders[:1]
    fast = columns("", FAST)
    assert rows(desk, "bybit_execution") == [first | columns("", EXECUTION)]
    assert rows(desk, "bybit_execution_fast") == [{"item": 0, "creationTime": PUSHED["creationTime"], **fast}]
    assert rows(desk, "bybit_position") == [first | columns("", POSITION)]
    of_account = columns("", WALLET)
    assert rows(desk, "bybit_wallet") == [
        first | of_account | columns("", COIN),
        first | of_account | columns("", COIN | {"coin": "BTC"}) | {"item": 1},
    ]
    assert rows(desk, "bybit_greeks") == [first | columns("", GREEKS)]
    (pong,) = rows(desk, "bybit_pong")
    assert pong == {
        **{"req_id": "100001", "op": "pong", "conn_id": "cejreaspqfh3sjdnldmg-p", "clock": 1675418560633},
        **{"success": None, "ret_msg": None},
    }


#: View → target and body of an answer with all documented fields, and where its rows are.
REST_VIEWS: dict[str, tuple[str, bytes]] = {
    "bybit_rest_order": (f"{answers.OPEN_ORDERS}?category=linear", sample("rest-order")),
    "bybit_rest_execution": (f"{answers.EXECUTIONS}?category=linear", sample("rest-execution")),
    "bybit_rest_position": (f"{answers.POSITIONS}?category=linear", sample("rest-position")),
    "bybit_rest_transaction_log": (answers.TRANSACTION_LOG, sample("rest-transaction-log")),
    "bybit_rest_closed_pnl": ("/v5/position/closed-pnl?category=linear", sample("rest-closed-pnl")),
    "bybit_rest_settlement": ("/v5/asset/settlement-record?category=linear", sample("rest-settlement")),
    "bybit_rest_delivery": ("/v5/asset/delivery-record?category=option", sample("rest-delivery")),
    "bybit_rest_interest": ("/v5/account/borrow-history", sample("rest-interest")),
    "bybit_rest_transfer": ("/v5/asset/transfer/query-universal-transfer-list", sample("rest-transfer")),
    "bybit_rest_deposit": ("/v5/asset/deposit/query-record", sample("rest-deposit")),
    "bybit_rest_internal_deposit": ("/v5/asset/deposit/query-internal-record", sample("rest-internal-deposit")),
    "bybit_rest_withdrawal": ("/v5/asset/withdraw/query-record", sample("rest-withdrawal")),
    "bybit_rest_fund_log": (answers.FUND_LOG, sample("rest-fund-log")),
    "bybit_rest_fund_balance": (f"{answers.FUND_BALANCES}?accountType=FUND", sample("rest-fund-balance")),
    "bybit_rest_time": ("/v5/market/time", sample("rest-time")),
    "bybit_rest_account": ("/v5/account/info", sample("rest-account")),
}


def around(answer: dict[str, Any]) -> dict[str, Any]:
    """What every view shows of the answer around its rows."""
    result = answer["result"]
    names = ("category", "nextPageCursor", "accountType", "memberId")
    of_result = {name: str(result[name]) for name in names if name in result}
    return {"retCode": 0, "retMsg": "OK", "time": answer["time"], **of_result}


@pytest.mark.parametrize("source", [REST, SNAPSHOT])
def test_every_field_of_an_answer(desk: Desk, source: str) -> None:
    told = [answered(seq, *one, source) for seq, one in enumerate(REST_VIEWS.values())]
    desk.write(pushed(100, sample("order")), *told)
    for view, (_, payload) in REST_VIEWS.items():
        answer = json.loads(payload)
        result = answer["result"]
        listed = next((result[name] for name in ("list", "rows", "balance") if name in result), None)
        found = rows(desk, view)
        expected = [{"item": item, **columns(view, one)} for item, one in enumerate(listed or [])]
        expected = expected if listed is not None else [columns(view, result)]
        expected = [one | around(answer) for one in expected]
        # Every field that was sent has its column; a column for which nothing was sent is NULL.
        assert found == [dict.fromkeys(shown) | one for shown, one in zip(found, expected, strict=True)], view


def test_balances_in_answers(desk: Desk) -> None:
    payload = sample("rest-wallet")
    desk.write(answered(0, f"{answers.BALANCES}?accountType=UNIFIED", payload))
    (account,) = json.loads(payload)["result"]["list"]
    coins = account.pop("coin")
    shown = {"retCode": 0, "retMsg": "OK", "time": 1795600003000, **columns("", account)}
    found = rows(desk, "bybit_rest_wallet")
    assert found == [
        dict.fromkeys(found[0]) | shown | {"item": item, **columns("", coin)} for item, coin in enumerate(coins)
    ]


def test_the_members_of_an_instrument_s_filters_are_columns(desk: Desk) -> None:
    names = ("rest-instrument", "rest-instrument-spot", "rest-instrument-option")
    desk.write(*(answered(seq, answers.INSTRUMENTS, sample(name)) for seq, name in enumerate(names)))
    found = rows(desk, "bybit_rest_instrument")
    sent = [one for name in names for one in json.loads(sample(name))["result"]["list"]]
    assert len(found) == len(sent) == 4
    filters = ("priceFilter", "lotSizeFilter", "leverageFilter", "riskParameters")
    for shown, one in zip(found, sent, strict=True):
        flat = {name: value for name, value in one.items() if name not in filters}
        for name in filters:
            flat |= one.get(name, {})
        assert {name: shown[name] for name in flat} == columns("", flat)


def test_the_key_itself_is_no_column(desk: Desk) -> None:
    desk.write(answered(0, answers.KEY_PERMISSIONS, sample("rest-key")))
    (key,) = rows(desk, "bybit_rest_key")
    assert "apiKey" not in key
    assert (key["readOnly"], key["uta"], key["isMaster"], key["parentUid"]) == (1, 1, 1, "0")
    assert json.loads(key["permissions"])["Wallet"] == ["AccountTransfer"]


#: View → the names of the fields that the decoder knows to be documented.
DOCUMENTED = {
    "bybit_order": f"{named(objects.OrderObject)} {objects.OTHER_ORDER_FIELDS}",
    "bybit_rest_order": f"{named(objects.OrderObject)} {objects.OTHER_ORDER_FIELDS}",
    "bybit_execution": f"{named(objects.ExecutionObject)} {objects.OTHER_EXECUTION_FIELDS}",
    "bybit_rest_execution": f"{named(objects.ExecutionObject)} {objects.OTHER_EXECUTION_FIELDS}",
    "bybit_position": f"{named(objects.PositionObject)} {objects.OTHER_POSITION_FIELDS}",
    "bybit_rest_position": f"{named(objects.PositionObject)} {objects.OTHER_POSITION_FIELDS}",
    "bybit_wallet": f"{named(objects.CoinObject)} {objects.OTHER_COIN_FIELDS} {objects.OTHER_WALLET_FIELDS}",
    "bybit_rest_wallet": f"{named(objects.CoinObject)} {objects.OTHER_COIN_FIELDS} {objects.OTHER_WALLET_FIELDS}",
    "bybit_rest_transaction_log": f"{named(ledger.TransactionObject)} {ledger.OTHER_TRANSACTION_FIELDS}",
    "bybit_rest_fund_log": f"{named(ledger.FundTransactionObject)} {ledger.OTHER_FUND_TRANSACTION_FIELDS}",
    "bybit_rest_fund_balance": f"{named(ledger.FundBalanceObject)} {ledger.OTHER_FUND_BALANCE_FIELDS}",
    "bybit_rest_instrument": f"{named(instruments.InstrumentObject)} {instruments.OTHER_INSTRUMENT_FIELDS}",
}


def test_what_is_not_kept_in_extra_is_in_the_view(desk: Desk) -> None:
    members = {"priceFilter", "lotSizeFilter", "leverageFilter", "riskParameters"}
    with desk.engine.connect() as connection:
        for view, fields in DOCUMENTED.items():
            shown = set(connection.exec_driver_sql(f"SELECT * FROM {view} LIMIT 0").keys())
            assert {RENAMED.get(name, name) for name in fields.split()} - members - shown == set(), view


def test_digits_come_out_as_sent(desk: Desk) -> None:
    numbers = ("1.10", "9.747280117178e-06", "0E-18", "-0.0", "12345678901234567890123456789")
    fields = {"order": "takeProfit", "execution": "feeRate", "position": "markPrice"}
    for name, field in fields.items():
        for seq, digits in enumerate(numbers):
            told = json.dumps(row(name)[field]).encode()
            sent = sample(name).replace(b'"%s":%s' % (field.encode(), told), f'"{field}":{digits}'.encode())
            assert sent != sample(name)
            one = pushed(seq, sent)
            desk.write(Recorded(one.frame._replace(session_id=SESSION + len(name)), one.updates))
        found = ask(desk.engine, f'SELECT seq, "{field}" AS digits FROM bybit_{name} ORDER BY seq')
        assert [one["digits"] for one in found] == list(numbers)


#: What may stand where rows, or a value of a row, should be.
STRANGE = (
    b"null",
    b"7",
    b'"x"',
    b"[]",
    b"{}",
    b'[null,7,"x",[1],{}]',
    b'[{"coin":null}]',
    b'[{"coin":7,"seq":"x","execTime":1.5,"creationTime":{}}]',
    b'[{"coin":[null,7,{"coin":[]}],"positionIdx":"9223372036854775808","reduceOnly":"perhaps"}]',
    b'[{"coin":"\\ud800","symbol":"\\u0000","isMaker":[]}]',
    b"[" * 3000 + b"]" * 3000,
    b'[{"coin":',
)


def test_a_hostile_frame_leaves_the_others_readable(desk: Desk) -> None:
    """A more lenient decoder may mark any frame as decoded that is UTF-8."""
    topics = ("order", "execution", "execution.fast", "position", "wallet", "greeks", "pong")
    targets = {target for target, _ in REST_VIEWS.values()} | {answers.BALANCES, answers.INSTRUMENTS}
    recorded, place = [pushed(0, sample("order")), answered(1, *REST_VIEWS["bybit_rest_order"])], 2
    for strange in STRANGE:
        for topic in topics:
            payload = b'{"topic":"%s","creationTime":%s,"data":%s,"args":%s}' % (topic.encode(), *[strange] * 3)
            frame = Frame(ACCOUNT, SESSION, place, NOON_NS + place, PUSH, topic, DECODED, None, payload)
            recorded.append(Recorded(frame, ()))
            place += 1
        for target in targets:
            listed = b'{"list":%s,"rows":%s,"balance":%s}' % (strange, strange, strange)
            for result in (strange, listed):
                payload = b'{"retCode":%s,"result":%s,"time":%s}' % (strange, result, strange)
                frame = Frame(ACCOUNT, SESSION, place, NOON_NS + place, REST, target, DECODED, None, payload)
                recorded.append(Recorded(frame, ()))
                place += 1
    desk.write(*recorded)
    for view, condition in {
        "bybit_order": '"createdTime" > 3',
        "bybit_execution": "cross_seq > 3",
        "bybit_execution_fast": "cross_seq > 3",
        "bybit_position": '"openTime" > 3',
        "bybit_wallet": '"creationTime" > 3',
        "bybit_greeks": '"creationTime" > 3',
        "bybit_pong": "clock > 3",
        "bybit_rest_wallet": '"retCode" = 3',
        "bybit_rest_instrument": '"fundingInterval" > 3',
        **dict.fromkeys(REST_VIEWS, '"retCode" = 3'),
    }.items():
        ask(desk.engine, f"SELECT * FROM {view}")
        ask(desk.engine, f"SELECT * FROM {view} WHERE {condition}")
    for view in ("bybit_order", "bybit_rest_order"):
        assert row("order")["orderId"] in {one["orderId"] for one in ask(desk.engine, f"SELECT * FROM {view}")}
