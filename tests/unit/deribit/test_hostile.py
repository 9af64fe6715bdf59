"""Frames that Deribit should never send: each becomes a result that can be stored, and none raises."""

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.model import UNDECODED
from recorder.venues.deribit import answers
from recorder.venues.deribit.portal import CHANGES, PORTFOLIO
from tests.hostile import DIGITS, changed, check
from tests.unit.deribit.frames import answer, asked, changes, data, push, read, result, sample

ORDER = sample("orders")
PRICE = b'"price":9.15e4'
ORDERS = "user.orders.any.any.raw"
ANSWERS = {
    "rest-summaries": answers.BALANCES,
    "rest-positions": answers.POSITIONS,
    "rest-open-orders": answers.OPEN_ORDERS,
    "rest-order-history": answers.ORDERS,
    "rest-trigger-history": answers.TRIGGERS,
    "rest-user-trades": answers.FILLS,
    "rest-transaction-log": answers.LOG,
    "rest-instruments": answers.INSTRUMENTS,
}


def order(**fields: object) -> bytes:
    return push(ORDERS, data("orders") | fields)


#: Frame → what the error must say.
HOSTILE = {
    "empty": (b"", ""),
    "cut": (ORDER[:200], "truncated"),
    "not JSON": (b"<html>502 Bad Gateway</html>", ""),
    "a list": (b"[%s]" % ORDER, "object"),
    "an empty object": (b"{}", "neither method, nor result, nor error"),
    "an unknown method": (b'{"method":"verify","params":{}}', "method"),
    "a method that is a number": (b'{"method":7}', "method"),
    "params that are a list": (b'{"method":"heartbeat","params":[]}', "params"),
    "no channel": (b'{"method":"subscription","params":{"data":{}}}', "channel: missing"),
    "an unknown channel": (push("user.dreams.any", {}), "'user.dreams.any' is not one we know"),
    "NUL in a channel": (push("user.orders.\0", {}), "holds a NUL"),
    "an error in words": (b'{"id":1,"error":"no"}', "error"),
    "a code in words": (b'{"id":1,"error":{"code":"x"}}', "code"),
    "data that is a text": (push(CHANGES, "x"), "data"),
    "orders that are a text": (changes(orders="x"), "orders"),
    "an order that is null": (changes(orders=[None]), "orders"),
    "no order id": (order(order_id=None), "order_id: missing"),
    "no symbol of a position": (changes(positions=[{"size": 1}]), "instrument_name: missing"),
    "an empty symbol of a position": (changes(positions=[{"instrument_name": ""}]), "instrument_name: missing"),
    "an empty order id": (order(order_id=""), "order_id: missing"),
    "an empty currency": (push(PORTFOLIO, {"currency": "", "balance": 1}), "currency: missing"),
    "no currency": (push(PORTFOLIO, {"balance": 1}), "currency: missing"),
    "a price in other words": (order(price="high"), 'price: "high" is not a number'),
    "a price that is an object": (order(price={"usd": 1}), "price: "),
    "1e100": (ORDER.replace(PRICE, b'"price":1e100'), "price: 1e100 is out of range"),
    "5,000 digits": (ORDER.replace(PRICE, b'"price":%s' % (b"9" * 5_000)), "out of range"),
    "NaN": (ORDER.replace(PRICE, b'"price":NaN'), ""),
    "a time with a fraction": (order(creation_timestamp=1.5), "creation_timestamp: 1.5"),
    "a time of 2^63": (order(creation_timestamp=2**63), "out of range"),
    "a flag that is a number": (order(post_only=2), "post_only"),
    "NUL in a text": (order(label="A\0B"), "label: holds a NUL"),
    "a lone surrogate": (ORDER.replace(b"grid-7", rb"\ud800"), ""),
    "invalid UTF-8 in an unknown field": (ORDER.replace(PRICE, PRICE + b',"new":"\xff"'), "utf-8"),
    "a key twice": (ORDER.replace(PRICE, PRICE + b"," + PRICE), "'price' comes twice"),
    "100,000 lists deep": (b"[" * 100_000 + b"]" * 100_000, ""),
}


@pytest.mark.parametrize(("frame", "says"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_frame_is_a_result(frame: bytes, says: str) -> None:
    decoded = check(read(frame))
    assert decoded.status == UNDECODED
    assert says.lower() in (decoded.error or "").lower()


@given(drawn=st.data())
def test_no_push_raises(drawn: st.DataObject) -> None:
    whole = data("changes")
    parts = {name: [drawn.draw(changed(whole[name][0]))] for name in ("orders", "trades", "positions")}
    frame = changes(**(drawn.draw(changed(parts)) if drawn.draw(st.booleans()) else parts))
    if drawn.draw(st.booleans()):
        frame = json.dumps(drawn.draw(changed(json.loads(frame)))).encode()
    check(read(frame))
    check(read(push(PORTFOLIO, drawn.draw(changed(data("portfolio"))))))


@given(drawn=st.data(), name=st.sampled_from(sorted(ANSWERS)))
def test_no_answer_raises(drawn: st.DataObject, name: str) -> None:
    told = result(name)
    if isinstance(told, list):
        told = [drawn.draw(changed(one)) for one in told]
    else:
        told = {
            key: [drawn.draw(changed(one)) for one in value] if isinstance(value, list) else value
            for key, value in told.items()
        }
        if drawn.draw(st.booleans()):
            told = drawn.draw(changed(told))
    check(asked(ANSWERS[name], answer(told)))


@given(drawn=st.data())
def test_no_answer_on_the_socket_raises(drawn: st.DataObject) -> None:
    check(read(json.dumps(drawn.draw(changed(json.loads(sample("login"))))).encode()))


@given(frame=st.binary() | st.text().map(str.encode))
def test_no_bytes_raise(frame: bytes) -> None:
    check(read(frame))
    check(asked(answers.OPEN_ORDERS, frame))


@given(digits=DIGITS)
def test_random_digits_survive(digits: str) -> None:
    frame = changes(trades=[data("changes")["trades"][0] | dict.fromkeys(("price", "amount", "fee"), "@")])
    (fill,) = read(frame.replace(b'"@"', digits.encode())).updates
    # Of a whole zero, JSON's own reader drops the sign.
    assert {fill.price, fill.quantity, fill.fee} == {"0" if digits == "-0" else digits}  # type: ignore[union-attr]


@given(change=DIGITS, funding=DIGITS, balance=DIGITS)
def test_a_settlement_is_divided_exactly(change: str, funding: str, balance: str) -> None:
    row = result("rest-transaction-log")["logs"][1] | {"change": "@1", "total_interest_pl": "@2", "balance": "@3"}
    frame = answer({"logs": [row], "continuation": None})
    for place, digits in enumerate((change, funding, balance), 1):
        frame = frame.replace(b'"@%d"' % place, digits.encode())
    updates: Any = asked(answers.LOG, frame).updates
    assert sum(Fraction(one.amount) for one in updates) == Fraction(change)
    assert sum(Fraction(one.amount) for one in updates if one.type == "funding") == Fraction(funding)
    assert Decimal(updates[-1].balance_after) == Decimal(balance)
    before = Fraction(balance) - Fraction(change)
    assert [Fraction(one.balance_after) for one in updates] == [
        before + sum(Fraction(one.amount) for one in updates[: place + 1]) for place in range(len(updates))
    ]
