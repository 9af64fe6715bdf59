"""Gaps are reconciled over REST: what happened while nobody listened is in the record, exact, and each fill once."""

from collections import defaultdict
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

import recorder
from recorder.clock import Clock
from recorder.live.http import HttpClient
from recorder.live.recording import Recording
from recorder.model import OrderUpdate
from recorder.replay.serving.rest import RecordedAccount
from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import lagging, silent
from recorder.venues.fmex import rest
from recorder.venues.fmex.reconcile import months_back
from recorder.venues.okx import answers as okx_answers
from recorder.venues.okx.stand_in import rest as okx_rest
from recorder.venues.rest import Credentials, MakeRequest
from recorder.venues.stand_in import Backend
from tests.faults.complete import rows_of, wait_reconciled
from tests.faults.live import AT_ONCE, account_at
from tests.integration.process import Folder
from tests.unit.okx.frames import push as okx_push
from tests.unit.okx.frames import row as okx_row
from tests.waiting import wait_until

#: Long enough for things to happen in between.
SLOW = {"reconnect_first_s": 1.0, "reconnect_last_s": 1.0}


def ask(exchange: Simulator, question: MakeRequest) -> bytes:
    """The exchange's answer; where the recorder has used up its limit of requests, a little later."""
    credentials, answers = Credentials(key=exchange.key, secret=exchange.secret), []

    def is_answered() -> bool:
        answer = HttpClient(exchange.url, 5.0, 5.0).fetch(question(exchange.url, credentials, Clock().wall_ms()))
        answers.append(answer)
        return answer.status != 429

    wait_until(is_answered)
    return answers[-1].body


def orders_at_the_exchange(exchange: Simulator) -> dict[str, OrderUpdate]:
    """The truth: every order there is, as the exchange's own REST interface tells it."""
    orders = {one.order_id: one for one in rest.read_open_orders(ask(exchange, rest.open_orders))}
    now_ms = Clock().wall_ms()
    for month in months_back(now_ms, now_ms - 60_000):
        offset: str | None = None
        while True:
            question = partial(rest.closed_orders, month=month, symbol="btcusd_p", offset_id=offset)
            page = rest.read_closed_orders(ask(exchange, question))
            orders |= {one.order_id: one for one in page.orders}
            if not page.has_more:
                break
            offset = page.next_offset_id
    return orders


def wait_finished(exchange: Simulator, folder: Folder) -> None:
    """Wait until the last push is in the record: a stop leaves in the kernel what has not been read."""
    exchange.wait_finished(30)
    # On the newest connection: what was sent to one that was killed is in the gap.
    pushes = [sent.payload for sent in exchange.sent if sent.kind == "push" and sent.connection == exchange.clients]
    wait_until(lambda: not pushes or pushes[-1] in folder.payloads())


def record_with_an_outage(folder: Folder, exchange: Simulator) -> None:
    with folder.run("--ack-file", str(folder.ack_file)) as process:
        process.wait_for("reconciled: a snapshot")
        folder.wait_acknowledged(200, process)
        exchange.drop_connections()
        process.wait_for("reconciled: restored")
        wait_finished(exchange, folder)
        assert process.stop()[0] == 0, process.errors


