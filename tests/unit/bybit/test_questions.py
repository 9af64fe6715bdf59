"""What is asked over REST, for which purpose, and what the answers mean."""

import json
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from urllib.parse import parse_qs

import pytest

from recorder.errors import UNREADABLE, Refused
from recorder.model import FillUpdate, OrderUpdate
from recorder.venues.bybit import answers, histories
from recorder.venues.bybit import questions as bybit
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

WHO = Credentials(key="key", secret="secret")
NOW_MS = 1_795_600_000_000
DAY_MS = 86_400_000


def known(**values: object) -> Known:
    return Known((), {}, None, None, NOW_MS)._replace(**values)  # type: ignore[arg-type]


def ask(purpose: Purpose, of: Known, answering: Answering = nothing) -> list[Step]:
    return steps(bybit.questions(purpose, of), WHO, NOW_MS, answering)


def asked(taken: list[Step]) -> list[tuple[str, dict[str, str]]]:
    split = [target.partition("?") for target in targets(taken, WHO, NOW_MS)]
    return [(path, {name: one[0] for name, one in parse_qs(query).items()}) for path, _, query in split]


def test_a_snapshot_asks_for_every_category() -> None:
    paths = asked(ask(Purpose.SNAPSHOT, known()))
    assert [path for path, _ in paths].count("/v5/account/wallet-balance") == 1
    for path, others in (("/v5/position/list", ()), ("/v5/order/realtime", ("spot",))):
        queries = [query for found, query in paths if found == path]
        assert [(one["category"], one.get("settleCoin")) for one in queries] == [
            ("linear", "USDT"),
            ("linear", "USDC"),
            ("inverse", None),
            ("option", None),
            *((other, None) for other in others),
        ]


def test_a_gap_is_asked_about_in_windows_of_seven_days_at_most() -> None:
    since_ms = NOW_MS - 20 * DAY_MS
    taken = asked(ask(Purpose.RECONCILE, known(since_ms=since_ms)))
    for path in ("/v5/order/history", "/v5/execution/list"):
        for category in ("linear", "inverse", "option", "spot"):
            queries = [query for found, query in taken if found == path and query["category"] == category]
            spans = [(int(query["startTime"]), int(query["endTime"])) for query in queries]
            assert spans[0][0] <= since_ms
            # The exchange's clock may be ahead, and what happened just now is asked for, too.
            assert spans[-1][1] == NOW_MS + bybit.MARGIN_MS
            assert all(end - begin < 7 * DAY_MS for begin, end in spans)
            assert all(later[0] == earlier[1] + 1 for earlier, later in pairwise(spans))


def traded_options(target: str) -> Answer:
    """The history of orders has an option of a coin that the record does not know."""
    if not target.startswith(f"{answers.ORDER_HISTORY}?category=option"):
        return nothing(target)
    return Answer(0, target, (OrderUpdate(None, 0, 1, "option", "SOL-26JUN26-200-C-USDT", "1"),))


@pytest.mark.parametrize("purpose", [Purpose.RECONCILE, Purpose.BACKFILL])
def test_executions_of_options_are_asked_for_by_each_coin_that_was_traded(purpose: Purpose) -> None:
    """Those of BTC are listed if no coin is named."""
    options = frozenset([Traded("option", "ETH-26JUN26-2800-C"), Traded("linear", "XRPUSDT"), Traded("option", None)])
    of = known(since_ms=NOW_MS - 9 * DAY_MS, until_ms=NOW_MS, instruments=options)
    taken = ask(purpose, of, traded_options)
    of_options = [query for path, query in asked(taken) if path == answers.EXECUTIONS and query["category"] == "option"]
    begins = Counter(query["startTime"] for query in of_options)
    assert len(begins) > 1 and set(begins.values()) == {3}
    assert {query.get("baseCoin") for query in of_options} == {"BTC", "ETH", "SOL"}
    # None of them is mistaken for what an earlier backfill has completed.
    done = [step.subject for step in taken if isinstance(step, Completed)]
    earlier = [subject for subject in done if "SOL" not in subject]
    again = asked(ask(purpose, of._replace(done=earlier), traded_options))
    assert Counter(query["startTime"] for _, query in again if query.get("baseCoin") == "SOL").keys() == begins.keys()


