"""The audit report on every engine: the same numbers as the other reads, from one state of the record."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

import recorder
from recorder.errors import ConfigurationError
from recorder.live.channel import Recorded
from recorder.model import REST, Frame
from recorder.read.projector import Projector
from recorder.read.record import Filter
from recorder.report import evidence, series
from recorder.report import gather as gathering
from recorder.report.evidence import SignedSize
from recorder.report.gather import Report, gather
from recorder.report.page import render
from recorder.store.entries import (
    CheckpointMade,
    Covered,
    DiscrepancyFound,
    FramesRedacted,
    SessionEnded,
    SessionOpened,
)
from tests.contract.conftest import NewUrl
from tests.contract.story import Heard, Teller
from tests.contract.test_mover import TOLD, move
from tests.made import ACCOUNT, NOON_NS, RECORDER, RUN, SESSION, fill, quick_engine, received
from tests.unit.read.desk import OTHER, Desk

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_latency_is_a_distribution",
    "test_seals_checkpoints_and_redactions",
    "test_two_recorders_of_one_account",
)

D = Decimal
MS = 1_000_000
S = 1_000 * MS
#: Milliseconds since 1970 of the desk's noon.
NOON_MS = NOON_NS // MS
TOPICS = ("account", "order.btcusd_p", "position.btcusd_p")


@pytest.fixture
def covered(desk: Desk) -> Desk:
    """A record whose one session of each account begins at noon, and is covered a second later."""
    for account_id in (ACCOUNT, OTHER):
        desk.write(
            entries=[
                SessionOpened(account_id, SESSION, RUN, "wss://x", TOPICS, NOON_NS),
                Covered(account_id, SESSION, 0, NOON_NS + S, TOPICS, {}),
            ]
        )
    return desk


def report(
    desk: Desk, account: str | None = "main", since_ns: int | None = None, until_ns: int | None = None
) -> Report:
    """Gather a report, and render its page."""
    result = gather(desk.url, Filter(account, None, since_ns, until_ns))
    assert render(result).endswith("</html>")
    return result


def test_the_balances_with_most_updates_are_shown(covered: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "SHOWN_MAX", 2)
    for at, currency in enumerate(("A", "B", "B", "C", "C")):
        covered.balance((2 + at) * S, currency)
    result = report(covered).balances
    assert ([line.name for line in result.rows], result.total) == (["B", "C"], 3)


def test_balances_begin_with_the_value_before_the_period(covered: Desk) -> None:
    covered.balance(2 * S, available="1.5")
    covered.balance(3 * S, "USDT", available="7")
    covered.balance(10 * S, available="0.000000000000000001")
    covered.balance(20 * S, available="3")
    covered.balance(30 * S, available="9")
    covered.balance(25 * S, available="4", account_id=OTHER)
    result = report(covered, None, NOON_NS + 5 * S, NOON_NS + 25 * S + 1)
    lines = {(line.account, line.name): line for line in result.balances.rows}
    assert lines.keys() == {("main", "BTC"), ("main", "USDT"), ("other", "BTC")}
    line = lines["main", "BTC"]
    assert [(point.at_ns - NOON_NS) // S for point in line.points] == [5, 10, 20]
    assert (line.first, line.last, line.low, line.updates) == (D("1.5"), D(3), D("0.000000000000000001"), 2)
    assert lines["main", "USDT"].updates == 0
    with covered.open() as record:
        wanted = Filter("main", until_ns=NOON_NS + 25 * S + 1)
        assert {one.currency: one.balance for one in record.balances(wanted)} == {"BTC": line.last, "USDT": D(7)}


def test_short_positions_are_negative(covered: Desk) -> None:
    for at, direction in ((2, "LONG"), (3, "SHORT"), (4, "short")):
        position = f'{{"symbol":"BTCUSD_P","quantity":{at},"direction":"{direction}"}}'
        covered.push(at * S, f'{{"type":"position.btcusd_p","ts":1,"position":{position}}}')
    (line,) = report(covered).positions.rows
    assert [point.value for point in line.points] == [2, -3, -4]


def test_latency_is_a_distribution(covered: Desk) -> None:
    lates = [5] * 50 + [7] * 45 + [-3] * 3 + [40, 900]
    pushes = []
    for number, late_ms in enumerate(lates):
        at_ms = NOON_MS + 2_000 + number
        order = f'{{"id":{number},"quantity":10,"unfilled_quantity":10,"fee":0}}'
        push = f'{{"type":"order.btcusd_p","ts":{at_ms - late_ms},"order":{order}}}'
        pushes.append(received(number, push.encode(), session_id=SESSION + 1, at_ns=at_ms * MS))
    covered.write(*pushes)
    for stamp in (1, 2**63 - 1, -(2**63)):
        covered.push(3 * S, f'{{"type":"account","ts":{stamp},"account":{{"currency":"BTC","available":1}}}}')
    (latency,) = report(covered).latencies
    assert (latency.pushes, latency.lowest, latency.highest) == (100, -3, 900)
    assert latency.quantiles == {10: -3, 500: 5, 900: 7, 990: 40, 999: 900}
    # The smallest and the largest 64-bit numbers are no stamps at all, and not even counted as wrong ones.
    assert latency.implausible == 1
    assert sum(pushes for _, pushes in latency.bars) + latency.beyond == 100
    counted = {begins: pushes for begins, pushes in latency.bars if pushes}
    assert latency.bar_width == 1 and counted == {-3: 3, 5: 50, 7: 45, 40: 1}


def test_silences_and_activity(covered: Desk) -> None:
    at = [2, 3, 9, 10]
    for second in at:
        covered.order(second * S, second)
    ping = '{"type":"ping","ts":1,"gap":12}'
    covered.push(6 * S, ping)
    covered.push(12 * S, ping)
    result = report(covered)
    (came,) = result.activity
    assert (came.pushes, came.pings, came.frames, sum(came.by_part)) == (4, 2, 6, 4)
    assert came.without_push is not None and came.without_frame is not None
    assert [(edge - NOON_NS) / S for edge in came.without_push] == [3, 9]
    assert [(edge - NOON_NS) / S for edge in came.without_frame] == [3, 6]
    (line,) = result.clocks
    assert (line.name, line.updates) == ("here", 2) and line.low == line.high == 12


def test_seals_checkpoints_and_redactions(covered: Desk) -> None:
    covered.order(2 * S)
    covered.order(3 * S)
    sealed_before = report(covered).seals[0]
    size = sealed_before.batches
    covered.write(entries=[CheckpointMade(RECORDER, size, NOON_NS + 5, "a note\n\n\N{EM DASH} audit+1 c2ln\n", None)])
    covered.write(entries=[FramesRedacted(ACCOUNT, SESSION, 0, 0, NOON_NS + 6, "me", "it named <somebody>")])
    result = report(covered)
    (sealed,) = result.seals
    assert (sealed.batches, sealed.unsealed, sealed.frames) == (size + 2, 0, 2)
    assert sealed.checkpoint == SignedSize(size, NOON_NS + 5, "audit+1", False) and sealed.since_checkpoint == 2
    assert sealed.first_seal == sealed_before.first_seal != sealed.last_seal != sealed_before.last_seal
    ((redaction,),) = [result.redacted.rows]
    assert redaction[-2:] == ("me", "it named <somebody>")
    assert "it named &lt;somebody&gt;" in render(result)


def test_unrecoverable_gaps_are_shown_first(covered: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 9):
        state = "unrecoverable" if number == 2 else "reconciled"
        row = {"account_id": ACCOUNT, "gap_id": 100 + number, "state": state}
        covered.gap(row | {"begins_ns": NOON_NS + number * S, "ends_ns": NOON_NS + number * S + 5})
        found = DiscrepancyFound(ACCOUNT, SESSION, number, "balance BTC", "frozen", "1", "2", SESSION, NOON_NS + number)
        covered.write(entries=[found])
    covered.order(20 * S)
    monkeypatch.setattr(gathering, "ROWS_SHOWN_MAX", 3)
    monkeypatch.setattr(evidence, "ROWS_SHOWN_MAX", 3)
    result = report(covered)
    assert [one.number for one in result.gaps.rows] == [None, 2, 8], "what was before the record is open too"
    assert (result.gaps.total, result.gaps.left_out) == (9, 6)
    assert [found.seq for found in result.discrepancies.rows] == [6, 7, 8] and result.discrepancies.total == 8
    assert "Showing 3 of 8 discrepancies" in render(result)
    (its,) = result.covered
    assert its.gaps == {"reconciled": 7, "unrecoverable": 1}


def test_a_report_reads_one_state_while_a_recorder_writes(covered: Desk) -> None:
    covered.order(2 * S, 1)
    with covered.open() as record:
        with record.at_one_moment():
            assert len(list(record.orders())) == 1
            covered.order(3 * S, 2)
            assert len(list(record.orders())) == len(list(record.order_history())) == 1
        assert len(list(record.orders())) == 2


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_orders_and_fills_are_the_same_however_much_is_projected(covered: Desk, seed: int) -> None:
    random = Random(seed)
    at = 2 * S
    for _ in range(60):
        at += random.randrange(1, 3)
        account_id, session_id = random.choice((ACCOUNT, OTHER)), random.choice((SESSION, SESSION + 1))
        order_id = random.randrange(6)
        if random.random() < 0.2:
            covered.write(_executions(at, order_id, random.randrange(1, 4), account_id))
        else:
            unfilled = random.choice((0, 1, 3, 3, 5, 9, 10))
            covered.order(at, order_id, unfilled=unfilled, account_id=account_id, session_id=session_id)
    wanted = (
        Filter(),
        Filter("main"),
        Filter(since_ns=NOON_NS + 2 * S + 40, until_ns=NOON_NS + 2 * S + 70),
        Filter("other", "btcusd_p", until_ns=NOON_NS + 2 * S + 60),
        Filter(order_id="3"),
    )

    def read() -> list[list[Any]]:
        with covered.open() as record:
            return [
                list(one)
                for each in wanted
                for one in (record.fills(each), record.orders(each), record.fills(each, 3), record.orders(each, 3))
            ]

    told = read()
    assert told[0] and told[0][-3:] == told[2]
    projector = Projector(frames_max=7)
    with covered.engine.connect() as connection:
        more = True
        while more:
            with connection.begin():
                more = projector.step(connection)
            assert read() == told


def _executions(at: int, order_id: int, number: int, account_id: int) -> Recorded:
    """An answer about an order's executions."""
    payload = b'{"status":"ok"}'
    frame = Frame(account_id, SESSION + 2, at, NOON_NS + at, REST, "/matches", "decoded", None, payload)
    return Recorded(
        frame, tuple(fill(str(order_id), "taker", "9", "1", "0.1", executed_ms=None) for _ in range(number))
    )


