"""What is asked over REST, for which purpose, and what the answers mean."""

import json
from collections.abc import Callable
from urllib.parse import parse_qs

import pytest

from recorder.errors import UNREADABLE
from recorder.model import FillUpdate, OrderUpdate, Transaction, Update
from recorder.venues.binance import questions as binance
from recorder.venues.binance import verdicts
from recorder.venues.rest import (
    Answer,
    Completed,
    Credentials,
    Forgotten,
    Known,
    Login,
    Purpose,
    Question,
    RestRequest,
    Step,
    Traded,
    Unanswered,
    Verdict,
)
from tests.steps import URL, nothing, outcome, past, steps, targets, unfinished
from tests.unit.binance.frames import asked as read
from tests.unit.binance.frames import encoded, row

WHO = Credentials(key="key", secret="secret")
NOW_MS = 1_795_800_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def known(**values: object) -> Known:
    return Known((), {}, None, None, NOW_MS)._replace(**values)  # type: ignore[arg-type]


def ask(purpose: Purpose, of: Known, answering: Callable[[str], Answer | None] = nothing) -> list[Step]:
    return steps(binance.questions(purpose, of), WHO, NOW_MS, answering)


def asked(taken: list[Step]) -> list[tuple[str, dict[str, str]]]:
    split = [target.partition("?") for target in targets(taken, WHO, NOW_MS)]
    return [(path, {name: one[0] for name, one in parse_qs(query).items()}) for path, _, query in split]


def telling(symbol: str) -> Callable[[str], Answer | None]:
    """An exchange whose income is of one symbol."""

    def answer(target: str) -> Answer:
        told = encoded([row("rest-income") | {"symbol": symbol}]) if "/income" in target else b"[]"
        return Answer(0, target, read(target, told).updates)

    return answer


@pytest.mark.parametrize(
    ("environment", "paths"),
    [
        (
            "production",
            ["/fapi/v3/balance", "/fapi/v3/positionRisk", "/fapi/v1/openOrders", "/fapi/v1/openAlgoOrders"],
        ),
        ("coin-m", ["/dapi/v1/balance", "/dapi/v1/positionRisk", "/dapi/v1/openOrders", "/dapi/v1/openAlgoOrders"]),
    ],
)
def test_a_snapshot_asks_for_the_current_state(environment: str, paths: list[str]) -> None:
    assert asked(ask(Purpose.SNAPSHOT, known(environment=environment))) == [(path, {}) for path in paths]


def test_requests_are_signed_behind_what_is_recorded() -> None:
    (first, *_) = ask(Purpose.REGULAR, known())
    assert isinstance(first, Question)
    request = first.request(URL, WHO, NOW_MS)
    assert "signature" not in request.url
    assert request.signed.startswith("&timestamp=")
    assert "&signature=" in request.signed
    assert request.headers == {"X-MBX-APIKEY": "key"}


def test_a_gap_is_asked_about_by_the_symbols_that_the_answers_tell() -> None:
    of = known(since_ms=NOW_MS - HOUR_MS, instruments=[Traded(None, "SOLUSDT")], positions=[Traded(None, "XRPUSDT")])
    paths = asked(ask(Purpose.RECONCILE, of, telling("ETHUSDT")))
    listed = [(path.rpartition("/")[2], query.get("symbol")) for path, query in paths[4:]]
    symbols = ["ETHUSDT", "SOLUSDT", "XRPUSDT"]
    assert listed[:-1] == [
        ("income", None),
        ("allOrders", None),
        *(("userTrades", symbol) for symbol in symbols),
        *(("allAlgoOrders", symbol) for symbol in symbols),
    ]
    begin = str(NOW_MS - HOUR_MS - binance.MARGIN_MS)
    assert {(query["startTime"], query["endTime"]) for _, query in paths[4:-1]} == {
        (begin, str(NOW_MS + binance.AHEAD_MS))
    }
    # The list leaves flat positions out.
    assert paths[-1] == ("/fapi/v2/positionRisk", {"symbol": "XRPUSDT"})