def test_old_executions_of_options_are_asked_for_by_each_other_coin_too() -> None:
    of = known(since_ms=NOW_MS - 3 * DAY_MS, until_ms=NOW_MS)
    found = asked(ask(Purpose.BACKFILL, of, traded_options))
    old = [query for path, query in found if path == answers.OLD_EXECUTIONS and query["category"] == "option"]
    assert {query.get("baseCoin") for query in old} == {None, "SOL"}


def test_what_the_exchange_no_longer_remembers_is_named() -> None:
    def lost(since_ms: int) -> list[str]:
        taken = ask(Purpose.RECONCILE, known(since_ms=since_ms))
        return [step.subject for step in taken if isinstance(step, Forgotten)]

    assert lost(NOW_MS - 3_600_000) == []
    (cancelled,) = lost(NOW_MS - 2 * DAY_MS)
    assert cancelled.startswith("orders cancelled before 2026-11-2")
    everything, _ = lost(NOW_MS - 800 * DAY_MS)
    assert everything == "everything before 2024-11-25"


def test_demo_trading_forgets_orders_with_a_fill_too() -> None:
    def lost(days: int, environment: str) -> list[str]:
        taken = ask(Purpose.RECONCILE, known(since_ms=NOW_MS - days * DAY_MS, environment=environment))
        found = [step for step in taken if isinstance(step, Forgotten)]
        assert {step.topic for step in found} == {"order"}
        return [step.subject for step in found]

    cancelled, orders = lost(9, "demo")
    assert (cancelled, orders) == (*lost(9, "production"), "orders before 2026-11-18 09:46:40.000")
    assert lost(6, "demo") == [cancelled]
    of = known(since_ms=NOW_MS - 30 * DAY_MS, until_ms=NOW_MS, environment="demo")
    taken = ask(Purpose.BACKFILL, of)
    begins = {step.history: step.since_ms for step in reversed(taken) if isinstance(step, Completed)}
    assert {name for name, at_ms in begins.items() if at_ms == NOW_MS - 7 * DAY_MS} == {
        f"orders with fills of {category}" for category in histories.CATEGORIES
    }
    assert min(filter(None, begins.values())) <= NOW_MS - 30 * DAY_MS


def test_pages_are_followed_with_the_cursor_as_it_came() -> None:
    cursors = iter(["page_args%3D1%26", "page_args%3D2%26", None])

    def answering(target: str) -> Answer:
        more = next(cursors, None) if "/order/realtime?category=inverse" in target else None
        return Answer(0, target, (), more)

    taken = targets(ask(Purpose.SNAPSHOT, known(), answering), WHO, NOW_MS)
    assert [target for target in taken if "/order/realtime?category=inverse" in target] == [
        "/v5/order/realtime?category=inverse&limit=50",
        "/v5/order/realtime?category=inverse&limit=50&cursor=page_args%3D1%26",
        "/v5/order/realtime?category=inverse&limit=50&cursor=page_args%3D2%26",
    ]


def test_a_cursor_that_repeats_ends_its_list_alone() -> None:
    def answering(target: str) -> Answer:
        return Answer(0, target, (), "again" if "/position/list?category=option" in target else None)

    taken = ask(Purpose.SNAPSHOT, known(), answering)
    (stuck,) = [step for step in taken if isinstance(step, Unanswered)]
    assert stuck.subject == "positions of option"
    assert isinstance(taken[-1], Question)


@pytest.mark.parametrize(
    ("order_id", "categories"), [("1523347543495541248", ["spot"]), ("3f0a6b52-9a0e", ["linear", "inverse", "option"])]
)
def test_an_unfinished_order_is_looked_for_where_it_can_be(order_id: str, categories: list[str]) -> None:
    of = known(since_ms=NOW_MS - 1000, unfinished=unfinished(order_id))
    found = [(path, query["category"]) for path, query in asked(ask(Purpose.RECONCILE, of)) if "orderId" in query]
    paths = ["/v5/order/realtime", "/v5/order/history"]
    assert found == [(path, category) for category in categories for path in paths]


@pytest.mark.parametrize(("age_ms", "is_named"), [(1_000, False), (bybit.LAG_MS + 1_000, True)])
def test_the_symbol_of_an_order_is_named_unless_it_may_just_have_ended(age_ms: int, is_named: bool) -> None:
    """Because the order has ended if it is not in the history of its symbol (test_answers.py)."""
    of = known(since_ms=NOW_MS - age_ms, unfinished=unfinished("3f0a6b52-9a0e", symbol="BTCUSD", market="inverse"))
    found = [(path, query) for path, query in asked(ask(Purpose.RECONCILE, of)) if "orderId" in query]
    one = {"category": "inverse", "orderId": "3f0a6b52-9a0e"}
    named = {"symbol": "BTCUSD"} if is_named else {}
    assert found == [("/v5/order/realtime", one), ("/v5/order/history", one | named)]


