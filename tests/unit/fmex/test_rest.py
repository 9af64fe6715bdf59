"""REST requests as built, answers as read."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import Undecodable
from recorder.model import CONTROL, DECODED, ENDED, AccountUpdate, Decoded, OrderUpdate, PositionUpdate
from recorder.venues import venue_named
from recorder.venues.fmex import rest, sign
from recorder.venues.reading import read_answer
from recorder.venues.rest import Credentials, RestRequest, Verdict
from tests.made import fill
from tests.samples import FMEX, sample

URL = "https://api.fmex.com"
NOW_MS = 1580802053662
CREDENTIALS = Credentials(key="the-key", secret="the-secret")

OPEN_ORDER = OrderUpdate(
    event_ms=None,
    is_snapshot=1,
    is_partial=0,
    market=None,
    symbol="BTCUSD_P",
    order_id="849758102002",
    client_order_id=None,
    side="buy",
    position_side=None,
    order_type="limit",
    time_in_force="gtc",
    post_only=1,
    reduce_only=None,
    price="9200",
    trigger_price=None,
    quantity="10",
    quote_quantity=None,
    filled_quantity="6",
    average_price="9199.5",
    status="partially_filled",
    venue_status="PARTIAL_FILLED",
    reason=None,
    fee="-1.630521E-7",
    fee_currency="BTC",
    created_ms=1580802204215,
    updated_ms=1580802204232,
    extra=(
        '{"sequenceId":849758102003,"maker_fee_rate":-0.00025,"taker_fee_rate":0.00045,'
        '"frozen_margin":8.695652173913E-6,"frozen_quantity":4,"hidden":false}'
    ),
)
CLOSED_ORDER = OPEN_ORDER._replace(
    is_snapshot=0,
    filled_quantity="10",
    status="filled",
    venue_status="FULLY_FILLED",
    extra=(
        '{"sequenceId":849758102003,"maker_fee_rate":-0.00025,"taker_fee_rate":0.00045,'
        '"frozen_margin":0E-18,"frozen_quantity":0,"hidden":false}'
    ),
)


def balance(currency: str, total: str | None, available: str, locked: str | None, margin: str) -> AccountUpdate:
    """A balance as the answer describes it."""
    return AccountUpdate(None, 1, 0, None, currency, total, available, locked, margin, None, None, None, None)


READERS: dict[str, Callable[[bytes], object]] = {
    "rest-server-time": rest.read_server_time_ms,
    "rest-accounts": rest.read_accounts,
    "rest-positions": rest.read_positions,
    "rest-open-orders": rest.read_open_orders,
    "rest-order": rest.read_order,
    "rest-closed-orders": rest.read_closed_orders,
    "rest-matches": partial(rest.read_matches, order_id="5"),
}


@pytest.mark.parametrize(
    ("request_", "address"),
    [
        (rest.accounts(URL, CREDENTIALS, NOW_MS), "/v3/contracts/accounts"),
        (rest.positions(URL, CREDENTIALS, NOW_MS), "/v3/broker/auth/contracts/positions"),
        (rest.open_orders(URL, CREDENTIALS, NOW_MS), "/v3/contracts/orders/open"),
        (rest.order(URL, CREDENTIALS, NOW_MS, "849758102002"), "/v3/contracts/orders/849758102002"),
        (rest.matches(URL, CREDENTIALS, NOW_MS, "849758102002"), "/v3/contracts/orders/849758102002/matches"),
        (
            rest.closed_orders(URL, CREDENTIALS, NOW_MS, "202002", "btcusd_p"),
            "/v3/contracts/orders/closed?limit=100&range=202002&symbol=btcusd_p",
        ),
        (
            rest.closed_orders(URL, CREDENTIALS, NOW_MS, "202002", "btc&usd", "849/1"),
            "/v3/contracts/orders/closed?limit=100&offsetId=849%2F1&range=202002&symbol=btc%26usd",
        ),
    ],
)
def test_a_request_is_signed_as_it_is_sent(request_: RestRequest, address: str) -> None:
    assert request_ == RestRequest(
        "GET",
        URL + address,
        {
            "FC-ACCESS-KEY": "the-key",
            "FC-ACCESS-TIMESTAMP": "1580802053662",
            "FC-ACCESS-SIGNATURE": sign.signature("the-secret", "GET", URL + address, NOW_MS),
        },
    )
    names = [pair.split("=")[0] for pair in urlsplit(request_.url).query.split("&")]
    assert names == sorted(names)


def test_a_signed_request_to_the_last_byte() -> None:
    # By openssl, of GEThttps://api.fmex.com/v3/contracts/accounts1580802053662 and the secret `the-secret`.
    signature = rest.accounts(URL, CREDENTIALS, NOW_MS).headers["FC-ACCESS-SIGNATURE"]
    assert signature == "syqSiAD+/Gh7Srif/JnnJke809o="


def test_the_clock_is_asked_for_without_a_key() -> None:
    assert FMEX.server_time_request(URL) == RestRequest("GET", f"{URL}/v2/public/server-time", {})


@pytest.mark.parametrize("month", ["", "2020", "202013", "202000", "2020-02", "20200201", "202002\n", "202002&limit=1"])
def test_a_month_that_is_none_is_refused(month: str) -> None:
    with pytest.raises(ValueError, match="write YYYYMM"):
        rest.closed_orders(URL, CREDENTIALS, NOW_MS, month, "btcusd_p")


def test_server_time() -> None:
    assert FMEX.server_time_ms(sample("rest-server-time")) == 1580802053662


def test_accounts() -> None:
    one = balance("BTC", "2.796898002187682743178", "2.796888254907565438", "0E-18", "9.747280117178e-06")
    (read,) = rest.read_accounts(sample("rest-accounts"))
    assert read == one._replace(balance=read.balance)
    assert Decimal(read.balance or 0) == Decimal("2.796888254907565438") + Decimal("9.747280117178e-06")
    two = b'{"status":0,"data":{"BTC":[1,2,3],"eth":[0.10,null,-0]},"new":1}'
    assert rest.read_accounts(two) == (
        balance("BTC", "6", "1", "2", "3"),
        balance("ETH", None, "0.10", None, "-0"),
    )


def test_positions() -> None:
    position = PositionUpdate(
        event_ms=None,
        is_snapshot=1,
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
        extra='{"max_quantity":10000000,"closed":false}',
    )
    assert rest.read_positions(sample("rest-positions")) == (position,)


def test_open_orders() -> None:
    assert rest.read_open_orders(sample("rest-open-orders")) == (OPEN_ORDER,)
    assert rest.read_open_orders(b'{"status":0,"data":{"results":[]}}') == ()


def test_one_order() -> None:
    assert rest.read_order(sample("rest-order")) == OPEN_ORDER


def test_pages_of_closed_orders() -> None:
    page = rest.ClosedOrders((CLOSED_ORDER,), True, "849758102002")
    assert rest.read_closed_orders(sample("rest-closed-orders")) == page
    assert rest.read_closed_orders(sample("rest-closed-orders-last")) == rest.ClosedOrders((), False, None)
    as_text = sample("rest-closed-orders").replace(b'"nextOffsetId":849758102002', b'"nextOffsetId":"849758102002"')
    assert rest.read_closed_orders(as_text) == page


def test_matches() -> None:
    assert rest.read_matches(sample("rest-matches"), "5") == (
        fill("5", "maker", "13403.0", "994.0", "-1.85e-05", executed_ms=1580802204230),
        fill("5", "taker", "13403.5", "6.0", "2.014e-07", executed_ms=1580802204232),
    )


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b"{}",
        b'{"status":0}',
        b'{"status":0,"data":null}',
        b'{"status":0,"data":[]}',
        b'{"status":0,"data":"1"}',
        b'{"status":0,"data":1.5}',
        b'{"status":0,"data":9223372036854775808}',
        b'{"status":0,"data":{"BTC":[1,2]}}',
        b'{"status":0,"data":{"BTC":[1,2,"3"]}}',
        b'{"status":0,"data":{"BTC":[1,2,1e999]}}',
        b'{"status":0,"data":{"\\u0000":[1,2,3]}}',
        b'{"status":0,"data":{"results":null}}',
        b'{"status":0,"data":{"results":{}}}',
        b'{"status":0,"data":{"results":[null]}}',
        b'{"status":0,"data":{"results":[[]]}}',
        b'{"status":0,"data":{"results":[{"id":"1","symbol":1,"price":"1"}]}}',
        b'{"status":0,"data":{"results":[{"id":1,"symbol":"X","price":1e999,"margin":1e999}]}}',
        b'{"status":0,"data":{"results":[{"id":1,"symbol":"X","price":"\xff","margin":"\xff"}]}}',
        b'{"status":0,"data":{"results":[{"id":1,"symbol":"X","new":"\xff"}]}}',
        b'{"status":0,"data":{"results":[{"id":1,"id":2,"symbol":"X","symbol":"Y","price":1,"price":2}]}}',
        b'{"status":0,"data":{"results":[{"id":1,"symbol":"X","new":%s}]}}' % (b"[" * 100_000 + b"]" * 100_000),
        b'{"status":1002,"msg":"api key check fail"}',
    ],
)
def test_an_answer_that_is_another_is_undecodable(name: str, answer: bytes) -> None:
    with pytest.raises(Undecodable):
        READERS[name](answer)


def test_the_error_names_the_field() -> None:
    with pytest.raises(Undecodable, match="price: 1e999 is out of range"):
        rest.read_open_orders(b'{"data":{"results":[{"id":1,"price":1e999}]}}')
    with pytest.raises(Undecodable, match="symbol: holds a NUL"):
        rest.read_positions(b'{"data":{"results":[{"symbol":"A\\u0000B"}]}}')


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_an_answer_cut_or_changed_is_read_or_undecodable(name: str, data: st.DataObject) -> None:
    answer = sample(name)
    at = data.draw(st.integers(0, len(answer)))
    changed = answer[:at] + data.draw(st.binary(max_size=3)) + answer[at + data.draw(st.integers(0, 3)) :]
    try:
        READERS[name](changed)
    except Undecodable as error:
        assert str(error)


JSON = b'{"status":%d,"msg":"no"}'


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, b'{"status":0,"data":{}}', Verdict.ANSWER),
        (200, b'{"status":"ok","data":{"results":[]}}', Verdict.ANSWER),
        (200, b'{"data":1}', Verdict.ANSWER),
        *[(status, JSON % status, Verdict.REFUSED) for status in (401, 403)],
        (401, b"", Verdict.REFUSED),
        (403, b"", Verdict.WAIT),
        *[(status, JSON % status, Verdict.WAIT) for status in (418, 429, 503)],
        *[(status, b"<html></html>", Verdict.WAIT) for status in (418, 429, 503)],
        *[(status, JSON % status, Verdict.GONE) for status in (400, 404, 405, 406, 410)],
        *[(status, JSON % status, Verdict.TRANSIENT) for status in (302, 408, 409, 425, 451, 500, 502, 504, 520)],
        # Not the exchange's own words: a proxy's, which pass.
        *[(status, b"<html>Not Found</html>", Verdict.FOREIGN) for status in (200, 400, 401, 404)],
        *[(status, b"", Verdict.FOREIGN) for status in (200, 400, 404)],
        (404, b"[]", Verdict.FOREIGN),
        (200, b"\xff", Verdict.FOREIGN),
        (200, b"[" * 100_000, Verdict.FOREIGN),
        # An error with HTTP status 200.
        (200, JSON % 404, Verdict.GONE),
        (200, JSON % 401, Verdict.REFUSED),
        (200, JSON % 429, Verdict.WAIT),
        (200, JSON % 500, Verdict.TRANSIENT),
        (200, JSON % 200, Verdict.TRANSIENT),
        (200, JSON % 1002, Verdict.TRANSIENT),
        (200, b'{"status":"error","msg":"system busy"}', Verdict.TRANSIENT),
    ],
)
def test_what_an_http_answer_means(status: int, body: bytes, verdict: Verdict) -> None:
    assert rest.classify(status, body) is verdict


@pytest.mark.parametrize(
    ("topic", "is_gone"),
    [
        ("HTTP 404 /v3/contracts/orders/5", True),
        ("HTTP 404 /v3/contracts/orders/5/matches", False),
        ("HTTP 404 /v3/contracts/orders/open", False),
        ("HTTP 503 /v3/contracts/orders/5", False),
    ],
)
def test_an_order_that_is_not_found_has_ended(topic: str, is_gone: bool) -> None:
    decoded = read_answer(venue_named("fmex"), topic, b'{"status":404,"msg":"order not found"}')
    ended = (OrderUpdate(None, 0, 1, None, None, "5", status=ENDED),)
    assert decoded == (Decoded(topic, DECODED, updates=ended) if is_gone else Decoded(topic, CONTROL))