def test_what_happened_in_a_gap_is_restored(folder: Folder) -> None:
    with Simulator(SimulatorOptions(live_clock=True, pushes=1_500, rate_per_s=300)) as exchange:
        folder.configure(exchange, limits=SLOW)
        record_with_an_outage(folder, exchange)
        truth = orders_at_the_exchange(exchange)
        missed = len([one for one in exchange.sent if one.kind == "push"])
        assert missed < 1_500 - 50, "the outage hid nothing: this test tests nothing"

        with recorder.open(f"sqlite:///{folder.database}") as record:
            orders = {order.order_id: order for order in record.orders()}
            fills = list(record.fills())
            (beginning, outage, stopped) = record.gaps()
        # Every order, those that came and went in the gap included, at its true end.
        assert orders.keys() == truth.keys()
        filled: dict[str | None, Decimal] = defaultdict(Decimal)
        fee: dict[str | None, Decimal] = defaultdict(Decimal)
        for fill in fills:
            filled[fill.order_id] += fill.quantity
            fee[fill.order_id] += fill.fee or 0
        for order_id, order in truth.items():
            assert orders[order_id].status == order.status
            assert order.filled_quantity is not None and order.fee is not None
            assert filled[order_id] == Decimal(order.filled_quantity)
            assert fee[order_id] == Decimal(order.fee)

        # The fills that the gap hid are the exchange's own, exact in every field.
        # An order that filled further once pushes came again has derived fills, too.
        told = {fill.order_id for fill in fills} - {fill.order_id for fill in fills if fill.origin != "venue"}
        assert told
        for order_id in sorted(filter(None, told))[:5]:
            matches = rest.read_matches(ask(exchange, partial(rest.matches, order_id=order_id)), order_id)
            ours = [fill for fill in fills if fill.order_id == order_id]
            assert [(fill.quantity, fill.price, fill.fee, fill.executed_ms) for fill in ours] == [
                (Decimal(one.quantity or ""), Decimal(one.price or ""), Decimal(one.fee or ""), one.executed_ms)
                for one in matches
            ]
            assert not any(fill.price_is_estimate for fill in ours)

    assert (beginning.state, outage.state, stopped.state) == ("reconciled", "reconciled", "open")
    assert "not restored: balances, positions and order states in between" in (outage.resolution or "")
    assert "what was before it is not part of it" in (beginning.resolution or "")
    # The evidence is in the journal, verbatim, and the gap points to it.
    (evidence,) = folder.rows("SELECT reconciliation_id FROM gaps WHERE reason = 'lost'")
    frames = folder.rows("SELECT seq, topic, status FROM frames WHERE session_id = ? AND source = 'rest'", *evidence)
    assert [seq for seq, _, _ in frames] == list(range(len(frames)))
    assert {status for _, _, status in frames} == {"decoded"}
    assert any("/orders/closed?" in topic for _, topic, _ in frames)

    # The view for people tells the same fills.
    view = folder.rows("SELECT order_id, sum(quantity), sum(fee), count(*) FROM trade_history GROUP BY 1")
    assert {order_id for order_id, _, _, _ in view} == {fill.order_id for fill in fills}
    for order_id, quantity, fees, count in view:
        assert quantity == pytest.approx(float(filled[order_id]))
        assert fees == pytest.approx(float(fee[order_id]))
        assert count == len([fill for fill in fills if fill.order_id == order_id])


def test_rest_that_is_behind_takes_nothing_back(folder: Folder) -> None:
    """What was pushed after a gap is newer than what REST says of it, although REST is asked later."""
    settle_s = 3.0
    with Simulator(SimulatorOptions(live_clock=True, rate_per_s=100)) as exchange:
        folder.configure(exchange, limits={"reconcile_settle_s": settle_s, "reconnect_first_s": 0.05})
        with folder.run("--ack-file", str(folder.ack_file)) as process:
            process.wait_for("reconciled: a snapshot")
            with lagging(exchange, settle_s * 0.9):
                exchange.drop_connections()
                process.wait_for("asking the exchange what happened in the gap", 2)
                folder.wait_acknowledged(folder.acknowledged()["frames"] + 100, process)
                exchange.change(silent=True)
                process.wait_for("reconciled: restored")
            wait_until(lambda: [one.payload for one in exchange.sent if one.kind == "push"][-1] in folder.payloads())
            assert process.stop()[0] == 0, process.errors
        truth = orders_at_the_exchange(exchange)
    with recorder.open(f"sqlite:///{folder.database}") as record:
        orders = {order.order_id: order for order in record.orders()}
    assert {order_id: one.status for order_id, one in orders.items()} == {
        order_id: truth[order_id].status for order_id in orders
    }


