"""The questions after a gap, asked of the simulated exchange: everything is restored, nothing is asked in vain."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.model import DECODED, FINAL_STATUSES, POSITIONS, UNDECODED, Decoded, FillUpdate, OrderUpdate
from recorder.simulator.exchange import Exchange
from recorder.simulator.options import START_MS
from recorder.venues.fmex import sign
from recorder.venues.fmex.reconcile import months_back, questions
from recorder.venues.fmex.stand_in.frames import status
from recorder.venues.fmex.stand_in.rest import FMexRequestHandler
from recorder.venues.reading import read_answer
from recorder.venues.rest import Answer, Credentials, Known, OrderKey, Question, Unanswered
from recorder.venues.stand_in import AccountQuery, Backend, Request
from tests.depth import examples
from tests.made import body_of, fill
from tests.samples import FMEX
from tests.steps import unfinished

BASE = "http://127.0.0.1:9010"
WHO = Credentials(key="key", secret="secret")


def known_after(pushes: list[bytes], exchange: Exchange, since_ms: int | None) -> Known:
    """What somebody knows who received these pushes."""
    latest: dict[str, OrderUpdate] = {}
    for payload in pushes:
        for update in FMEX.decode(payload).updates:
            if isinstance(update, OrderUpdate):
                latest[update.order_id] = update
    orders = {
        OrderKey(None, order.symbol, key): filled(order)
        for key, order in latest.items()
        if order.status not in FINAL_STATUSES
    }
    newest = max(latest, key=int, default=None)
    return Known(("btcusd_p",), orders, newest, since_ms, exchange.history.now_ms)


def filled(order: OrderUpdate) -> Decimal:
    return Decimal(order.filled_quantity or 0)


def ask_all(known: Known, answer: Callable[[str], bytes | None]) -> Iterator[tuple[str, bytes | None]]:
    """Targets and answers, in order; None: no answer. Of what cannot be followed, the subject and the reason."""
    asked = questions(known)
    try:
        question = next(asked)
        while True:
            told = None
            if isinstance(question, Unanswered):
                yield f"{question.subject}: {question.reason}", None
            else:
                assert isinstance(question, Question)
                target = question.request(BASE, WHO, known.now_ms).url.removeprefix(BASE)
                body = answer(target)
                yield target, body
                if body is not None:
                    decoded = read_answer(FMEX, target, body)
                    assert decoded.error is None
                    told = Answer(0, target, decoded.updates, decoded.next_page)
            question = asked.send(told)
    except StopIteration:
        return


def rest_of(exchange: Exchange, known: Known) -> Callable[[str], bytes]:
    """The exchange's REST interface; ten seconds pass between two requests, so that their limit is never met."""
    clock = count(known.now_ms, 10_000)
    now_ms = known.now_ms
    handler = FMexRequestHandler(Backend(secret_of={WHO["key"]: WHO["secret"]}.get, clock_ms=lambda: now_ms))

    def answer(target: str) -> bytes:
        nonlocal now_ms
        now_ms = next(clock)
        signed = sign.credentials(WHO["key"], WHO["secret"], "GET", BASE + target, now_ms)
        question = handler.handle(Request("GET", target, signed, BASE))
        assert isinstance(question, AccountQuery)
        return body_of(question.answer(exchange.view()))

    return answer


@settings(max_examples=examples(40))
@given(st.integers(1, 10_000), st.integers(0, 400), st.integers(0, 400))
def test_everything_that_a_gap_hid_is_restored(seed: int, seen: int, hidden: int) -> None:
    exchange = Exchange(seed)
    pushes = [payload for _, payload in islice(exchange, seen)]
    before = dict(exchange.history.orders)
    list(islice(exchange, hidden))
    known = known_after(pushes, exchange, START_MS)
    restored: dict[int, OrderUpdate] = {}
    fills: dict[int, list[FillUpdate]] = {}
    asked: set[str] = set()
    for target, body in ask_all(known, rest_of(exchange, known)):
        assert body is not None
        decoded = read_answer(FMEX, target, body)
        assert decoded.error is None
        assert decoded.topic == target
        assert target not in asked, "asked twice"
        asked.add(target)
        for update in decoded.updates:
            if isinstance(update, OrderUpdate):
                restored[int(update.order_id)] = update
            elif isinstance(update, FillUpdate):
                fills.setdefault(int(update.order_id or 0), []).append(update)
    for order_id, truth in exchange.history.orders.items():
        was = before.get(order_id)
        if was is None or was.is_open:
            assert restored[order_id].venue_status == status(truth)
            assert filled(restored[order_id]) == truth.filled_quantity
        # Executions are asked for where an order filled unseen, and nowhere else.
        seen_filled = 0 if was is None else was.filled_quantity
        filled_unseen = truth.filled_quantity > seen_filled
        assert (f"/v3/contracts/orders/{order_id}/matches" in asked) == filled_unseen
        if order_id in fills:
            told = [(Decimal(one.quantity or 0), Decimal(one.fee or 0)) for one in fills[order_id]]
            assert told == [(one.quantity, one.fee) for one in truth.fills]