def test_coin_m_lists_orders_by_symbol_and_positions_by_pair() -> None:
    of = known(since_ms=NOW_MS - HOUR_MS, positions=[Traded(None, "BTCUSD_PERP")], environment="coin-m")
    paths = asked(ask(Purpose.RECONCILE, of))
    assert ("/dapi/v1/allOrders", "BTCUSD_PERP") in [(path, query.get("symbol")) for path, query in paths]
    assert paths[-1] == ("/dapi/v1/positionRisk", {"pair": "BTCUSD"})


def test_a_long_gap_is_asked_about_week_by_week() -> None:
    paths = asked(ask(Purpose.RECONCILE, known(since_ms=NOW_MS - 10 * DAY_MS)))
    windows = [(int(q["startTime"]), int(q["endTime"])) for path, q in paths if path.endswith("/income")]
    assert len(windows) == 2
    assert all(end - begin <= 7 * DAY_MS for begin, end in windows)
    assert windows[0][1] + 1 == windows[1][0]


@pytest.mark.parametrize(
    ("age_ms", "subjects"),
    [
        (DAY_MS, []),
        (4 * DAY_MS, ["orders cancelled", "conditional orders cancelled"]),
        (100 * DAY_MS, ["everything before", "orders cancelled", "conditional orders cancelled"]),
    ],
)
def test_what_was_forgotten_is_said(age_ms: int, subjects: list[str]) -> None:
    taken = ask(Purpose.RECONCILE, known(since_ms=NOW_MS - age_ms))
    forgotten = [step.subject for step in taken if isinstance(step, Forgotten)]
    assert len(forgotten) == len(subjects)
    assert all(one.startswith(subject) for one, subject in zip(forgotten, subjects, strict=True))
    begins = [int(query["startTime"]) for _, query in asked(taken) if "startTime" in query]
    assert min(begins) >= NOW_MS - binance.HISTORY_MS


def test_orders_that_no_list_had_are_asked_for_one_by_one() -> None:
    orders = unfinished("7", "algo-8", symbol="BTCUSDT") | unfinished("9")
    of = known(since_ms=NOW_MS - HOUR_MS, unfinished=orders)
    assert asked(ask(Purpose.RECONCILE, of))[-2:] == [
        ("/fapi/v1/order", {"symbol": "BTCUSDT", "orderId": "7"}),
        ("/fapi/v1/algoOrder", {"algoId": "8"}),
    ]


def test_orders_of_two_symbols_may_have_one_id() -> None:
    orders = unfinished("7", symbol="BTCUSDT") | unfinished("7", symbol="ETHUSDT")
    of = known(since_ms=NOW_MS - HOUR_MS, unfinished=orders)

    def listing(target: str) -> Answer:
        found = OrderUpdate(1, 1, 0, None, "ETHUSDT", "7")
        return Answer(0, target, (found,) if target.startswith("/fapi/v1/allOrders") else ())

    asked_for = [query for path, query in asked(ask(Purpose.RECONCILE, of, listing)) if path == "/fapi/v1/order"]
    assert asked_for == [{"symbol": "BTCUSDT", "orderId": "7"}]
    asked_for = [query for path, query in asked(ask(Purpose.RECONCILE, of)) if path == "/fapi/v1/order"]
    assert asked_for == [{"symbol": symbol, "orderId": "7"} for symbol in ("BTCUSDT", "ETHUSDT")]


def test_an_order_that_may_be_too_new_is_asked_for_again() -> None:
    of = known(since_ms=NOW_MS - 1, unfinished=unfinished("7", "algo-8", symbol="BTCUSDT"))

    def unknown(target: str) -> Answer | None:
        return None if "/order?" in target else nothing(target)

    taken = ask(Purpose.RECONCILE, of, unknown)
    assert [target for target in targets(taken, WHO, NOW_MS) if "/order" in target] == [
        "/fapi/v1/order?orderId=7&symbol=BTCUSDT"
    ]
    assert [one.subject for one in taken if isinstance(one, Unanswered)] == [
        "order 7 of BTCUSDT",
        "order algo-8 of BTCUSDT",
    ]
    # If it is known, there is nothing left to ask.
    again = ask(Purpose.RECONCILE, of)
    assert [one.subject for one in again if isinstance(one, Unanswered)] == ["order algo-8 of BTCUSDT"]


