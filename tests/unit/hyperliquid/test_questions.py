"""What is asked over REST, for which purpose, and what the answers mean."""

import json
from typing import Any

import pytest

from recorder.errors import UNREADABLE, Refused
from recorder.model import FillUpdate, OrderUpdate
from recorder.venues.hyperliquid import Hyperliquid
from recorder.venues.hyperliquid import questions as hyperliquid
from recorder.venues.hyperliquid.rest import decode_answer
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

ADDRESS = "0x" + "ab" * 20
WHO = Credentials({"address": ADDRESS})
NOW_MS = 1_795_800_000_000
DAY_MS = 86_400_000


FILL = {"coin": "ETH", "px": "3000.0", "sz": "0.1", "side": "A", "dir": "Sell", "oid": 1, "fee": "0", "crossed": True}


def known(**values: object) -> Known:
    return Known((), {}, None, None, NOW_MS)._replace(**values)  # type: ignore[arg-type]


def ask(purpose: Purpose, of: Known, answering: Answering = nothing) -> list[Step]:
    return steps(hyperliquid.questions(purpose, of), WHO, NOW_MS, answering)


def bodies(taken: list[Step]) -> list[dict[str, Any]]:
    found = targets(taken, WHO, NOW_MS)
    assert all(target.startswith("POST /info ") for target in found)
    return [json.loads(target.removeprefix("POST /info ")) for target in found]


def kinds(taken: list[Step]) -> list[str]:
    return [body["type"] for body in bodies(taken)]


def fill(at_ms: int, trade_id: int) -> FillUpdate:
    return FillUpdate(executed_ms=at_ms, trade_id=str(trade_id))


def order(order_id: str, at_ms: int) -> OrderUpdate:
    empty = OrderUpdate._make([None] * len(OrderUpdate._fields))
    return empty._replace(order_id=order_id, updated_ms=at_ms)


def test_a_snapshot_asks_for_each_perpetual_exchange_of_the_symbols() -> None:
    taken = bodies(ask(Purpose.SNAPSHOT, known(symbols=("BTC", "xyz:TSLA"))))
    assert all(body["user"] == ADDRESS for body in taken)
    assert [(body["type"], body.get("dex")) for body in taken] == [
        ("clearinghouseState", None),
        ("frontendOpenOrders", None),
        ("clearinghouseState", "xyz"),
        ("frontendOpenOrders", "xyz"),
        ("spotClearinghouseState", None),
    ]


def test_what_symbols_mean_is_asked_of_each_perpetual_exchange_that_is_traded_on() -> None:
    traded = [Traded(None, symbol) for symbol in ("BTC", "@107", "flx:GOLD", "xyz:NVDA")]
    taken = ask(Purpose.INSTRUMENTS, known(symbols=("BTC", "xyz:TSLA"), instruments=traded))
    assert bodies(taken) == [
        {"type": "meta"},
        {"type": "meta", "dex": "xyz"},
        {"type": "meta", "dex": "flx"},
        {"type": "spotMeta"},
    ]
    assert {step.cost for step in taken if isinstance(step, Question)} == {20}


def test_a_gap_is_asked_about_from_before_its_beginning() -> None:
    taken = bodies(ask(Purpose.RECONCILE, known(since_ms=NOW_MS - DAY_MS)))
    since = {body["type"]: body["startTime"] for body in taken if "startTime" in body}
    assert set(since) == {
        "userFillsByTime",
        "userTwapSliceFillsByTime",
        "userFunding",
        "userNonFundingLedgerUpdates",
    }
    # By as much as this machine's clock may be ahead of the exchange's.
    assert set(since.values()) == {NOW_MS - DAY_MS - Hyperliquid.clock_tolerance_ms}
    # States last: what they show is newer than everything else that was asked for.
    assert [body["type"] for body in taken][-3:] == [
        "clearinghouseState",
        "frontendOpenOrders",
        "spotClearinghouseState",
    ]


def test_an_unfinished_order_that_no_list_shows_is_asked_for() -> None:
    def answering(target: str) -> Answer:
        return Answer(0, target, (order("1", NOW_MS),) if "historicalOrders" in target else ())

    of = known(
        since_ms=NOW_MS - 1000,
        unfinished=unfinished("1", "2", symbol="BTC"),
    )
    taken = bodies(ask(Purpose.RECONCILE, of, answering))
    assert [body["oid"] for body in taken if body["type"] == "orderStatus"] == [2]


def test_the_next_page_begins_with_the_newest_time_of_the_page_before() -> None:
    more = iter(["1795799000000", "1795799500000"])

    def answering(target: str) -> Answer:
        return Answer(0, target, (), next(more, None) if "userFunding" in target else None)

    taken = bodies(ask(Purpose.REGULAR, known(since_ms=NOW_MS - DAY_MS), answering))
    assert [body["startTime"] for body in taken if body["type"] == "userFunding"] == [
        NOW_MS - DAY_MS,
        1_795_799_000_000,
        1_795_799_500_000,
    ]


