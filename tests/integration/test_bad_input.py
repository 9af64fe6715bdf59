"""Bad input of every kind: one sentence that says what to do, exit code 2, and nothing written by halves."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from recorder.store.engine import open_engine
from recorder.store.migrate import upgrade
from tests.integration.process import Folder
from tests.made import NOON_NS, received
from tests.unit.read.desk import Desk


@pytest.fixture
def exchange() -> Iterator[Simulator]:
    """An exchange that trades slowly."""
    with Simulator(SimulatorOptions(rate_per_s=50)) as simulator:
        yield simulator


def assert_refused(folder: Folder, *words: str, arguments: tuple[str, ...] = ("--for", "1s")) -> None:
    """`run` ends with one sentence that has these words, and leaves no tables behind."""
    before = folder.database.read_bytes() if folder.database.is_file() else None
    ended = folder.command("run", *arguments)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    said = [line for line in ended.stderr.splitlines() if line.startswith("recorder: ")]
    assert len(said) == 1, ended.stderr
    for word in words:
        assert word in said[0]
    after = folder.database.read_bytes() if folder.database.is_file() else None
    assert after == before or (before is None and after == b""), "something was written"


def test_no_configuration(folder: Folder) -> None:
    assert_refused(folder, "There is no configuration recorder.toml; type recorder init, or write one such as:")


def test_a_configuration_that_is_no_toml(folder: Folder) -> None:
    folder.write("[accounts.main\n")
    assert_refused(folder, "The configuration recorder.toml is not TOML", "line 1")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('venue = "fmex"', 'venue = "mtgox"', ("There is no venue 'mtgox'", "fmex")),
        ('venue = "fmex"', 'venu = "fmex"', ("line", "[accounts.main] venu: there is no such key")),
        ('key = "env:KEY_MAIN"', 'key = "env:NOT_SET_ANYWHERE"', ("NOT_SET_ANYWHERE", "not set")),
        ('secret = "env:SECRET_MAIN"', 'secret = "file:/no/such/file"', ("/no/such/file", "cannot be read")),
        ('symbols = ["btcusd_p"]', "symbols = []", ("symbols: must be a list",)),
        ("[limits]", "[limits]\nsilent_s = 10", ("[limits] silent_s: is 10 s", "heartbeat every 15 s")),
    ],
)
def test_a_wrong_configuration(folder: Folder, exchange: Simulator, old: str, new: str, words: tuple[str, ...]) -> None:
    folder.configure(exchange)
    text = (folder.path / "recorder.toml").read_text()
    assert old in text
    folder.write(text.replace(old, new))
    assert_refused(folder, *words)


def test_a_secret_written_out_is_refused_and_not_repeated(folder: Folder, exchange: Simulator) -> None:
    folder.configure(exchange)
    text = (folder.path / "recorder.toml").read_text()
    folder.write(text.replace('"env:SECRET_MAIN"', '"my-own-secret"'))
    assert_refused(folder, "a secret written here is refused")
    assert "my-own-secret" not in folder.command("run").stderr


def test_nobody_answers(folder: Folder, exchange: Simulator) -> None:
    folder.configure(exchange)
    text = (folder.path / "recorder.toml").read_text()
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # so that nobody else listens there
        folder.write(text.replace(exchange.url, f"http://127.0.0.1:{deaf.getsockname()[1]}"))
        assert_refused(folder, "cannot be reached", "check the address, the network and the proxy")


def test_an_unknown_host(folder: Folder, exchange: Simulator) -> None:
    folder.configure(exchange)
    text = (folder.path / "recorder.toml").read_text()
    folder.write(text.replace(exchange.url, "https://no-such-host.invalid"))
    assert_refused(folder, "no-such-host.invalid", "cannot be reached")


@pytest.mark.parametrize("wrong", ["KEY_MAIN", "SECRET_MAIN"])
def test_a_refused_key_or_signature(folder: Folder, exchange: Simulator, wrong: str) -> None:
    folder.configure(exchange)
    folder.env[wrong] = "wrong-wrong-wrong"
    ended = folder.command("run", "--for", "1s")
    assert ended.returncode == 2
    assert "refused the key, its signature or the time: HTTP 401" in ended.stderr
    assert "check key, secret and this clock" in ended.stderr
    assert "wrong-wrong-wrong" not in ended.stderr
    # The run is in the event log: it began, it failed, nothing of it is left open but the record's own beginning.
    assert folder.rows("SELECT end_reason FROM runs") == [("failed",)]
    assert folder.rows("SELECT count(*) FROM sessions") == [(0,)]
    assert folder.rows("SELECT reason, ends_ns FROM gaps") == [("beginning", None)]


def test_a_clock_that_the_exchange_would_refuse(folder: Folder) -> None:
    with Simulator(SimulatorOptions(clock_offset_ms=-45_000)) as exchange:
        folder.configure(exchange)
        assert_refused(folder, "clock is 45.0 s ahead of the exchange's", "NTP")


def test_a_clock_that_is_off_by_seconds_is_said(folder: Folder) -> None:
    with Simulator(SimulatorOptions(clock_offset_ms=7_000, rate_per_s=50)) as exchange:
        folder.configure(exchange)
        ended = folder.command("run", "--for", "1s")
    assert ended.returncode == 0
    assert "clock is 7.0 s behind the exchange's" in ended.stderr


def test_every_topic_refused(folder: Folder, exchange: Simulator) -> None:
    folder.configure(exchange)
    with exchange_without_topics(exchange):
        ended = folder.command("run", "--for", "5s")
    assert ended.returncode == 2
    assert "refused every topic of account main" in ended.stderr


def exchange_without_topics(exchange: Simulator):  # type: ignore[no-untyped-def]
    from recorder.simulator.faults import invalid_topics

    return invalid_topics(exchange, ["account", "order.btcusd_p", "position.btcusd_p"])


def test_a_database_of_another_program(folder: Folder, exchange: Simulator) -> None:
    folder.configure(exchange)
    with closing(sqlite3.connect(folder.database)) as other:
        other.execute("CREATE TABLE accounts (name TEXT)")
    assert_refused(folder, "belongs to another program")


def test_a_file_that_is_no_database(folder: Folder, exchange: Simulator) -> None:
    folder.configure(exchange)
    folder.database.write_bytes(b"just some text, long enough to have a header, but none of SQLite's" * 20)
    assert_refused(folder, "is not a SQLite database")


def test_a_folder_in_place_of_a_database(folder: Folder, exchange: Simulator) -> None:
    folder.configure(exchange)
    folder.database.mkdir()
    assert_refused(folder, "is a folder; name a file in it")


def test_a_folder_that_does_not_exist(folder: Folder, exchange: Simulator) -> None:
    folder.configure(exchange)
    folder.write('[database]\nurl = "sqlite:///nowhere/recorder.db"\n' + (folder.path / "recorder.toml").read_text())
    assert_refused(folder, "nowhere", "does not exist")


def test_a_locked_database(folder: Folder, exchange: Simulator) -> None:
    folder.configure(exchange)
    upgrade(open_engine(f"sqlite:///{folder.database}"))
    with folder.locked():
        ended = folder.command("run", "--for", "1s")
    assert ended.returncode == 2
    assert "is locked by another program; close it there and try again" in ended.stderr


def test_a_read_only_database(folder: Folder, exchange: Simulator) -> None:
    folder.configure(exchange)
    upgrade(open_engine(f"sqlite:///{folder.database}"))
    folder.database.chmod(0o444)
    if os.access(folder.database, os.W_OK):
        _make_immutable_or_skip_rights(folder.database)
    assert_refused(folder, "read-only")


def _make_immutable_or_skip_rights(file: Path) -> None:
    """For root, rights do not bind: the read-only mark is put into the file instead (its own version of the format)."""
    content = bytearray(file.read_bytes())
    # SQLite file format, section 1.3.3: a write version above 2 makes a database read-only.
    content[18] = 3
    file.chmod(0o644)
    file.write_bytes(content)


@pytest.mark.parametrize("name", ["recorder.db", "recorder.toml"])
def test_an_ack_file_that_would_replace_another(folder: Folder, exchange: Simulator, name: str) -> None:
    folder.configure(exchange)
    upgrade(open_engine(f"sqlite:///{folder.database}"))
    configuration = (folder.path / "recorder.toml").read_text()
    assert_refused(folder, "name a file that holds nothing else", arguments=("--ack-file", name))
    assert (folder.path / "recorder.toml").read_text() == configuration


def test_a_second_recorder_of_one_database(folder: Folder, exchange: Simulator) -> None:
    folder.configure(exchange)
    with folder.run("--ack-file", str(folder.ack_file)) as first:
        folder.wait_acknowledged(10, first)
        told = folder.acknowledged()
        ended = folder.command("run", "--for", "1s", "--ack-file", str(folder.ack_file))
        assert ended.returncode == 2
        assert "Another recorder is writing to" in ended.stderr
        assert folder.acknowledged()["batch"] >= told["batch"] > 0
        assert first.stop()[0] == 0


def test_an_older_schema(folder: Folder, exchange: Simulator) -> None:
    folder.configure(exchange)
    upgrade(open_engine(f"sqlite:///{folder.database}"))
    with closing(sqlite3.connect(folder.database)) as older:
        older.execute("DROP TABLE credentials")
    for command in ("check", "upgrade"):
        ended = folder.command("db", command)
        assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
        assert "from before the first release" in ended.stderr
    assert_refused(folder, "from before the first release", "start a new one")


def test_a_newer_schema(folder: Folder, exchange: Simulator) -> None:
    folder.configure(exchange)
    upgrade(open_engine(f"sqlite:///{folder.database}"))
    with closing(sqlite3.connect(folder.database)) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
        newer.commit()
    assert_refused(folder, "made by a newer recorder")


def test_reading_where_there_is_nothing(folder: Folder) -> None:
    ended = folder.command("orders")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "There is no database" in ended.stderr
    assert "recorder run" in ended.stderr
    assert list(folder.path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("orders", "--since", "yesterday"), "is not a time; write for example"),
        (("run", "--for", "soon"), "is not a duration; write for example"),
        (("orders", "--format", "xml"), "'xml' is not one of"),
        (("record",), "No such command 'record'"),
        (("orders", "--database", "recorder.db"), "write for example sqlite:///recorder.db"),
        (("orders", "--database", "postgresql+asyncpg://u:hidden@h/db"), "begins with postgresql"),
        (("db", "downgrade", "0001"), "No such command 'downgrade'"),
        (("simulate", "--rate", "-1"), "negative"),
        (("simulate", "--rate", "nan"), "no number"),
        (("simulate", "--clock-offset", "inf"), "infinity"),
        (("simulate", "--sent-log", "nowhere/log", "--port", "0"), "--sent-log"),
        (("simulate", "--host", "2001:db8::1", "--port", "7"), "[2001:db8::1]:7"),
        (("demo", "--rate", "-1"), "negative"),
        (("demo", "--folder", "/dev/null"), "choose another --folder"),
        (("db", "current"), "There is no database"),
    ],
)
def test_wrong_usage(folder: Folder, arguments: tuple[str, ...], words: str) -> None:
    ended = folder.command(*arguments)
    assert ended.returncode == 2, ended.stderr
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "hidden" not in ended.stderr
    assert list(folder.path.iterdir()) == []


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A record whose answers do not fit into a pipe."""
    desk = Desk(tmp_path_factory.mktemp("record") / "recorder.db")
    pushes = (
        f'{{"type":"order.btcusd_p","ts":{at},"order":{{"id":{at},"symbol":"BTCUSD_P","quantity":10,"fee":0}}}}'.encode()
        for at in range(1, 1_001)
    )
    desk.write(*(received(seq, push, at_ns=NOON_NS + seq) for seq, push in enumerate(pushes)))
    return desk