def test_before_the_record_only_a_snapshot_is_taken() -> None:
    exchange = Exchange(3)
    list(islice(exchange, 500))
    known = known_after([], exchange, None)
    targets = [target for target, _ in ask_all(known, rest_of(exchange, known))]
    assert targets[:3] == [
        "/v3/contracts/accounts",
        "/v3/broker/auth/contracts/positions",
        "/v3/contracts/orders/open",
    ]
    assert all(target.endswith("/matches") for target in targets[3:])


def test_months_go_back_over_the_turn_of_a_year() -> None:
    assert list(months_back(1580802000000, 1575000000000)) == ["202002", "202001", "201912", "201911"]
    assert list(months_back(1580802000000, 1580802000000)) == ["202002"]
    assert list(months_back(1580802000000, 1590000000000)) == ["202002"], "a clock that jumped back"


def test_pages_that_do_not_go_on_are_not_followed_for_ever() -> None:
    known = Known(("btcusd_p",), {}, "1", START_MS, START_MS)
    answers = iter(
        [
            b'{"status":0,"data":{"BTC":[1,2,3]}}',
            b'{"status":"ok","data":{"results":[]}}',
            b'{"status":0,"data":{"results":[]}}',
            b'{"status":0,"data":{"range":"202002","hasMore":true,"nextOffsetId":7,"results":[]}}',
            b'{"status":0,"data":{"range":"202002","hasMore":true,"nextOffsetId":7,"results":[]}}',
        ]
    )
    asked = [target for target, _ in ask_all(known, lambda target: next(answers))]
    assert asked[-1] == (
        "closed orders of btcusd_p: its pages do not say where the next one begins (data.nextOffsetId)"
    )


@pytest.mark.parametrize("target", ["/v3/contracts/orders/x", "/elsewhere", "", "/v3/contracts/orders/1/matches/2"])
def test_an_answer_to_an_unknown_question_is_kept_undecoded(target: str) -> None:
    decoded = read_answer(FMEX, target, b'{"status":0,"data":{"results":[]}}')
    assert decoded.status == UNDECODED
    assert decoded.topic == target


def test_an_execution_with_a_field_missing_is_decoded_with_the_others() -> None:
    """Missing is NULL, and nothing is lost: readers see to what an execution without a quantity is worth."""
    body = b'{"status":0,"data":{"results":[{"taker":true,"price":9000.5,"fee":1e-8},{"quantity":2.0}]}}'
    decoded = read_answer(FMEX, "/v3/contracts/orders/7/matches", body)
    partial = fill("7", "taker", "9000.5", None, "1e-8", executed_ms=None)
    other = fill("7", None, None, "2.0", None, executed_ms=None)
    assert (decoded.status, decoded.updates) == (DECODED, (partial, other))


@pytest.mark.parametrize("target", ["/v3/broker/auth/contracts/positions", "/v3/contracts/orders/open"])
def test_an_answer_that_lists_nothing_is_decoded(target: str) -> None:
    decoded = read_answer(FMEX, target, b'{"status":0,"data":{"results":[]}}')
    assert decoded._replace(listings=()) == Decoded(target, DECODED, None, (), None)
    # Of positions, nothing is left: that is what it says.
    assert [one.kind for one in decoded.listings] == ([POSITIONS] if "positions" in target else [])


