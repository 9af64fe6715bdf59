"""Recording into PostgreSQL: a journal in front, a server behind, and everything that can happen to the server."""

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from recorder.errors import ServerAway
from recorder.read.replay.events import FrameEvent
from recorder.read.replay.frames import ROWS_FIRST
from recorder.simulator import Simulator, SimulatorOptions
from recorder.store import entries
from recorder.store.engine import open_engine
from recorder.store.entries import FramesRedacted
from tests.contract.story import contents
from tests.integration.process import Folder
from tests.server import PASSWORD, USER, PostgresServer
from tests.unit.read.desk import Desk
from tests.unit.read.diary import Diary
from tests.waiting import wait_until


@pytest.fixture
def exchange() -> Iterator[Simulator]:
    with Simulator(SimulatorOptions(pushes=2_000, rate_per_s=1_000)) as simulator:
        yield simulator


@pytest.fixture
def own_server(own_postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server that this test may stop."""
    yield own_postgres
    own_postgres.start_again()


def server_rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    """What a fresh reader finds on the server."""
    engine = open_engine(url)
    with engine.begin() as connection:
        found = connection.exec_driver_sql(sql)
        return [tuple(row) for row in found] if found.returns_rows else []


def assert_the_same(folder: Folder, url: str) -> None:
    """The server holds what the journal holds, row for row and byte for byte."""
    journal, server = open_engine(f"sqlite:///{folder.database}", read_only=True), open_engine(url, read_only=True)
    assert contents(server) == contents(journal)
    for engine in (journal, server):
        engine.dispose()


def test_what_is_in_the_journal_is_on_the_server(folder: Folder, exchange: Simulator, postgres: PostgresServer) -> None:
    url = postgres.new_database(empty=True)
    folder.configure(exchange, server=url, limits={"stop_s": 30})
    printed = folder.record(exchange)
    assert PASSWORD not in printed
    assert "not on the server yet" not in printed, "and it knows that nothing is left to send"
    assert len(folder.payloads()) > 2_000
    assert_the_same(folder, url)
    # Looked at, it is the server that is asked.
    told = folder.command("status", "--format", "json")
    assert f'"database": "{url.rpartition("/")[2]} on 127.0.0.1:{postgres.port}"' in told.stdout
    assert folder.command("db", "check").returncode == 0
    for command in (("fills",), ("orders", "--history"), ("positions",), ("balances",), ("gaps",)):
        server = folder.command(*command, "--format", "csv")
        journal = folder.command(*command, "--format", "csv", "--database", f"sqlite:///{folder.database}")
        assert server.returncode == journal.returncode == 0
        assert server.stdout.count("\n") == journal.stdout.count("\n") > 1


@pytest.mark.long
def test_a_server_that_crashes_again_and_again(folder: Folder, own_server: PostgresServer) -> None:
    url = own_server.new_database(empty=True)
    with Simulator(SimulatorOptions(pushes=6_000, rate_per_s=800)) as exchange:
        folder.configure(exchange, server=url, limits={"stop_s": 30})
        with folder.run("--stop-when-idle", "4s") as process:
            process.wait_for("covered")
            for times in (1, 2, 3):
                own_server.stop("immediate")
                process.wait_for("does not answer", times)
                own_server.start()
                process.wait_for("answers again", times)
                own_server.terminate_connections()
            assert process.wait() == 0, process.errors
    assert "everything" in process.errors
    finish_sending(folder)
    assert_the_same(folder, url)


def finish_sending(folder: Folder) -> None:
    """What a run had no time for, the next one sends."""
    with Simulator(SimulatorOptions(pushes=0)) as quiet:
        text = (folder.path / "recorder.toml").read_text()
        lines = [f'url = "{quiet.url}"' if line.startswith('url = "http') else line for line in text.splitlines()]
        folder.write("\n".join(lines))
        with folder.run("--for", "2s") as process:
            assert process.wait() == 0, process.errors


def test_a_server_that_is_away_costs_the_recording_nothing(
    folder: Folder, exchange: Simulator, own_server: PostgresServer
) -> None:
    url = own_server.new_database(empty=True)
    own_server.stop()
    folder.configure(exchange, server=url)
    printed = folder.record(exchange)
    assert "Recording continues in the journal" in printed
    assert "in the journal and not on the server yet" in printed
    assert PASSWORD not in printed
    assert len(folder.payloads()) > 2_000
    own_server.start()
    merged = folder.command("merge", str(folder.database), url)
    assert merged.returncode == 0, merged.stderr
    assert PASSWORD not in merged.stdout + merged.stderr
    assert_the_same(folder, url)
    again = folder.command("merge", str(folder.database), url)
    assert again.stdout.startswith("0 frames moved"), again.stdout
    assert_the_same(folder, url)


@pytest.mark.alone
def test_a_server_that_comes_late_is_sent_everything(
    folder: Folder, exchange: Simulator, own_server: PostgresServer
) -> None:
    url = own_server.new_database(empty=True)
    own_server.stop()
    folder.configure(exchange, server=url)
    with folder.run() as process:
        process.wait_for("covered")
        own_server.start()
        process.wait_for("answers again")
        wait_until(lambda: server_rows(url, "SELECT count(*) FROM frames WHERE source = 'push'") >= [(2_000,)])
        code, took_s = process.stop()
    assert code == 0, process.errors
    assert took_s < 5
    assert_the_same(folder, url)


@pytest.mark.parametrize("what", ["password", "database", "foreign", "outdated"])
def test_a_server_that_cannot_be_right_is_said_at_once(
    folder: Folder, exchange: Simulator, postgres: PostgresServer, what: str
) -> None:
    url, words = postgres.new_database(empty=True), ""
    match what:
        case "password":
            url, words = url.replace("battery", "staple"), "set PGPASSWORD, or write a line into ~/.pgpass"
        case "database":
            url, words = postgres.url("nowhere"), "there is no such database"
        case "foreign":
            words = "belongs to another program"
            server_rows(url, "CREATE TABLE orders (a INT)")
        case "outdated":
            words = "from before the first release"
            assert folder.command("db", "upgrade", "--database", url).returncode == 0
            server_rows(url, "DROP TABLE credentials")
    folder.configure(exchange, server=url)
    with folder.run("--for", "1s") as process:
        assert process.wait() == 2
    assert words in process.errors
    assert process.errors.count("\n") == 1, process.errors
    assert "correct horse" not in process.errors
    with closing(sqlite3.connect(folder.database)) as journal, contextlib.suppress(sqlite3.OperationalError):
        assert journal.execute("SELECT count(*) FROM runs").fetchall() == [(0,)]


def test_two_recorders_into_one_server(folder: Folder, postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.new_database(empty=True)
    (tmp_path / "other").mkdir()
    folders = [folder, Folder(tmp_path / "other")]
    with Simulator(SimulatorOptions(pushes=4_000, rate_per_s=600)) as exchange:
        for one in folders:
            one.configure(exchange, server=url, limits={"stop_s": 30})
        with folders[0].run("--stop-when-idle", "4s") as first, folders[1].run("--stop-when-idle", "4s") as second:
            for process in (first, second):
                process.wait_for("covered")
            exchange.drop_connections()
            for process in (first, second):
                process.wait_for("covered", 2)
                assert process.wait() == 0, process.errors
    seen = [set(one.rows("SELECT payload FROM frames WHERE source = 'push'")) for one in folders]
    stored = server_rows(url, "SELECT payload FROM frames WHERE source = 'push'")
    assert {(bytes(payload),) for (payload,) in stored} == seen[0] | seen[1]
    # Each order update once to readers, whoever saw it. Answers to questions are left out: two of them may differ in
    # where a stop trails to, and the same one may come in two rounds.
    query = "SELECT order_id, status, filled_quantity, fee, event_ms FROM order_history WHERE event_ms IS NOT NULL"
    told = server_rows(url, query)
    assert len(told) == len(set(told)) > 0
    assert len(server_rows(url, "SELECT * FROM recorders")) == 2
    assert server_rows(url, "SELECT count(*) FROM discrepancies") == [(0,)]
    assert "agree on" in first.errors + second.errors
    assert_equal_views(url, seen[0] | seen[1])


@pytest.mark.long
def test_a_new_key_is_recorded_at_once_and_sent_when_it_is_accepted(
    folder: Folder, postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.new_database(empty=True)
    (tmp_path / "other").mkdir()
    other = Folder(tmp_path / "other")

    def on_server() -> list[tuple[Any, ...]]:
        return server_rows(url, "SELECT count(*) FROM frames")

    def run(one: Folder, key: str, server: str | None) -> tuple[int, str]:
        one.configure(simulator, accounts={"main": key}, server=server)
        with one.run("--stop-when-idle", "2s") as process:
            return process.wait(), process.errors

    with Simulator(SimulatorOptions(accounts={"one": "secret", "two": "secret"}, pushes=50)) as simulator:
        assert run(folder, "one", url)[0] == 0
        sent = on_server()
        # The same file with another key: it must be recorded, for it may be the same account.
        code, told = run(folder, "two", url)
        assert code == 0, told
        assert folder.rows("SELECT count(*) FROM frames") > sent == on_server()
        assert "Until then, recording goes on" in told
        assert "server refusing" in told or "sending it is tried again" in told
        key = told.partition("`recorder db accept-key fmex/main ")[2][:16]
        # A new file with another key, which the server knows nothing of: nothing is lost by refusing.
        code, told = run(other, "two", url)
        assert (code, told.count("\n")) == (2, 1), told
        assert f"`recorder db accept-key fmex/main {key}`" in told
        assert other.rows("SELECT count(*) FROM runs") == [(0,)]
        other.database = other.path / "recorder.db"
        assert run(other, "two", None)[0] == 0
        merged = other.command("merge", str(other.database), url)
        assert (merged.returncode, on_server()) == (2, sent)
        assert f"`recorder db accept-key fmex/main {key}`" in merged.stderr
        accepted = folder.command("db", "accept-key", "fmex/main", key)
        assert accepted.stdout == f"API key {key} belongs to fmex/main. The next run sends this to the server.\n"
        assert run(folder, "one", url)[0] == 0
    assert_the_same(folder, url)
    assert other.command("merge", str(other.database), url).returncode == 0
    for arguments in (("main", key), ("mtgox/main", key), ("fmex/main", "key")):
        assert folder.command("db", "accept-key", *arguments).returncode == 2
    assert folder.command("verify", "--database", url).returncode == 0


def assert_equal_views(url: str, pushed: set[tuple[bytes]]) -> None:
    """The history holds as many order updates as there are different ones among what was pushed."""
    orders = {payload for (payload,) in pushed if b'"type":"order.' in payload.replace(b" ", b"")}
    (told,) = server_rows(url, "SELECT count(*) FROM order_history WHERE event_ms IS NOT NULL")
    assert told == (len(orders),)


def test_the_wait_for_a_stop_is_bounded_when_the_server_hangs(
    folder: Folder, exchange: Simulator, own_server: PostgresServer
) -> None:
    url = own_server.new_database(empty=True)
    folder.configure(exchange, server=url)
    with folder.run() as process:
        process.wait_for("covered")
        with own_server.hanging():
            had = len(folder.payloads())
            wait_until(lambda: len(folder.payloads()) >= had + 100)
            code, took_s = process.stop()
    assert code == 0, process.errors
    assert took_s < 15, "the wait is bounded; other tests share the machine"
    assert folder.rows("SELECT end_reason FROM runs") == [("SIGTERM",)]


@pytest.mark.parametrize("where", ["PGPASSWORD", pytest.param("PGPASSFILE", marks=pytest.mark.long)])
def test_the_password_need_not_be_in_the_address(
    folder: Folder, exchange: Simulator, postgres: PostgresServer, where: str
) -> None:
    url = postgres.new_database(empty=True)
    file = folder.path / "pgpass"
    file.write_text(f"127.0.0.1:{postgres.port}:*:{USER}:{PASSWORD}\n")
    file.chmod(0o600)
    folder.env[where] = PASSWORD if where == "PGPASSWORD" else str(file)
    server = make_url(url)._replace(password=None).render_as_string()
    folder.configure(exchange, server=server, limits={"stop_s": 30})
    with folder.run("--for", "1s") as process:
        assert process.wait() == 0, process.errors
    assert_the_same(folder, url)


def test_two_files_become_one_record(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    folders = [folder, Folder(tmp_path / "other")]
    with Simulator(SimulatorOptions(pushes=2_000, rate_per_s=600)) as exchange:
        for one in folders:
            one.configure(exchange)
        with folders[0].run("--stop-when-idle", "4s") as first, folders[1].run("--stop-when-idle", "4s") as second:
            for process in (first, second):
                process.wait_for("covered")
                assert process.wait() == 0, process.errors
        seen = [set(one.payloads()) for one in folders]
        merged = tmp_path / "merged.db"
        for one in (*folders, *folders):
            told = folder.command("merge", str(one.database), str(merged))
            assert told.returncode == 0, told.stderr
        assert told.stdout.startswith("0 frames moved")
    folder.database = merged
    assert set(folder.payloads()) == seen[0] | seen[1]
    history = folder.rows(
        "SELECT order_id, status, filled_quantity, fee, event_ms FROM order_history WHERE event_ms IS NOT NULL"
    )
    assert len(history) == len(set(history)) > 0
    assert folder.rows("SELECT count(*) FROM discrepancies") == [(0,)]
    told = folder.command("status", "--database", f"sqlite:///{merged}")
    assert "recorders    2" in told.stdout
    gaps = folder.command("gaps", "--database", f"sqlite:///{merged}", "--format", "csv").stdout
    assert gaps.count("\n") == 3, "its beginning and its end, once each"


def test_a_record_that_was_changed_is_not_merged(folder: Folder, exchange: Simulator, tmp_path: Path) -> None:
    folder.configure(exchange)
    folder.record(exchange)
    copy = tmp_path / "copy.db"
    assert folder.command("merge", str(folder.database), str(copy)).returncode == 0
    with closing(sqlite3.connect(copy)) as database:
        database.execute("DROP TRIGGER frames_unchanged")
        database.execute("UPDATE frames SET payload = CAST('{}' AS BLOB) WHERE seq = 7 AND source = 'push'")
        database.commit()
    told = folder.command("merge", str(copy), str(folder.database))
    assert told.returncode == 2
    assert "Frame 7 of session" in told.stderr
    assert "nothing was merged" in told.stderr
    assert told.stderr.count("\n") == 1
    for wrong in (("nothing.db", "x.db"), (str(copy), str(copy)), (str(copy), str(tmp_path / "no" / "x.db"))):
        assert folder.command("merge", *wrong).returncode == 2


def test_a_redaction_that_nobody_sealed_erases_nothing_anywhere_else(
    folder: Folder, exchange: Simulator, tmp_path: Path, postgres: PostgresServer
) -> None:
    folder.configure(exchange)
    folder.record(exchange)
    targets = f"sqlite:///{tmp_path / 'copy.db'}", postgres.new_database()
    counts = "SELECT sum(length(payload)), (SELECT count(*) FROM order_updates), (SELECT count(*) FROM redactions)"
    for target in targets:
        assert folder.command("merge", str(folder.database), target).returncode == 0
    held = [server_rows(target, f"{counts} FROM frames") for target in targets]
    database = f"sqlite:///{folder.database}"
    assert folder.command("db", "accept-key", "fmex/main", "0123456789abcdef", "--database", database).returncode == 0
    with closing(sqlite3.connect(folder.database)) as forger:
        (run_id,) = forger.execute("SELECT max(run_id) FROM runs").fetchone()
        keys = "SELECT account_id, session_id, max(seq) FROM frames WHERE source = 'push' GROUP BY session_id"
        account_id, session_id, last = forger.execute(keys).fetchone()
        body = entries.encode(FramesRedacted(account_id, session_id, 0, last, 1, "x", "y")).decode()
        forger.execute("INSERT INTO event_log VALUES (?, 1, 2, ?)", (run_id, body))
        forger.commit()
    for target in targets:
        told = folder.command("merge", str(folder.database), target)
        assert told.returncode == 2
        assert "is not as it was sealed: its event log entries are not those" in told.stderr
    assert [server_rows(target, f"{counts} FROM frames") for target in targets] == held


def test_a_replay_that_loses_its_server_says_so_in_a_sentence(
    own_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(own_server.new_database())
    Diary(desk).session(0, [(1, None)] * 2 * ROWS_FIRST, 2)
    desk.engine.dispose()
    with desk.open() as record:
        events = record.replay()
        assert sum(isinstance(event, FrameEvent) for event in islice(events, ROWS_FIRST)) > 0
        own_server.terminate_connections()
        with pytest.raises(ServerAway, match="does not answer"):
            list(events)
    assert caplog.text == "", "and nobody complains besides"


def test_a_journal_that_is_deleted_is_kept_and_can_be_sent(
    folder: Folder, exchange: Simulator, postgres: PostgresServer
) -> None:
    url = postgres.new_database()
    folder.configure(exchange, server=url)
    with folder.run("--ack-file", str(folder.ack_file)) as process:
        folder.wait_acknowledged(100, process)
        folder.database.unlink()
        assert process.wait() == 2, process.errors
    assert "send it to the server with `recorder merge`" in process.errors
    assert "The journal has everything" not in process.errors
    (copy,) = folder.path.glob("*.rescued-*")
    copy.rename(folder.database)
    assert folder.command("merge", folder.database.name, url).returncode == 0
    assert_the_same(folder, url)