@pytest.mark.parametrize("filled", [None, "before", "in the gap"])
def test_an_order_with_a_fill_is_looked_for_as_far_back_as_it_is_remembered(filled: str | None) -> None:
    """Without times, the history is that of the last seven days. The order has ended only if it is in no window."""
    (key,) = unfinished("3f0a6b52-9a0e", symbol="BTCUSD", market="inverse")
    of = known(since_ms=NOW_MS - DAY_MS, unfinished={key: Decimal(filled == "before")})
    fill = FillUpdate(order_id=key.order_id, market="inverse", symbol="BTCUSD")
    weeks_ago = NOW_MS - 30 * DAY_MS

    def answering(target: str, is_known: bool) -> Answer:
        path, query = target.partition("?")[::2]
        its = {name: one[0] for name, one in parse_qs(query).items()}
        if path == answers.EXECUTIONS and its["category"] == "inverse" and filled == "in the gap":
            return Answer(0, target, (fill,))
        is_there = int(its.get("startTime", NOW_MS)) <= weeks_ago <= int(its.get("endTime", NOW_MS))
        if is_known and path == answers.ORDER_HISTORY and "orderId" in its and is_there:
            return Answer(0, target, (OrderUpdate(None, 0, 1, "inverse", "BTCUSD", key.order_id),))
        return nothing(target)

    def of_order(*, is_known: bool, refused: str = "none") -> list[dict[str, str]]:
        def answer(target: str) -> Answer | None:
            return None if "orderId" in target and refused in target else answering(target, is_known)

        taken = asked(ask(Purpose.RECONCILE, of, answer))
        return [query for path, query in taken if path == answers.ORDER_HISTORY and "orderId" in query]

    found, in_vain = of_order(is_known=True), of_order(is_known=False)
    last = {"category": "inverse", "orderId": key.order_id, "symbol": "BTCUSD"}
    assert in_vain[-1] == last
    if filled is None:
        assert found == in_vain == [last]
        return
    assert len(found) == 5 and int(found[-1]["startTime"]) <= weeks_ago <= int(found[-1]["endTime"])
    # An empty answer that names the symbol says that the order has ended.
    assert not [query for query in in_vain[:-1] if "symbol" in query]
    oldest = in_vain[-2]["startTime"]
    assert oldest == str(NOW_MS - histories.HISTORY_MS)
    assert "symbol" not in of_order(is_known=False, refused=f"startTime={oldest}")[-1]


def test_transactions_are_asked_for_since_the_newest_known() -> None:
    ((path, query),) = asked(ask(Purpose.REGULAR, known(since_ms=NOW_MS - DAY_MS)))
    assert path == answers.TRANSACTION_LOG
    assert (query["startTime"], query["endTime"]) == (str(NOW_MS - DAY_MS), str(NOW_MS + bybit.MARGIN_MS))


def test_instruments_are_asked_for_one_by_one_unless_there_are_many() -> None:
    few = Traded("linear", "BTCUSDT"), Traded("spot", "BTCUSDT"), Traded("inverse", "ETHUSD"), Traded(None, None)
    queries = [query for _, query in asked(ask(Purpose.INSTRUMENTS, known(instruments=few)))]
    assert queries == [
        {"category": "linear", "symbol": "BTCUSDT"},
        {"category": "inverse", "symbol": "ETHUSD"},
        {"category": "spot", "symbol": "BTCUSDT"},
    ]
    many = [Traded("linear", f"X{n}USDT") for n in range(21)]
    many += [Traded("option", f"{coin}-26JUN26-{n}000-P-USDT") for n in range(11) for coin in ("BTC", "ETH")]
    assert asked(ask(Purpose.INSTRUMENTS, known(instruments=many))) == [
        (answers.INSTRUMENTS, {"category": "linear", "limit": "1000"}),
        (answers.INSTRUMENTS, {"category": "option", "baseCoin": "BTC", "limit": "1000"}),
        (answers.INSTRUMENTS, {"category": "option", "baseCoin": "ETH", "limit": "1000"}),
    ]


