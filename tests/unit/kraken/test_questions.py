"""What is asked over REST, for which purpose, and what the answers mean."""

from itertools import pairwise
from urllib.parse import parse_qs

import pytest

from recorder.errors import UNREADABLE, Refused
from recorder.venues.kraken import answers
from recorder.venues.kraken import questions as kraken
from recorder.venues.rest import Answer, Completed, Credentials, Known, Login, Purpose, Question, Step, Traded, Verdict
from tests.steps import URL, nothing, outcome, past, steps, targets, unfinished
from tests.unit.kraken.frames import answer, sample

SECRET = "c2VjcmV0"
NOW_MS = 1_795_600_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def who() -> Credentials:
    return Credentials(key="key", secret=SECRET)


def known(**values: object) -> Known:
    return Known((), {}, None, None, NOW_MS)._replace(**values)  # type: ignore[arg-type]


def ask(purpose: Purpose, of: Known) -> list[Step]:
    return steps(kraken.questions(purpose, of), who(), NOW_MS, nothing)


def asked(taken: list[Step]) -> list[tuple[str, dict[str, str]]]:
    found = []
    for target in targets(taken, who(), NOW_MS):
        _, path, body = target.split(" ")
        fields = {name: one[0] for name, one in parse_qs(body).items()}
        assert int(fields.pop("nonce")) >= NOW_MS
        found.append((path, fields))
    return found


def test_a_snapshot_asks_for_the_current_state() -> None:
    assert asked(ask(Purpose.SNAPSHOT, known())) == [(answers.BALANCES, {}), (answers.OPEN_ORDERS, {})]


