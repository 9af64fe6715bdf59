"""Books from end to end: a recorder beside a trading account, and what `recorder books` then says of it."""

import csv
import io
import json
import os
import pty
import subprocess
import sys
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from recorder.clock import NS_PER_MS, utc_text
from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import fees_twice, leaking, misstating, silent
from recorder.venues.simulated import FillKind
from tests.depth import share
from tests.integration.process import PATIENCE_S, Folder, Process
from tests.waiting import wait_until

D = Decimal
SYMBOLS = ("btcusd_p", "ethusd_p")
#: So many frames are enough for books to find their level, before and after what happens.
ENOUGH = 400


def trading(**options: Any) -> Simulator:
    return Simulator(SimulatorOptions(live_clock=True, keep_sent=False, rate_per_s=1_500, seed=6, **options))


def wait_for_more(folder: Folder, process: Process, frames: int = ENOUGH) -> None:
    folder.wait_acknowledged(folder.acknowledged()["frames"] + frames, process)


def recording(folder: Folder) -> Process:
    process = folder.run("--ack-file", str(folder.ack_file))
    process.wait_for("covered")
    folder.wait_acknowledged(ENOUGH, process)
    return process


def books(folder: Folder, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    ended = folder.command("books", "--format", "json", *arguments)
    assert ended.returncode in {0, 1}, ended.stderr
    return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()]


def test_a_trading_account_leaves_nothing_across_its_gaps(folder: Folder) -> None:
    accounts = {"key-a": "secret-a", "key-b": "secret-b"}
    with trading(symbols=SYMBOLS, accounts=accounts, drop_every=1_000) as exchange:
        folder.configure(exchange, symbols=SYMBOLS, accounts={"first": "key-a", "second": "key-b"})
        with recording(folder) as process:
            process.wait_for("covered", times=8)
            wait_for_more(folder, process)
            assert process.stop()[0] == 0, process.errors
    code, rows = books(folder)
    assert code == 0, [row for row in rows if row["found"]]
    assert {row["account"] for row in rows} == {"first", "second"}
    assert len(rows) >= 8
    assert {D(row["unexplained"]) for row in rows} == {D(0)}
    assert sum(row["fills"] for row in rows) > 300
    for row in rows:
        change = D(row["end_balance"]) - D(row["begin_balance"])
        assert D(row["change"]) == change == D(row["realized_pnl"]) - D(row["fees"])
    assert books(folder, "--account", "first") == (0, [row for row in rows if row["account"] == "first"])


def test_a_deposit_and_a_withdrawal_are_found_until_they_are_named(folder: Folder) -> None:
    with trading() as exchange:
        folder.configure(exchange)
        with recording(folder) as process:
            exchange.deposit(D("1.500000000000000001"))
            wait_for_more(folder, process)
            with silent(exchange):
                # Nothing is traded, and the account is told all the same.
                exchange.withdraw(D("0.25"))
                wait_for_more(folder, process, 1)
            wait_for_more(folder, process)
            assert process.stop()[0] == 0, process.errors
        came, went = exchange.transfers()[1:]
    assert (came.amount, went.amount) == (D("1.500000000000000001"), D("-0.25"))
    code, (row,) = books(folder)
    assert (code, row["found"], D(row["unexplained"])) == (1, 2, came.amount + went.amount)
    code, changes = books(folder, "--unexplained")
    assert code == 1
    assert [D(change["amount"]) for change in changes] == [came.amount, went.amount]
    for change in changes:
        sql = "SELECT payload FROM frames WHERE session_id = ? AND seq = ?"
        ((payload,),) = folder.rows(sql, change["session_id"], change["seq"])
        assert payload.startswith(b'{"type":"account"')

    lines = [f"main,BTC,{one.occurred_ms // 10},{one.amount}" for one in (came, went)]
    file = folder.path / "transfers.csv"
    file.write_text("account,currency,time,amount\n" + "\n".join(lines) + "\n")
    ended = folder.command("books", "--transfers", "transfers.csv")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "transfers.csv, line 2" in ended.stderr
    file.write_text("\n".join(f"main,BTC,{utc_text(one.occurred_ms * NS_PER_MS)},{one.amount}" for one in (went, came)))
    code, (row,) = books(folder, "--transfers", "transfers.csv")
    assert (code, row["found"], D(row["unexplained"])) == (0, 0, D(0))
    assert D(row["transfers"]) == came.amount + went.amount
    file.write_text(f"main,BTC,{utc_text(came.occurred_ms * NS_PER_MS)},1.5\n")
    ended = folder.command("books", "--transfers", "transfers.csv")
    assert ended.returncode == 1
    assert "Not found: the transfer of 1.5 BTC on main" in ended.stderr


