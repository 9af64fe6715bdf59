"""Frames that Bybit should never send: each becomes a result that can be stored, and none raises."""

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.model import UNDECODED
from recorder.venues.bybit import answers
from tests.hostile import DIGITS, changed, check
from tests.unit.bybit.frames import asked, only, push, read, row, sample

TOPICS = ("order", "execution", "position", "wallet")
ANSWERS = {
    "rest-order": answers.OPEN_ORDERS,
    "rest-execution": answers.EXECUTIONS,
    "rest-position": answers.POSITIONS,
    "rest-wallet": answers.BALANCES,
    "rest-transaction-log": answers.TRANSACTION_LOG,
    "rest-fund-log": answers.FUND_LOG,
    "rest-fund-balance": answers.FUND_BALANCES,
    "rest-instrument": answers.INSTRUMENTS,
    "rest-instrument-spot": answers.INSTRUMENTS,
    "rest-key": answers.KEY_PERMISSIONS,
}


ORDER = sample("order")
PRICE = b'"price":"3391.25"'
#: Frame → what the error must say.
HOSTILE = {
    "empty": (b"", ""),
    "cut": (ORDER[:200], "truncated"),
    "more after the end": (ORDER + b" x", ""),
    "not JSON": (b"<html>502 Bad Gateway</html>", ""),
    "UTF-16": (ORDER.decode().encode("utf-16"), "malformed"),
    "null": (b"null", ""),
    "a list": (b"[%s]" % ORDER, ""),
    "an empty object": (b"{}", "neither a topic nor an answer"),
    "a topic that is null": (b'{"topic":null,"data":[]}', "neither a topic nor an answer"),
    "a topic that is a list": (b'{"topic":["order"],"data":[]}', "topic"),
    "no data": (b'{"topic":"order"}', "data: missing"),
    "data that is null": (b'{"topic":"order","data":null}', "data: missing"),
    "data that is a text": (b'{"topic":"order","data":"x"}', "not a list"),
    "a row that is null": (b'{"topic":"order","data":[null]}', "data: missing"),
    "no order id": (push("order", {"symbol": "X"}), "orderId: missing"),
    "an empty order id": (push("order", {"orderId": ""}), "orderId: missing"),
    "an order id that is null": (push("order", {"orderId": None}), "orderId: missing"),
    "no symbol of a position": (push("position", {"size": "1"}), "symbol: missing"),
    "no coin": (push("wallet", {"coin": [{"walletBalance": "1"}]}), "coin: missing"),
    "an empty symbol of a position": (push("position", {"symbol": "", "size": "1"}), "symbol: missing"),
    "an empty coin": (push("wallet", {"coin": [{"coin": "", "walletBalance": "1"}]}), "coin: missing"),
    "no coins": (push("wallet", {"accountType": "UNIFIED"}), "coin: missing"),
    "coins that are a text": (push("wallet", {"coin": "BTC"}), "not a list"),
    "a price in words": (ORDER.replace(PRICE, b'"price":"high"'), 'price: "high" is not a number'),
    "a price with a comma": (ORDER.replace(PRICE, b'"price":"3,391"'), 'price: "3,391" is not a number'),
    "a price with a blank": (ORDER.replace(PRICE, b'"price":" 1"'), 'price: " 1" is not a number'),
    "a price in other digits": (
        ORDER.replace(PRICE, '"price":"\N{ARABIC-INDIC DIGIT ONE}"'.encode()),
        "is not a number",
    ),
    "NaN as text": (ORDER.replace(PRICE, b'"price":"NaN"'), "is not a number"),
    "Infinity as text": (ORDER.replace(PRICE, b'"price":"Infinity"'), "is not a number"),
    "NaN": (ORDER.replace(PRICE, b'"price":NaN'), ""),
    "1e100": (ORDER.replace(PRICE, b'"price":"1e100"'), "price: 1e100 is out of range"),
    "1e999 as a number": (ORDER.replace(PRICE, b'"price":1e999'), "price: 1e999 is out of range"),
    "1e and 5,000 digits": (ORDER.replace(PRICE, b'"price":"1e%s"' % (b"9" * 5_000)), "out of range"),
    "5,000 digits": (ORDER.replace(PRICE, b'"price":"%s"' % (b"9" * 5_000)), "out of range"),
    "a price that is true": (ORDER.replace(PRICE, b'"price":true'), "price: true"),
    "a price that is an object": (ORDER.replace(PRICE, b'"price":{"usd":1}'), "price: "),
    "a fee detail in words": (push("order", row("order") | {"cumFeeDetail": "much"}), "cumFeeDetail"),
    "a fee detail of lists": (push("order", row("order") | {"cumFeeDetail": {"USDT": []}}), "cumFeeDetail"),
    "a time in words": (push("order", row("order") | {"createdTime": "noon"}), 'createdTime: "noon"'),
    "a time of 2^63": (push("order", row("order") | {"createdTime": "9223372036854775808"}), "out of range"),
    "a time of 1e50": (push("order", row("order") | {"createdTime": "1e50"}), "createdTime: 1e50 is out of range"),
    "a flag in words": (push("order", row("order") | {"reduceOnly": "perhaps"}), "reduceOnly"),
    "a tax of lists": (push("execution", row("execution") | {"extraFees": [[]]}), ""),
    "a tax in words": (push("execution", row("execution") | {"extraFees": [{"fee": "x"}]}), 'extraFees: "x"'),
    "NUL in a text": (push("order", row("order") | {"symbol": "A\0B"}), "symbol: holds a NUL"),
    "NUL in a topic": (push("order\0", row("order")), "topic: holds a NUL"),
    "NUL in a coin of a fee": (push("order", row("order") | {"cumFeeDetail": {"A\0": "1"}}), "holds a NUL"),
    "a lone surrogate": (ORDER.replace(b"ETHUSDT", rb"\ud800"), ""),
    "a lone surrogate as bytes": (ORDER.replace(b"ETHUSDT", b"\xed\xa0\x80"), "utf-8"),
    "invalid UTF-8 in an unknown field": (ORDER.replace(PRICE, PRICE + b',"new":"\xff"'), "utf-8"),
    "a key twice": (ORDER.replace(PRICE, PRICE + b"," + PRICE), "'price' comes twice"),
    "100,000 lists deep": (b"[" * 100_000 + b"]" * 100_000, ""),
    "an unknown field 100,000 deep": (ORDER.replace(PRICE, PRICE + b',"new":' + b"[" * 100_000), ""),
    "args that are a text": (b'{"op":"pong","args":"now"}', ""),
    "a clock in words": (b'{"op":"pong","args":["now"]}', 'args: "now"'),
}