def test_a_crash_is_reconciled_by_the_next_run(folder: Folder) -> None:
    with Simulator(SimulatorOptions(live_clock=True, pushes=1_200, rate_per_s=300)) as exchange:
        folder.configure(exchange)
        with folder.run("--ack-file", str(folder.ack_file)) as process:
            folder.wait_acknowledged(200, process)
        # Leaving the block has killed it.
        with folder.run() as process:
            process.wait_for("reconciled: restored")
            wait_finished(exchange, folder)
            assert process.stop()[0] == 0, process.errors
        truth = orders_at_the_exchange(exchange)
    with recorder.open(f"sqlite:///{folder.database}") as record:
        assert {order.order_id: order.status for order in record.orders()} == {
            order_id: order.status for order_id, order in truth.items()
        }
    assert folder.rows("SELECT state FROM gaps WHERE reason = 'crashed'") == [("reconciled",)]


def test_an_interrupted_round_is_taken_up_by_the_next_run(folder: Folder) -> None:
    with Simulator(SimulatorOptions(live_clock=True, pushes=1_400, rate_per_s=700)) as exchange:
        folder.configure(exchange, limits=SLOW)
        with folder.run("--ack-file", str(folder.ack_file)) as process:
            folder.wait_acknowledged(500, process)
            exchange.drop_connections()
            process.wait_for("asking the exchange what happened", times=2)
            # More orders filled meanwhile than the exchange's limit lets us ask for at once: the round is going on. But
            # not many more, for the next run must ask about all of them, at that pace.
            assert process.stop()[0] == 0, process.errors
        assert folder.rows("SELECT state FROM gaps WHERE reason = 'lost'") == [("open",)]
        assert ("interrupted",) in folder.rows("SELECT result FROM reconciliations")
        with folder.run() as process:
            process.wait_for("reconciled: restored")
            assert process.stop()[0] == 0, process.errors
    assert folder.rows("SELECT state FROM gaps WHERE reason = 'lost'") == [("reconciled",)]


def test_a_symbol_that_is_not_listed_costs_only_itself_and_can_be_corrected(folder: Folder) -> None:
    with Simulator(SimulatorOptions(live_clock=True, pushes=450, rate_per_s=150)) as exchange:
        folder.configure(exchange, symbols=("btcusd_p", "nosuch_p"), limits=SLOW)
        with folder.run("--ack-file", str(folder.ack_file)) as process:
            # However long the start takes, trading is not over before the connection is lost.
            with silent(exchange):
                process.wait_for("reconciled: a snapshot")
            folder.wait_acknowledged(50, process)
            exchange.drop_connections()
            process.wait_for("partial: restored")
            # Beside a running recorder there is no asking by hand.
            beside = folder.command("reconcile")
            assert (beside.returncode, beside.stdout) == (2, "")
            assert "it reconciles open gaps by itself; to ask about unrecoverable gaps again, stop it" in beside.stderr
            assert process.stop()[0] == 0, process.errors
        (gap_id, state, resolution) = folder.rows("SELECT gap_id, state, resolution FROM gaps WHERE reason = 'lost'")[0]
        assert state == "unrecoverable"
        assert resolution.startswith("restored: balances and positions as of now, ")
        assert "; unrecoverable: closed orders of nosuch_p (HTTP 400" in resolution
        (executions,) = folder.rows("SELECT count(*) FROM fills")[0]
        assert executions > 0

        again = folder.command("reconcile", "--account", "main", "--gap", str(gap_id))
        assert again.returncode == 1, again.stderr
        assert f"main: gap {gap_id}: unrecoverable: restored: " in again.stdout
        assert again.stdout.endswith("0 of 1 gaps reconciled\n")
        folder.configure(exchange, limits=SLOW)
        assert " INFO " in again.stderr
        right = folder.command("reconcile", "--quiet")
        assert (right.returncode, right.stderr) == (0, "")
        assert f"main: gap {gap_id}: reconciled: restored: " in right.stdout
        nothing = folder.command("reconcile", "--gap", str(gap_id))
        assert (nothing.returncode, nothing.stdout) == (2, "")
        assert f"Account main has no gap {gap_id} that can be reconciled" in nothing.stderr
        # Asked for three times, each execution is told once.
        with recorder.open(f"sqlite:///{folder.database}") as record:
            fills = list(record.fills())
        # An order that filled further once pushes came again has derived fills, too.
        derived = {fill.order_id for fill in fills if fill.origin != "venue"}
        for order_id in sorted({fill.order_id or "" for fill in fills} - derived)[:5]:
            matches = rest.read_matches(ask(exchange, partial(rest.matches, order_id=order_id)), order_id)
            assert len([fill for fill in fills if fill.order_id == order_id]) == len(matches)
    assert folder.rows("SELECT state FROM gaps WHERE reason = 'lost'") == [("reconciled",)]
    assert folder.command("verify").returncode == 0


