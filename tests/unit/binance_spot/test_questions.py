"""What is asked over REST, for which purpose, and what the answers mean."""

import json
from urllib.parse import parse_qs

import pytest

from recorder.errors import UNREADABLE, Refused
from recorder.model import AccountUpdate, FillUpdate, OrderUpdate
from recorder.venues.binance_spot import answers
from recorder.venues.binance_spot import questions as binance
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
from tests.steps import URL, Answering, nothing, outcome, steps, targets, unfinished
from tests.unit.binance_spot.frames import VENUE, answer, row
from tests.unit.binance_spot.frames import asked as read_answer

WHO = Credentials(key="key", secret="secret")
NOW_MS = 1_795_600_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def known(**values: object) -> Known:
    return Known(("BTCUSDT",), {}, None, None, NOW_MS)._replace(**values)  # type: ignore[arg-type]


def ask(purpose: Purpose, of: Known, answering: Answering = nothing) -> list[Step]:
    return steps(binance.questions(purpose, of), WHO, NOW_MS, answering)


def asked(taken: list[Step]) -> list[tuple[str, dict[str, str]]]:
    split = [target.partition("?") for target in targets(taken, WHO, NOW_MS)]
    return [
        (path.rpartition("/")[2], {name: one[0] for name, one in parse_qs(query).items()}) for path, _, query in split
    ]


def order(symbol: str, order_id: str) -> OrderUpdate:
    return OrderUpdate(None, 1, 0, None, symbol, order_id)


def test_a_snapshot_asks_for_the_current_state() -> None:
    assert asked(ask(Purpose.SNAPSHOT, known())) == [("account", {"omitZeroBalances": "true"}), ("openOrders", {})]


def test_more_fills_of_a_millisecond_than_a_page_are_asked_for_by_their_ids() -> None:
    at_ms = NOW_MS - HOUR_MS
    fill = row("rest-myTrades")
    fills = [fill | {"id": number, "time": at_ms + 1_000 * (number > 2_500)} for number in range(1, 2_502)]
    told: set[str | None] = set()

    def answering(target: str) -> Answer:
        path, _, query = target.partition("?")
        given = {name: int(one[0]) for name, one in parse_qs(query).items() if one[0].isdigit()}
        rows = [
            one
            for one in fills
            if given.get("startTime", 0) <= one["time"] <= given.get("endTime", NOW_MS)
            and one["id"] >= given.get("fromId", 0)
        ]
        body = answer(rows[: given["limit"]]) if path == answers.TRADES else b"[]"
        decoded = read_answer(target, body)
        told.update(one.trade_id for one in decoded.updates if isinstance(one, FillUpdate))
        return Answer(0, target, decoded.updates, decoded.next_page)

    taken = ask(Purpose.RECONCILE, known(since_ms=at_ms - HOUR_MS), answering)
    assert not [one for one in taken if isinstance(one, Unanswered)]
    assert told == {str(one["id"]) for one in fills}


def test_a_request_is_signed_at_the_end_of_its_address() -> None:
    question = ask(Purpose.SNAPSHOT, known())[0]
    assert isinstance(question, Question)
    request = question.request(URL, WHO, NOW_MS)
    assert (request.url, dict(request.headers)) == (
        f"{URL}/api/v3/account?omitZeroBalances=true",
        {"X-MBX-APIKEY": "key"},
    )
    assert request.signed.startswith(f"&recvWindow=5000&timestamp={NOW_MS - 1_000}&signature=")


def test_before_the_record_there_is_only_the_state() -> None:
    assert asked(ask(Purpose.RECONCILE, known())) == [("account", {"omitZeroBalances": "true"}), ("openOrders", {})]


@pytest.mark.parametrize(("held", "is_spent"), [(["BTC"], False), (["BTC", "ETH"], True), ([], False)])
def test_an_asset_that_is_no_longer_listed_is_asked_for_with_zeros(held: list[str], is_spent: bool) -> None:
    def answering(target: str) -> Answer:
        balances = (AccountUpdate(None, 1, 0, None, "BTC", "1"),) if target.startswith(answers.ACCOUNT) else ()
        return Answer(0, target, balances)

    of = known(since_ms=NOW_MS - HOUR_MS, balances=[(currency, None) for currency in held])
    found = asked(ask(Purpose.RECONCILE, of, answering))
    expected = [("account", {"omitZeroBalances": "true"}), *([("account", {})] * is_spent), ("openOrders", {})]
    assert found[: len(expected)] == expected