@pytest.mark.parametrize(("frame", "says"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_frame_is_a_result(frame: bytes, says: str) -> None:
    decoded = check(read(frame))
    assert decoded.status == UNDECODED
    assert says.lower() in (decoded.error or "").lower()


@given(data=st.data(), topic=st.sampled_from(TOPICS))
def test_no_push_raises(data: st.DataObject, topic: str) -> None:
    fields = data.draw(changed(row(topic)))
    if topic == "wallet" and isinstance(fields.get("coin"), list) and data.draw(st.booleans()):
        fields["coin"] = [data.draw(changed(row("wallet")["coin"][0]))]
    frame = push(topic, fields)
    if data.draw(st.booleans()):
        frame = json.dumps(data.draw(changed(json.loads(frame)))).encode()
    check(read(frame))


@given(data=st.data(), name=st.sampled_from(sorted(ANSWERS)))
def test_no_answer_raises(data: st.DataObject, name: str) -> None:
    whole = json.loads(sample(name))
    result = whole["result"]
    listed = next((key for key in ("list", "balance") if key in result), None)
    if listed:
        result[listed] = [data.draw(changed(one)) for one in result[listed]]
    if data.draw(st.booleans()):
        whole["result"] = data.draw(changed(result))
    check(asked(ANSWERS[name], json.dumps(whole).encode()))


@given(frame=st.binary() | st.text().map(str.encode))
def test_no_bytes_raise(frame: bytes) -> None:
    check(read(frame))
    check(asked(answers.OPEN_ORDERS, frame))


@given(data=st.data(), topic=st.sampled_from(TOPICS))
def test_frames_read_quickly_and_with_care_say_the_same(data: st.DataObject, topic: str) -> None:
    fields = data.draw(changed(row(topic)))
    quickly, carefully = read(push(topic, fields)), read(push(topic, fields, unheard_of=1))
    assert (quickly.status, quickly.control) == (carefully.status, carefully.control)
    for one, other in zip(quickly.updates, carefully.updates, strict=True):
        assert {**one._asdict(), "extra": None} == {**other._asdict(), "extra": None}


#: Topic → field → column, of the numbers that are copied.
COPIED = {
    "order": {"qty": "quantity", "cumExecQty": "filled_quantity"},
    "execution": {"execPrice": "price", "execQty": "quantity", "execFee": "fee", "execPnl": "realized_pnl"},
    "position": {
        **{"size": "quantity", "leverage": "leverage", "positionIM": "margin"},
        **{"unrealisedPnl": "unrealized_pnl", "curRealisedPnl": "realized_pnl"},
    },
}


@given(topic=st.sampled_from(sorted(COPIED)), digits=DIGITS, is_text=st.booleans())
def test_random_digits_survive(topic: str, digits: str, is_text: bool) -> None:
    sent = digits if is_text else "@"
    frame = push(topic, row(topic) | dict.fromkeys(COPIED[topic], sent))
    update = only(read(frame if is_text else frame.replace(b'"@"', digits.encode())))
    if digits == "-0" and not is_text:
        digits = "0"  # the sign of an integer zero means nothing in JSON
    assert {getattr(update, column) for column in COPIED[topic].values()} == {digits}


@given(digits=DIGITS)
def test_random_prices_survive(digits: str) -> None:
    update = only(read(push("order", row("order") | dict.fromkeys(("price", "avgPrice", "triggerPrice"), digits))))
    expected = digits if Decimal(digits) else None
    assert (update.price, update.average_price, update.trigger_price) == (expected,) * 3


@given(digits=DIGITS, other=DIGITS)
def test_computed_numbers_are_exact(digits: str, other: str) -> None:
    payment = only(read(push("execution", row("execution") | {"execType": "Funding", "execFee": digits})))
    assert Fraction(payment.amount) == -Fraction(digits)
    account = row("wallet")
    coin = account["coin"][0] | {"walletBalance": digits, "spotBorrow": other, "locked": digits, "totalOrderIM": other}
    balance = only(read(push("wallet", account | {"coin": [coin]})))
    assert Fraction(balance.balance) == Fraction(digits) - Fraction(other)
    assert Fraction(balance.locked) == Fraction(digits) + Fraction(other)
