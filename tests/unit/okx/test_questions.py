"""What is asked over REST, for which purpose, and what the answers mean."""

from decimal import Decimal
from urllib.parse import parse_qs

import pytest

from recorder.errors import UNREADABLE
from recorder.model import CONTROL, DECODED, ENDED, PENDING, Decoded, OrderUpdate, Update
from recorder.venues.okx import questions as okx
from recorder.venues.rest import (
    Answer,
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
from tests.unit.okx.frames import answer, row
from tests.unit.okx.frames import asked as read

WHO = Credentials(key="key", secret="secret", passphrase="passphrase")
NOW_MS = 1_795_600_000_000
DEPOSITS, WITHDRAWALS = "/api/v5/asset/deposit-history", "/api/v5/asset/withdrawal-history"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def known(**values: object) -> Known:
    return Known((), {}, None, None, NOW_MS)._replace(**values)  # type: ignore[arg-type]


def ask(purpose: Purpose, of: Known) -> list[Step]:
    return steps(okx.questions(purpose, of), WHO, NOW_MS, nothing)


def asked(taken: list[Step]) -> list[tuple[str, dict[str, str]]]:
    split = [target.partition("?") for target in targets(taken, WHO, NOW_MS)]
    return [(path, {name: one[0] for name, one in parse_qs(query).items()}) for path, _, query in split]


def test_a_snapshot_asks_for_the_current_state() -> None:
    paths = asked(ask(Purpose.SNAPSHOT, known()))
    assert [path.removeprefix("/api/v5/") for path, _ in paths[:3]] == [
        "account/balance",
        "account/positions",
        "trade/orders-pending",
    ]
    assert [query["ordType"] for path, query in paths if path.endswith("orders-algo-pending")] == list(okx.ALGO_TYPES)


@pytest.mark.parametrize(
    ("age_ms", "orders", "fills"),
    [
        (HOUR_MS, "orders-history", ["fills"]),
        (4 * DAY_MS, "orders-history", ["fills-history"] * 5),
        (30 * DAY_MS, "orders-history-archive", ["fills-history"] * 5),
    ],
)
def test_the_older_a_gap_the_older_the_lists(age_ms: int, orders: str, fills: list[str]) -> None:
    paths = asked(ask(Purpose.RECONCILE, known(since_ms=NOW_MS - age_ms)))
    of_orders = [query for path, query in paths if path == f"/api/v5/trade/{orders}"]
    assert [query["instType"] for query in of_orders] == list(okx.INST_TYPES)
    assert {query["begin"] for query in of_orders} == {str(NOW_MS - age_ms - okx.MARGIN_MS)}
    of_fills = [query for path, query in paths if "/trade/fills" in path]
    # The exchange's clock may be ahead of this machine's.
    assert {query["end"] for query in (*of_orders, *of_fills)} == {str(NOW_MS + okx.MARGIN_MS)}
    assert [path.rpartition("/")[2] for path, _ in paths if "/trade/fills" in path] == fills


@pytest.mark.parametrize("purpose", [Purpose.RECONCILE, Purpose.REGULAR, Purpose.BACKFILL])
def test_lists_of_prediction_markets_are_asked_for_once_the_record_has_one(purpose: Purpose) -> None:
    since_ms, event = NOW_MS - 30 * DAY_MS, Traded(None, "BTC-ABOVE-DAILY-260224-1600-65000")
    without, having = (
        {query.get("instType") for _, query in asked(ask(purpose, known(since_ms=since_ms, instruments=traded)))}
        for traded in ([], [event])
    )
    assert having - without == {"EVENTS"}


@pytest.mark.parametrize(
    ("age_ms", "subjects"),
    [
        (HOUR_MS, []),
        (3 * HOUR_MS, ["orders cancelled before"]),
        (100 * DAY_MS, ["everything before", "orders cancelled before"]),
    ],
)
def test_what_was_forgotten_is_said(age_ms: int, subjects: list[str]) -> None:
    taken = ask(Purpose.RECONCILE, known(since_ms=NOW_MS - age_ms))
    forgotten = [step.subject for step in taken if isinstance(step, Forgotten)]
    assert [any(subject in one for one in forgotten) for subject in subjects] == [True] * len(forgotten)


def test_an_order_that_no_list_had_is_asked_for_by_its_instrument() -> None:
    of = known(since_ms=NOW_MS, unfinished=unfinished("7", symbol="BTC-USDT"))
    assert asked(ask(Purpose.RECONCILE, of))[-1] == ("/api/v5/trade/order", {"instId": "BTC-USDT", "ordId": "7"})


def test_bills_and_fills_are_asked_for_regularly() -> None:
    taken = asked(ask(Purpose.REGULAR, known(since_ms=NOW_MS - HOUR_MS)))
    assert [path for path, _ in taken] == ["/api/v5/account/bills", "/api/v5/trade/fills", DEPOSITS, WITHDRAWALS]
    assert {query["end"] for _, query in taken[:2]} == {str(NOW_MS + okx.MARGIN_MS)}


@pytest.mark.parametrize(
    ("bill", "is_asked"),
    [
        ({"type": "3", "subType": "172", "instId": "BTC-USD-241217-92000-C"}, True),
        ({"type": "3", "subType": "112", "instId": "BTC-USDT-241217", "mgnMode": "isolated"}, True),
        ({"type": "34", "subType": "355", "instId": "BTC-USDT-241217"}, False),
        ({"type": "8", "subType": "173", "instId": "BTC-USDT-SWAP"}, False),
    ],
)
def test_after_an_expiry_positions_are_asked_for(bill: dict[str, str], is_asked: bool) -> None:
    def answering(target: str) -> Answer:
        body = answer(row("rest-bills") | bill) if "/account/bills" in target else answer()
        return Answer(0, target, read(target, body).updates)

    taken = steps(okx.questions(Purpose.REGULAR, known(since_ms=NOW_MS - HOUR_MS)), WHO, NOW_MS, answering)
    assert (("/api/v5/account/positions", {}) in asked(taken)) == is_asked


@pytest.mark.parametrize("purpose", [Purpose.RECONCILE, Purpose.REGULAR, Purpose.BACKFILL])
def test_deposits_and_withdrawals_are_asked_for(purpose: Purpose) -> None:
    taken = asked(ask(purpose, known(since_ms=NOW_MS - HOUR_MS)))
    assert [(path, query) for path, query in taken if "/asset/" in path] == [
        (DEPOSITS, {"limit": "100"}),
        (WITHDRAWALS, {"limit": "100"}),
    ]


def moved(*began_ms: int, state: str = "2") -> bytes:
    """An answer that lists deposits."""
    return answer(*(row("deposit-info") | {"depId": str(one), "ts": str(one), "state": state} for one in began_ms))


@pytest.mark.parametrize("state", ["2", "8"])
@pytest.mark.parametrize("purpose", [Purpose.RECONCILE, Purpose.REGULAR])
def test_deposits_are_followed_to_those_that_were_over_before_the_gap(purpose: Purpose, state: str) -> None:
    """A page without a deposit that is done says nothing, and one that began long before may be done in the gap."""
    since_ms = NOW_MS - HOUR_MS
    under_way_ms = since_ms - okx.UNDER_WAY_MS
    first = moved(*(NOW_MS - n for n in range(100)), state=state)
    pages = {
        None: first,
        str(NOW_MS - 98): moved(*(under_way_ms + 50 - n for n in range(100))),
        str(under_way_ms - 48): moved(*(under_way_ms - DAY_MS - n for n in range(100))),
    }
    given: list[str | None] = []

    def answering(target: str) -> Answer:
        if not target.startswith(DEPOSITS):
            return nothing(target)
        after = parse_qs(target.partition("?")[2]).get("after", [None])[0]
        given.append(after)
        decoded = read(target, pages[after])
        assert decoded.error is None
        return Answer(0, target, decoded.updates, decoded.next_page)

    taken = steps(okx.questions(purpose, known(since_ms=since_ms)), WHO, NOW_MS, answering)
    assert given == list(pages)
    assert not [step for step in taken if isinstance(step, Unanswered)]


@pytest.mark.parametrize(
    ("symbol", "product"),
    [
        ("BTC-USDT", "SPOT"),
        ("BTC-USDT-SWAP", "SWAP"),
        ("BTC-USD-250808", "FUTURES"),
        ("BTC-USD-241217-92000-C", "OPTION"),
        ("BTC-ABOVE-DAILY-260224-1600-65000", "EVENTS"),
    ],
)
def test_an_instrument_is_asked_for_by_its_product_line(symbol: str, product: str) -> None:
    taken = ask(Purpose.INSTRUMENTS, known(instruments=[Traded(None, symbol)]))
    family = {"instFamily": "BTC-USD"} if product == "OPTION" else {}
    assert asked(taken) == [("/api/v5/public/instruments", {"instType": product, "instId": symbol} | family)]


def test_a_backfill_goes_back_three_months_week_by_week_and_leaves_out_what_is_done() -> None:
    first = past(ask(Purpose.BACKFILL, known(until_ms=NOW_MS)))
    assert {step.history for step in first} == {"orders with fills", "fills", "conditional orders", "transactions"} | {
        "deposits",
        "withdrawals",
    }
    assert min(step.since_ms or 0 for step in first) == NOW_MS - okx.HISTORY_MS
    again = ask(Purpose.BACKFILL, known(until_ms=NOW_MS, done={step.subject for step in first}))
    assert not past(again)


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, answer(), Verdict.ANSWER),
        (200, answer(code="50011"), Verdict.WAIT),
        (429, b"", Verdict.WAIT),
        (401, answer(code="50113"), Verdict.REFUSED),
        (401, b"<html>", Verdict.FOREIGN),
        (400, answer(code="50014"), Verdict.GONE),
        (200, answer(code="51603"), Verdict.GONE),
        (200, answer(code="50013"), Verdict.TRANSIENT),
        (503, b"busy", Verdict.WAIT),
        (404, b"", Verdict.FOREIGN),
    ],
)
def test_verdicts(status: int, body: bytes, verdict: Verdict) -> None:
    assert okx.classify(status, body) is verdict


