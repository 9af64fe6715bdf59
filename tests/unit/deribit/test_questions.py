"""What is asked over REST, for which purpose, and what the answers mean."""

from collections.abc import Callable
from urllib.parse import parse_qs

import pytest

from recorder.venues.deribit import answers
from recorder.venues.deribit import questions as deribit
from recorder.venues.rest import (
    Answer,
    Completed,
    Credentials,
    Forgotten,
    Known,
    Purpose,
    Question,
    Step,
    Traded,
    Unanswered,
)
from tests.steps import URL, nothing, past, steps, targets, unfinished
from tests.unit.deribit.frames import answer, asked, result, sample

WHO = Credentials(key="Ab3dE6gH", secret="AMANDASECRECT")
NOW_MS = 1_795_852_900_000
MINUTE_MS = 60_000
DAY_MS = 1_440 * MINUTE_MS

Answering = Callable[[str], Answer | None]


def known(**values: object) -> Known:
    return Known((), {}, None, None, NOW_MS)._replace(**values)  # type: ignore[arg-type]


def said(target: str, payload: bytes) -> Answer:
    """An answer as the recorder reads it."""
    decoded = asked(target, payload)
    assert decoded.error is None
    return Answer(0, target, decoded.updates, decoded.next_page)


def in_bitcoin(target: str) -> Answer:
    """The account has bitcoin only; nothing has happened."""
    return said(target, sample("rest-summaries")) if target.startswith(answers.BALANCES) else nothing(target)


def ask(purpose: Purpose, of: Known, answering: Answering = in_bitcoin) -> list[Step]:
    return steps(deribit.questions(purpose, of), WHO, NOW_MS, answering)


def paths(taken: list[Step]) -> list[tuple[str, dict[str, str]]]:
    split = [target.partition("?") for target in targets(taken, WHO, NOW_MS)]
    return [
        (path.removeprefix(answers.API).partition("/")[2], {name: one[0] for name, one in parse_qs(query).items()})
        for path, _, query in split
    ]


def test_a_snapshot_asks_for_the_current_state() -> None:
    assert paths(ask(Purpose.SNAPSHOT, known())) == [
        ("get_account_summaries", {}),
        ("get_positions", {"currency": "any"}),
        ("get_open_orders", {"type": "all"}),
    ]


def test_requests_are_signed_as_they_are_sent() -> None:
    step = next(step for step in ask(Purpose.SNAPSHOT, known()) if isinstance(step, Question))
    request = step.request(URL, WHO, NOW_MS)
    assert request.method == "GET" and request.url == f"{URL}{answers.BALANCES}"
    assert request.headers["Authorization"].startswith(f"deri-hmac-sha256 id=Ab3dE6gH,ts={NOW_MS},nonce=")


@pytest.mark.parametrize(
    ("age_ms", "orders", "fills"),
    [
        (10 * MINUTE_MS, ["false"], ["false"]),
        (2 * 60 * MINUTE_MS, ["true", "false"], ["false"]),
        (3 * DAY_MS, ["true", "false"], ["true", "false"]),
    ],
)
def test_an_older_gap_needs_both_halves_of_a_history(age_ms: int, orders: list[str], fills: list[str]) -> None:
    begin_ms = NOW_MS - age_ms
    found = paths(ask(Purpose.RECONCILE, known(since_ms=begin_ms)))
    of_orders = [query for path, query in found if path == "get_order_history_by_currency"]
    assert [query["historical"] for query in of_orders] == orders
    assert {(query["currency"], query["include_unfilled"], query["count"]) for query in of_orders} == {
        ("BTC", "true", "1000")
    }
    of_fills = [query for path, query in found if path == "get_user_trades_by_currency_and_time"]
    assert [query["historical"] for query in of_fills] == fills
    assert {(query["start_timestamp"], query["end_timestamp"], query["sorting"]) for query in of_fills} == {
        (str(begin_ms - MINUTE_MS), str(NOW_MS + MINUTE_MS), "asc")
    }
    (log,) = [query for path, query in found if path == "get_transaction_log"]
    assert (log["start_timestamp"], log["count"]) == (str(begin_ms - MINUTE_MS), "250")
    assert sum(path == "get_trigger_order_history" for path, _ in found) == 1


def test_each_currency_of_the_account_is_asked_about_or_all_that_there_are() -> None:
    two = result("rest-summaries")["summaries"][0]
    body = answer({"summaries": [two, two | {"currency": "SOL"}]})
    taken = ask(
        Purpose.REGULAR, known(), lambda target: said(target, body) if "summaries" in target else nothing(target)
    )
    assert [query["currency"] for path, query in paths(taken) if path == "get_transaction_log"] == ["BTC", "SOL"]
    unanswered = ask(Purpose.REGULAR, known(), lambda target: None if "summaries" in target else nothing(target))
    of = [query["currency"] for path, query in paths(unanswered) if path == "get_transaction_log"]
    assert of == sorted(deribit.CURRENCIES)