def test_a_backfill_completes_week_by_week_and_leaves_out_what_is_done() -> None:
    of = known(since_ms=NOW_MS - 30 * DAY_MS, until_ms=NOW_MS)
    taken = ask(Purpose.BACKFILL, of)
    completed = [step for step in taken if isinstance(step, Completed)]
    done = [step.subject for step in completed]
    # Nine lists, nine of before an upgrade, and that those nine are complete.
    assert len(done) == len(set(done)) == (9 + 9 + 1) * 5
    # Each without a hole until now; the week that is not over is asked for again.
    of_history: dict[str, list[tuple[int | None, int | None]]] = {}
    for step in completed:
        of_history.setdefault(step.history, []).append((step.since_ms, step.until_ms))
    del of_history[""]
    named = {"fills of linear", "orders with fills of spot", "transactions", "what was before a unified account"}
    assert len(of_history) == 9 + 1 and named <= of_history.keys()
    for periods in of_history.values():
        # The first week is asked for whole.
        assert (periods[0][0], periods[-1][1]) == (
            NOW_MS - 30 * DAY_MS - (NOW_MS - 30 * DAY_MS) % histories.WINDOW_MS,
            NOW_MS,
        )
        assert [until_ms for _, until_ms in periods[:-1]] == [since_ms for since_ms, _ in periods[1:]]
    again = ask(Purpose.BACKFILL, of._replace(done=done))
    assert len(asked(again)) == 9 + 9
    assert all(query["endTime"] > str(NOW_MS - DAY_MS) for _, query in asked(again))


def test_a_backfill_does_not_complete_what_was_not_answered() -> None:
    of = known(since_ms=NOW_MS - 30 * DAY_MS, until_ms=NOW_MS)
    taken = ask(Purpose.BACKFILL, of, lambda target: None if "transaction-log" in target else nothing(target))
    assert not [step for step in taken if isinstance(step, Completed) and "transactions" in step.subject]


OLD = "/v5/pre-upgrade"


def test_what_was_before_an_upgrade_is_asked_for_last_by_category_and_usdc_by_symbol() -> None:
    traded = frozenset([Traded("linear", "BTCPERP"), Traded("linear", "BTCUSDT"), Traded("spot", "BTCUSDC")])
    of = known(since_ms=NOW_MS - 3 * DAY_MS, until_ms=NOW_MS, instruments=traded)
    found = asked(ask(Purpose.BACKFILL, of))
    old = [path.startswith(OLD) for path, _ in found]
    assert old == sorted(old)
    last = {
        (path.removeprefix(OLD), query["category"], query.get("symbol"))
        for path, query in found
        if path.startswith(OLD) and query["endTime"] > str(NOW_MS)
    }
    assert last == {
        *(("/order/history", category, None) for category in ("linear", "inverse", "option", "spot")),
        *(("/execution/list", category, None) for category in ("linear", "inverse", "option")),
        *(("/account/transaction-log", category, None) for category in ("linear", "option")),
        ("/order/history", "linear", "BTCPERP"),
    }


def test_what_was_before_an_upgrade_is_asked_for_in_weeks_as_far_as_it_is_kept() -> None:
    of = known(since_ms=0, until_ms=NOW_MS)
    begins: dict[tuple[str, str], int] = {}
    for path, query in asked(ask(Purpose.BACKFILL, of)):
        begin_ms, end_ms = int(query["startTime"]), int(query["endTime"])
        assert end_ms - begin_ms < histories.WINDOW_MS
        if path.startswith(OLD):
            begins.setdefault((path.removeprefix(OLD), query["category"]), begin_ms)
    long, short = NOW_MS - histories.HISTORY_MS, NOW_MS - histories.OLD_USDC_MS
    assert begins == {
        **{("/order/history", category): long for category in ("linear", "inverse", "spot")},
        **{("/execution/list", category): long for category in ("linear", "inverse")},
        **{(path, "option"): short for path in ("/order/history", "/execution/list", "/account/transaction-log")},
        ("/account/transaction-log", "linear"): short,
    }


def test_demo_trading_has_no_past_of_another_kind() -> None:
    of = known(since_ms=NOW_MS - 3 * DAY_MS, until_ms=NOW_MS, environment="demo")
    assert not [path for path, _ in asked(ask(Purpose.BACKFILL, of)) if path.startswith(OLD)]