@pytest.mark.parametrize("fault", [fees_twice, leaking, misstating])
def test_an_exchange_that_takes_too_much_is_found(folder: Folder, fault: Any) -> None:
    with trading() as exchange:
        folder.configure(exchange)
        with recording(folder) as process:
            context: AbstractContextManager[None] = fault(exchange)
            with context:
                wait_for_more(folder, process)
            wait_for_more(folder, process)
            assert process.stop()[0] == 0, process.errors
    code, (row,) = books(folder)
    assert code == 1
    assert row["found"] > 1
    if fault is misstating:
        # What positions say is right again afterwards.
        assert [D(change["amount"]) for change in row["changes"]] == [D("-1E-18"), D("1E-18")]
        assert D(row["unexplained"]) == 0
    else:
        assert D(row["unexplained"]) == sum(D(change["amount"]) for change in row["changes"]) != 0


class Kept(NamedTuple):
    """An account whose ledger explains its balances."""

    venue: str
    #: What it trades; none: what the stand-in chooses.
    symbols: tuple[str, ...] = ()
    #: How positions end before their time; none on spot markets.
    ends: tuple[FillKind, ...] = ("settlement", "adl", "liquidation")
    #: What the record then has: types of transactions, kinds of fills.
    kinds: frozenset[str] = frozenset({"funding", "liquidation"})
    #: Whether movements of money are pushed rather than asked for regularly.
    is_pushed: bool = False
    #: How much is pushed, and how long its ledger may take: fewer where the exchange lists fewer entries a minute.
    rate_per_s: float = 100
    patience_s: float = 2 * PATIENCE_S
    #: What is taken with each fill; far less than the account has.
    leak: Decimal = D(1)


KEPT = {
    "bybit": Kept("bybit"),
    "hyperliquid": Kept("hyperliquid", is_pushed=True),
    "binance": Kept("binance"),
    "coin-m": Kept("binance", ("BTCUSD_PERP", "ETHUSD_PERP"), leak=D("0.001")),
    "binance_spot": Kept("binance_spot", ends=(), kinds=frozenset({"transfer"}), is_pushed=True),
    "okx": Kept("okx"),
    "deribit": Kept("deribit", rate_per_s=50, patience_s=300),
    "bitget": Kept("bitget"),
    "kraken": Kept("kraken", ends=(), kinds=frozenset({"deposit", "withdrawal"}), rate_per_s=5, patience_s=400),
}


@pytest.mark.timeout(900)  # it waits as the limits of each exchange ask
@pytest.mark.parametrize("name", share(KEPT, "bybit", "hyperliquid"))
def test_a_ledger_explains_funding_liquidation_and_transfers_and_a_leak_is_named(folder: Folder, name: str) -> None:
    kept = KEPT[name]
    options = SimulatorOptions(
        venue=kept.venue, symbols=kept.symbols, live_clock=True, rate_per_s=kept.rate_per_s, funding_interval_s=0.5
    )
    with Simulator(options) as exchange:
        folder.configure(exchange, limits={"transactions_every_s": 0.1})

        def asked() -> int:
            ended = "SELECT count(*) FROM reconciliations WHERE purpose = 'regular' AND result = 'answered'"
            return int(folder.rows(ended)[0][0])

        def wait_asked() -> None:
            begun = asked() + 2
            wait_until(lambda: kept.is_pushed or asked() >= begun, patience_s=kept.patience_s)

        with folder.run("--ack-file", str(folder.ack_file)) as process:
            process.wait_for("covered")
            folder.wait_acknowledged(100, process)
            for kind in kept.ends:
                exchange.end_position(kind)
                wait_for_more(folder, process, 60)
            exchange.deposit(D(700))
            exchange.withdraw(D(300))
            wait_for_more(folder, process, 60)
            wait_asked()
            kinds = "SELECT type FROM transactions UNION SELECT kind FROM fills"
            wait_until(lambda: kept.kinds <= {one for (one,) in folder.rows(kinds)}, patience_s=kept.patience_s)
            code, rows = books(folder)
            assert (code, [row for row in rows if row["found"]]) == (0, [])
            assert {D(row["unexplained"]) for row in rows} == {D(0)}
            with leaking(exchange, kept.leak):
                wait_for_more(folder, process, 120)
            wait_asked()
            #: Wallet and currency → its books, once they were whole.
            named: dict[tuple[str, str], dict[str, Any]] = {}

            def is_whole() -> bool:
                # The ledger may have been asked between a wallet's push and the entry behind it: then asked again.
                found = [row for row in books(folder)[1] if row["found"]]
                for row in found:
                    total = D(row["unexplained"])
                    if kept.is_pushed or (total and total % kept.leak == 0):
                        named[row["wallet"], row["currency"]] = row
                return bool(found) and all((row["wallet"], row["currency"]) in named for row in found)

            wait_until(is_whole, patience_s=kept.patience_s)
            assert process.stop()[0] == 0, process.errors
    if name == "bybit":
        # One name of two markets.
        for command in ("fees", "pnl"):
            shown = folder.command(command, "--by", "all", "--format", "json").stdout.splitlines()
            sums = [json.loads(line) for line in shown]
            assert {("linear", "BTCUSDT"), ("spot", "BTCUSDT")} <= {(row["market"], row["symbol"]) for row in sums}
    # What is pushed may not be whole: between a wallet's state and the fill behind it.
    for row in named.values():
        assert row["changes"]
        assert D(row["unexplained"])
        assert kept.is_pushed or D(row["unexplained"]) % kept.leak == 0 > D(row["unexplained"])


