"""Answers to `POST /info`: each documented request, and where the next page begins."""

import json
from typing import Any

import pytest

from recorder.model import DECODED, ENDED, UNDECODED, Decoded, FillUpdate, OrderUpdate, PositionUpdate
from recorder.venues.reading import read_answer
from tests.samples import HYPERLIQUID, sample, sample_names
from tests.unit.hyperliquid.test_decode import ME, columns, of_channel

REQUESTS = sample_names("hyperliquid/answers")


def target(kind: str, **more: object) -> str:
    return "POST /info " + json.dumps({"type": kind, "user": ME} | more, separators=(",", ":"))


def answer(kind: str, body: bytes | None = None, **more: object) -> Decoded:
    payload = sample(f"answers/{kind}", "hyperliquid") if body is None else body
    return read_answer(HYPERLIQUID, target(kind, **more), payload)


@pytest.mark.parametrize("kind", REQUESTS)
def test_every_answer_is_decoded_under_its_request(kind: str) -> None:
    decoded = answer(kind)
    assert (decoded.topic, decoded.status, decoded.error, decoded.control) == (target(kind), DECODED, None, None)
    assert decoded.next_page is None
    extras = {update._asdict()["extra"] for update in decoded.updates}
    assert extras - {'{"delta.amount":"9.0","delta.moon":"full"}'} <= {None}


@pytest.mark.parametrize(
    ("kind", "channel"),
    [
        ("userFills", "userFills"),
        ("userFillsByTime", "userFills"),
        ("userTwapSliceFills", "userTwapSliceFills"),
        ("userTwapSliceFillsByTime", "userTwapSliceFills"),
        ("userFunding", "userFundings"),
        ("userNonFundingLedgerUpdates", "userNonFundingLedgerUpdates"),
    ],
)
def test_an_answer_says_what_the_stream_says_without_a_time_of_its_own(kind: str, channel: str) -> None:
    pushed = of_channel(channel)
    told = list(answer(kind).updates)
    if kind == "userFunding":
        # The stream's snapshot says the sum of a day, too; only of an answer it is a row.
        of_day = told.pop()
        assert columns(of_day, "symbol", "currency", "amount") == ("xyz:TSLA", "USD", "0.5")
    assert told == [one._replace(event_ms=None, is_snapshot=0) for one in pushed]


def test_only_fills_of_a_period_up_to_now_say_that_a_position_is_closed() -> None:
    """One that a fill closed some time ago may be open again, as only the states say."""
    fill = {"coin": "ETH", "side": "A", "px": "9.0", "sz": "2.0", "time": 7, "startPosition": "2.0", "tid": 1, "oid": 1}
    body = json.dumps([fill | {"dir": "Close Long"}]).encode()
    up_to_now = answer("userFillsByTime", body, startTime=5).updates
    past = answer("userFillsByTime", body, startTime=5, endTime=8).updates
    assert [type(one) for one in up_to_now] == [FillUpdate, PositionUpdate]
    assert past == up_to_now[:1]


def test_states_are_those_of_the_streams() -> None:
    assert answer("spotClearinghouseState").updates == of_channel("spotState")
    assert answer("clearinghouseState").updates == of_channel("allDexsClearinghouseState")[:2]
    body = b'{"assetPositions":[],"withdrawable":"1"}'
    (balance,) = answer("clearinghouseState", body, dex="xyz").updates
    assert columns(balance, "wallet", "currency", "available") == ("xyz", "USD", "1")


