"""Kraken's derivatives on the Unified WebSocket, beside spot: two sockets with the same key, and gaps of each."""

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

import recorder
from recorder.cli.commands import recorder as program
from recorder.simulator import Simulator, SimulatorOptions
from tests.faults.complete import judge_fills
from tests.faults.live import Live
from tests.faults.oracle import judge
from tests.faults.table import read_table, unproved
from tests.waiting import wait_until

SYMBOLS = ("BTC/USD", "PF_XBTUSD", "PF_ETHUSD")


def trading() -> SimulatorOptions:
    return SimulatorOptions(venue="kraken", symbols=SYMBOLS, rate_per_s=200, live_clock=True, funding_interval_s=1)


def both_are_covered(live: Live) -> bool:
    return len(live.rows("SELECT DISTINCT stream FROM sessions WHERE covered_ns IS NOT NULL")) == 2


@pytest.mark.timeout(600)  # it waits as the limits of the exchange ask
def test_both_sockets_are_recorded_and_a_gap_says_what_nobody_can_be_asked_for(tmp_path: Path) -> None:
    with Simulator(trading()) as exchange:
        live = Live(tmp_path, exchange, ask_every_s=1.0)
        with live.recording():
            wait_until(lambda: both_are_covered(live))
            live.wait_more(300)
            wait_until(lambda: bool(live.rows("SELECT 1 FROM transactions WHERE wallet = 'derivatives'")))
            wait_until(lambda: bool(live.rows("SELECT 1 FROM reconciliations WHERE result = 'compared'")))
            before = live.sessions()
            exchange.drop_connections()
            live.wait_new_session(before + 1)
            live.wait_more(100)
            live.reconcile()
        verdict = judge(exchange.history, read_table(live.url), live.acked, venue="kraken")
        assert (verdict.lost_outside_gaps, unproved(live.url)) == (0, [])
        assert verdict.findings == []
        judge_fills(verdict, exchange, live.url)
    # Of spot, REST told what the gap hid; of derivatives, the newest fills came with the subscription.
    assert not [one for one in verdict.findings if "BTC/USD" in one]
    between = "begins_ns IS NOT NULL AND ends_ns IS NOT NULL"
    settled = live.rows(f"SELECT stream, state, resolution FROM gaps WHERE {between}")
    assert {(stream, state) for stream, state, _ in settled} == {
        ("", "reconciled"),
        ("derivatives", "unrecoverable"),
    }
    assert all("derivatives" not in told for stream, _, told in settled if stream == "")
    (told,) = {told for stream, _, told in settled if stream}
    assert "unrecoverable: orders and fills of derivatives (no interface lists them for this key)" in told
    # Orders of derivatives are in no list of spot, and no discrepancy for that.
    assert live.rows("SELECT subject, field, told, held FROM discrepancies") == []
    assert not live.rows("SELECT order_id FROM orders WHERE market = 'derivatives' AND status = 'ended'")


@pytest.mark.timeout(600)
def test_what_a_user_finds(tmp_path: Path) -> None:
    with Simulator(trading()) as exchange:
        live = Live(tmp_path, exchange, ask_every_s=1.0)
        with live.recording():
            wait_until(lambda: both_are_covered(live))
            live.wait_more(400)
            wait_until(lambda: bool(live.rows("SELECT 1 FROM transactions WHERE wallet = 'derivatives'")))
        executions = {(one.fill.market, one.fill.symbol, one.fill.trade_id) for one in exchange.executions()}
    with recorder.open(live.url) as record:
        fills = list(record.fills())
        assert {(one.market, one.symbol, one.trade_id) for one in fills} <= executions
        assert {one.market for one in fills} == {None, "derivatives"}
        assert {one.symbol for one in fills} == set(SYMBOLS)
        assert {one.symbol for one in record.positions()} <= {"PF_XBTUSD", "PF_ETHUSD"}
        assert {one.wallet for one in record.balances()} == {"main", "derivatives"}
        books = list(record.books())
        assert record.wallets_without_books() == [("main", "derivatives")]
    # No books of the wallet of derivatives, which is said, and nothing unexplained in those of spot.
    assert {(book.wallet, book.found) for book in books} == {("main", 0)}
    told = CliRunner().invoke(program, ["books", "--database", live.url], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    assert "No books are kept of wallet derivatives of main: its venue documents too little." in told.output
    # Every frame was decoded; the tokens are not in the record.
    counted = Counter(dict(live.rows("SELECT status, count(*) FROM frames GROUP BY status")))
    assert not counted["undecoded"] and counted["decoded"]
    topics = {topic for (topic,) in live.rows("SELECT DISTINCT topic FROM frames WHERE source = 'push'")}
    assert topics >= {"executions", "balances", "derivatives-executions", "derivatives-balances"}
    assert topics >= {"positions", "margin", "ledgers"}
    sent = [json.loads(payload) for (payload,) in live.rows("SELECT payload FROM frames WHERE source = 'sent'")]
    subscriptions = [one["params"] for one in sent if one["method"] == "subscribe"]
    assert len(subscriptions) == 7 and {one["token"] for one in subscriptions} == {"***"}
    for name in ("kraken_positions", "kraken_margin", "kraken_ledgers"):
        assert live.rows(f"SELECT count(*) FROM {name}")[0][0]
    assert unproved(live.url) == []