def test_a_gap_is_asked_about_for_each_symbol_in_periods_of_a_day() -> None:
    of = known(
        since_ms=NOW_MS - 25 * HOUR_MS,
        instruments=[Traded(None, "ETHUSDT"), Traded(None, "XRPUSDT"), Traded(None, None)],
        unfinished=unfinished("7", symbol="BNBUSDT"),
    )

    def answering(target: str) -> Answer:
        return Answer(0, target, (order("SOLUSDT", "3"),) if target.startswith(answers.OPEN_ORDERS) else ())

    taken = ask(Purpose.RECONCILE, of, answering)
    found = asked(taken)[2:]
    begin_ms, end_ms = NOW_MS - 25 * HOUR_MS - binance.MARGIN_MS, NOW_MS + binance.MARGIN_MS
    windows = [(begin_ms, begin_ms + DAY_MS - 1), (begin_ms + DAY_MS, end_ms)]
    expected = [
        (path, {"symbol": symbol, "startTime": str(begin), "endTime": str(end), "limit": "1000"})
        for symbol in ("BNBUSDT", "BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
        for begin, end in windows
        for path in ("allOrders", "myTrades")
    ]
    assert found[:-1] == expected
    # An order that was not final, and that no list had.
    assert found[-1] == ("order", {"symbol": "BNBUSDT", "orderId": "7"})
    money, unnamed = [step for step in taken if isinstance(step, Forgotten)]
    assert money.topic == "balanceUpdate" and money.subject.startswith("deposits, withdrawals and transfers")
    assert unnamed.topic == "executionReport" and "symbols that neither `symbols` nor the record" in unnamed.subject


def test_orders_of_two_symbols_may_have_one_id() -> None:
    of = known(since_ms=NOW_MS - HOUR_MS, unfinished=unfinished("7", symbol="BNBUSDT"))

    def listing(symbol: str) -> Answering:
        def answering(target: str) -> Answer:
            is_mine = target.startswith(answers.ORDERS) and f"symbol={symbol}&" in target
            return Answer(0, target, (order(symbol, "7"),) if is_mine else ())

        return answering

    assert ("order", {"symbol": "BNBUSDT", "orderId": "7"}) in asked(ask(Purpose.RECONCILE, of, listing("BTCUSDT")))
    paths = [path for path, _ in asked(ask(Purpose.RECONCILE, of, listing("BNBUSDT")))]
    assert "order" not in paths


def test_a_full_page_is_followed_by_the_next_from_its_last_time() -> None:
    def answering(target: str) -> Answer:
        is_first = target.startswith(answers.TRADES) and f"startTime={NOW_MS - HOUR_MS - binance.MARGIN_MS}&" in target
        return Answer(0, target, (), str(NOW_MS - 5) if is_first else None)

    found = asked(ask(Purpose.RECONCILE, known(since_ms=NOW_MS - HOUR_MS), answering))
    trades = [query for path, query in found if path == "myTrades"]
    assert [query["startTime"] for query in trades] == [str(NOW_MS - HOUR_MS - binance.MARGIN_MS), str(NOW_MS - 5)]
    assert {query["endTime"] for query in trades} == {str(NOW_MS + binance.MARGIN_MS)}


def test_pages_that_do_not_go_on_are_not_followed_for_ever() -> None:
    """More orders than a page in one millisecond: nothing tells where the next page begins."""

    def answering(target: str) -> Answer:
        return Answer(0, target, (), "5" if target.startswith(answers.ORDERS) else None)

    taken = ask(Purpose.RECONCILE, known(since_ms=NOW_MS - HOUR_MS), answering)
    (stuck,) = [step for step in taken if isinstance(step, Unanswered)]
    assert stuck.subject.startswith("orders of BTCUSDT since")


def test_what_the_exchange_archives_is_said() -> None:
    taken = ask(Purpose.RECONCILE, known(since_ms=NOW_MS - 91 * DAY_MS))
    archived = [step for step in taken if isinstance(step, Forgotten)][2]
    assert archived.subject.startswith("orders cancelled before") and "90 days" in archived.reason
    recent = ask(Purpose.RECONCILE, known(since_ms=NOW_MS - 89 * DAY_MS))
    assert len([step for step in recent if isinstance(step, Forgotten)]) == 2


def test_nothing_is_asked_for_regularly() -> None:
    assert ask(Purpose.REGULAR, known()) == []


def test_symbols_are_described_together() -> None:
    of = known(symbols=(), instruments=[Traded(None, f"A{number:03}USDT") for number in range(150)])
    found = asked(ask(Purpose.INSTRUMENTS, of))
    assert [path for path, _ in found] == ["exchangeInfo"] * 2
    lists = [json.loads(query["symbols"]) for _, query in found]
    assert [len(one) for one in lists] == [100, 50] and lists[1][-1] == "A149USDT"
    question = ask(Purpose.INSTRUMENTS, known())[0]
    assert isinstance(question, Question)
    request = question.request(URL, WHO, NOW_MS)
    assert (request.signed, dict(request.headers)) == ("", {})
    assert ask(Purpose.INSTRUMENTS, known(symbols=())) == []


def test_a_backfill_follows_the_ids_of_each_symbol_once() -> None:
    def answering(target: str) -> Answer:
        return Answer(0, target, (), "1001" if "fromId=0&" in target else None)

    of = known(until_ms=NOW_MS - HOUR_MS, instruments=[Traded(None, "ETHUSDT")], done={"orders of ETHUSDT"})
    taken = ask(Purpose.BACKFILL, of, answering)
    assert asked(taken) == [
        ("allOrders", {"symbol": "BTCUSDT", "orderId": "0", "limit": "1000"}),
        ("myTrades", {"symbol": "BTCUSDT", "fromId": "0", "limit": "1000"}),
        ("myTrades", {"symbol": "BTCUSDT", "fromId": "1001", "limit": "1000"}),
        ("myTrades", {"symbol": "ETHUSDT", "fromId": "0", "limit": "1000"}),
        ("myTrades", {"symbol": "ETHUSDT", "fromId": "1001", "limit": "1000"}),
    ]
    until_ms = NOW_MS - HOUR_MS + 1
    assert [step for step in taken if isinstance(step, Completed)] == [
        Completed("orders of BTCUSDT", "orders with fills of BTCUSDT", binance.BEGAN_MS, until_ms),
        Completed("fills of BTCUSDT", "fills of BTCUSDT", binance.BEGAN_MS, until_ms),
        Completed("fills of ETHUSDT", "fills of ETHUSDT", binance.BEGAN_MS, until_ms),
    ]


def test_what_is_not_answered_is_not_complete() -> None:
    taken = ask(Purpose.BACKFILL, known(), lambda _target: None)
    assert not [step for step in taken if isinstance(step, Completed)]


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, b"[]", Verdict.ANSWER),
        (400, b'{"code":-1021,"msg":""}', Verdict.REFUSED),
        (400, b'{"code":-1022,"msg":""}', Verdict.REFUSED),
        (401, b'{"code":-2014,"msg":""}', Verdict.REFUSED),
        (401, b'{"code":-2015,"msg":""}', Verdict.REFUSED),
        (400, b'{"code":-2013,"msg":""}', Verdict.GONE),
        (400, b'{"code":-2026,"msg":""}', Verdict.GONE),
        (400, b'{"code":-1121,"msg":""}', Verdict.GONE),
        (400, b'{"code":-1127,"msg":""}', Verdict.GONE),
        (400, b'{"code":-1003,"msg":""}', Verdict.WAIT),
        (400, b'{"code":-9999,"msg":""}', Verdict.TRANSIENT),
        (429, b'{"code":-1003,"msg":""}', Verdict.WAIT),
        (418, b'{"code":-1003,"msg":""}', Verdict.WAIT),
        (403, b"<html>", Verdict.WAIT),
        (404, b"", Verdict.FOREIGN),
        (401, b"", Verdict.REFUSED),
        (500, b'{"code":-1000,"msg":""}', Verdict.TRANSIENT),
        (503, b"\xff", Verdict.WAIT),
        (400, b"[" * 10_000, Verdict.FOREIGN),
    ],
)
def test_what_answers_mean(status: int, body: bytes, verdict: Verdict) -> None:
    assert binance.classify(status, body) is verdict