def test_an_old_order_that_ended_in_the_gap_is_asked_for_by_itself() -> None:
    orders = {**unfinished("6"), OrderKey(None, None, "5"): Decimal(1)}
    known = Known(("btcusd_p",), orders, "1000", START_MS, START_MS)
    order = '{"id":%d,"symbol":"BTCUSD_P","status":"%s","quantity":3,"unfilled_quantity":%d}'
    answers = {
        "/v3/contracts/accounts": '{"status":0,"data":{"BTC":[1,2,3]}}',
        "/v3/broker/auth/contracts/positions": '{"status":"ok","data":{"results":[]}}',
        "/v3/contracts/orders/open": '{"status":0,"data":{"results":[%s]}}' % (order % (6, "PENDING", 3)),
        "/v3/contracts/orders/closed": '{"status":0,"data":{"range":"202002","hasMore":true,"nextOffsetId":900,'
        '"results":[%s]}}' % (order % (900, "FULLY_FILLED", 0)),
        "/v3/contracts/orders/5": '{"status":0,"data":%s}' % (order % (5, "FULLY_FILLED", 0)),
        "/v3/contracts/orders/5/matches": '{"status":0,"data":{"results":[]}}',
    }
    asked = [target for target, _ in ask_all(known, lambda target: answers[target.partition("?")[0]].encode())]
    assert [target.partition("?")[0] for target in asked] == list(answers)


ORDER = '{"id":%d,"symbol":"BTCUSD_P","status":"%s","quantity":3,"unfilled_quantity":%d,"created_at":%d}'
CLOSED = '{"status":0,"data":{"results":[%s],"hasMore":false}}'


def test_a_question_without_an_answer_costs_only_its_own_subject() -> None:
    """Two orders are unfinished, one of them is gone; of two symbols one is no longer listed."""
    known = Known(("gone_p", "btcusd_p"), unfinished("5", "6"), "7", START_MS, START_MS)
    answers = {
        "/v3/contracts/accounts": '{"status":0,"data":{"BTC":[1,2,3]}}',
        "/v3/contracts/orders/open": '{"status":0,"data":{"results":[]}}',
        "/v3/contracts/orders/closed": CLOSED % (ORDER % (900, "FULLY_FILLED", 0, START_MS)),
        "/v3/contracts/orders/6": '{"status":0,"data":%s}' % (ORDER % (6, "FULLY_FILLED", 0, START_MS)),
        "/v3/contracts/orders/900/matches": '{"status":0,"data":{"results":[]}}',
        "/v3/contracts/orders/6/matches": '{"status":0,"data":{"results":[]}}',
    }

    def answer(target: str) -> bytes | None:
        body = None if "gone_p" in target else answers.get(target.partition("?")[0])
        return None if body is None else body.encode()

    asked = [(target.partition("?")[0], body is not None) for target, body in ask_all(known, answer)]
    assert asked == [
        ("/v3/contracts/accounts", True),
        ("/v3/broker/auth/contracts/positions", False),
        ("/v3/contracts/orders/open", True),
        ("/v3/contracts/orders/closed", False),
        ("/v3/contracts/orders/closed", True),
        ("/v3/contracts/orders/5", False),
        ("/v3/contracts/orders/6", True),
        ("/v3/contracts/orders/900/matches", True),
        ("/v3/contracts/orders/6/matches", True),
    ]


def test_orders_made_after_the_gap_are_not_asked_for() -> None:
    """Their pushes came from the first on. The exchange's clock may differ from ours by 30 s."""
    known = Known(("btcusd_p",), {}, "7", START_MS, START_MS + 100_000, START_MS + 10_000)
    orders = ",".join(
        ORDER % (order_id, "FULLY_FILLED", 0, START_MS + created)
        for order_id, created in [(10, 5_000), (11, 40_000), (12, 40_001)]
    )
    answers = {
        "/v3/contracts/accounts": '{"status":0,"data":{"BTC":[1,2,3]}}',
        "/v3/broker/auth/contracts/positions": '{"status":"ok","data":{"results":[]}}',
        "/v3/contracts/orders/open": '{"status":0,"data":{"results":[]}}',
        "/v3/contracts/orders/closed": CLOSED % orders,
    }
    empty = '{"status":0,"data":{"results":[]}}'
    asked = [target for target, _ in ask_all(known, lambda one: answers.get(one.partition("?")[0], empty).encode())]
    assert asked[4:] == ["/v3/contracts/orders/10/matches", "/v3/contracts/orders/11/matches"]