def test_a_currency_that_was_traded_in_is_asked_about_even_if_it_is_no_longer_listed() -> None:
    of = known(since_ms=NOW_MS, until_ms=NOW_MS, instruments=[Traded(None, "XRP_MATIC"), Traded(None, None)])
    for purpose in (Purpose.RECONCILE, Purpose.REGULAR, Purpose.BACKFILL):
        found = {query["currency"] for path, query in paths(ask(purpose, of)) if path == "get_transaction_log"}
        assert found == {"BTC", "MATIC", "XRP"}


@pytest.mark.parametrize(("age_ms", "is_said"), [(20 * MINUTE_MS, False), (40 * MINUTE_MS, True)])
def test_that_unfilled_orders_are_forgotten_is_said(age_ms: int, is_said: bool) -> None:
    taken = ask(Purpose.RECONCILE, known(since_ms=NOW_MS - age_ms))
    forgotten = [step for step in taken if isinstance(step, Forgotten)]
    assert ["orders cancelled before" in one.subject for one in forgotten] == [True] * is_said


def test_a_balance_that_the_record_has_and_the_list_has_not_is_asked_for() -> None:
    of = known(since_ms=NOW_MS, balances=[("SOL", None), ("BTC", None)])
    taken = ask(Purpose.RECONCILE, of)
    assert [query for path, query in paths(taken) if path == "get_account_summary"] == [{"currency": "SOL"}]
    # What it was spent on is in its transaction log.
    assert {query["currency"] for path, query in paths(taken) if path == "get_transaction_log"} == {"BTC", "SOL"}
    unanswered = ask(Purpose.RECONCILE, of, lambda target: None if "summaries" in target else nothing(target))
    assert not [path for path, _ in paths(unanswered) if path == "get_account_summary"]


def test_without_a_gap_only_the_current_state_is_asked_for() -> None:
    assert len(ask(Purpose.RECONCILE, known())) == 3


def test_an_order_that_no_list_had_is_asked_for() -> None:
    of = known(since_ms=NOW_MS, unfinished=unfinished("81234567890", "ETH-5"))

    def listed(target: str) -> Answer:
        return said(target, sample("rest-open-orders")) if "get_open_orders" in target else in_bitcoin(target)

    assert paths(ask(Purpose.RECONCILE, of, listed))[-1] == ("get_order_state", {"order_id": "ETH-5"})
    assert sum(path == "get_order_state" for path, _ in paths(ask(Purpose.RECONCILE, of, listed))) == 1


def test_a_position_that_the_record_holds_open_is_asked_for_unless_listed_or_expired() -> None:
    symbols = ("BTC-PERPETUAL", "ETH-PERPETUAL", "BTC-27NOV26-90000-C", "BTC-25DEC26-90000-C")
    of = known(since_ms=NOW_MS, positions=[Traded(None, symbol) for symbol in symbols])

    def listed(target: str) -> Answer:
        return said(target, sample("rest-positions")) if "get_positions" in target else in_bitcoin(target)

    found = [query for path, query in paths(ask(Purpose.RECONCILE, of, listed)) if path == "get_position"]
    assert found == [{"instrument_name": "BTC-25DEC26-90000-C"}, {"instrument_name": "ETH-PERPETUAL"}]


def test_the_transaction_log_is_asked_for_regularly_from_the_newest_entry_on() -> None:
    found = paths(ask(Purpose.REGULAR, known(since_ms=NOW_MS - DAY_MS)))
    assert [path for path, _ in found] == ["get_account_summaries", "get_transaction_log"]
    assert found[1][1]["start_timestamp"] == str(NOW_MS - DAY_MS)
    first = paths(ask(Purpose.REGULAR, known()))
    assert first[1][1]["start_timestamp"] == str(NOW_MS - 7 * DAY_MS)


def test_instruments_are_asked_for_by_name_but_not_after_they_expired() -> None:
    symbols = ("ETH_USDC", "BTC-25DEC26-90000-C", "BTC-20NOV26-90000-C")
    found = paths(ask(Purpose.INSTRUMENTS, known(instruments=[Traded(None, symbol) for symbol in symbols])))
    assert [query["instrument_name"] for _, query in found] == ["BTC-25DEC26-90000-C", "ETH_USDC"]
    assert {path for path, _ in found} == {"get_instrument"}


def test_pages_are_followed_as_each_list_continues() -> None:
    """A continuation, and of trades the time of the last one, until there is no more."""
    pages = {
        "get_transaction_log": iter(["90000108", "90000004", None]),
        "get_user_trades": iter(["1795852811001", "1795852812002", None]),
    }

    def several(target: str) -> Answer:
        following = next((pages[name] for name in pages if name in target), None)
        return in_bitcoin(target) if following is None else Answer(0, target, (), next(following))

    found = paths(ask(Purpose.RECONCILE, known(since_ms=NOW_MS - MINUTE_MS), several))
    logs = [query for path, query in found if path == "get_transaction_log"]
    assert [query.get("continuation") for query in logs] == [None, "90000108", "90000004"]
    assert len({query["start_timestamp"] for query in logs}) == 1
    trades = [query["start_timestamp"] for path, query in found if path.startswith("get_user_trades")]
    assert trades == [str(NOW_MS - 2 * MINUTE_MS), "1795852811001", "1795852812002"]


