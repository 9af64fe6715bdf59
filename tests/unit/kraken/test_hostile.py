"""Frames that Kraken should never send: each becomes a result that can be stored, and none raises."""

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.model import UNDECODED
from recorder.venues.kraken import answers
from tests.hostile import DIGITS, changed, check
from tests.unit.kraken.frames import asked, event, push, read, sample

PUSHES = {
    "executions": ("executions-pending_new", "executions-trade", "executions-canceled", "executions-snapshot"),
    "balances": ("balances-update", "balances-snapshot"),
}
ANSWERS = {
    "rest-open-orders": (answers.OPEN_ORDERS, "open"),
    "rest-closed-orders": (answers.ORDERS, "closed"),
    "rest-trades": (answers.TRADES, "trades"),
    "rest-ledgers": (answers.LEDGER, "ledger"),
    "rest-balances": (answers.BALANCES, ""),
    "rest-positions": (answers.POSITIONS, ""),
    "rest-pairs": (answers.PAIRS, ""),
    "rest-key": (answers.KEY, ""),
    "rest-token": (answers.TOKEN, ""),
}

ORDER = sample("executions-pending_new")
PRICE = b'"limit_price":84210.1'


def order(**fields: object) -> bytes:
    return push("executions", event("executions-pending_new") | fields)


#: Frame → what the error must say.
HOSTILE = {
    "empty": (b"", ""),
    "cut": (ORDER[:200], "truncated"),
    "more after the end": (ORDER + b" x", ""),
    "not JSON": (b"<html>502 Bad Gateway</html>", ""),
    "UTF-16": (ORDER.decode().encode("utf-16"), ""),
    "null": (b"null", "frame"),
    "a list": (b"[%s]" % ORDER, "frame"),
    "an empty object": (b"{}", "neither a channel nor a method"),
    "a channel that is null": (b'{"channel":null,"data":[]}', "channel: missing"),
    "a channel that is a list": (b'{"channel":["executions"],"data":[]}', "channel"),
    "no data": (b'{"channel":"executions","type":"update"}', "data: missing"),
    "data that is a text": (b'{"channel":"balances","data":"x"}', "data"),
    "a row that is null": (b'{"channel":"executions","data":[null]}', "data"),
    "no order id": (push("executions", {"symbol": "X"}), "order_id: missing"),
    "an empty order id": (push("executions", {"order_id": ""}), "order_id: missing"),
    "no currency": (push("balances", {"balance": 1}), "asset: missing"),
    "positions that are a text": (b'{"channel":"positions","data":{"futures":"x"}}', "futures"),
    "no object of positions": (b'{"channel":"positions","data":[]}', "data"),
    "a size in words": (b'{"channel":"positions","data":{"futures":[{"symbol":"PF_X","size":"much"}]}}', "size"),
    "a time of positions in words": (b'{"channel":"positions","data":{"options":[],"time":"soon"}}', "time"),
    "wallets that are a text": (push("balances", {"asset": "BTC", "wallets": "x"}, kind="snapshot"), "wallets"),
    "fees in words": (push("executions", event("executions-trade") | {"fees": "much"}), "fees"),
    "triggers in words": (order(triggers="soon"), "triggers"),
    "a price in words": (ORDER.replace(PRICE, b'"limit_price":"high"'), 'limit_price: "high" is not a number'),
    "NaN": (ORDER.replace(PRICE, b'"limit_price":NaN'), ""),
    "1e999": (ORDER.replace(PRICE, b'"limit_price":1e999'), "limit_price: 1e999 is out of range"),
    "5,000 digits": (ORDER.replace(PRICE, b'"limit_price":%s.5' % (b"9" * 5_000)), "out of range"),
    "a time in words": (order(timestamp="noon"), "timestamp: noon is not a time"),
    "a time without a zone": (order(timestamp="2026-09-30T02:53:25"), "is not a time"),
    "a time of the year 12026": (order(timestamp="12026-09-30T02:53:25Z"), "is not a time"),
    "a time that is a number": (order(timestamp=5), "timestamp"),
    "a flag in words": (order(post_only="perhaps"), "post_only"),
    "NUL in a text": (order(symbol="A\0B"), "symbol: holds a NUL"),
    "a lone surrogate": (ORDER.replace(b"BTC/USD", rb"\ud800"), ""),
    "a lone surrogate as bytes": (ORDER.replace(b"BTC/USD", b"\xed\xa0\x80"), "utf-8"),
    "a key twice": (ORDER.replace(PRICE, PRICE + b"," + PRICE), "'limit_price' comes twice"),
    "100,000 lists deep": (b"[" * 100_000 + b"]" * 100_000, ""),
}