def test_a_list_of_before_an_upgrade_that_is_refused_costs_only_itself() -> None:
    of = known(since_ms=NOW_MS - 30 * DAY_MS, until_ms=NOW_MS)
    refused = f"{OLD}/execution/list?category=inverse"
    taken = ask(Purpose.BACKFILL, of, lambda target: None if target.startswith(refused) else nothing(target))
    found = asked(taken)
    assert len([1 for path, query in found if path == f"{OLD}/execution/list" and query["category"] == "inverse"]) == 1
    completed = [step for step in taken if isinstance(step, Completed)]
    assert len(completed) == (9 + 8) * 5
    assert not [step for step in completed if step.history == "what was before a unified account"]


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, b'{"retCode":0,"retMsg":"OK","result":{},"retExtInfo":{},"time":1}', Verdict.ANSWER),
        (200, b'{"retCode":10006,"retMsg":"Too many visits!"}', Verdict.WAIT),
        (200, b'{"retCode":10003,"retMsg":"API key is invalid."}', Verdict.REFUSED),
        (200, b'{"retCode":10005,"retMsg":"Permission denied"}', Verdict.GONE),
        (200, b'{"retCode":10028,"retMsg":"only for unified accounts"}', Verdict.REFUSED),
        (200, b'{"retCode":100028,"retMsg":"not for unified accounts"}', Verdict.GONE),
        (200, b'{"retCode":10016,"retMsg":"server error"}', Verdict.TRANSIENT),
        (200, b'{"retCode":99999999,"retMsg":"new"}', Verdict.TRANSIENT),
        (200, b"<html>", Verdict.FOREIGN),
        (401, b"", Verdict.REFUSED),
        (403, b"access too frequent", Verdict.WAIT),
        (502, b"", Verdict.TRANSIENT),
    ],
)
def test_errors_are_classified(status: int, body: bytes, verdict: Verdict) -> None:
    assert bybit.classify(status, body) is verdict


def test_how_long_the_exchange_asks_to_wait() -> None:
    reset = {"x-bapi-limit-reset-timestamp": str(NOW_MS + 1_500)}
    assert bybit.wait_s(200, reset, b"", NOW_MS) == 1.5
    assert bybit.wait_s(200, {}, b"", NOW_MS) == 0.0
    assert bybit.wait_s(200, {"x-bapi-limit-reset-timestamp": "soon"}, b"", NOW_MS) == 0.0
    assert bybit.wait_s(403, {}, b"", NOW_MS) == 600.0


def test_the_exchanges_clock() -> None:
    body = b'{"retCode":0,"retMsg":"OK","result":{"timeSecond":"1"},"retExtInfo":{},"time":1795600000001}'
    assert bybit.server_time_ms(body) == 1_795_600_000_001
    for wrong in (b"", b"{}", b'{"retCode":10000}', b'{"retCode":0}', b'{"retCode":0,"time":"x"}'):
        with pytest.raises(UNREADABLE):
            bybit.server_time_ms(wrong)


def check(account: object, key: object) -> tuple[str, ...]:
    def answering(request: RestRequest) -> bytes:
        result = account if request.url.startswith(URL + answers.ACCOUNT) else key
        return json.dumps({"retCode": 0, "result": result} if result else {"retCode": 10001}).encode()

    return outcome(bybit.check(Login(URL, URL, WHO, ())), WHO, answering)


def test_a_key_that_can_do_more_than_read_is_warned_of() -> None:
    unified = {"unifiedMarginStatus": 6}
    assert check(unified, {"readOnly": 1, "permissions": {"Wallet": []}}) == ()
    (trade,) = check(unified, {"readOnly": 0, "permissions": {"Wallet": ["AccountTransfer"]}})
    assert trade.startswith("the key can trade;")
    (withdraw,) = check(unified, {"readOnly": 0, "permissions": {"Wallet": ["Withdraw"]}})
    assert withdraw.startswith("the key can trade and withdraw;")
    assert len(check(None, None)) == 2


def test_an_account_that_is_not_unified_is_refused() -> None:
    with pytest.raises(Refused, match="not a unified account"):
        check({"unifiedMarginStatus": 1}, {"readOnly": 1})


def test_a_position_that_the_record_holds_open_is_asked_for_by_its_symbol() -> None:
    of = known(since_ms=NOW_MS - 1000, positions=[Traded("inverse", "BTCUSD")])
    assert asked(ask(Purpose.RECONCILE, of))[-1] == (answers.POSITIONS, {"category": "inverse", "symbol": "BTCUSD"})
