"""One frame → records: every field, and exactly the digits that were sent."""

import json
from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.model import (
    CONTROL,
    DECODED,
    FINAL_STATUSES,
    OPEN_STATUSES,
    AccountUpdate,
    Acknowledged,
    Decoded,
    Heartbeat,
    Hello,
    OrderUpdate,
    PositionUpdate,
    RefusedCommand,
    Update,
)
from recorder.venues.fmex import decode, orders
from recorder.venues.reading import read_frame, read_plain
from tests.samples import FMEX, sample
from tests.unit.fmex.pushes import KEY, PAGE, WORDS, push, pushes, record_of


def the_update(frame: bytes) -> Update:
    decoded = read_frame(FMEX, frame)
    assert decoded.error is None
    (update,) = decoded.updates
    return update


def test_the_account_of_the_page() -> None:
    update = AccountUpdate(
        event_ms=1580802053662,
        is_snapshot=0,
        is_partial=0,
        wallet=None,
        currency="BTC",
        balance="1.342438551369367178",
        available="1.34242880408925",
        locked="0.0",
        position_margin="9.747280117178e-06",
        equity=None,
        unrealized_pnl=None,
        updated_ms=1580802053643,
        extra=None,
    )
    assert FMEX.decode(sample("account")) == Decoded("account", DECODED, None, (update,), None)


def test_the_order_of_the_page() -> None:
    update = OrderUpdate(
        event_ms=1580802204232,
        is_snapshot=0,
        is_partial=0,
        market=None,
        symbol="BTCUSD_P",
        order_id="849758102002",
        client_order_id=None,
        side="buy",
        position_side=None,
        order_type="market",
        time_in_force="ioc",
        post_only=0,
        reduce_only=None,
        price="10210",
        trigger_price=None,
        quantity="1",
        quote_quantity=None,
        filled_quantity="1",
        average_price="9288.0",
        status="filled",
        venue_status="FULLY_FILLED",
        reason=None,
        fee="4.8449612403e-08",
        fee_currency="BTC",
        created_ms=1580802204215,
        updated_ms=None,
        extra=None,
    )
    assert FMEX.decode(sample("order")) == Decoded("order.btcusd_p", DECODED, None, (update,), None)


def test_the_position_of_the_page() -> None:
    update = PositionUpdate(
        event_ms=1580802507401,
        is_snapshot=0,
        is_partial=0,
        market=None,
        symbol="BTCUSD_P",
        position_side=None,
        position_id=None,
        margin_mode=None,
        quantity="1",
        entry_price="9278.5",
        mark_price=None,
        liquidation_price="9363.483892761602",
        leverage="50",
        margin="9.749658727683e-06",
        unrealized_pnl=None,
        realized_pnl="-4.8499218623e-08",
        updated_ms=1580802507384,
        extra=None,
    )
    assert FMEX.decode(sample("position")) == Decoded("position.btcusd_p", DECODED, None, (update,), None)


@pytest.mark.parametrize(
    ("sent", "quantity"), [("3", "-3"), ("2.50", "-2.50"), ("0", "0"), ("0E-18", "0E-18"), ("0.0", "0.0"), ("-3", "3")]
)
def test_a_short_position_is_negative(sent: str, quantity: str) -> None:
    update = the_update(push("position", PAGE["position"] | {"direction": '"SHORT"', "quantity": sent}))
    assert isinstance(update, PositionUpdate)
    assert update.quantity == quantity


def test_every_status_of_the_page_has_one_of_all_venues() -> None:
    assert orders.STATUSES.keys() == set(get_args(orders.OrderStatus))
    assert set(orders.STATUSES.values()) <= OPEN_STATUSES | FINAL_STATUSES


def test_a_status_that_nobody_knows_is_kept_as_sent() -> None:
    update = the_update(push("order", PAGE["order"] | {"status": '"Suspended"'}))
    assert isinstance(update, OrderUpdate)
    assert (update.status, update.venue_status) == (None, "Suspended")


