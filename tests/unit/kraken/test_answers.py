"""Each answer over REST, column by column."""

import pytest

from recorder.model import DECODED, OrderUpdate, RefusedCommand
from recorder.venues.kraken import answers, words
from tests.unit.kraken.frames import VENUE, answer, asked, columns, sample
from tests.unit.kraken.test_decode import ORDER_ID, only


def test_entries_of_the_ledger_are_transactions() -> None:
    trade, deposit = (columns(one) for one in asked(answers.LEDGER, sample("rest-ledgers")).updates)
    assert trade == {
        "is_snapshot": 0,
        "transaction_id": "LZ5KQ7-LQRMP-SMMN4B",
        "type": "trade",
        "venue_type": "trade/tradespot",
        "wallet": "main",
        "currency": "USD",
        # The amount is without the fee.
        "amount": "-633.1547",
        "fee": "1.5789",
        "balance_after": "9366.8453",
        "trade_id": "TQX7LM-2B4ND-9PLK3C",
        "occurred_ms": 1790736805118,
    }
    assert (deposit["type"], deposit["currency"], deposit["amount"]) == ("deposit", "BTC", "0.1000000000")
    assert "trade_id" not in deposit


@pytest.mark.parametrize("kind", [*words.LEDGER_TYPES, "something_new"])
def test_types_of_entries(kind: str) -> None:
    row = {"refid": "R", "time": 1.5, "type": kind, "asset": "XBT.F", "amount": "2", "balance": "3"}
    entry = only(asked(answers.LEDGER, answer({"ledger": {"L": row}})))
    assert (entry["type"], entry["venue_type"], entry["amount"]) == (words.LEDGER_TYPES.get(kind, "other"), kind, "2")
    assert (entry["currency"], entry["wallet"]) == ("BTC", "flex")


def test_an_order_over_rest() -> None:
    decoded = asked(answers.ORDERS, sample("rest-closed-orders"), "ofs=50&start=1&nonce=7")
    assert only(decoded) == {
        "is_snapshot": 0,
        "is_partial": 0,
        "symbol": "BTC/USD",
        "order_id": ORDER_ID,
        "client_order_id": "b6755a8d4d000200",
        "side": "buy",
        "order_type": "limit",
        "post_only": 1,
        "price": "84200.0",
        "quantity": "0.02000000",
        "filled_quantity": "0.00750000",
        "average_price": "84210.1",
        "status": "canceled",
        "venue_status": "canceled",
        "reason": "User requested",
        "fee": "1.57894",
        "fee_currency": "USD",
        "created_ms": 1790736801637,
        "updated_ms": 1790736936039,
    }
    assert decoded.next_page == "51"


def test_an_order_that_waits_for_its_trigger() -> None:
    waiting = only(asked(answers.OPEN_ORDERS, sample("rest-open-orders")))
    assert (waiting["symbol"], waiting["status"], waiting["is_snapshot"]) == ("DOGE/USD", "pending", 1)
    assert (waiting["trigger_price"], waiting["price"]) == ("0.2000000", "0.1900000")


def listed(**fields: object) -> OrderUpdate:
    """An order over REST with these fields."""
    kind, price = fields.pop("ordertype", "limit"), fields.pop("first", "2")
    descr = {"pair": "XBTUSD", "type": "buy", "ordertype": kind, "price": price, "price2": "0"}
    row = {"status": "open", "descr": descr, "vol": "1", "vol_exec": "0", **fields}
    (update,) = asked(answers.ORDER, answer({"OA": row})).updates
    assert isinstance(update, OrderUpdate)
    return update


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, "new"),
        ({"status": "pending"}, "new"),
        ({"vol_exec": "0.5"}, "partially_filled"),
        ({"status": "closed", "vol_exec": "1"}, "filled"),
        ({"status": "expired"}, "expired"),
        ({"status": "something_new"}, None),
        ({"ordertype": "take-profit"}, "pending"),
        ({"ordertype": "take-profit", "misc": "touched"}, "new"),
        ({"ordertype": "stop-loss", "misc": "stopped,partial", "vol_exec": "0.5"}, "partially_filled"),
    ],
)
def test_statuses_over_rest(fields: dict[str, object], status: str | None) -> None:
    assert listed(**fields).status == status


