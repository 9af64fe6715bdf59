"""Frames that OKX should never send: each becomes a result that can be stored, and none raises."""

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.model import UNDECODED, Decoded
from recorder.venues.okx import answers
from tests.hostile import DIGITS, VALUES, changed, check
from tests.unit.okx.frames import answer, asked, push, read, row, sample

TOPICS = (
    "orders",
    "orders-algo",
    "positions",
    "account",
    "balance_and_position",
    "fills",
    "deposit-info",
    "withdrawal-info",
)
#: A sample, and the request whose answer has such rows.
ANSWERS = (
    ("orders", answers.OPEN_ORDERS),
    ("orders", f"{answers.ORDERS}?instType=SWAP&limit=1"),
    ("orders", f"{answers.ORDER}?instId=BTC-USDT-SWAP&ordId=1"),
    ("orders-algo", f"{answers.ALGOS}?ordType=trigger&limit=1"),
    ("positions", answers.POSITIONS),
    ("account", answers.BALANCE),
    ("rest-fills", f"{answers.FILLS}?limit=1"),
    ("rest-bills", f"{answers.BILLS}?limit=1"),
    ("rest-bills", answers.FUND_BILLS),
    ("rest-instruments", f"{answers.INSTRUMENTS}?instType=SWAP"),
    ("deposit-info", f"{answers.DEPOSITS}?limit=1"),
    ("withdrawal-info", f"{answers.WITHDRAWALS}?limit=1"),
)
FUND_BALANCE = {"ccy": "USDT", "bal": "100.5", "frozenBal": "0", "availBal": "100.5"}

ORDER = sample("orders")
AVERAGE = b'"avgPx":"84100.5"'


def with_average(value: bytes) -> bytes:
    """An order with another average price."""
    assert AVERAGE in ORDER
    return ORDER.replace(AVERAGE, b'"avgPx":' + value)


#: Frame → what the error must say.
HOSTILE = {
    "empty": (b"", ""),
    "cut": (ORDER[:200], "truncated"),
    "more after the end": (ORDER + b" x", ""),
    "more after a pong": (b"pong ", ""),
    "not JSON": (b"<html>502 Bad Gateway</html>", ""),
    "UTF-16": (ORDER.decode().encode("utf-16"), ""),
    "null": (b"null", "frame: missing"),
    "a list": (b"[%s]" % ORDER, "frame"),
    "an empty object": (b"{}", "arg.channel: missing"),
    "an event that is null": (b'{"event":null}', "event: missing"),
    "an event that is a list": (b'{"event":[]}', "event"),
    "a message that is a list": (b'{"event":"error","code":"1","msg":[]}', "msg"),
    "a code that is a number": (b'{"event":"error","code":60012,"msg":"x"}', "code"),
    "a channel that is a list": (b'{"arg":{"channel":["orders"]},"data":[]}', "channel"),
    "a channel that nobody knows": (push("order"), "channel: 'order' is not one we know"),
    "an argument that is a text": (b'{"arg":"orders","data":[]}', "arg"),
    "a kind of push that is a list": (push("account", row("account"), eventType=[]), "eventType"),
    "no data": (b'{"arg":{"channel":"orders"}}', "data: missing"),
    "data that is an object": (b'{"arg":{"channel":"orders"},"data":{}}', "data"),
    "a row that is null": (push("orders", None), "data"),
    "a row that nobody reads is null": (push("fills", None), "data"),
    "no order id": (push("orders", {"instId": "X"}), "ordId: missing"),
    "an order id of zero": (push("orders", {"ordId": "0"}), "ordId: missing"),
    "an order id that is true": (push("orders", {"ordId": True}), "ordId"),
    "no id of a conditional order": (push("orders-algo", {"ordId": "1"}), "algoId: missing"),
    "no symbol of a position": (push("positions", {"pos": "1"}), "instId: missing"),
    "an empty symbol of a position": (push("positions", {"instId": ""}), "instId: missing"),
    "no currency": (push("account", {"details": [{"cashBal": "1"}]}), "ccy: missing"),
    "an empty currency": (push("account", {"details": [{"ccy": "", "cashBal": "1"}]}), "ccy: missing"),
    "no currencies": (push("account", {"totalEq": "1"}), "details: missing"),
    "currencies that are a text": (push("account", {"details": "BTC"}), "details"),
    "a price in words": (with_average(b'"high"'), 'avgPx: "high" is not a number'),
    "a price with a comma": (with_average(b'"3,391"'), "is not a number"),
    "a price with a blank": (with_average(b'" 1"'), "is not a number"),
    "a price in other digits": (with_average('"\N{ARABIC-INDIC DIGIT ONE}"'.encode()), "is not a number"),
    "NaN as text": (with_average(b'"NaN"'), "is not a number"),
    "NaN": (with_average(b"NaN"), ""),
    "1e100": (with_average(b'"1e100"'), "avgPx: 1e100 is out of range"),
    "1e999 as a number": (with_average(b"1e999"), "out of range"),
    "5,000 digits": (with_average(b'"%s"' % (b"9" * 5_000)), "out of range"),
    "a price that is true": (with_average(b"true"), "avgPx"),
    "a price that is an object": (with_average(b'{"usd":1}'), "avgPx"),
    "a fee in words": (push("orders", row("orders") | {"fee": "much"}), "fee"),
    "a fee of a fill in words": (push("orders", row("orders") | {"fillFee": "much"}), "fillFee"),
    "a time in words": (push("orders", row("orders") | {"cTime": "noon"}), "cTime"),
    "a time of 2^63": (push("orders", row("orders") | {"cTime": "9223372036854775808"}), "out of range"),
    "a side that is a number": (push("orders", row("orders") | {"side": 1}), "side"),
    "a flag that is a number": (push("orders", row("orders") | {"reduceOnly": 1}), "reduceOnly"),
    "a state that is a number": (push("deposit-info", row("deposit-info") | {"state": 2}), "state"),
    "an amount in words": (push("withdrawal-info", row("withdrawal-info") | {"amt": "all"}), "amt"),
    "NUL in a text": (push("orders", row("orders") | {"instId": "A\0B"}), "instId: holds a NUL"),
    "NUL in a channel": (push("orders\0", row("orders")), "channel: holds a NUL"),
    "NUL in a currency": (push("account", {"details": [{"ccy": "A\0"}]}), "ccy: holds a NUL"),
    "a lone surrogate": (ORDER.replace(b"BTC-USDT", rb"\ud800"), ""),
    "a lone surrogate as bytes": (ORDER.replace(b"BTC-USDT", b"\xed\xa0\x80"), ""),
    "a key twice": (ORDER.replace(AVERAGE, AVERAGE + b"," + AVERAGE), "'avgPx' comes twice"),
    "100,000 lists deep": (b"[" * 100_000 + b"]" * 100_000, ""),
    "an unknown field 100,000 deep": (ORDER.replace(AVERAGE, AVERAGE + b',"new":' + b"[" * 100_000), ""),
}