def in_a_shell(record: Desk, command: str) -> "subprocess.CompletedProcess[str]":
    shell = f"{sys.executable} -m recorder {command.replace(' DB', f' --database {record.url}')}"
    return subprocess.run(["bash", "-o", "pipefail", "-c", shell], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["orders --history --format json", "orders --format csv", "timeline --format json"])
def test_the_reader_of_our_output_may_go(record: Desk, command: str) -> None:
    ended = in_a_shell(record, f"{command} DB | head -1")
    assert ended.stdout.count("\n") == 1
    # As other programs end then: 1 would be a finding.
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("orders DB >&-", 0, ""),
        ("status DB >&- 2>&- <&-", 0, ""),
        ("orders --since never DB 2>&-", 2, ""),
        ("orders --account nobody DB >&-", 2, "There is no account 'nobody'"),
        ("orders --account nobody DB 2>&1 | true", 128 + signal.SIGPIPE, ""),
    ],
)
def test_closed_streams_are_no_bug(record: Desk, command: str, code: int, words: str) -> None:
    before = Path(record.url.removeprefix("sqlite:///")).read_bytes()
    ended = in_a_shell(record, command)
    assert ended.returncode in {code, 2} if "| true" in command else ended.returncode == code
    assert words in ended.stderr and "Traceback" not in ended.stderr
    assert Path(record.url.removeprefix("sqlite:///")).read_bytes() == before


#: Runs a command that gets SIGINT in the middle of its third question to the database.
INTERRUPTED = """
import os, signal, sys
from itertools import count
from sqlalchemy import Engine, event
asked = count(1)
event.listen(Engine, "after_cursor_execute", lambda *_: next(asked) == 3 and os.kill(os.getpid(), signal.SIGINT))
from recorder.cli import main
main()
"""


@pytest.mark.parametrize("command", ["report --out REPORT", "books", "orders --history", "verify --jobs 1", "rebuild"])
def test_ctrl_c_ends_a_command_in_one_sentence(record: Desk, tmp_path: Path, command: str) -> None:
    arguments = command.replace("REPORT", str(tmp_path / "report.html")).split()
    program = [sys.executable, "-c", INTERRUPTED, *arguments, "--database", record.url]
    ended = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.strip()) == (128 + signal.SIGINT, "recorder: Stopped.")
    assert list(tmp_path.iterdir()) == []


def test_output_that_cannot_be_written_is_said(folder: Folder) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "recorder", "--help"],
            cwd=folder.path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 2
    assert ended.stderr == ("recorder: No space left on device; check the free space and the permissions there.\n")
