"""What is asked over REST, for which purpose, and what the answers mean."""

from decimal import Decimal
from functools import partial
from urllib.parse import parse_qs

import pytest

from recorder.errors import UNREADABLE
from recorder.model import PENDING, OrderUpdate, Update
from recorder.venues.bitget import answers
from recorder.venues.bitget import questions as bitget
from recorder.venues.rest import (
    Answer,
    Completed,
    Credentials,
    Forgotten,
    Known,
    Login,
    OrderKey,
    Purpose,
    Step,
    Traded,
    Unanswered,
    Verdict,
)
from tests.steps import URL, nothing, outcome, past, steps, targets, unfinished
from tests.unit.bitget.frames import answer, asked, page, row, sample

WHO = Credentials(key="key", secret="secret", passphrase="passphrase")
NOW_MS = 1_795_600_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LINES = ["SPOT", "MARGIN", "USDT-FUTURES", "COIN-FUTURES", "USDC-FUTURES"]


def known(**values: object) -> Known:
    return Known((), {}, None, None, NOW_MS)._replace(**values)  # type: ignore[arg-type]


def ask(purpose: Purpose, of: Known) -> list[Step]:
    return steps(bitget.questions(purpose, of), WHO, NOW_MS, nothing)


def requests(taken: list[Step]) -> list[tuple[str, dict[str, str]]]:
    split = [target.partition("?") for target in targets(taken, WHO, NOW_MS)]
    return [(path, {name: one[0] for name, one in parse_qs(query).items()}) for path, _, query in split]


def lines(taken: list[Step], path: str) -> list[str]:
    return [query["category"] for one, query in requests(taken) if one == path]


def test_a_snapshot_asks_for_the_current_state_of_every_product_line() -> None:
    taken = ask(Purpose.SNAPSHOT, known())
    assert requests(taken)[0] == (answers.ASSETS, {})
    assert lines(taken, answers.POSITIONS) == LINES[2:]
    assert lines(taken, answers.OPEN_ORDERS) == LINES
    asked_for = [query for path, query in requests(taken) if path == answers.OPEN_STRATEGIES]
    types = [(query["category"], query.get("type")) for query in asked_for]
    assert types == [(line, kind) for line in LINES for kind in (None, "tpsl", "trigger")]
    assert len(taken) == 1 + 3 + 5 + 15


@pytest.mark.parametrize(("age_ms", "windows"), [(HOUR_MS, 1), (40 * DAY_MS, 2), (100 * DAY_MS, 3)])
def test_a_gap_is_asked_for_in_windows_of_thirty_days(age_ms: int, windows: int) -> None:
    taken = ask(Purpose.RECONCILE, known(since_ms=NOW_MS - age_ms))
    assert lines(taken, answers.ORDERS) == LINES * windows
    spans = [(int(q["startTime"]), int(q["endTime"])) for path, q in requests(taken) if path == answers.FILLS]
    assert len(spans) == windows
    assert all(0 < end - begin < bitget.SPAN_MS for begin, end in spans)
    # Neither the clock's error nor the margin leads outside what the exchange remembers.
    assert NOW_MS - spans[0][0] == min(age_ms + bitget.MARGIN_MS, bitget.HISTORY_MS)
    assert spans[-1][1] == NOW_MS + bitget.MARGIN_MS
    assert len(lines(taken, answers.STRATEGIES)) == 15 * windows


@pytest.mark.parametrize(("age_ms", "subjects"), [(HOUR_MS, 0), (89 * DAY_MS, 0), (100 * DAY_MS, 1)])
def test_what_was_forgotten_is_said(age_ms: int, subjects: int) -> None:
    taken = ask(Purpose.RECONCILE, known(since_ms=NOW_MS - age_ms))
    forgotten = [step.subject for step in taken if isinstance(step, Forgotten)]
    assert len(forgotten) == subjects and all(one.startswith("everything before") for one in forgotten)


def test_before_the_record_only_the_current_state_is_asked_for() -> None:
    taken = ask(Purpose.RECONCILE, known())
    assert len(taken) == 1 + 3 + 5 + 15 + 1
    assert requests(taken)[:2] == [(answers.ASSETS, {}), (answers.FUNDING_ASSETS, {})]