@pytest.mark.parametrize(
    ("perm", "warning"),
    [("read_only", None), ("read_only,withdraw,trade", "trade and withdraw"), ("", "does not say")],
)
def test_a_key_that_can_do_more_than_read_is_a_warning(perm: str, warning: str | None) -> None:
    warnings = outcome(
        okx.check(Login(URL, URL, WHO, ())), WHO, lambda _request: answer({"perm": perm, "ip": "127.0.0.1"})
    )
    assert [(warning or "") in one for one in warnings] == ([True] if warning else [])


def test_the_clock() -> None:
    assert okx.server_time_ms(answer({"ts": "1597026383085"})) == 1597026383085
    for nonsense in (b"", b"{}", answer(), answer({"ts": "soon"})):
        with pytest.raises(UNREADABLE):
            okx.server_time_ms(nonsense)


def test_a_position_that_the_record_holds_open_is_asked_for_by_its_instrument() -> None:
    of = known(since_ms=NOW_MS, positions=[Traded(None, "BTC-USDT-SWAP")])
    assert asked(ask(Purpose.RECONCILE, of))[-1] == ("/api/v5/account/positions", {"instId": "BTC-USDT-SWAP"})


@pytest.mark.parametrize(
    "kind",
    ["conditional", "oco", "trigger", "chase", "iceberg", "twap", "move_order_stop", "smart_iceberg", "of tomorrow"],
)
def test_an_open_conditional_order_of_any_type_does_not_end_in_a_gap(kind: str) -> None:
    """The question for an ordinary order does not find it, and its answer would say that it has ended."""
    now_open = row("orders-algo") | {"algoId": "7", "ordType": kind, "state": "live"}
    key = OrderKey(None, now_open["instId"], "7")
    of = known(since_ms=NOW_MS - HOUR_MS, unfinished={key: Decimal(0)}, conditional={key})
    told: list[Update] = []

    def answering(target: str) -> Answer:
        path, _, query = target.partition("?")
        kinds = parse_qs(query).get("ordType", [""])[0].split(",")
        rows = [now_open] if path.endswith("orders-algo-pending") and kind in kinds else []
        body = NOT_FOUND if path == "/api/v5/trade/order" else answer(*rows)
        decoded = read(f"HTTP 200 {target}" if body is NOT_FOUND else target, body)
        told.extend(decoded.updates)
        return Answer(0, target, decoded.updates)

    taken = steps(okx.questions(Purpose.RECONCILE, of), WHO, NOW_MS, answering)
    statuses = [one.status for one in told if isinstance(one, OrderUpdate)]
    said = [step.subject for step in taken if isinstance(step, Forgotten)]
    assert (statuses, said) == (([], ["conditional order 7"]) if kind == "of tomorrow" else ([PENDING], []))