def test_two_recorders_of_one_account(url: str, tmp_path: Path, sqlite_template: Path) -> None:
    tellers = [Teller(tmp_path / f"{number}.db", sqlite_template, number) for number in (1, 2)]
    tellers[0].write(TOLD, [Heard(1, 15), Heard(30, 38)])
    tellers[1].write(TOLD, [Heard(10, 25)])
    target = quick_engine(url)
    for teller in tellers:
        move(teller.engine, target)
        teller.engine.dispose()
    target.dispose()
    result = gather(url, Filter())
    (its,) = result.covered
    assert [lane.name for lane in its.recorders] == ["host", "host"]
    assert len(result.seals) == 2 and len(result.runs) == 2
    with recorder.open(url) as record:
        (account,) = record.status().accounts
        orders = list(record.orders())
    assert its.begins_ns == account.coverage.begins_ns
    assert its.covered_ns == pytest.approx(account.coverage.covered_ns, abs=1)
    assert sum(its.gaps.values()) + (its.ongoing is not None) == account.coverage.gaps
    assert sum(table.total for table in result.orders) == len(orders)
    assert render(result).count("recorder on host") == 2


def test_a_session_that_ended(covered: Desk) -> None:
    over = SessionEnded(ACCOUNT, SESSION, NOON_NS + 9 * S, "lost", "its detail", True, 0, NOON_NS + 8 * S)
    covered.order(8 * S)
    covered.write(entries=[over])
    result = report(covered)
    (session,) = result.sessions.rows
    assert session[:3] == ("main", "here", NOON_NS) and session[4:] == (NOON_NS + 9 * S, 1, "lost", "its detail")
    assert result.endings == {"lost": 1}
    (its,) = result.covered
    assert its.ongoing is not None and its.covered_ns == 7 * S
    with covered.open() as record:
        (main, _) = record.status().accounts
    assert main.coverage.covered_ns == 7 * S


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Filter("nobody"), "no account 'nobody' in this record; there are: "),
        (Filter(since_ns=NOON_NS + 99 * S), "nothing in the requested period"),
        (Filter(until_ns=NOON_NS - 1), "nothing in the requested period"),
    ],
)
def test_unknown_accounts_and_periods_cannot_be_reported(covered: Desk, wanted: Filter, words: str) -> None:
    covered.order(2 * S)
    with pytest.raises(ConfigurationError, match=words):
        gather(covered.url, wanted)


def test_an_empty_record_cannot_be_reported(desk: Desk, new_url: NewUrl) -> None:
    with pytest.raises(ConfigurationError, match="holds no frames yet"):
        gather(desk.url, Filter())
    with pytest.raises(ConfigurationError, match="holds no account yet"):
        gather(new_url(), Filter())


def test_progress_is_reported(covered: Desk) -> None:
    covered.order(2 * S)
    result: list[str] = []
    note: Callable[[str, int], None] = lambda what, _rows: result.append(what)  # noqa: E731
    gather(covered.url, Filter("main"), note)
    assert list(dict.fromkeys(result))[:3] == ["frames", "runs", "balances"]