def test_the_answers_of_the_page() -> None:
    assert FMEX.decode(sample("hello")) == Decoded("hello", CONTROL, None, (), Hello(1523693784042))
    assert FMEX.decode(sample("ping")) == Decoded("ping", DECODED, None, (Heartbeat(1580802053662, 0, 112),), None)
    topics = Acknowledged(("account", "order.btcusd_p"))
    assert FMEX.decode(sample("topics")) == Decoded("topics", CONTROL, None, (), topics)
    refusal = RefusedCommand("sub-1", 41002, "invalid sub topic, xxx")
    assert FMEX.decode(sample("refused")) == Decoded(None, CONTROL, None, (), refusal)


@pytest.mark.parametrize(
    ("frame", "control"),
    [
        (b'{"type":"topics","topics":["account"],"id":"sub-1"}', Acknowledged(("account",))),
        (b'{"type":"topics","topics":[]}', Acknowledged(())),
        (b'{"status":41002,"msg":"\\u001b[2Jx\\u0000"}', RefusedCommand(None, 41002, " [2Jx ")),
        (b'{"type":"hello"}', Hello(None)),
        (b'{"type":"hello","ts":1,"version":{"major":2}}', Hello(1)),
        (b'{"status":41002}', RefusedCommand(None, 41002, "")),
        (b'{"id":7,"status":41002,"msg":"a:b\\u0000c"}', RefusedCommand("7", 41002, "a:b c")),
    ],
)
def test_answers_may_hold_less_or_more(frame: bytes, control: object) -> None:
    assert read_frame(FMEX, frame).control == control


@pytest.mark.parametrize(
    "digits",
    [
        "9.747280117178e-06",
        "2.796888254907565438",
        "0E-18",
        "0.0",
        "0",
        "-0",
        "-0.0",
        "1e5",
        "1E+99",
        "-1.5e-99",
        "1e-0000000000000000000000006",
        "123456789012345678901234567890.123456789012345678901234567890",
        "9" * 100,
    ],
)
def test_a_number_keeps_its_digits(digits: str) -> None:
    update = the_update(b'{"type":"account","account":{"currency":"BTC","available":%s},"ts":2}' % digits.encode())
    assert isinstance(update, AccountUpdate)
    assert update.available == digits


@pytest.mark.parametrize("name", PAGE)
def test_what_is_missing_or_null_is_none(name: str) -> None:
    for field in PAGE[name].keys() - {KEY[name]}:
        left_out = {other: text for other, text in PAGE[name].items() if other != field}
        for fields in (left_out, PAGE[name] | {field: "null"}):
            assert the_update(push(name, fields))._asdict() == record_of(name, fields)


@pytest.mark.parametrize("name", PAGE)
def test_the_key_alone_is_enough(name: str) -> None:
    fields = {KEY[name]: PAGE[name][KEY[name]]}
    assert the_update(push(name, fields))._asdict() == record_of(name, fields)


def test_what_nobody_knows_is_kept_as_sent() -> None:
    frame = (
        b'{"type":"order.btcusd_p","v":2,"order":{"id":1,"maker_rate":-2.50e-4,"note":"a:\\u00e4\xc3\xa4",'
        b'"deep":{ "x" : [1.0, null] },"we \\"\\u0000ird":true},"ts":3,"id":"push","status":0}'
    )
    update = the_update(frame)
    assert isinstance(update, OrderUpdate)
    assert update.extra == (
        '{"v":2,"id":"push","status":0,"order.maker_rate":-2.50e-4,"order.note":"a:\\u00e4ä",'
        '"order.deep":{ "x" : [1.0, null] },"order.we \\"\\u0000ird":true}'
    )
    assert json.loads(update.extra)["order.maker_rate"] == -0.00025


@pytest.mark.parametrize("name", PAGE)
def test_a_field_more_changes_no_other(name: str) -> None:
    whole = the_update(push(name, PAGE[name]))._asdict()
    more = the_update(push(name, PAGE[name] | {"new": "0.10"}))._asdict()
    assert more == whole | {"extra": f'{{"{name}.new":0.10}}'}


def test_a_push_of_several_objects_gives_several_updates() -> None:
    frame = b'{"type":"all","order":{"id":1},"account":{"currency":"BTC"},"position":{"symbol":"X"},"ts":2}'
    decoded = read_frame(FMEX, frame)
    assert decoded.topic == "all"
    assert [type(update) for update in decoded.updates] == [AccountUpdate, OrderUpdate, PositionUpdate]
    assert [update[0] for update in decoded.updates] == [2, 2, 2]