def test_pages_go_on_from_the_last_time_and_rows_that_repeat_end_them() -> None:
    def full(target: str) -> Answer:
        query = parse_qs(target.partition("?")[2])
        begin = int(query["startTime"][0])
        times = [begin + 5] * 1000 if begin < NOW_MS - 100 else [begin] * 3
        told = read(target, encoded([row("rest-income", 2) | {"time": at, "tranId": at} for at in times]))
        return Answer(0, target, told.updates, told.next_page)

    taken = ask(Purpose.REGULAR, known(since_ms=NOW_MS - 110), full)
    begins = [int(query["startTime"]) for _, query in asked(taken)]
    assert begins == [NOW_MS - 110, NOW_MS - 105, NOW_MS - 100]
    assert {query["limit"] for _, query in asked(taken)} == {"1000"}

    def stuck(target: str) -> Answer:
        told = read(target, encoded([row("rest-income", 2) | {"time": 7, "tranId": n} for n in range(1000)]))
        return Answer(0, target, told.updates, told.next_page)

    assert isinstance(ask(Purpose.REGULAR, known(since_ms=NOW_MS - 110), stuck)[-1], Unanswered)


class Crowd:
    """An exchange with 600 fills, and 1,200 rows of income, of one millisecond, and one of each an hour later."""

    def __init__(self, fills: int = 600, symbol: str = "ETHUSDT") -> None:
        self.at_ms = NOW_MS - 2 * HOUR_MS
        common = {"symbol": symbol, "asset": "USDT", "info": "", "time": self.at_ms, "income": "-0.1"}
        self.income = [
            common | {"incomeType": kind, "tranId": 10**9 + number, "tradeId": str(number)}
            for number in range(1, fills + 1)
            for kind in ("REALIZED_PNL", "COMMISSION")
        ]
        later = {"time": self.at_ms + HOUR_MS, "tradeId": ""}
        self.income.append(common | later | {"incomeType": "FUNDING_FEE", "tranId": 7})
        fill = row("rest-trades") | {"symbol": symbol}
        self.fills = [fill | {"id": number, "time": self.at_ms} for number in range(1, fills + 1)]
        self.fills.append(fill | {"id": 10**6, "time": self.at_ms + HOUR_MS})
        self.told: set[Update] = set()
        self.asked: list[dict[str, str]] = []

    def __call__(self, target: str) -> Answer:
        path, _, query = target.partition("?")
        asked = {name: one[0] for name, one in parse_qs(query).items()}
        self.asked.append(asked)
        listed = {"income": self.income, "userTrades": self.fills}.get(path.rpartition("/")[2], [])
        found = [
            one
            for one in listed
            if int(asked.get("startTime", 0)) <= one["time"] <= int(asked.get("endTime", NOW_MS))
            and all(asked.get(name) in {None, one.get(name)} for name in ("symbol", "incomeType"))
            and ("id" not in one or one["id"] >= int(asked.get("fromId", 0)))
        ]
        told = read(target, encoded(found[: int(asked["limit"])]))
        self.told.update(told.updates)
        return Answer(0, target, told.updates, told.next_page)


@pytest.mark.parametrize("begin_ms", [NOW_MS - 3 * HOUR_MS, NOW_MS - 2 * HOUR_MS])
def test_more_rows_of_a_millisecond_than_a_page_are_asked_for_by_their_types(begin_ms: int) -> None:
    crowd = Crowd()
    taken = ask(Purpose.REGULAR, known(since_ms=begin_ms), crowd)
    assert not [one for one in taken if isinstance(one, Unanswered)]
    told = {(one.venue_type, one.transaction_id) for one in crowd.told if isinstance(one, Transaction)}
    assert len(told) == 1_201
    assert len([one for one in crowd.told if isinstance(one, FillUpdate)]) == 601


def test_more_fills_of_a_millisecond_than_a_page_are_asked_for_by_their_ids() -> None:
    crowd = Crowd(fills=2_500)
    taken = ask(Purpose.REGULAR, known(since_ms=NOW_MS - 3 * HOUR_MS), crowd)
    assert len({one.trade_id for one in crowd.told if isinstance(one, FillUpdate)}) == 2_501
    # They cannot all be asked for as income, and what came later is nevertheless.
    assert [one.subject.split()[-2:] for one in taken if isinstance(one, Unanswered)] == [
        ["COMMISSION", "ETHUSDT"],
        ["REALIZED_PNL", "ETHUSDT"],
    ]
    assert "FUNDING_FEE" in {one.venue_type for one in crowd.told if isinstance(one, Transaction)}