def page_of(times: list[int], body: dict[str, Any], *, has_newest: bool, is_newest_first: bool) -> Answer:
    """The answer about fills at these times of an exchange that lists 2,000 of them."""
    end_ms = body.get("endTime", NOW_MS)
    asked = [at_ms for at_ms in sorted(times) if body["startTime"] <= at_ms <= end_ms]
    some = asked[-2_000:] if has_newest else asked[:2_000]
    rows = [FILL | {"time": at_ms, "tid": at_ms} for at_ms in (reversed(some) if is_newest_first else some)]
    target = f"POST /info {json.dumps(body)}"
    decoded = decode_answer(target, json.dumps(rows).encode())
    return Answer(0, target, decoded.updates, decoded.next_page)


@pytest.mark.parametrize("is_newest_first", [False, True])
@pytest.mark.parametrize("has_newest", [False, True])
def test_every_row_of_a_period_is_asked_for_whatever_the_order_of_pages(
    has_newest: bool, is_newest_first: bool
) -> None:
    begin_ms = NOW_MS - DAY_MS
    times = [begin_ms + 60_000 + 10_000 * at for at in range(5_000)]
    seen: set[int | None] = set()

    def answering(target: str) -> Answer:
        if "userFillsByTime" not in target:
            return nothing(target)
        body = json.loads(target.removeprefix("POST /info "))
        answer = page_of(times, body, has_newest=has_newest, is_newest_first=is_newest_first)
        seen.update(one.executed_ms for one in answer.updates if isinstance(one, FillUpdate))
        return answer

    taken = ask(Purpose.RECONCILE, known(since_ms=begin_ms), answering)
    assert seen == set(times)
    assert [step for step in taken if isinstance(step, Unanswered | Forgotten)] == []
    # Where pages have the oldest rows, one question more: what is before the first of them.
    assert kinds(taken).count("userFillsByTime") == (5 if has_newest else 4)


def test_fills_are_asked_for_regularly_since_the_last_round_that_was_complete() -> None:
    """The socket leaves one out now and then. Transactions are asked for from the newest one on."""
    of = known(since_ms=NOW_MS - DAY_MS, asked_ms=NOW_MS - 1_200_000)
    asked = {body["type"]: (body["startTime"], body.get("endTime")) for body in bodies(ask(Purpose.REGULAR, of))}
    recent = NOW_MS - 1_200_000, NOW_MS + Hyperliquid.clock_tolerance_ms
    assert asked == {
        "userFunding": (NOW_MS - DAY_MS, None),
        "userNonFundingLedgerUpdates": (NOW_MS - DAY_MS, None),
        "userFillsByTime": recent,
        "userTwapSliceFillsByTime": recent,
    }


def test_funding_from_before_the_record_is_not_asked_for_regularly() -> None:
    """A backfill asks for it, and once a payment is known by its hour, a sum of its day would count it twice."""
    asked = {body["type"]: body["startTime"] for body in bodies(ask(Purpose.REGULAR, known(asked_ms=NOW_MS - 1_000)))}
    assert asked["userFunding"] == NOW_MS - 1_000
    assert asked["userNonFundingLedgerUpdates"] == NOW_MS - hyperliquid.WINDOW_MS


def test_a_page_of_a_single_millisecond_cannot_be_followed() -> None:
    def answering(target: str) -> Answer:
        return Answer(0, target, (), "" if "userFillsByTime" in target else None)

    taken = ask(Purpose.RECONCILE, known(since_ms=NOW_MS - DAY_MS), answering)
    assert [step.subject for step in taken if isinstance(step, Unanswered)] == ["fills"]


@pytest.mark.parametrize("number", [hyperliquid.FILLS_MAX - 1, hyperliquid.FILLS_MAX])
def test_fills_beyond_those_the_exchange_keeps_are_lost(number: int) -> None:
    # Pages repeat the fills of the moment at which they begin.
    fills = tuple(fill(NOW_MS - 1000, one) for one in (0, 0, *range(number)))

    def answering(target: str) -> Answer:
        return Answer(0, target, fills if "userFillsByTime" in target else ())

    taken = ask(Purpose.RECONCILE, known(since_ms=NOW_MS - DAY_MS), answering)
    lost = [step.subject for step in taken if isinstance(step, Forgotten)]
    assert lost == (["fills before 2026-11-27 17:19:59.000"] if number == hyperliquid.FILLS_MAX else [])


@pytest.mark.parametrize("earliest_ms", [NOW_MS - 2 * DAY_MS, NOW_MS - 1000])
def test_closed_orders_beyond_those_the_exchange_keeps_are_lost(earliest_ms: int) -> None:
    orders = tuple(order(str(one), earliest_ms) for one in range(hyperliquid.ORDERS_MAX))

    def answering(target: str) -> Answer:
        return Answer(0, target, orders if "historicalOrders" in target else ())

    taken = ask(Purpose.RECONCILE, known(since_ms=NOW_MS - DAY_MS), answering)
    assert bool([step for step in taken if isinstance(step, Forgotten)]) == (earliest_ms > NOW_MS - DAY_MS)