def test_a_page_whose_rows_have_one_time_cannot_be_followed_and_says_so() -> None:
    def stuck(target: str) -> Answer:
        return Answer(0, target, (), "1795852811001") if "get_user_trades" in target else in_bitcoin(target)

    taken = ask(Purpose.RECONCILE, known(since_ms=NOW_MS - MINUTE_MS), stuck)
    (unanswered,) = [step for step in taken if isinstance(step, Unanswered)]
    assert "where the next one begins" in unanswered.reason


def test_a_list_without_a_period_is_followed_only_as_far_as_the_gap() -> None:
    row = result("rest-order-history")["orders"][0]
    times = iter([NOW_MS - MINUTE_MS, NOW_MS - 30 * DAY_MS, NOW_MS - 31 * DAY_MS])

    def listed(target: str) -> Answer:
        if "get_order_history" not in target:
            return in_bitcoin(target)
        orders = [row | {"last_update_timestamp": next(times)}]
        return said(target, answer({"orders": orders, "continuation": f"{orders[0]['last_update_timestamp']}"}))

    found = paths(ask(Purpose.RECONCILE, known(since_ms=NOW_MS - 10 * MINUTE_MS), listed))
    assert sum(path == "get_order_history_by_currency" for path, _ in found) == 2


SINCE_MS = NOW_MS - 800 * DAY_MS


def in_old_years(target: str) -> Answer:
    """The account has bitcoin, and has had a transaction in each year."""
    is_probe = "count=1" in target.split("&")
    return said(target, sample("rest-transaction-log")) if is_probe else in_bitcoin(target)


def completed(taken: list[Step]) -> list[Completed]:
    return past(taken)


def test_a_backfill_goes_back_month_by_month_and_leaves_out_what_is_done() -> None:
    of = known(until_ms=NOW_MS, since_ms=SINCE_MS)
    taken = ask(Purpose.BACKFILL, of, in_old_years)
    first = completed(taken)
    assert {step.history for step in first} == {"orders with fills", "trigger orders", "fills", "transactions", ""}
    for history in ("fills", "transactions"):
        periods = sorted((step.since_ms or 0, step.until_ms or 0) for step in first if step.history == history)
        # Whole periods, each once, without a hole between them.
        assert [end for _, end in periods[:-1]] == [begin for begin, _ in periods[1:]]
        assert {end - begin for begin, end in periods} == {deribit.MONTH_MS}
        assert SINCE_MS - deribit.YEAR_MS < periods[0][0] <= SINCE_MS
        assert NOW_MS - deribit.MONTH_MS - deribit.LAG_MS <= periods[-1][1] <= NOW_MS
    # The month that has not ended is asked for again, from both halves of the history.
    halves = [query["historical"] for path, query in paths(taken) if path.startswith("get_user_trades")]
    assert halves == ["true"] * (len(halves) - 1) + ["false"]
    again = ask(Purpose.BACKFILL, of._replace(done={step.subject for step in first}), in_old_years)
    assert not completed(again)
    assert [path for path, _ in paths(again)] == [
        "get_account_summaries",
        "get_user_trades_by_currency_and_time",
        "get_user_trades_by_currency_and_time",
        "get_transaction_log",
    ]


def test_a_year_without_a_transaction_is_one_question() -> None:
    taken = ask(Purpose.BACKFILL, known(until_ms=NOW_MS, since_ms=SINCE_MS))
    years = [step for step in completed(taken) if "year" in step.subject]
    assert {step.history for step in years} == {"fills", "transactions"}
    assert all((step.until_ms or 0) - (step.since_ms or 0) == deribit.YEAR_MS for step in years)
    probes = [query for path, query in paths(taken) if path == "get_transaction_log" and query["count"] == "1"]
    assert len(probes) == len(years) // 2 > 0
    everything = completed(ask(Purpose.BACKFILL, known(until_ms=NOW_MS)))
    assert min(step.since_ms or 0 for step in everything) <= deribit.OPENED_MS
    again = ask(Purpose.BACKFILL, known(until_ms=NOW_MS, done={step.subject for step in everything}))
    assert not [query for path, query in paths(again) if query.get("count") == "1"]


def test_a_period_without_an_answer_is_not_completed() -> None:
    def silent(target: str) -> Answer | None:
        return in_bitcoin(target) if "summaries" in target else None

    def without_trades(target: str) -> Answer | None:
        return None if "get_user_trades" in target else in_old_years(target)

    of = known(until_ms=NOW_MS, since_ms=SINCE_MS)
    assert not completed(ask(Purpose.BACKFILL, of, silent))
    told = {step.history for step in completed(ask(Purpose.BACKFILL, of, without_trades))}
    assert told == {"transactions", "orders with fills", "trigger orders"}


def test_the_limits_leave_most_to_the_traders_own_programs() -> None:
    """Less than five requests a second, and of the transaction log half of the one that is allowed."""
    per_s = min(limit.cost_max / 2 / limit.window_s for limit in deribit.REST_LIMITS)
    assert per_s < 5
    assert per_s / deribit.LOG_COST <= 0.5