@pytest.mark.parametrize(("waiting", "pages"), [((), 3), (("8000",), 3), (("7650",), 4), (("6000",), 11)])
def test_conditional_orders_are_followed_to_those_that_are_older_than_the_gap_and_all_that_were_open(
    waiting: tuple[str, ...], pages: int
) -> None:
    """One a minute, the newest first; the gap began 110 minutes ago."""
    listed = row("orders-algo")
    unknown = {OrderKey(None, listed["instId"], one): Decimal(0) for one in waiting}
    of = known(since_ms=NOW_MS - 110 * 60_000, unfinished=unknown, conditional=unknown)
    given: list[str] = []

    def answering(target: str) -> Answer:
        path, _, query = target.partition("?")
        asked_for = {name: one[0] for name, one in parse_qs(query).items()}
        if not path.endswith("orders-algo-history") or (asked_for["ordType"], asked_for["state"]) != KIND:
            return nothing(target)
        begin = int(asked_for.get("after", "8001"))
        given.append(asked_for.get("after", ""))
        ids = range(begin - 1, max(begin - 101, 6999), -1)
        rows = (listed | {"algoId": str(one), "cTime": str(NOW_MS - (8000 - one) * 60_000)} for one in ids)
        decoded = read(target, answer(*rows))
        return Answer(0, target, decoded.updates, decoded.next_page)

    taken = steps(okx.questions(Purpose.RECONCILE, of), WHO, NOW_MS, answering)
    assert len(given) == pages
    assert not [step for step in taken if isinstance(step, Unanswered)]
    given.clear()
    steps(okx.questions(Purpose.BACKFILL, of._replace(until_ms=NOW_MS)), WHO, NOW_MS, answering)
    assert len(given) == 11, "a backfill asks for all"