def test_a_crowded_millisecond_at_the_end_of_a_period_ends_it() -> None:
    crowd = Crowd()
    crowd.at_ms = NOW_MS + binance.AHEAD_MS
    crowd.income = [one | {"time": crowd.at_ms} for one in crowd.income]
    ask(Purpose.REGULAR, known(since_ms=crowd.at_ms), crowd)
    assert all(int(one["startTime"]) <= int(one["endTime"]) for one in crowd.asked if "startTime" in one)
    assert len({(one.venue_type, one.transaction_id) for one in crowd.told if isinstance(one, Transaction)}) == 1_201


def test_income_is_asked_for_regularly_and_the_fills_of_the_symbols_that_it_names() -> None:
    listed = asked(ask(Purpose.REGULAR, known(since_ms=NOW_MS - HOUR_MS), telling("ETHUSDT")))
    assert [(path, query.get("symbol")) for path, query in listed] == [
        ("/fapi/v1/income", None),
        ("/fapi/v1/userTrades", "ETHUSDT"),
    ]
    (path, query), *_ = asked(ask(Purpose.REGULAR, known(environment="coin-m")))
    assert (path, query["startTime"]) == ("/dapi/v1/income", str(NOW_MS - 7 * DAY_MS))


@pytest.mark.parametrize(
    ("environment", "paths"), [("", ["/fapi/v1/exchangeInfo"]), ("coin-m", ["/dapi/v1/exchangeInfo"])]
)
def test_there_is_one_list_of_instruments(environment: str, paths: list[str]) -> None:
    traded = [Traded(None, "BTCUSDT"), Traded(None, "ETHUSDT")]
    of = known(instruments=traded, environment=environment)
    assert [path for path, _ in asked(ask(Purpose.INSTRUMENTS, of))] == paths
    assert ask(Purpose.INSTRUMENTS, known()) == []


def completed(taken: list[Step]) -> set[str]:
    return {step.subject for step in past(taken)}


def test_a_backfill_goes_back_three_months_week_by_week_and_leaves_out_what_is_done() -> None:
    first = ask(Purpose.BACKFILL, known(until_ms=NOW_MS), telling("ETHUSDT"))
    told = [step for step in first if isinstance(step, Completed)]
    orders = {"orders with fills", "conditional orders that were triggered"}
    assert {step.history for step in told} == {"transactions", "fills", *orders}
    assert min(step.since_ms or 0 for step in told) == NOW_MS - binance.HISTORY_MS
    again = ask(Purpose.BACKFILL, known(until_ms=NOW_MS, done=completed(first)), telling("ETHUSDT"))
    assert not completed(again) & completed(first)
    # The week that has not ended is asked for again, with the symbols that it tells.
    assert [path.rpartition("/")[2] for path, _ in asked(again)] == [
        "income",
        "allOrders",
        "userTrades",
        "allAlgoOrders",
    ]


def test_a_week_without_its_income_does_not_know_its_symbols() -> None:
    def no_income(target: str) -> Answer | None:
        return None if "/income" in target else nothing(target)

    first = ask(Purpose.BACKFILL, known(until_ms=NOW_MS, symbols=("ETHUSDT",)), no_income)
    assert {one.partition(",")[0] for one in completed(first)} <= {"orders"}