def test_a_coin_that_the_record_holds_and_no_list_has_is_asked_for() -> None:
    of = known(since_ms=NOW_MS, balances=[("USDT", "unified"), ("BTC", "unified"), ("USDT", "funding")])

    def listing(target: str) -> Answer:
        updates = asked(target, sample("rest-assets")).updates if target == answers.ASSETS else ()
        return Answer(0, target, updates)

    taken = steps(bitget.questions(Purpose.RECONCILE, of), WHO, NOW_MS, listing)
    assert requests(taken)[:4] == [
        (answers.ASSETS, {}),
        (answers.ASSETS, {"coin": "BTC"}),
        (answers.FUNDING_ASSETS, {}),
        (answers.FUNDING_ASSETS, {"coin": "USDT"}),
    ]


def test_an_order_that_no_list_had_is_asked_for_by_its_id() -> None:
    of = known(since_ms=NOW_MS, unfinished=unfinished("7", "1501239999999999001"))

    def listing(target: str) -> Answer:
        if not target.startswith(f"{answers.ORDERS}?category=USDT-FUTURES"):
            return nothing(target)
        return Answer(0, target, asked(target, sample("rest-orders")).updates)

    taken = steps(bitget.questions(Purpose.RECONCILE, of), WHO, NOW_MS, listing)
    assert [one for one in requests(taken) if one[0] == answers.ORDER] == [(answers.ORDER, {"orderId": "7"})]


def test_no_order_is_asked_for_if_a_list_has_no_answer_because_it_could_be_in_that() -> None:
    """A conditional order is not found by the question for one order, and would look as if it had ended."""
    of = known(since_ms=NOW_MS - HOUR_MS, unfinished=unfinished("7"))
    for path in (answers.OPEN_STRATEGIES, answers.STRATEGIES, answers.ORDERS):

        def but_one(target: str, path: str = path) -> Answer | None:
            return None if target.startswith(f"{path}?category=MARGIN") else nothing(target)

        taken = steps(bitget.questions(Purpose.RECONCILE, of), WHO, NOW_MS, but_one)
        assert (answers.ORDER, {"orderId": "7"}) not in requests(taken)
    assert (answers.ORDER, {"orderId": "7"}) in requests(ask(Purpose.RECONCILE, of))


@pytest.mark.parametrize("kind", ["tpsl", "trigger", "oco", "trailing_stop", "iceberg", "twap", "of tomorrow"])
@pytest.mark.parametrize("default", [None, "tpsl"])
def test_a_pending_conditional_order_of_any_type_does_not_end_in_a_gap(kind: str, default: str | None) -> None:
    """Whether a list of no type is one of all types, or of the default, it is listed, or the gap says that it is not.

    The exchange refuses the list of a type that it does not have.
    """
    now_open = row("strategy-order") | {"orderId": "7", "type": kind, "status": "pending"}
    key = OrderKey("usdt-futures", "BTCUSDT", "7")
    of = known(since_ms=NOW_MS - HOUR_MS, unfinished={key: Decimal(0)}, conditional={key})
    told: list[Update] = []

    def listing(target: str) -> Answer | None:
        path, _, query = target.partition("?")
        told_of = parse_qs(query)
        wanted = told_of.get("type", [default])[0]
        if wanted not in {None, "tpsl", "trigger"}:
            return None
        is_listed = told_of.get("category") == ["USDT-FUTURES"] and wanted in {None, kind}
        is_listed &= path == answers.OPEN_STRATEGIES
        code = "25204" if path == answers.ORDER else "00000"
        decoded = asked(f"HTTP 400 {target}" if path == answers.ORDER else target, answer([now_open] * is_listed, code))
        told.extend(decoded.updates)
        return Answer(0, target, decoded.updates)

    taken = steps(bitget.questions(Purpose.RECONCILE, of), WHO, NOW_MS, listing)
    statuses = {one.status for one in told if isinstance(one, OrderUpdate)}
    said = [step.subject for step in taken if isinstance(step, Forgotten)]
    if default is None or kind in {"tpsl", "trigger"}:
        assert (statuses, said) == ({PENDING}, [])
    else:
        assert (statuses, said) == (set(), ["conditional order 7"])


