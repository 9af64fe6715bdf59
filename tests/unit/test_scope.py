"""What a command may ask for: a typo is refused, and what there is is named."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recorder.cli.commands import recorder
from recorder.store.schema import accounts
from tests.unit.read.desk import Desk

#: Every command that takes the option → what it needs besides. (`replay` and `serve` catch signals: tests/contract.)
WITH_ACCOUNT = {
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
}
WITH_SYMBOL = ("orders", "fills", "positions", "gaps", "discrepancies", "pnl", "fees", "trips", "timeline", "export")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A record with two accounts and two symbols."""
    desk = Desk(tmp_path_factory.mktemp("record") / "recorder.db")
    desk.order(1)
    desk.position(2, "ETHUSD_P")
    return desk


@pytest.fixture
def desk(made: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The same, in its folder."""
    monkeypatch.chdir(Path(made.url.removeprefix("sqlite:///")).parent)
    return made


def run(command: str, *arguments: str) -> Result:
    more = WITH_ACCOUNT.get(command, ())
    return CliRunner().invoke(recorder, [command, *more, *arguments])


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


@pytest.mark.parametrize("command", [name for name in WITH_ACCOUNT if name not in {"verify", "rebuild", "redact"}])
def test_times_that_make_no_sense_are_refused(desk: Desk, command: str) -> None:
    ended = run(command, "--since", "2020-02-05", "--until", "2020-02-04")
    assert str(ended.exception).startswith("--since must be earlier than --until; 2020-02-05 00:00:00.000 is not ")
    if command not in {"report", "export"}:  # they need something in the period anyway
        assert "2999-01-01 00:00:00.000 is in the future; it is 2" in str(
            run(command, "--since", "2999-01-01").exception
        )


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


def test_a_symbol_is_written_in_any_case(desk: Desk) -> None:
    assert run("orders", "--symbol", "btcUSD_p").output.count("BTCUSD_P") == 1
    assert run("orders", "--symbol", "ethusd_p").output == "No orders match the options given.\n"
    assert run("fills").output == "No fills here yet.\n"