def test_without_a_record_there_is_nothing_to_reconcile(folder: Folder) -> None:
    with Simulator(SimulatorOptions()) as exchange:
        folder.configure(exchange)
        result = folder.command("reconcile")
    assert result.returncode == 2
    assert "There is no record" in result.stderr
    assert not folder.database.exists()


def test_a_deposit_in_a_gap_is_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is pushed once, to nobody; it is in a list of its own, and in that of a served record, once as well."""
    database, day_ago_ms = tmp_path / "recorder.db", Clock().wall_ms() - 86_400_000

    def deposit(number: int, state: str = "2") -> dict[str, str]:
        return okx_row("deposit-info") | {"depId": str(number), "state": state, "ts": str(day_ago_ms + number)}

    listed = [deposit(3, state="0"), deposit(2), deposit(1)]
    monkeypatch.setitem(okx_rest._LISTS, okx_answers.DEPOSITS, lambda *_: listed)
    told = "SELECT transaction_id, wallet, amount FROM transactions WHERE type = 'deposit'"
    with (
        Simulator(SimulatorOptions(venue="okx", pushes=100, live_clock=True)) as exchange,
        Recording(f"sqlite:///{database}", [account_at(exchange)], AT_ONCE) as recording,
    ):
        wait_until(lambda: set(recording.state().sessions.values()) == {"covered"})
        wait_reconciled(database)
        listed.insert(0, deposit(4))
        exchange.push(okx_push("deposit-info", deposit(5, state="0"), deposit(6)))
        wait_until(lambda: ("6", "funding", "100.5") in rows_of(database, told))
        assert "4" not in {row[0] for row in rows_of(database, told)}
        exchange.drop_connections()
        wait_until(lambda: ("4", "funding", "100.5") in rows_of(database, told))
        wait_reconciled(database)
    assert {row[0] for row in rows_of(database, told)} == {"1", "2", "4", "6"}
    with recorder.open(f"sqlite:///{database}") as record:
        found = [one for one in record.transactions() if one.type == "deposit"]
        assert sorted(one.transaction_id or "" for one in found) == ["1", "2", "4", "6"]
        monkeypatch.undo()
        # What is served of the record is a list of them, in the form of the exchange's.
        view = RecordedAccount(record, "main", (), 2**62)
        backend = Backend(secret_of=lambda _key: None, clock_ms=Clock().wall_ms)
        rows = okx_rest._LISTS[okx_answers.DEPOSITS](view, okx_answers.DEPOSITS, {}, backend)
        assert [row["depId"] for row in rows] == ["6", "4", "2", "1"]
        assert {row["state"] for row in rows} == {"2"} and not [row for row in rows if "pTime" in row]
        for path in (okx_answers.WITHDRAWALS, okx_answers.BILLS):
            assert not [row for row in okx_rest._LISTS[path](view, path, {}, backend) if "depId" in row]