@pytest.fixture
def found(folder: Folder) -> Folder:
    """A folder with a record in which something is unexplained."""
    with trading() as exchange:
        folder.configure(exchange)
        with recording(folder) as process:
            exchange.deposit(D(7))
            wait_for_more(folder, process)
            assert process.stop()[0] == 0, process.errors
    return folder


def test_three_formats_say_the_same(found: Folder) -> None:
    _, (row,) = books(found)
    ended = found.command("books", "--format", "csv")
    assert ended.returncode == 1
    (line,) = csv.DictReader(io.StringIO(ended.stdout))
    assert line == {name: str(value) for name, value in row.items() if name != "changes"}
    table = found.command("books")
    assert table.returncode == 1
    shown = table.stdout.splitlines()
    assert shown[0].split()[-3:] == ["transfers", "unexplained", "unsettled"]
    assert shown[1].split()[-2] == "7"
    assert "Unexplained: 1 changes" in table.stdout
    (sql,) = (line.strip() for line in shown if "SELECT" in line)
    around = found.rows(sql)
    assert row["changes"][0]["seq"] in {seq for seq, _ in around}
    assert all(payload.startswith("{") for _, payload in around)
    listed = found.command("books", "--unexplained", "--format", "csv").stdout
    assert [one["amount"] for one in csv.DictReader(io.StringIO(listed))] == [row["changes"][0]["amount"]]


def test_a_record_without_anything_has_no_books(folder: Folder) -> None:
    with Simulator(SimulatorOptions(pushes=0)) as exchange:
        folder.configure(exchange)
        with folder.run() as process:
            process.wait_for("reconciled: a snapshot")
            assert process.stop()[0] == 0, process.errors
    # Covered for no time: the only frame that came is the one that says so.
    ended = folder.command("books")
    assert (ended.returncode, ended.stdout) == (0, "No periods without gaps here yet.\n")


def test_a_bar_on_a_terminal_and_nothing_of_it_elsewhere(found: Folder) -> None:
    assert found.command("books").stderr == ""
    main_end, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "recorder", "books"],
        cwd=found.path,
        env=os.environ | found.env | {"TERM": "xterm", "COLUMNS": "120"},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
    )
    os.close(terminal)
    told = process.communicate(timeout=PATIENCE_S)[0]
    shown = b""
    while True:
        try:
            shown += (some := os.read(main_end, 65_536))
        except OSError:  # Linux: nobody has the terminal open any more
            break
        if not some:
            break
    os.close(main_end)
    assert b"checking the books" in shown
    assert b"unexplained" in told
    assert b"keeping" not in told


def test_money_comes_and_goes_only_as_it_can() -> None:
    with Simulator(SimulatorOptions(accounts={"a": "x", "b": "y"})) as exchange:
        for amount in ("0", "-1", "NaN", "Infinity"):
            with pytest.raises(ValueError, match="the amount must be above 0"):
                exchange.deposit(D(amount))
            with pytest.raises(ValueError, match="the amount must be above 0"):
                exchange.withdraw(D(amount))
        with pytest.raises(ValueError, match="cannot be withdrawn"):
            exchange.withdraw(D(1000))
        with pytest.raises(KeyError):
            exchange.deposit(D(1), key="nobody")
        exchange.deposit(D(2), key="b")
        exchange.withdraw(D(1))
        assert [one.amount for one in exchange.transfers(key="b")[1:]] == [D(2)]
        assert [one.amount for one in exchange.transfers()[1:]] == [D(-1)]
        pushed = [json.loads(sent.payload, parse_float=D) for sent in exchange.history if sent.kind == "push"]
        assert [push["type"] for push in pushed] == ["account", "account"]