def test_a_gap_is_asked_for_in_the_histories_of_what_is_pushed() -> None:
    begin_ms = NOW_MS - HOUR_MS
    period = {
        "start": str((begin_ms - kraken.MARGIN_MS) // 1000 - 1),
        "end": str((NOW_MS + kraken.MARGIN_MS) // 1000 + 1),
    }
    assert asked(ask(Purpose.RECONCILE, known(since_ms=begin_ms))) == [
        (answers.BALANCES, {}),
        (answers.OPEN_ORDERS, {}),
        (answers.ORDERS, {"closetime": "close", **period}),
        (answers.TRADES, {"consolidate_taker": "false", "ledgers": "true", **period}),
    ]
    assert asked(ask(Purpose.RECONCILE, known())) == asked(ask(Purpose.SNAPSHOT, known()))


def test_two_reconciliations_fit_into_what_may_be_asked_at_once() -> None:
    taken = ask(Purpose.RECONCILE, known(since_ms=NOW_MS))
    # Half of what the exchange allows is left to others.
    assert 2 * sum(step.cost for step in taken if isinstance(step, Question)) <= kraken.REST_LIMITS[0].cost_max / 2


def test_an_order_that_no_list_had_is_asked_for() -> None:
    of = known(since_ms=NOW_MS, unfinished=unfinished("OA"))
    assert asked(ask(Purpose.RECONCILE, of))[-1] == (answers.ORDER, {"txid": "OA"})


def test_the_ledger_is_asked_for_regularly() -> None:
    since_ms = NOW_MS - HOUR_MS
    period = {"start": str(since_ms // 1000 - 1), "end": str((NOW_MS + kraken.MARGIN_MS) // 1000 + 1)}
    found = asked(ask(Purpose.REGULAR, known(since_ms=since_ms)))
    # Without a class, the ledger has no tokenized assets.
    shares = (answers.LEDGER, {"aclass": "tokenized_asset", **period})
    assert found == [(answers.LEDGER, period), shares, (answers.POSITIONS, {})]
    (_, first), *_ = asked(ask(Purpose.REGULAR, known()))
    assert int(first["start"]) == (NOW_MS - kraken.RECENT_MS) // 1000 - 1


def test_a_pair_is_asked_for_by_its_symbol() -> None:
    taken = ask(Purpose.INSTRUMENTS, known(instruments=[Traded(None, "BTC/USD"), Traded(None, "AAPLx/EUR")]))
    shares = f"{answers.PAIRS}?pair=AAPLx%2FEUR&aclass_base=tokenized_asset"
    assert targets(taken, who(), NOW_MS) == [shares, f"{answers.PAIRS}?pair=BTC%2FUSD"]


def test_pages_follow_the_offset() -> None:
    def answering(target: str) -> Answer:
        ofs = parse_qs(target.rsplit(" ", maxsplit=1)[-1]).get("ofs", ["0"])[0]
        return Answer(0, target, (), {"0": "50", "50": "100"}.get(ofs))

    taken = steps(kraken.questions(Purpose.REGULAR, known(since_ms=NOW_MS)), who(), NOW_MS, answering)
    found = [fields for path, fields in asked(taken) if path == answers.LEDGER and "aclass" not in fields]
    assert [one.get("ofs") for one in found] == [None, "50", "100"]
    # New rows would shift the offsets, so the end is fixed.
    assert len({one["end"] for one in found}) == 1


def backfill(of: Known, dense: bool = False) -> list[Step]:
    """A backfill where nothing was traded, or so much that each page is full."""

    def answering(target: str) -> Answer:
        fields = parse_qs(target.rsplit(" ", maxsplit=1)[-1])
        length_s = int(fields["end"][0]) - int(fields["start"][0])
        return Answer(0, target, (), "50" if dense and length_s > 8 * DAY_MS // 1000 else None)

    return steps(kraken.questions(Purpose.BACKFILL, of), who(), NOW_MS, answering)


def test_a_backfill_of_an_account_that_traded_little_asks_for_years() -> None:
    taken = backfill(known(until_ms=NOW_MS))
    done = past(taken)
    assert {step.history for step in done} == {"orders", "fills", "transactions", "transactions of tokenized assets"}
    assert len(asked(taken)) == 4 * 16
    assert min(step.since_ms or 0 for step in done) == kraken.FIRST_MS
    again = backfill(known(until_ms=NOW_MS, done={step.subject for step in done}))
    assert not past(again)
    # The year that goes on is asked for again.
    assert len(asked(again)) == 4


def test_where_there_is_more_than_a_page_it_asks_for_weeks() -> None:
    since_ms = NOW_MS - 40 * DAY_MS
    # Of a longer period that is complete in its parts, nothing more is said.
    done = [step for step in past(backfill(known(since_ms=since_ms), dense=True)) if step.history]
    lengths = {(step.until_ms or 0) - (step.since_ms or 0) for step in done}
    assert lengths == {7 * DAY_MS}
    for kind in ("orders", "fills", "transactions"):
        mine = sorted((step.since_ms or 0, step.until_ms or 0) for step in done if step.history == kind)
        assert mine[0][0] <= since_ms < mine[0][1]
        assert all(end == begin for (_, end), (begin, _) in pairwise(mine))
        assert NOW_MS - mine[-1][1] <= 8 * DAY_MS


def test_a_period_that_is_complete_in_its_parts_is_not_asked_for_again() -> None:
    done = past(backfill(known(since_ms=0, until_ms=NOW_MS), dense=True))
    again = backfill(known(since_ms=0, until_ms=NOW_MS, done={step.subject for step in done}), dense=True)
    # Of each history the year, the month and the week that go on.
    assert len(asked(again)) <= 3 * 4
    half = {step.subject for step in done if " 7 days " in step.subject}
    more = past(backfill(known(since_ms=0, until_ms=NOW_MS, done=half), dense=True))
    assert {step.subject for step in more} == {step.subject for step in done} - half


def test_a_period_without_an_answer_is_not_complete() -> None:
    taken = steps(kraken.questions(Purpose.BACKFILL, known()), who(), NOW_MS, lambda _target: None)
    assert not [step for step in taken if isinstance(step, Completed)]


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, answer({}), Verdict.ANSWER),
        (200, answer({}, "WGeneral:Something"), Verdict.ANSWER),
        (200, answer(None, "EAPI:Rate limit exceeded"), Verdict.WAIT),
        (200, answer(None, "EGeneral:Temporary lockout"), Verdict.WAIT),
        (200, answer(None, "EService: Throttled: 1795600012"), Verdict.WAIT),
        (200, answer(None, "EAPI:Invalid key"), Verdict.REFUSED),
        (200, answer(None, "EAPI:Invalid signature"), Verdict.REFUSED),
        # Another request of the key came in between: the next one has a greater nonce.
        (200, answer(None, "EAPI:Invalid nonce"), Verdict.TRANSIENT),
        (200, answer(None, "EGeneral:Permission denied"), Verdict.GONE),
        (200, answer(None, "EOrder:Unknown order"), Verdict.GONE),
        (200, answer(None, "EQuery:Unknown asset pair"), Verdict.GONE),
        (200, answer(None, "EService:Unavailable"), Verdict.TRANSIENT),
        (200, answer(None, "EGeneral:Internal error"), Verdict.TRANSIENT),
        (200, b"<html>", Verdict.FOREIGN),
        (502, b"<html>", Verdict.TRANSIENT),
        (429, b"", Verdict.WAIT),
        (403, b"", Verdict.WAIT),
        (401, b"", Verdict.REFUSED),
        (404, answer(None, "EGeneral:Unknown method"), Verdict.GONE),
    ],
)
def test_verdicts(status: int, body: bytes, verdict: Verdict) -> None:
    assert kraken.classify(status, body) is verdict


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (answer(None, "EAPI:Rate limit exceeded"), kraken.LIMITED_S),
        (answer(None, "EGeneral:Temporary lockout"), kraken.LOCKED_S),
        (answer(None, "EService: Throttled: 1795600012"), 12.0),
        (answer(None, "EService:Throttled: 1795500012"), 1.0),
        (answer(None, "EService: Throttled: 9995600012"), kraken.LOCKED_S),
        (answer(None, "EService:Unavailable"), 0.0),
        (b"<html>", 0.0),
    ],
)
def test_how_long_it_asks_to_wait(body: bytes, seconds: float) -> None:
    assert kraken.wait_s(200, {}, body, NOW_MS) == seconds