def test_what_is_left_of_a_week_is_asked_for_with_the_symbols_of_its_income() -> None:
    every = completed(ask(Purpose.BACKFILL, known(until_ms=NOW_MS), telling("ETHUSDT")))
    (left,) = [one for one in every if one == min(every)]
    assert left.startswith("conditional orders, week of")
    again = ask(Purpose.BACKFILL, known(until_ms=NOW_MS, done=every - {left}), telling("ETHUSDT"))
    assert completed(again) == {left}


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, b"[]", Verdict.ANSWER),
        (200, b"{}", Verdict.ANSWER),
        (400, b'{"code":-1021,"msg":"Timestamp"}', Verdict.REFUSED),
        (400, b'{"code":-1022,"msg":"Signature"}', Verdict.REFUSED),
        (401, b'{"code":-2015,"msg":"Invalid API-key"}', Verdict.REFUSED),
        (401, b'{"code":-2014,"msg":"API-key format invalid."}', Verdict.REFUSED),
        (401, b"", Verdict.REFUSED),
        (400, b'{"code":-1121,"msg":"Invalid symbol."}', Verdict.GONE),
        (400, b'{"code":-1125,"msg":"This listenKey does not exist."}', Verdict.GONE),
        (400, b'{"code":-2013,"msg":"Order does not exist."}', Verdict.GONE),
        (400, b'{"code":-4165,"msg":"Invalid time interval."}', Verdict.GONE),
        (400, b'{"code":-9999,"msg":"New"}', Verdict.GONE),
        (400, b'{"code":-1003,"msg":"Too many"}', Verdict.WAIT),
        (400, b"<html>", Verdict.FOREIGN),
        (429, b'{"code":-1003,"msg":"Too many"}', Verdict.WAIT),
        (418, b'{"code":-1003,"msg":"banned until"}', Verdict.WAIT),
        (403, b"", Verdict.WAIT),
        (404, b"", Verdict.FOREIGN),
        (503, b'{"code":-1008,"msg":"Server is currently overloaded"}', Verdict.TRANSIENT),
        (500, b'{"code":-1001,"msg":"Internal error"}', Verdict.TRANSIENT),
        (503, b"Service Unavailable", Verdict.WAIT),
    ],
)
def test_verdicts(status: int, body: bytes, verdict: Verdict) -> None:
    assert verdicts.classify(status, body) is verdict


def test_too_many_requests_wait_for_the_next_minute_unless_the_exchange_says_how_long() -> None:
    at_ms = 60_000 * 100 + 45_000
    assert verdicts.wait_s(429, {}, b"", at_ms) == 15.0
    assert verdicts.wait_s(429, {"retry-after": "7"}, b"", at_ms) == 0.0
    assert verdicts.wait_s(503, {}, b"", at_ms) == 0.0


def rights(**given: bool) -> bytes:
    return json.dumps({"ipRestrict": False, "createTime": 1, "enableReading": True, **given}).encode()


@pytest.mark.parametrize(
    ("body", "warning"),
    [
        (rights(), None),
        (rights(enableFutures=True, enableWithdrawals=True), "withdraw, trade futures"),
        (rights(enableFixReadOnly=True), None),
        (b"{}", "does not say"),
        (b"[]", "does not say"),
        (b"<html>", "does not say"),
    ],
)
def test_a_key_that_can_do_more_than_read_is_a_warning(body: bytes, warning: str | None) -> None:
    warnings = outcome(verdicts.check(Login(URL, URL, WHO, ())), WHO, lambda _request: body)
    assert [(warning or "") in one for one in warnings] == ([True] if warning else [])


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://fapi.binance.com", "https://api.binance.com"),
        ("https://dapi.binance.com", "https://api.binance.com"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9"),
    ],
)
def test_what_a_key_may_do_is_asked_at_the_host_of_the_spot_exchange(url: str, host: str) -> None:
    request = next(verdicts.check(Login(url, url, WHO, ())))(url, WHO, NOW_MS)
    assert request.url == f"{host}/sapi/v1/account/apiRestrictions"
    assert request.signed


def test_demo_and_testnet_do_not_say_what_a_key_may_do() -> None:
    def unasked(_request: RestRequest) -> bytes:
        raise AssertionError

    for environment in ("demo", "testnet", "coin-m-demo", "coin-m-testnet"):
        assert outcome(verdicts.check(Login(URL, URL, WHO, (), environment)), WHO, unasked) == ()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://fapi.binance.com", "/fapi/v1/time"),
        ("https://dapi.binance.com", "/dapi/v1/time"),
        ("https://demo-dapi.binance.com", "/dapi/v1/time"),
        ("https://testnet.binancefuture.com", "/fapi/v1/time"),
    ],
)
def test_the_clock(url: str, path: str) -> None:
    assert verdicts.server_time(url).address == url + path
    assert verdicts.server_time_ms(b'{"serverTime":1795800000000}') == NOW_MS
    for nonsense in (b"", b"{}", b'{"serverTime":"soon"}'):
        with pytest.raises(UNREADABLE):
            verdicts.server_time_ms(nonsense)