@pytest.mark.parametrize(("frame", "says"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_frame_is_a_result(frame: bytes, says: str) -> None:
    decoded = check(read(frame))
    assert decoded.status == UNDECODED
    assert says.lower() in (decoded.error or "").lower()


@pytest.mark.parametrize(
    ("path", "answer", "says"),
    [
        (answers.TRADES, b'{"error":[]}', "result"),
        (answers.TRADES, b'{"error":[],"result":{}}', "trades"),
        (answers.TRADES, b'{"error":[],"result":{"trades":[]}}', "trades"),
        (answers.TRADES, b'{"error":[],"result":{"trades":{"T":7}}}', "T: 7"),
        (answers.TRADES, b'{"error":[],"result":{"trades":{},"count":1.5}}', "count"),
        (answers.TRADES, b'{"result":{"trades":{}}}', "error"),
        (answers.TRADES, b'{"error":[],"result":{"trades":{"T":{"time":1e20}}}}', "time: 1e20 is out of range"),
        (answers.TRADES, b'{"error":[],"result":{"trades":{"T":{"time":"noon"}}}}', "time"),
        ("/0/private/Novel", b'{"error":[],"result":{}}', "not a request whose answer we know"),
    ],
)
def test_a_hostile_answer_is_a_result(path: str, answer: bytes, says: str) -> None:
    decoded = check(asked(path, answer))
    assert decoded.status == UNDECODED
    assert says.lower() in (decoded.error or "").lower()


@given(data=st.data(), name=st.sampled_from([one for names in PUSHES.values() for one in names]))
def test_no_push_raises(data: st.DataObject, name: str) -> None:
    frame: dict[str, Any] = json.loads(sample(name))
    frame["data"] = [data.draw(changed(row)) for row in frame["data"]]
    if data.draw(st.booleans()):
        frame = data.draw(changed(frame))
    check(read(json.dumps(frame).encode()))


@given(data=st.data(), name=st.sampled_from(sorted(ANSWERS)))
def test_no_answer_raises(data: st.DataObject, name: str) -> None:
    path, place = ANSWERS[name]
    whole: dict[str, Any] = json.loads(sample(name))
    rows = whole["result"][place] if place else whole["result"]
    for key, row in rows.items():
        rows[key] = data.draw(changed(row)) if isinstance(row, dict) else row
    if data.draw(st.booleans()):
        whole["result"] = data.draw(changed(whole["result"]))
    check(asked(path, json.dumps(whole).encode()))


@given(frame=st.binary() | st.text().map(str.encode))
def test_no_bytes_raise(frame: bytes) -> None:
    check(read(frame))
    check(asked(answers.OPEN_ORDERS, frame))


#: Field → column, of the numbers of a trade that are copied.
COPIED = {"last_price": "price", "last_qty": "quantity"}


#: A whole number is read as such, and there 0 has no sign.
@given(digits=DIGITS.filter(lambda digits: digits != "-0"))
def test_random_digits_survive(digits: str) -> None:
    frame = push("executions", event("executions-trade") | dict.fromkeys(COPIED, "@") | {"cum_qty": "@"})
    order, fill = read(frame.replace(b'"@"', digits.encode())).updates
    assert {getattr(fill, column) for column in COPIED.values()} == {digits}
    assert getattr(order, "filled_quantity") == digits  # noqa: B009
    balance = push("balances", event("balances-update") | {"balance": "@"})
    (update,) = read(balance.replace(b'"@"', digits.encode())).updates
    assert getattr(update, "balance") == digits  # noqa: B009


@given(amount=DIGITS, fee=DIGITS)
def test_an_amount_is_exact(amount: str, fee: str) -> None:
    row = {"asset": "ZUSD", "type": "trade", "amount": amount, "fee": fee}
    answer = json.dumps({"error": [], "result": {"ledger": {"L": row}, "count": 1}}).encode()
    (entry,) = asked(answers.LEDGER, answer).updates
    assert Fraction(getattr(entry, "amount")) == Fraction(amount) - Fraction(fee)  # noqa: B009