def test_other_columns_of_an_order_over_rest() -> None:
    assert (listed(oflags="viqc,fciq").quantity, listed(oflags="viqc,fciq").quote_quantity) == (None, "1")
    assert listed(expiretm=1790736936).time_in_force == "gtd"
    relative = listed(ordertype="trailing-stop", first="+2.5%")
    assert (relative.price, relative.trigger_price) == (None, None)
    assert listed(ordertype="trailing-stop", first="+2.5%", stopprice="7").trigger_price == "7"


def test_balances_over_rest() -> None:
    found = [columns(one) for one in asked(answers.BALANCES, sample("rest-balances")).updates]
    assert found[0] == {
        "is_snapshot": 1,
        "is_partial": 0,
        "wallet": "main",
        "currency": "USD",
        "balance": "9366.8453",
        "locked": "1052.5000",
    }
    assert [(one["currency"], one["wallet"]) for one in found[1:]] == [
        ("BTC", "main"),
        ("SOL", "main"),
        ("SOL", "flex"),
        ("DOT28", "S"),
    ]


def test_a_pair_of_the_public_list() -> None:
    assert only(asked(answers.PAIRS, sample("rest-pairs"))) == {
        "is_snapshot": 1,
        "symbol": "BTC/USD",
        "kind": "spot",
        "base": "BTC",
        "quote": "USD",
        "settle": "USD",
        "contract_size": "1",
        "price_tick": "0.1",
        "quantity_step": "0.00000001",
    }


@pytest.mark.parametrize(
    ("path", "name"), [(answers.POSITIONS, "rest-positions"), (answers.KEY, "rest-key"), (answers.TIME, "rest-time")]
)
def test_answers_without_rows(path: str, name: str) -> None:
    assert asked(path, sample(name))[1:4] == (DECODED, None, ())


def test_the_token_is_masked_before_an_answer_is_stored() -> None:
    assert asked(answers.TOKEN, sample("rest-token")).secrets == ("1Dwc4lzSwNWOAwkMdqhssNNFhs1ed606d1WcF3XfEMw",)


@pytest.mark.parametrize(
    ("rows", "count", "ofs", "next_page"),
    [
        (50, 120, "", "50"),
        (50, 120, "50", "100"),
        (20, 120, "100", None),
        (50, None, "", "50"),
        (49, None, "50", None),
        # It promises more than it gives.
        (0, 120, "100", ""),
        (0, 0, "", None),
    ],
)
def test_pages_continue_at_an_offset(rows: int, count: int | None, ofs: str, next_page: str | None) -> None:
    result: dict[str, object] = {"ledger": {f"L{number}": {"asset": "ZUSD"} for number in range(rows)}}
    result |= {} if count is None else {"count": count}
    body = f"start=1&end=2{f'&ofs={ofs}' if ofs else ''}&nonce=3"
    assert asked(answers.LEDGER, answer(result), body).next_page == next_page


def test_an_error_over_rest_comes_with_status_200() -> None:
    decoded = asked(answers.BALANCES, answer(None, "EService:Unavailable"))
    assert decoded.control == RefusedCommand(None, None, "EService:Unavailable")
    assert asked(answers.OPEN_ORDERS, answer({"open": {}}, "WGeneral:Deprecated"))[1:4] == (DECODED, None, ())


def test_an_order_that_the_exchange_does_not_have_has_ended() -> None:
    gone = answer(None, answers.NO_SUCH_ORDER)
    ended = VENUE.ended_order(200, f"POST {answers.ORDER} txid=OA&nonce=1", gone)
    assert ended is not None
    assert columns(ended) == {"is_snapshot": 0, "is_partial": 1, "order_id": "OA", "status": "ended"}
    assert VENUE.ended_order(200, f"POST {answers.ORDER} txid=OA&nonce=1", answer(None, "EService:Busy")) is None
    assert VENUE.ended_order(200, f"POST {answers.TRADES} nonce=1", gone) is None
