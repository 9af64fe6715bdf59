"""What a command may ask for: a typo is refused, and what there is is named."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from recorder.cli.commands import COMMANDS, recorder
from recorder.store import migrate
from recorder.store.engine import open_engine
from recorder.store.entries import CredentialAccepted
from recorder.store.opening import add_entry
from recorder.store.schema import accounts
from tests.made import NOON_NS, SESSION
from tests.unit.read.desk import Desk

#: Every command that takes the option → what it needs besides.
WITH_ACCOUNT: dict[str, tuple[str, ...]] = {
    "orders": (),
    "fills": (),
    "positions": (),
    "balances": (),
    "gaps": (),
    "discrepancies": (),
    "pnl": (),
    "fees": (),
    "trips": (),
    "timeline": (),
    "books": (),
    "report": (),
    "verify": (),
    "rebuild": (),
    "export": ("out",),
    "redact": ("--before", "1h", "--why", "a test", "--yes"),
    "transactions": (),
    "funding": (),
    "compare": ("backtest.csv",),
}
#: Commands that are not tested here → why.
ELSEWHERE = {
    "replay": "it catches signals: tests/contract/test_replay.py",
    "serve": "it catches signals: tests/contract/test_serving.py",
    "reconcile": "its accounts are those of the configuration: see below",
    "backfill": "its accounts are those of the configuration: see below",
    "init": "its account is a new one",
    "simulate": "its accounts are the simulator's own",
    "doctor": "its accounts are those of the configuration: see below",
}
#: Commands that take an account and no time, or other times.
WITHOUT_PERIOD = {"rebuild", "redact"}


def options_of(command: str) -> set[str]:
    found = recorder.get_command(click.Context(recorder), command)
    assert found is not None
    return {option for parameter in found.params for option in parameter.opts}


WITH_SYMBOL = [name for name in WITH_ACCOUNT if "--symbol" in options_of(name)]
WITH_PERIOD = [name for name in WITH_ACCOUNT if name not in WITHOUT_PERIOD]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A record with two accounts and two symbols."""
    place = tmp_path_factory.mktemp("record")
    desk = Desk(place / "recorder.db")
    desk.order(1)
    desk.position(2, "ETHUSD_P")
    (place / "backtest.csv").write_text("time,symbol,side,quantity,price\n")
    return desk