@pytest.mark.parametrize(
    "frame",
    [
        b'{"type":"account","account":{"currency":"BTC","available":1,"available":2},"ts":2}',
        b'{"type":"account","account":{"currency":"BTC","available":1,"available":1},"ts":2}',
        b'{"type":"account","account":{"currency":"BTC"},"ts":2,"ts":3}',
        b'{"type":"account","account":{"currency":"BTC"},"account":{"currency":"ETH"},"ts":2}',
        b'{"type":"account","account":null,"account":{"currency":"ETH"},"ts":2}',
        b'{"type":"account","account":{"currency":"BTC","\\u0061vailable":1,"available":2},"ts":2}',
        b'{"type":"account","account":{"currency":"BTC","new":1,"new":2},"ts":2}',
        b'{"type":"account","account":{"currency":"BTC","new":{"a":1,"a":2}},"ts":2}',
        b'{"type":"account","type":"order.x","account":{"currency":"BTC"}}',
        b'{"type":"hello","ts":1,"ts":2}',
        b'{"type":"topics","topics":["a"],"topics":["b"]}',
    ],
)
def test_a_key_that_comes_twice_is_not_interpreted(frame: bytes) -> None:
    decoded = read_frame(FMEX, frame)
    assert decoded.updates == ()
    assert decoded.control is None
    assert decoded.error is not None
    assert "comes twice" in decoded.error


@pytest.mark.parametrize("name", PAGE)
def test_no_key_of_the_page_may_come_twice(name: str) -> None:
    for field, text in PAGE[name].items():
        twice = push(name, {f'{field}":{text},"{field}': text} | {k: v for k, v in PAGE[name].items() if k != field})
        assert twice.count(f'"{field}":{text}'.encode()) == 2
        assert f"'{field}' comes twice" in (read_frame(FMEX, twice).error or "")


@pytest.mark.parametrize("name", PAGE)
def test_a_colon_or_an_escape_in_a_text_is_no_second_key(name: str) -> None:
    for field, text in PAGE[name].items():
        if text.startswith('"'):
            fields = PAGE[name] | {field: '"a:\\u0062\\n\\":c"'}
            assert the_update(push(name, fields))._asdict() == record_of(name, fields)


@pytest.mark.parametrize("name", PAGE)
def test_words_mean_the_same_however_they_are_spelled(name: str) -> None:
    spelled = [text.lower() if field in WORDS else text for field, text in PAGE[name].items()]
    frame = push(name, dict(zip(PAGE[name], spelled, strict=True)))
    assert frame != push(name, PAGE[name])
    update = the_update(frame)._asdict()
    assert update | {"venue_status": None} == the_update(push(name, PAGE[name]))._asdict() | {"venue_status": None}
    assert update.get("venue_status") == ("fully_filled" if name == "order" else None)
    plain = read_plain(FMEX, [frame])
    assert plain is None or plain[1] == [read_frame(FMEX, frame).updates]


@given(pushes())
def test_every_field_reaches_its_column_with_every_digit(written: tuple[str, dict[str, str], bytes]) -> None:
    name, fields, frame = written
    assert the_update(frame)._asdict() == record_of(name, fields)


@given(pushes())
def test_the_fast_way_and_the_careful_one_agree(written: tuple[str, dict[str, str], bytes]) -> None:
    assert decode.decode(written[2]) == decode._decode_with_care(written[2])


decimals = st.builds(
    lambda minus, digits, exponent: Decimal((int(minus), tuple(digits), exponent)),
    st.booleans(),
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
    st.integers(-99, 40),
)


@given(decimals, st.booleans())
def test_a_decimal_comes_back_as_the_same_decimal(number: Decimal, upper: bool) -> None:
    text = str(number) if upper else str(number).lower()
    update = the_update(b'{"type":"account","account":{"currency":"BTC","frozen":%s},"ts":2}' % text.encode())
    assert isinstance(update, AccountUpdate)
    assert update.locked == text
    assert Decimal(update.locked).as_tuple() == number.as_tuple()