def test_a_conditional_order_that_no_list_has_is_looked_for_among_older_ones() -> None:
    """The history may list orders by when they began."""
    key = OrderKey("usdt-futures", "BTCUSDT", "7")
    ended = row("strategy-order") | {"orderId": "7", "status": "cancelled"}
    of = known(since_ms=NOW_MS - HOUR_MS, unfinished={key: Decimal(0)}, conditional={key})

    def older(path: str, query: dict[str, str]) -> bool:
        return path == answers.STRATEGIES and int(query["startTime"]) < NOW_MS - HOUR_MS - bitget.MARGIN_MS

    def listing_before(at_ms: int, target: str) -> Answer:
        path, _, query = target.partition("?")
        window = {name: int(one[0]) for name, one in parse_qs(query).items() if name.endswith("Time")}
        if path != answers.STRATEGIES or "USDT-FUTURES" not in query:
            return nothing(target)
        is_listed = window["startTime"] <= at_ms <= window["endTime"]
        return Answer(0, target, asked(target, page(*[ended] * is_listed)).updates)

    for began_ms, windows in ((NOW_MS - 60_000, 0), (NOW_MS - DAY_MS, 1), (NOW_MS - 50 * DAY_MS, 2)):
        taken = steps(bitget.questions(Purpose.RECONCILE, of), WHO, NOW_MS, partial(listing_before, began_ms))
        looked = [query for path, query in requests(taken) if older(path, query)]
        assert len(looked) == 3 * windows
        assert {query["category"] for query in looked} <= {"USDT-FUTURES"}
        assert all(int(query["endTime"]) - int(query["startTime"]) < bitget.SPAN_MS for query in looked)
        assert not [step for step in taken if isinstance(step, Forgotten)]
    never = steps(bitget.questions(Purpose.RECONCILE, of), WHO, NOW_MS, nothing)
    assert [step.subject for step in never if isinstance(step, Forgotten)] == ["conditional order 7"]
    assert min(int(q["startTime"]) for path, q in requests(never) if older(path, q)) == NOW_MS - bitget.HISTORY_MS


def test_a_position_that_the_record_holds_open_is_asked_for_by_its_symbol_and_side() -> None:
    of = known(
        since_ms=NOW_MS,
        positions=[Traded("usdc-futures", "BTCPERP"), Traded("usdt-futures", "ETHUSDT", "short"), Traded(None, "X")],
    )
    assert requests(ask(Purpose.RECONCILE, of))[-2:] == [
        (answers.POSITIONS, {"category": "USDC-FUTURES", "symbol": "BTCPERP"}),
        (answers.POSITIONS, {"category": "USDT-FUTURES", "posSide": "short", "symbol": "ETHUSDT"}),
    ]


def test_records_fills_and_conditional_orders_are_asked_for_regularly() -> None:
    taken = ask(Purpose.REGULAR, known(since_ms=NOW_MS - HOUR_MS))
    paths = [path for path, _ in requests(taken)]
    assert paths == [answers.RECORDS] * 6 + [answers.FUNDING_RECORDS, answers.FILLS] + [answers.STRATEGIES] * 15
    assert lines(taken, answers.RECORDS) == [*LINES, "OTHER"]
    assert lines(taken, answers.STRATEGIES) == [line for line in LINES for _ in range(3)]
    first = ask(Purpose.REGULAR, known())
    assert requests(first)[0][1]["startTime"] == str(NOW_MS - bitget.WINDOW_MS)


def test_instruments_are_asked_for_one_by_one_or_as_a_whole_list() -> None:
    of = known(instruments=[Traded("spot", "BTCUSDT"), Traded("usdt-futures", "BTCUSDT"), Traded(None, "BTCUSDT")])
    assert requests(ask(Purpose.INSTRUMENTS, of)) == [
        (answers.INSTRUMENTS, {"category": "SPOT", "symbol": "BTCUSDT"}),
        (answers.INSTRUMENTS, {"category": "USDT-FUTURES", "symbol": "BTCUSDT"}),
    ]
    many = known(instruments=[Traded("spot", f"X{number}USDT") for number in range(21)])
    assert requests(ask(Purpose.INSTRUMENTS, many)) == [(answers.INSTRUMENTS, {"category": "SPOT"})]


def completed(of: Known) -> list[Completed]:
    return past(ask(Purpose.BACKFILL, of))


def test_a_backfill_goes_back_ninety_days_and_leaves_out_what_is_done() -> None:
    first = completed(known(until_ms=NOW_MS))
    assert {step.history for step in first} == {"orders", "fills", "conditional orders", "transactions"}
    for history in {step.history for step in first}:
        assert min(step.since_ms or 0 for step in first if step.history == history) == NOW_MS - bitget.HISTORY_MS
    of = known(until_ms=NOW_MS, done={step.subject for step in first})
    assert not {step.subject for step in completed(of)} & {step.subject for step in first}
    assert len(requests(ask(Purpose.BACKFILL, of))) <= 2 * (5 + 1 + 6 + 1)
    # No request is for more than the exchange allows.
    for _, query in requests(ask(Purpose.BACKFILL, known(until_ms=NOW_MS))):
        assert int(query["endTime"]) - int(query["startTime"]) < bitget.SPAN_MS
        assert int(query["startTime"]) >= NOW_MS - bitget.HISTORY_MS