#: Type and state of a list of conditional orders.
KIND = ("trigger", "canceled")

NOT_FOUND = answer(code="51603", msg="Order does not exist")


def test_an_order_that_the_exchange_does_not_know_has_ended() -> None:
    target = "HTTP 200 /api/v5/trade/order?instId=BTC-USDT-SWAP&ordId=7"
    decoded = read(target, NOT_FOUND)
    assert (decoded.topic, decoded.status) == (target, DECODED)
    assert decoded.updates == (OrderUpdate(None, 0, 1, None, "BTC-USDT-SWAP", "7", status=ENDED),)
    others = [
        (target, answer(code="51001")),
        (target, b"<html>Bad Gateway</html>"),
        (target.replace("&ordId=7", ""), NOT_FOUND),
        ("HTTP 200 /api/v5/trade/fills?instId=BTC-USDT-SWAP&ordId=7", NOT_FOUND),
    ]
    for topic, body in others:
        assert read(topic, body) == Decoded(topic, CONTROL)


def test_no_order_is_asked_for_if_a_list_has_no_answer_because_it_could_be_in_that() -> None:
    """A conditional order is not found by the question for one order, and would look as if it had ended."""
    of = known(since_ms=NOW_MS - HOUR_MS, unfinished=unfinished("7", symbol="BTC-USDT-SWAP"))
    one_order = {"instId": "BTC-USDT-SWAP", "ordId": "7"}

    def but_conditional(target: str) -> Answer | None:
        return None if "orders-algo-pending" in target else nothing(target)

    assert ("/api/v5/trade/order", one_order) in asked(ask(Purpose.RECONCILE, of))
    taken = steps(okx.questions(Purpose.RECONCILE, of), WHO, NOW_MS, but_conditional)
    assert ("/api/v5/trade/order", one_order) not in asked(taken)
