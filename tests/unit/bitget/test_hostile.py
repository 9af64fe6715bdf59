"""Frames that Bitget should never send: each becomes a result that can be stored, and none raises."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.model import UNDECODED
from recorder.venues.bitget import answers
from tests.hostile import DIGITS, VALUES, changed, check
from tests.unit.bitget.frames import asked, only, page, push, read, row, sample

TOPICS = ("order", "fill", "position", "account", "strategy-order", "adl-notification")
ANSWERS = {
    "rest-orders": answers.ORDERS,
    "rest-order-info": answers.ORDER,
    "rest-fills": answers.FILLS,
    "rest-positions": f"{answers.POSITIONS}?category=USDT-FUTURES&symbol=BTCUSDT",
    "rest-assets": answers.ASSETS,
    "rest-funding-assets": answers.FUNDING_ASSETS,
    "rest-records": answers.RECORDS,
    "rest-funding-records": answers.FUNDING_RECORDS,
    "rest-strategy-orders": answers.STRATEGIES,
    "rest-open-strategy-orders": answers.OPEN_STRATEGIES,
    "rest-instruments": answers.INSTRUMENTS,
    "rest-info": answers.INFO,
}


ORDER = sample("order")
AVERAGE = b'"avgPrice":"106950.1"'


def with_average(value: bytes) -> bytes:
    """An order with another average price."""
    assert AVERAGE in ORDER
    return ORDER.replace(AVERAGE, b'"avgPrice":' + value)


#: Frame → what the error must say.
HOSTILE = {
    "empty": (b"", ""),
    "cut": (ORDER[:200], "truncated"),
    "more after the end": (ORDER + b" x", ""),
    "not JSON": (b"<html>502 Bad Gateway</html>", ""),
    "UTF-16": (ORDER.decode().encode("utf-16"), ""),
    "null": (b"null", "frame: missing"),
    "a list": (b"[%s]" % ORDER, "frame"),
    "an empty object": (b"{}", "arg.topic: missing"),
    "an event that is null": (b'{"event":null}', "event: missing"),
    "an event that is a list": (b'{"event":[]}', "event"),
    "a message that is a list": (b'{"event":"error","code":1,"msg":[]}', "msg"),
    "a code that is a list": (b'{"event":"error","code":[],"msg":"x"}', "code"),
    "a topic that is a list": (b'{"arg":{"topic":["order"]},"data":[]}', "topic"),
    "an argument that is a text": (b'{"arg":"order","data":[]}', "arg"),
    "no data": (b'{"arg":{"topic":"order"}}', "data: missing"),
    "data that is an object": (push("order", data={}), "data"),
    "a row that is null": (push("order", None), "data"),
    "no order id": (push("order", {"symbol": "X"}), "orderId: missing"),
    "an order id of zero": (push("order", {"orderId": "0"}), "orderId: missing"),
    "an order id that is true": (push("order", {"orderId": True}), "orderId"),
    "no symbol of a position": (push("position", {"size": "1"}), "symbol: missing"),
    "an empty symbol of a position": (push("position", {"symbol": ""}), "symbol: missing"),
    "no coin": (push("account", {"coin": [{"balance": "1"}]}), "coin: missing"),
    "no coins": (push("account", {"totalEquity": "1"}), "coin: missing"),
    "coins that are a text": (push("account", {"coin": "BTC"}), "coin"),
    "a price in words": (with_average(b'"high"'), 'avgPrice: "high" is not a number'),
    "a price with a comma": (with_average(b'"3,391"'), "is not a number"),
    "a price with a blank": (with_average(b'" 1"'), "is not a number"),
    "a price in other digits": (with_average('"\N{ARABIC-INDIC DIGIT ONE}"'.encode()), "is not a number"),
    "NaN as text": (with_average(b'"NaN"'), "is not a number"),
    "NaN": (with_average(b"NaN"), ""),
    "1e100": (with_average(b'"1e100"'), "avgPrice: 1e100 is out of range"),
    "1e999 as a number": (with_average(b"1e999"), "out of range"),
    "5,000 digits": (with_average(b'"%s"' % (b"9" * 5_000)), "out of range"),
    "a price that is true": (with_average(b"true"), "avgPrice"),
    "a price that is an object": (with_average(b'{"usd":1}'), "avgPrice"),
    "a fee of numbers": (push("order", row("order") | {"feeDetail": [5]}), "feeDetail"),
    "a fee in words": (push("fill", row("fill") | {"feeDetail": [{"feeCoin": "X", "fee": "much"}]}), "fee"),
    "a time in words": (push("order", row("order") | {"createdTime": "noon"}), "createdTime"),
    "a time of 2^63": (push("order", row("order") | {"createdTime": "9223372036854775808"}), "out of range"),
    "a time of a frame in words": (push("order", row("order"), ts="noon"), "ts"),
    "a side that is a number": (push("order", row("order") | {"side": 1}), "side"),
    "NUL in a text": (push("order", row("order") | {"symbol": "A\0B"}), "symbol: holds a NUL"),
    "NUL in a coin of a fee": (push("fill", row("fill") | {"feeDetail": [{"feeCoin": "A\0", "fee": "1"}]}), "NUL"),
    "a lone surrogate": (ORDER.replace(b"BTCUSDT", rb"\ud800"), ""),
    "a lone surrogate as bytes": (ORDER.replace(b"BTCUSDT", b"\xed\xa0\x80"), ""),
    "a key twice": (ORDER.replace(AVERAGE, AVERAGE + b"," + AVERAGE), "'avgPrice' comes twice"),
    "100,000 lists deep": (b"[" * 100_000 + b"]" * 100_000, ""),
    "an unknown field 100,000 deep": (ORDER.replace(AVERAGE, AVERAGE + b',"new":' + b"[" * 100_000), ""),
}


@pytest.mark.parametrize(("frame", "says"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_frame_is_a_result(frame: bytes, says: str) -> None:
    decoded = check(read(frame))
    assert decoded.status == UNDECODED
    assert says.lower() in (decoded.error or "").lower()


@given(data=st.data(), topic=st.sampled_from(TOPICS))
def test_no_push_raises(data: st.DataObject, topic: str) -> None:
    fields = data.draw(changed(row(topic)))
    if topic == "account" and isinstance(fields.get("coin"), list) and data.draw(st.booleans()):
        fields["coin"] = [data.draw(changed(row("account")["coin"][0]))]
    frame = push(topic, fields)
    if data.draw(st.booleans()):
        frame = json.dumps(data.draw(changed(json.loads(frame)))).encode()
    check(read(frame))


@given(data=st.data(), name=st.sampled_from(sorted(ANSWERS)))
def test_no_answer_raises(data: st.DataObject, name: str) -> None:
    whole = json.loads(sample(name))
    told = whole["data"]
    if isinstance(told, list):
        whole["data"] = [data.draw(changed(one)) for one in told]
    elif "list" in told:
        told["list"] = [data.draw(changed(one)) for one in told["list"]]
    if data.draw(st.booleans()):
        whole = data.draw(changed(whole))
    check(asked(ANSWERS[name], json.dumps(whole).encode()))


@given(frame=st.binary() | st.text().map(str.encode))
def test_no_bytes_raise(frame: bytes) -> None:
    check(read(frame))
    check(asked(answers.OPEN_ORDERS, frame))


@given(event=st.sampled_from(["error", "login", "subscribe"]), code=VALUES, message=VALUES, arg=VALUES)
def test_no_control_frame_raises(event: str, code: object, message: object, arg: object) -> None:
    check(read(json.dumps({"event": event, "code": code, "msg": message, "arg": arg}).encode()))


#: Topic → field → column, of the numbers that are copied.
COPIED = {
    "order": {"qty": "quantity", "cumExecQty": "filled_quantity"},
    "fill": {"execPrice": "price", "execQty": "quantity", "execPnl": "realized_pnl"},
    "position": {
        **{"leverage": "leverage", "marginSize": "margin"},
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


@given(digits=DIGITS, other=DIGITS)
def test_computed_numbers_are_exact(digits: str, other: str) -> None:
    record = row("rest-records") | {"type": "CLOSE_LONG", "amount": digits, "fee": other}
    told = only(asked(answers.RECORDS, page(record)))
    assert Fraction(told.amount) == Fraction(digits) + Fraction(other)
    assert Fraction(told.fee) == -Fraction(other)
    fees = [{"feeCoin": "USDT", "fee": digits}, {"feeCoin": "USDT", "fee": other}]
    paid = only(read(push("fill", row("fill") | {"feeDetail": fees})))
    assert Fraction(paid.fee) == Fraction(digits) + Fraction(other)
    position = only(read(push("position", row("position") | {"size": digits})))
    assert Fraction(position.quantity) == -Fraction(digits)