def test_what_is_done_was_asked_for_whole_although_less_of_it_was_wanted() -> None:
    """A later backfill that goes back further leaves it out."""
    until_ms = NOW_MS - 20 * DAY_MS
    whole = {step.subject: step for step in completed(known(until_ms=until_ms))}
    part = completed(known(until_ms=until_ms, since_ms=until_ms - 3 * DAY_MS))
    assert part and all(whole[step.subject] == step for step in part)


def test_pages_are_asked_for_until_they_end() -> None:
    cursors = iter(["2", "1", None])

    def answering(target: str) -> Answer:
        return Answer(0, target, (), next(cursors) if target.startswith(answers.FILLS) else None)

    taken = steps(bitget.questions(Purpose.REGULAR, known(since_ms=NOW_MS)), WHO, NOW_MS, answering)
    assert [q.get("cursor") for path, q in requests(taken) if path == answers.FILLS] == [None, "2", "1"]


def test_a_cursor_that_repeats_itself_is_said() -> None:
    taken = steps(
        bitget.questions(Purpose.REGULAR, known(since_ms=NOW_MS)),
        WHO,
        NOW_MS,
        lambda target: Answer(0, target, (), "7"),
    )
    assert sum(isinstance(step, Unanswered) for step in taken) == 8 + 15


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, answer([]), Verdict.ANSWER),
        (200, answer(None, code="429"), Verdict.WAIT),
        (429, b"", Verdict.WAIT),
        (400, answer(None, code="40009"), Verdict.REFUSED),
        (400, answer(None, code="40008"), Verdict.REFUSED),
        (400, answer(None, code="40099"), Verdict.REFUSED),
        (400, sample("rest-refused"), Verdict.REFUSED),
        (401, b"<html>", Verdict.FOREIGN),
        (400, answer(None, code="40014"), Verdict.GONE),
        (400, answer(None, code="43111"), Verdict.GONE),
        (400, answer(None, code="25204"), Verdict.GONE),
        (404, b"", Verdict.FOREIGN),
        (404, answer(None, code="40404"), Verdict.GONE),
        (200, answer(None, code="40015"), Verdict.TRANSIENT),
        (400, answer(None, code="40725"), Verdict.TRANSIENT),
        (503, answer([]), Verdict.TRANSIENT),
        (503, b"busy", Verdict.WAIT),
    ],
)
def test_verdicts(status: int, body: bytes, verdict: Verdict) -> None:
    assert bitget.classify(status, body) is verdict


def test_how_long_to_wait() -> None:
    assert bitget.wait_s(200, {}, b"", 0) == 0.0
    assert bitget.wait_s(429, {}, b"", 0) == 1.0
    assert bitget.wait_s(429, {"x-mbx-used-remain-limit": "0"}, b"", 0) == 300.0


def rights(**told: object) -> tuple[str, ...]:
    data = row("rest-info") | told
    return outcome(bitget.check(Login(URL, URL, WHO, ())), WHO, lambda _request: answer(data))


@pytest.mark.parametrize(
    ("told", "warnings"),
    [
        ({}, []),
        ({"permType": "read-and-write"}, ["the key can trade;"]),
        ({"permType": "read-and-write", "permissions": ["uta_mgt", "uta_trade", "withdraw"]}, ["trade and withdraw"]),
        ({"permissions": ["uta_trade"]}, ["uta_mgt is missing"]),
        ({"permissions": ["p2p"]}, ["uta_trade, uta_mgt is missing"]),
        ({"permType": ""}, ["does not say"]),
        ({"permissions": "all"}, ["does not say"]),
    ],
)
def test_a_key_that_can_do_more_than_read_or_less_is_a_warning(told: dict[str, object], warnings: list[str]) -> None:
    given = rights(**told)
    assert len(given) == len(warnings)
    assert all(words in one for one, words in zip(given, warnings, strict=True))


def test_the_clock() -> None:
    assert bitget.server_time_ms(sample("rest-time")) == 1790757100123
    for nonsense in (b"", b"{}", answer(None), answer({"serverTime": "soon"}), answer({"serverTime": 5})):
        with pytest.raises(UNREADABLE):
            bitget.server_time_ms(nonsense)