def test_a_backfill_completes_its_subjects_and_leaves_out_what_is_done() -> None:
    of = known(since_ms=NOW_MS - 90 * DAY_MS, until_ms=NOW_MS)
    taken = ask(Purpose.BACKFILL, of)
    done = [step.subject for step in taken if isinstance(step, Completed)]
    assert {one.partition(" since ")[0] for one in done} > {"fills", "TWAP fills", "closed orders"}
    assert len(done) == len(set(done))
    histories = {step.history: step.since_ms for step in taken if isinstance(step, Completed)}
    assert set(histories) == {"fills", "TWAP fills", "closed orders", "fundings", "transactions"}
    again = kinds(ask(Purpose.BACKFILL, of._replace(done=done)))
    assert again == ["userFunding", "userNonFundingLedgerUpdates"]


def test_the_cost_of_a_question_is_the_most_that_its_answer_can_cost() -> None:
    taken = ask(Purpose.RECONCILE, known(since_ms=NOW_MS - DAY_MS, unfinished=unfinished("1", symbol="BTC")))
    costs = {step.subject.split(" since")[0]: step.cost for step in taken if isinstance(step, Question)}
    assert costs == {
        "fills": 120,
        "TWAP fills": 120,
        "closed orders": 120,
        "fundings": 45,
        "transactions": 45,
        "balances and positions": 2,
        "open orders": 20,
        "balances of spot": 2,
        "order 1": 2,
    }
    lists = [step for step in taken if isinstance(step, Question) and step.cost_of_rows is not None]
    assert [step.subject.split(" since")[0] for step in lists] == [
        "fills",
        "TWAP fills",
        "closed orders",
        "fundings",
        "transactions",
    ]
    assert {(one.cost_of_rows(0), one.cost_of_rows(99)) for one in lists if one.cost_of_rows} == {(20, 24)}


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, b"[]", Verdict.ANSWER),
        (200, b'{"time":1}', Verdict.ANSWER),
        (200, b'"default"', Verdict.ANSWER),
        (200, b"null", Verdict.ANSWER),
        (200, b"<html>", Verdict.FOREIGN),
        (200, b"", Verdict.FOREIGN),
        (422, b"Failed to deserialize the JSON body", Verdict.GONE),
        (429, b"", Verdict.WAIT),
        (500, b"null", Verdict.TRANSIENT),
    ],
)
def test_errors_are_classified(status: int, body: bytes, verdict: Verdict) -> None:
    assert hyperliquid.classify(status, body) is verdict


def test_the_exchanges_clock() -> None:
    request = hyperliquid.server_time(URL)
    assert (request.method, request.url, request.body) == ("POST", f"{URL}/info", b'{"type":"exchangeStatus"}')
    assert hyperliquid.server_time_ms(b'{"specialStatuses":null,"time":1795800000001}') == 1_795_800_000_001
    for wrong in (b"", b"[]", b'{"time":"1"}'):
        with pytest.raises(UNREADABLE):
            hyperliquid.server_time_ms(wrong)


def check(role: bytes, address: str = ADDRESS, mode: bytes = b'"disabled"') -> tuple[str, ...]:
    who, answers = Credentials({"address": address}), {"userRole": role, "userAbstraction": mode}

    def answering(request: RestRequest) -> bytes:
        asked = json.loads(request.body)
        assert asked["user"] == address
        return answers[asked["type"]]

    return outcome(hyperliquid.check(Login(URL, URL, who, ())), who, answering)


@pytest.mark.parametrize("mode", [b'"default"', b'"disabled"', b'"dexAbstraction"'])
def test_an_address_that_has_an_account_needs_no_warning(mode: bytes) -> None:
    assert check(b'{"role":"user"}', mode=mode) == ()
    assert check(b'{"role":"subAccount","data":{"master":"0x1"}}', mode=mode) == ()


@pytest.mark.parametrize("mode", ["unifiedAccount", "portfolioMargin"])
def test_a_unified_account_is_warned_of(mode: str) -> None:
    (warning,) = check(b'{"role":"vault"}', mode=f'"{mode}"'.encode())
    assert f"the account is unified ({mode}): its money is on spot" in warning


@pytest.mark.parametrize("mode", [b"", b"null", b"{}", b'"newMode"', b'"\xff"', b"<html>"])
def test_a_mode_that_nobody_knows_is_warned_of(mode: bytes) -> None:
    (warning,) = check(b'{"role":"user"}', mode=mode)
    assert "does not say whether the account is unified" in warning


def test_an_address_without_an_account_is_warned_of() -> None:
    (missing,) = check(b'{"role":"missing"}')
    assert "has never seen" in missing
    assert len(check(b"<html>")) == 1


def test_the_address_of_an_api_wallet_is_refused_with_that_of_its_account() -> None:
    with pytest.raises(Refused, match="record the account 0xcafe"):
        check(b'{"role":"agent","data":{"user":"0xcafe"}}')


@pytest.mark.parametrize("address", ["0x12", "ab" * 32, "0x" + "ab" * 32])
def test_what_is_no_address_is_refused_before_anything_is_sent(address: str) -> None:
    with pytest.raises(Refused, match="40 hexadecimal digits") as refused:
        check(b"{}", address)
    assert address not in str(refused.value)
