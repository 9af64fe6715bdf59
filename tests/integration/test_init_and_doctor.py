"""The first ten minutes: `init` writes a configuration, `doctor` says whether a run can record with it."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from recorder.cli.doctor import examine
from recorder.cli.options import RecordAddress
from recorder.config import load
from recorder.simulator import Simulator, SimulatorOptions
from recorder.venues import VENUES, venue_named
from tests.integration.process import Folder

VENUE_NAMES = sorted(VENUES)


def init(folder: Folder, venue: str, account: str = "main", *more: str) -> "subprocess.CompletedProcess[str]":
    """`init` for a venue, with every answer as an option."""
    played = venue_named(venue)
    key, secret = played.stand_in.default_account
    credentials = played.stand_in.credentials(key, secret)
    answers = ["--venue", venue, "--account", account, "--environment", next(iter(played.environments))]
    for field in played.credential_fields:
        if not field.is_secret:
            answers += ["--set", f"{field.name}={credentials[field.name]}"]
        elif "--secrets" not in more:
            answers += ["--secrets", "env"]
            more = (*more, "--secrets", "env")
    if played.needs_symbols:
        answers += ["--symbols", ",".join(played.stand_in.default_symbols)]
    return folder.command("init", *answers, *more)


def configure(folder: Folder, venue: str, url: str) -> None:
    """What a user does: `init`, the address of the stand-in, the secrets in the environment."""
    assert init(folder, venue).returncode == 0
    file = folder.path / "recorder.toml"
    file.write_text(f'{file.read_text("utf-8")}url = "{url}"\n', encoding="utf-8")
    played = venue_named(venue)
    credentials = played.stand_in.credentials(*played.stand_in.default_account)
    for field in played.credential_fields:
        if field.is_secret:
            folder.env[f"{venue}_{field.name}".upper()] = credentials[field.name]


@pytest.fixture
def bybit() -> Iterator[Simulator]:
    """A simulated exchange whose keys can be wrong."""
    with Simulator(SimulatorOptions(venue="bybit", pushes=10)) as simulator:
        yield simulator


@pytest.mark.parametrize("venue", VENUE_NAMES)
def test_from_nothing_to_a_recording(folder: Folder, venue: str) -> None:
    with Simulator(SimulatorOptions(venue=venue, pushes=10, live_clock=True)) as simulator:
        configure(folder, venue, simulator.url)
        found = folder.command("doctor")
        assert found.returncode == 0, found.stdout + found.stderr
        assert f"{simulator.url} answers, and this machine's clock agrees with it" in found.stdout
        assert "accepts connections" in found.stdout
        assert "Ready. Start recording with: recorder run" in found.stdout
        assert not folder.database.exists()
        assert folder.command("run", "--for", "1s", "--quiet").returncode == 0
        assert "its schema is current" in folder.command("doctor").stdout


@pytest.mark.parametrize("secrets", ["env", "file", "systemd"])
def test_no_secret_is_in_what_init_writes(folder: Folder, secrets: str) -> None:
    written = init(folder, "bybit", "hedge", "--secrets", secrets)
    assert written.returncode == 0, written.stderr
    text = (folder.path / "recorder.toml").read_text("utf-8")
    places = {
        "env": 'key = "env:HEDGE_KEY"',
        "file": 'key = "file:hedge_key"',
        "systemd": 'key = "file:/run/credentials/recorder.service/hedge_key"',
    }
    assert places[secrets] in text
    steps = {"env": "export HEDGE_SECRET", "file": "cat > hedge_secret", "systemd": "LoadCredential=hedge_secret:"}
    assert steps[secrets] in written.stdout


def test_questions_are_asked_where_options_are_missing(folder: Folder) -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "recorder", "init"],
        cwd=folder.path,
        input="bybit\n\ntestnet\n\n",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    assert "Exchange" in asked.stdout
    assert 'environment = "testnet"' in (folder.path / "recorder.toml").read_text("utf-8")


def test_without_a_terminal_it_says_that_options_are_missing(folder: Folder) -> None:
    asked = folder.command("init", "--venue", "bybit")
    assert asked.returncode == 2
    assert "give every answer as an option" in asked.stderr
    assert not (folder.path / "recorder.toml").exists()


def test_a_second_account_is_added_and_the_first_stays_as_it_was(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write('# mine\n[accounts.main]\nvenue = "bybit"\nkey = "env:K"\nsecret = "env:S"  # no newline at the end')
    before = (folder.path / "recorder.toml").read_text("utf-8")
    assert init(folder, "hyperliquid", "vault").returncode == 0
    after = (folder.path / "recorder.toml").read_text("utf-8")
    assert after.startswith(f"{before}\n\n[accounts.vault]\n")
    monkeypatch.setenv("K", "k")
    monkeypatch.setenv("S", "s")
    assert [one.name for one in load(folder.path / "recorder.toml").accounts] == ["main", "vault"]


@pytest.mark.parametrize(
    ("account", "more", "words"),
    [
        ("main", (), "already has an account 'main'"),
        ("a b", (), "an account's name has letters"),
        ("other", ("--environment", "mars"), "must be one of production, testnet, demo"),
        ("other", ("--set", "address=0x1"), "bybit has no such credential"),
    ],
)
def test_a_wrong_answer_changes_nothing(folder: Folder, account: str, more: tuple[str, ...], words: str) -> None:
    assert init(folder, "bybit").returncode == 0
    before = (folder.path / "recorder.toml").read_text("utf-8")
    refused = init(folder, "bybit", account, *more)
    assert refused.returncode == 2
    assert words in refused.stderr
    assert (folder.path / "recorder.toml").read_text("utf-8") == before


def test_a_configuration_that_cannot_be_read_is_left_as_it_is(folder: Folder) -> None:
    file = folder.path / "recorder.toml"
    file.write_bytes(b'[accounts.main]\nvenue = "\xe9"\n')
    refused = init(folder, "bybit", "other")
    assert refused.returncode == 2
    assert "it is not UTF-8 text" in refused.stderr
    assert file.read_bytes().endswith(b'"\xe9"\n')


def problems(folder: Folder, *arguments: str) -> dict[str, str]:
    """Subject → sentence of each problem that the doctor finds; its exit code must say that there are some."""
    found = folder.command("doctor", "--format", "json", *arguments)
    assert found.returncode == 1, found.stdout + found.stderr
    findings = [json.loads(line) for line in found.stdout.splitlines()]
    return {one["subject"]: one["text"] for one in findings if one["level"] == "problem"}


def test_a_missing_secret_is_a_problem_of_the_configuration(folder: Folder) -> None:
    assert init(folder, "bybit").returncode == 0
    assert "the environment variable BYBIT_KEY is not set" in problems(folder)["configuration"]


def test_a_wrong_secret_is_a_problem_of_the_account(folder: Folder, bybit: Simulator) -> None:
    configure(folder, "bybit", bybit.url)
    folder.env["BYBIT_SECRET"] = "not-the-secret"
    found = problems(folder)
    assert "refused the key" in found["main"]
    assert "not-the-secret" not in found["main"]


def test_an_exchange_that_does_not_answer_is_a_problem_of_the_account(folder: Folder) -> None:
    configure(folder, "bybit", "http://127.0.0.1:1")
    assert "cannot be reached" in problems(folder)["main"]


def test_each_kind_of_unusable_database_is_a_problem(folder: Folder, bybit: Simulator) -> None:
    configure(folder, "bybit", bybit.url)
    missing = f"sqlite:///{folder.path}/no/such/recorder.db"
    assert "does not exist; make it" in problems(folder, "--database", missing)["database"]
    with closing(sqlite3.connect(folder.path / "other.db")) as other:
        other.execute("CREATE TABLE theirs (x)")
    assert (
        "belongs to another program" in problems(folder, "--database", f"sqlite:///{folder.path}/other.db")["database"]
    )
    away = "postgresql+psycopg://127.0.0.1:1/recorder"
    assert "server" in problems(folder, "--database", away)


def test_an_empty_database_is_no_problem_since_a_run_makes_its_tables(folder: Folder, bybit: Simulator) -> None:
    configure(folder, "bybit", bybit.url)
    (folder.path / "empty.db").touch()
    with closing(sqlite3.connect(folder.path / "without-tables.db")) as made:
        made.execute("PRAGMA journal_mode = WAL")
    for name in ("empty.db", "without-tables.db"):
        found = folder.command("doctor", "--format", "json", "--database", f"sqlite:///{folder.path}/{name}")
        said = {one["subject"]: one for one in map(json.loads, found.stdout.splitlines())}
        assert (said["database"]["level"], said["disk"]["level"]) == ("ok", "ok")
        assert "is empty: the first run makes its tables" in said["database"]["text"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_is_printed_for_each_shell(folder: Folder, shell: str) -> None:
    printed = folder.command("completion", shell)
    assert printed.returncode == 0, printed.stderr
    assert "_RECORDER_COMPLETE" in printed.stdout


def test_a_shell_completes_commands_and_accounts(folder: Folder) -> None:
    assert init(folder, "bybit", "hedge").returncode == 0
    for words, number, expected in (("recorder doc", 1, "doctor"), ("recorder fills --account h", 3, "hedge")):
        folder.env |= {"_RECORDER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
        completed = folder.command()
        assert completed.stdout.split() == [f"plain,{expected}"]


def test_what_a_key_may_do_beyond_reading_is_a_warning(
    folder: Folder, bybit: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(folder, "bybit", bybit.url)
    for name, value in folder.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("recorder.cli.doctor.check_rights", lambda *_: ("the key can trade",))
    at = RecordAddress(None, folder.path / "recorder.toml")
    found = [(one.level, one.text) for one in examine(at, None)]
    assert ("warning", "the key can trade.") in found
    assert "problem" not in dict(found)


def test_more_connections_than_the_exchange_allows_are_warned_of(folder: Folder) -> None:
    """Hyperliquid allows ten, and so does its simulation: one account of eleven waits in vain."""
    accounts = {f"a{number}": f"0x{number:040x}" for number in range(11)}
    options = SimulatorOptions(
        venue="hyperliquid", accounts=dict.fromkeys(accounts.values(), "none"), pushes=10, live_clock=True
    )
    with Simulator(options) as simulator:
        folder.configure(simulator, accounts=accounts)
        warning = (
            f"hyperliquid allows an IP address 10 open connections, and the configured accounts at {simulator.url} "
            "need 11: it will refuse some of them, so record some accounts from another IP address"
        ).replace("http:", "ws:")
        examined = folder.command("doctor", "--account", "a3", "--format", "json")
        said = [json.loads(line) for line in examined.stdout.splitlines()]
        assert [one["text"] for one in said if one["level"] == "warning"] == [f"{warning}."], "a run records all"
        with folder.run() as process:
            process.wait_for(warning)
            process.wait_for(": covered, ", 10)
            assert process.stop()[0] == 0, process.errors


def test_a_unified_account_is_warned_of(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.venues.hyperliquid.stand_in.rest.ABSTRACTION", "unifiedAccount")
    with Simulator(SimulatorOptions(venue="hyperliquid", pushes=10, live_clock=True)) as simulator:
        configure(folder, "hyperliquid", simulator.url)
        examined = folder.command("doctor", "--format", "json")
        said = [json.loads(line) for line in examined.stdout.splitlines()]
        (warning,) = [one["text"] for one in said if one["level"] == "warning"]
        assert examined.returncode == 0
        assert "its money is on spot" in warning
        assert warning.removesuffix(".") in folder.command("run", "--for", "1s", "--quiet").stderr