def test_the_clock() -> None:
    request = VENUE.server_time_request(URL)
    assert (request.method, request.url, request.signed) == ("GET", f"{URL}/api/v3/time", "")
    assert VENUE.server_time_ms(b'{"serverTime":1795600000000}') == NOW_MS
    for body in (b"{}", b"[]", b"", b'{"serverTime":"x"}'):
        with pytest.raises(UNREADABLE):
            VENUE.server_time_ms(body)


def checked(body: bytes, url: str = URL) -> tuple[tuple[str, ...], list[str]]:
    paths: list[str] = []

    def answering(request: RestRequest) -> bytes:
        paths.append(request.url.removeprefix(URL))
        return body

    return outcome(binance.check(Login(url, "wss://x", WHO, ())), WHO, answering), paths


def test_what_a_key_may_do_is_warned_of() -> None:
    reading = {"ipRestrict": False, "createTime": 1, "enableReading": True, "enableWithdrawals": False}
    assert checked(json.dumps(reading).encode()) == ((), ["/sapi/v1/account/apiRestrictions"])
    rights = reading | {"enableWithdrawals": True, "enableMargin": True, "enableFutures": True}
    (warning,), _ = checked(json.dumps(rights | {"permitsUniversalTransfer": True}).encode())
    assert warning.startswith("the key can trade and transfer and withdraw; recording needs a read-only key")
    for body in (b"", b"[]", b'{"enableReading":"x"}'):
        assert checked(body)[0] == ("the exchange does not say what the key may do",)
    with pytest.raises(Refused, match="enable reading"):
        checked(b'{"enableReading":false}')


@pytest.mark.parametrize("environment", ["testnet", "demo"])
def test_with_made_up_money_nothing_says_what_a_key_may_do(environment: str) -> None:
    found = checked(b"", VENUE.environments[environment].url)
    assert found == ((), ["/api/v3/account?omitZeroBalances=true"])


def test_what_a_symbol_means_if_no_answer_says_it() -> None:
    told = VENUE.accounting.instrument("ETHBTC")
    assert (told.kind, told.base, told.quote, told.settle, told.contract_size) == ("spot", "ETH", "BTC", "BTC", "1")
    assert VENUE.accounting.instrument("BTC")[4:7] == ("spot", None, None)