def test_orders() -> None:
    pushed = of_channel("openOrders")
    assert answer("frontendOpenOrders").updates == pushed[:2]
    (listed,) = answer("openOrders").updates
    assert columns(listed, "order_id", "order_type", "reduce_only", "status", "is_snapshot") == (
        *("577001234567", None, 1, "new"),
        1,
    )
    history = of_channel("userHistoricalOrders")
    assert answer("historicalOrders").updates == tuple(one._replace(event_ms=None) for one in history)
    # Of two states of one moment, the venue lists the newer one first.
    both = [{"order": {"oid": 1}, "status": word, "statusTimestamp": 5} for word in ("filled", "open")]
    told = answer("historicalOrders", json.dumps(both).encode()).updates
    assert [columns(one, "status") for one in told] == [("new",), ("filled",)]
    (status,) = answer("orderStatus").updates
    assert columns(status, "order_id", "status", "venue_status", "updated_ms", "event_ms") == (
        *("577001234567", "new", "open"),
        *(1795800000123, None),
    )
    unknown = answer("orderStatus", b'{"status":"unknownOid"}', oid=577001234567)
    assert unknown.updates == (OrderUpdate(None, 0, 1, None, None, "577001234567", status=ENDED),)
    assert answer("orderStatus", b'{"status":"tides"}').status == UNDECODED


def test_instruments() -> None:
    names = ("symbol", "kind", "base", "quote", "settle", "contract_size", "quantity_step", "is_snapshot")
    found = [*answer("meta").updates, *answer("allPerpMetas").updates, *answer("spotMeta").updates]
    assert [columns(one, *names) for one in found] == [
        ("BTC", "linear", "BTC", "USD", "USDC", "1", "0.00001", 1),
        ("kPEPE", "linear", "kPEPE", "USD", "USDC", "1", "1", 1),
        ("BTC", "linear", "BTC", "USD", "USDC", "1", "0.00001", 1),
        # Another collateral is a number, which only `spotMeta` explains.
        ("xyz:TSLA", "linear", "TSLA", "USD", None, "1", "0.001", 1),
        ("PURR/USDC", "spot", "PURR", "USDC", "USDC", "1", "1", 1),
        ("@107", "spot", "HYPE", "USDC", "USDC", "1", "0.01", 1),
    ]


@pytest.mark.parametrize("wanted", ["GET /info", "POST /exchange {}", "POST /info {", 'POST /info {"type":"tides"}'])
def test_an_unknown_request_is_named(wanted: str) -> None:
    decoded = read_answer(HYPERLIQUID, wanted, b"[]")
    assert (decoded.status, decoded.topic) == (UNDECODED, wanted)


@pytest.mark.parametrize("body", [b"{}", b'"words"', b"null", b"[1]", b'[{"a":1,"a":2}]', b"<html>", b"\xff"])
def test_an_answer_of_another_form_is_not_decoded(body: bytes) -> None:
    assert answer("userFills", body).status == UNDECODED


ROWS: dict[str, Any] = {
    "userFillsByTime": (2000, {"coin": "ETH"}),
    "userTwapSliceFillsByTime": (2000, None),
    "userFunding": (500, {"delta": {"coin": "ETH"}}),
    "userNonFundingLedgerUpdates": (500, {"delta": {"type": "deposit"}}),
}


@pytest.mark.parametrize("kind", ROWS)
def test_the_next_page_begins_at_the_newest_row_of_a_full_one(kind: str) -> None:
    rows_max, row = ROWS[kind]

    def page(rows: int, ms: int = 1) -> bytes:
        times = [100 + ms * (at // 2) for at in range(rows)]
        times.reverse()  # whatever the order
        return json.dumps([{"fill": {"time": at}} if row is None else row | {"time": at} for at in times]).encode()

    assert answer(kind, page(rows_max), startTime=100).next_page == str(100 + (rows_max - 1) // 2)
    assert answer(kind, page(rows_max - 1), startTime=100).next_page is None
    # Rows of one millisecond fill the page: there is no next one to ask for.
    assert answer(kind, page(rows_max, ms=0), startTime=100).next_page == ""
    assert answer(kind, page(rows_max, ms=0), startTime=50).next_page == "100"
    assert answer(kind, page(rows_max), startTime=1, endTime=9999, reversed=True).next_page == "100"


def test_only_requests_for_a_period_have_pages() -> None:
    assert answer("userFills", json.dumps([{"time": 1}] * 2000).encode()).next_page is None