@pytest.mark.parametrize(("frame", "says"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_frame_is_a_result(frame: bytes, says: str) -> None:
    decoded = check(read(frame))
    assert decoded.status == UNDECODED
    assert says.lower() in (decoded.error or "").lower()


#: Answer → what the error must say.
HOSTILE_ANSWERS = {
    "no code": (answers.BILLS, b'{"data":[]}', "code: missing"),
    "a code that is a number": (answers.BILLS, b'{"code":0,"data":[]}', "code"),
    "no data": (answers.BILLS, b'{"code":"0"}', "data: missing"),
    "another path": ("/api/v5/trade/new", answer(), "is not a request whose answer we know"),
    "no symbol of an instrument": (answers.INSTRUMENTS, answer({"ctVal": "1"}), "instId: missing"),
    "a size in words": (answers.INSTRUMENTS, answer({"instId": "X", "ctVal": "one"}), "ctVal"),
    "no currency": (answers.FUND_BALANCES, answer({"bal": "1"}), "ccy: missing"),
    "a next page after a list": (f"{answers.BILLS}?limit=1", answer({"billId": []}), "billId"),
}


@pytest.mark.parametrize(("target", "body", "says"), HOSTILE_ANSWERS.values(), ids=HOSTILE_ANSWERS)
def test_a_hostile_answer_is_a_result(target: str, body: bytes, says: str) -> None:
    decoded = check(asked(target, body))
    assert decoded.status == UNDECODED
    assert says in (decoded.error or "")


@given(data=st.data(), topic=st.sampled_from(TOPICS))
def test_no_push_raises(data: st.DataObject, topic: str) -> None:
    fields = data.draw(changed(row(topic)))
    if topic == "account" and isinstance(fields.get("details"), list) and data.draw(st.booleans()):
        fields["details"] = [data.draw(changed(row("account")["details"][0]))]
    frame = push(topic, fields)
    if data.draw(st.booleans()):
        frame = json.dumps(data.draw(changed(json.loads(frame)))).encode()
    check(read(frame))


@given(data=st.data(), which=st.sampled_from(ANSWERS))
def test_no_answer_raises(data: st.DataObject, which: tuple[str, str]) -> None:
    name, target = which
    whole = json.loads(answer(data.draw(changed(row(name)))))
    if data.draw(st.booleans()):
        whole = data.draw(changed(whole))
    check(asked(target, json.dumps(whole).encode()))


@given(data=st.data())
def test_no_answer_about_the_funding_account_raises(data: st.DataObject) -> None:
    check(asked(answers.FUND_BALANCES, answer(data.draw(changed(FUND_BALANCE)))))


@given(frame=st.binary() | st.text().map(str.encode))
def test_no_bytes_raise(frame: bytes) -> None:
    check(read(frame))
    check(asked(answers.OPEN_ORDERS, frame))


@given(
    event=st.sampled_from(["error", "login", "subscribe", "notice", "channel-conn-count", "channel-conn-count-error"]),
    code=VALUES,
    message=VALUES,
    arg=VALUES,
    count=VALUES,
)
def test_no_control_frame_raises(event: str, code: object, message: object, arg: object, count: object) -> None:
    told = {"event": event, "code": code, "msg": message, "arg": arg, "channel": arg, "connCount": count, "id": code}
    check(read(json.dumps(told).encode()))


def updates(decoded: Decoded) -> Any:
    """The rows of a frame or an answer."""
    assert decoded.error is None
    return decoded.updates


#: Topic → field → column, of the numbers that are copied.
COPIED = {
    "orders": {"px": "price", "sz": "quantity", "accFillSz": "filled_quantity"},
    "orders-algo": {"sz": "quantity", "triggerPx": "trigger_price"},
    "positions": {
        **{"avgPx": "entry_price", "markPx": "mark_price", "liqPx": "liquidation_price", "lever": "leverage"},
        **{"pos": "quantity", "imr": "margin", "upl": "unrealized_pnl", "realizedPnl": "realized_pnl"},
    },
    "deposit-info": {"amt": "amount"},
}


@given(topic=st.sampled_from(sorted(COPIED)), digits=DIGITS, is_text=st.booleans())
def test_random_digits_survive(topic: str, digits: str, is_text: bool) -> None:
    sent = digits if is_text else "@"
    frame = push(topic, row(topic) | dict.fromkeys(COPIED[topic], sent))
    update = updates(read(frame if is_text else frame.replace(b'"@"', digits.encode())))[0]
    if digits == "-0" and not is_text:
        digits = "0"  # the sign of an integer zero means nothing in JSON
    assert {getattr(update, column) for column in COPIED[topic].values()} == {digits}


@given(digits=DIGITS)
def test_random_balances_and_fills_survive(digits: str) -> None:
    fields = {"cashBal": "balance", "availBal": "available", "ordFrozen": "locked", "eq": "equity"}
    details = row("account")["details"][0] | dict.fromkeys(fields, digits)
    (balance,) = updates(read(push("account", row("account") | {"details": [details]})))
    assert {getattr(balance, column) for column in fields.values()} == {digits}
    (fill,) = updates(asked(answers.FILLS, answer(row("rest-fills") | {"fillPx": digits, "fillSz": digits})))
    assert (fill.price, fill.quantity) == (digits, digits)


@given(digits=DIGITS, other=DIGITS)
def test_computed_numbers_are_exact(digits: str, other: str) -> None:
    fields = {"fee": digits, "rebate": other, "fillFee": other}
    order, fill = updates(read(push("orders", row("orders") | fields)))
    assert Fraction(order.fee) == -Fraction(digits) - Fraction(other)
    assert Fraction(fill.fee) == -Fraction(other)
    (position,) = updates(read(push("positions", row("positions") | {"posSide": "short", "pos": digits.lstrip("-")})))
    assert Fraction(position.quantity) == -Fraction(digits.lstrip("-"))
    (left,) = updates(read(push("withdrawal-info", row("withdrawal-info") | {"amt": digits})))
    assert Fraction(left.amount) == -Fraction(digits)
    sizes = {"ctVal": digits, "ctMult": other}
    (told,) = updates(asked(answers.INSTRUMENTS, answer(row("rest-instruments") | sizes)))
    assert Fraction(told.contract_size) == Fraction(digits) * Fraction(other)