@pytest.mark.parametrize(
    ("status", "body", "seconds"),
    [
        (429, b"error code: 1015", kraken.BANNED_S),
        (403, b"<html>", kraken.BANNED_S),
        (503, b"<html>", 0.0),
        (429, answer(None, "EGeneral:Too many requests"), 0.0),
    ],
)
def test_how_long_an_address_is_banned(status: int, body: bytes, seconds: float) -> None:
    assert kraken.wait_s(status, {}, body, NOW_MS) == seconds


QUERIES = ["query-funds", "query-open-trades", "query-closed-trades", "query-ledger", "create-ws-token"]


@pytest.mark.parametrize(
    ("key", "warning"),
    [
        ({"permissions": QUERIES}, None),
        ({"permissions": [*QUERIES, "modify-trades", "withdraw-funds"]}, "modify-trades, withdraw-funds"),
        ({"permissions": [one for one in QUERIES if one != "query-ledger"]}, "the ledger cannot be asked for"),
        ({"permissions": QUERIES, "query_from": "1616492376"}, "part of the history"),
        ({"permissions": QUERIES, "query_from": 0, "query_to": "0"}, None),
        ({}, "does not say"),
    ],
)
def test_what_a_key_may_do(key: dict[str, object], warning: str | None) -> None:
    warnings = outcome(kraken.check(Login(URL, URL, who(), ())), who(), lambda _request: answer(key))
    assert [(warning or "") in one for one in warnings] == ([True] if warning else [])


def test_the_sample_of_a_key_may_only_query() -> None:
    assert outcome(kraken.check(Login(URL, URL, who(), ())), who(), lambda _request: sample("rest-key")) == ()


def test_a_key_without_websockets_can_record_nothing() -> None:
    with pytest.raises(Refused, match="WebSockets"):
        outcome(kraken.check(Login(URL, URL, who(), ())), who(), lambda _request: answer({"permissions": QUERIES[:-1]}))


def test_the_token_of_a_connection() -> None:
    asking = kraken.token(Login(URL, URL, who(), ()))
    request = next(asking)(URL, who(), NOW_MS)
    assert request.url == URL + answers.TOKEN
    with pytest.raises(StopIteration) as end:
        asking.send(sample("rest-token"))
    assert (end.value.value.text[:8], end.value.value.renew_s) == ("1Dwc4lzS", 900.0)
    for nonsense in (b"", b"{}", answer({}), answer({"token": ""})):
        asking = kraken.token(Login(URL, URL, who(), ()))
        next(asking)
        with pytest.raises(UNREADABLE):
            asking.send(nonsense)


def test_the_clock_is_told_in_seconds() -> None:
    assert kraken.server_time_ms(sample("rest-time")) == 1790736805500
    for nonsense in (b"", b"{}", answer({}), answer({"unixtime": "soon"})):
        with pytest.raises(UNREADABLE):
            kraken.server_time_ms(nonsense)