@pytest.fixture
def desk(made: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The same, in its folder."""
    monkeypatch.chdir(Path(made.url.removeprefix("sqlite:///")).parent)
    return made


def run(command: str, *arguments: str) -> Result:
    more = WITH_ACCOUNT.get(command, ())
    return CliRunner().invoke(recorder, [command, *more, *arguments])


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_is_left_out(command: str) -> None:
    taken = options_of(command)
    if command not in ELSEWHERE:
        assert (command in WITH_ACCOUNT) == bool(taken & {"--account", "--symbol", "--since", "--until"})
        assert (command in WITH_PERIOD) == ({"--since", "--until"} <= taken)


@pytest.mark.parametrize("command", WITH_ACCOUNT)
def test_an_unknown_account_is_refused(desk: Desk, command: str) -> None:
    ended = run(command, "--account", "othr")
    assert ended.output == ""
    assert str(ended.exception) == "There is no account 'othr' in this record; there are: other, main."


@pytest.mark.parametrize("command", WITH_SYMBOL)
def test_an_unknown_symbol_is_refused(desk: Desk, command: str) -> None:
    ended = run(command, "--symbol", "ETHUSD")
    assert ended.output == ""
    assert str(ended.exception) == "There is no symbol 'ETHUSD' in this record; there are: ETHUSD_P, BTCUSD_P."


@pytest.mark.parametrize("command", WITH_PERIOD)
def test_times_that_make_no_sense_are_refused(desk: Desk, command: str) -> None:
    ended = run(command, "--since", "2020-02-05", "--until", "2020-02-04")
    assert str(ended.exception).startswith("--since must be earlier than --until; 2020-02-05 00:00:00.000 is not ")
    if command not in {"report", "export"}:  # they need something in the period anyway
        assert "2999-01-01 00:00:00.000 is in the future; it is 2" in str(
            run(command, "--since", "2999-01-01").exception
        )


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record whose seals are intact, written at noon."""
    path = tmp_path_factory.mktemp("sealed") / "recorder.db"
    engine = open_engine(f"sqlite:///{path}")
    migrate.require_usable(engine)
    for _ in range(2):
        add_entry(engine, f"sqlite:///{path}", CredentialAccepted(7, "0" * 16, NOON_NS), NOON_NS, "key accepted")
    engine.dispose()
    return path


@pytest.mark.parametrize(
    "period", [("--until", "2019-01-01"), ("--since", "2020-02-05"), ("--since", "2019-01-01", "--until", "2019-02-01")]
)
def test_a_period_in_which_nothing_was_recorded_is_not_called_verified(sealed: Path, period: tuple[str, ...]) -> None:
    at = "2020-02-04 07:40:53.662"
    ended = run("verify", "--database", f"sqlite:///{sealed}", *period)
    assert str(ended.exception) == (
        "The record has nothing in the requested period, so nothing of it was verified; "
        f"it was written from {at} to {at} UTC."
    )


def test_damaged_seals_are_found_even_if_the_period_is_empty(sealed: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(sealed, tmp_path))
    with closing(sqlite3.connect(copy)) as database, database:
        for (guard,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {guard}")
        database.execute("DELETE FROM seals WHERE batch = 1")
    ended = run("verify", "--until", "2019-01-01", "--database", f"sqlite:///{copy}")
    assert ended.exit_code == 1
    assert "its seal is missing" in ended.output


def test_a_backfill_into_the_future_is_refused(desk: Desk) -> None:
    ended = CliRunner().invoke(recorder, ["backfill", "--since", "2999-01-01"])
    assert str(ended.exception).startswith("--since 2999-01-01 00:00:00.000 is in the future; it is 2")


def test_an_unknown_order_is_refused(desk: Desk) -> None:
    refused = "There is no order 'typo' in this record; `recorder orders` lists them."
    assert str(run("timeline", "--order", "typo").exception) == refused
    assert str(run("timeline", "--order", "1", "--account", "other").exception) == (
        "There is no order '1' of account other in this record; `recorder orders` lists them."
    )
    assert run("timeline", "--order", "1", "--account", "main").output.splitlines()[1].split()[2:4] == ["order", "1"]


@pytest.mark.parametrize(
    ("which", "told"),
    [
        (("--session", "999"), "Account main has no session 999 in this record; the tables sessions and "),
        (("--session", str(SESSION), "--seq", "1-2"), f"Session {SESSION} has no frame 2; its last is 1."),
        (("--before", "2999-01-01"), "--before 2999-01-01 00:00:00.000 is in the future; it is 2"),
    ],
)
def test_a_redaction_of_what_there_is_not_is_refused(desk: Desk, which: tuple[str, ...], told: str) -> None:
    before = Path("recorder.db").read_bytes()
    ended = CliRunner().invoke(recorder, ["redact", "--account", "main", *which, "--why", "a test", "--yes"])
    assert str(ended.exception).startswith(told)
    assert Path("recorder.db").read_bytes() == before


def test_a_key_is_accepted_for_a_known_account_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Desk(tmp_path / "recorder.db").order(1)

    def accept(account: str) -> str:
        ended = CliRunner().invoke(recorder, ["db", "accept-key", account, "0123456789abcdef"])
        assert (ended.exit_code == 0) == ("belongs to" in ended.output)
        return ended.output

    refused = "Neither the record nor the configuration has an account 'okx/mian'; there are: {}.\n"
    assert accept("okx/mian").endswith(refused.format("fmex/main, fmex/other"))
    assert "belongs to fmex/main" in accept("fmex/main")
    # A file may not have recorded the account yet.
    Path("recorder.toml").write_text('[accounts.main]\nvenue = "okx"\n')
    assert accept("okx/mian").endswith(refused.format("okx/main, fmex/main, fmex/other"))
    assert "belongs to okx/main" in accept("okx/main")


def test_an_account_is_named_with_its_venue_where_two_have_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    desk = Desk(tmp_path / "recorder.db")
    desk.order(1)
    with desk.engine.begin() as connection:
        connection.execute(accounts.insert().values(account_id=9, venue="okx", name="main", created_ns=0))
    assert str(run("orders", "--account", "main").exception) == (
        "Several accounts are named 'main'; write --account fmex/main or okx/main."
    )
    assert "BTCUSD_P" in run("orders", "--account", "fmex/main").output
    assert run("orders", "--account", "okx/main").output == "No orders match the options given.\n"


@pytest.mark.parametrize("command", ["reconcile", "backfill", "doctor"])
def test_an_account_of_the_configuration_is_named_with_or_without_its_venue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("recorder.toml")
    # Port 9 is not listened on: what is known is asked, and not reached.
    address = "0x" + "5e" * 20
    file.write_text(f'[accounts.main]\nvenue = "hyperliquid"\naddress = "{address}"\nurl = "http://127.0.0.1:9"\n')

    def told(account: str) -> str:
        ended = CliRunner().invoke(recorder, [command, "--account", account])
        return f"{ended.output} {ended.exception}"

    refused = "There is no account {!r} in recorder.toml; it has: main."
    for wrong in ("mian", "okx/main", "hyperliquid/mian"):
        assert refused.format(wrong) in told(wrong)
    for right in ("main", "hyperliquid/main"):
        assert "There is no account" not in told(right)
        assert "There is no record" in told(right) or "127.0.0.1:9" in told(right)


def test_a_symbol_is_written_in_any_case(desk: Desk) -> None:
    assert run("orders", "--symbol", "btcUSD_p").output.count("BTCUSD_P") == 1
    assert run("orders", "--symbol", "ethusd_p").output == "No orders match the options given.\n"
    assert run("fills").output == "No fills here yet.\n"
