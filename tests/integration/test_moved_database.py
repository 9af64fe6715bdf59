"""A database that is moved, deleted or replaced during a run: the run stops, says so, and keeps what it received."""

import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from tests.contract.story import Heard, Teller, Told
from tests.integration.process import Folder, Process


def rescued(database: Path) -> Path:
    (found,) = (path for path in database.parent.glob("*.rescued-*") if not path.name.endswith(("-wal", "-shm")))
    return found


def move(database: Path) -> Callable[[], Path]:
    database.rename(database.with_name("old.db"))
    return lambda: database.with_name("old.db")


def replace_with_a_backup(database: Path) -> Callable[[], Path]:
    backup = database.with_name("backup.db")
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    backup.replace(database)
    return lambda: rescued(database)


def delete_the_folder(database: Path) -> Callable[[], Path]:
    shutil.rmtree(database.parent)
    return lambda: rescued(database.parent)


@pytest.fixture
def exchange() -> Iterator[Simulator]:
    with Simulator(SimulatorOptions(rate_per_s=300)) as exchange:
        yield exchange


@pytest.fixture
def apart(folder: Folder) -> Folder:
    """The database is in a folder of its own, the process in another."""
    (folder.path / "data").mkdir()
    folder.database = folder.path / "data" / "recorder.db"
    return folder


def assert_kept(kept: Path, process: Process, exchange: Simulator, acknowledged: int) -> None:
    """The file holds all that was received, up to the end of the run."""
    assert f"everything received is in {kept}" in process.errors
    assert "all durable" not in process.errors.splitlines()[-1]
    # Without the log: it is not needed any more.
    with closing(sqlite3.connect(f"file:{kept}?immutable=1", uri=True)) as database:
        pushes = "SELECT payload FROM frames WHERE source = 'push' ORDER BY session_id, seq"
        received = [payload for (payload,) in database.execute(pushes)]
        assert database.execute("SELECT end_reason FROM runs").fetchall() == [("database moved",)]
        assert database.execute("SELECT count(*) FROM sessions WHERE ended_ns IS NULL").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM frames").fetchone() >= (acknowledged,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert received == [sent.payload for sent in exchange.sent][: len(received)]


@pytest.mark.parametrize("act", [move, replace_with_a_backup, delete_the_folder])
def test_what_was_received_is_kept(
    apart: Folder, exchange: Simulator, act: Callable[[Path], Callable[[], Path]]
) -> None:
    apart.configure(exchange)
    address = f"sqlite:///{apart.database}"
    with apart.run("--database", address, "--ack-file", str(apart.ack_file)) as process:
        apart.wait_acknowledged(300, process)
        kept = act(apart.database)
        assert process.wait() == 2, process.errors
    assert "while the recorder was running" in process.errors
    assert_kept(kept(), process, exchange, apart.acknowledged()["frames"])


def test_killed_before_it_could_notice(folder: Folder, exchange: Simulator) -> None:
    folder.configure(exchange)
    old = folder.path / "old.db"
    with folder.run("--ack-file", str(folder.ack_file)) as process:
        folder.wait_acknowledged(300, process)
        process.send(signal.SIGSTOP)
        folder.database.rename(old)
        acknowledged = folder.acknowledged()["accounts"]["main"]
        process.send(signal.SIGKILL)
        process.wait()
    # A new database under that name would delete the log.
    refused = folder.command("run", "--for", "1s")
    assert refused.returncode == 2
    assert "recorder.db is missing, but" in refused.stderr
    assert not folder.database.exists()
    old.rename(folder.database)
    with folder.run() as process:
        process.wait_for("covered")
        assert process.stop()[0] == 0
    last = "SELECT max(seq) FROM frames WHERE session_id = ?"
    assert folder.rows(last, acknowledged["session_id"]) >= [(acknowledged["seq"],)]
    (gap,) = folder.rows("SELECT begin_seq, ends_ns IS NULL FROM gaps WHERE reason = 'crashed'")
    assert gap >= (acknowledged["seq"], 0)


def test_a_restored_backup_goes_on_once_it_is_adopted(folder: Folder, exchange: Simulator) -> None:
    folder.configure(exchange)
    backup = folder.path / "backup.db"
    with folder.run("--ack-file", str(folder.ack_file)) as process:
        folder.wait_acknowledged(300, process)
        with closing(sqlite3.connect(folder.database)) as source:
            source.execute("VACUUM INTO ?", [str(backup)])
        refused = folder.command("db", "adopt", "--database", f"sqlite:///{backup}")
        assert process.stop()[0] == 0
    assert refused.returncode == 2
    assert "recorder.db is being recorded into as the same recorder" in refused.stderr
    backup.replace(folder.database)
    adopted = folder.command("db", "adopt")
    assert adopted.returncode == 0, adopted.stderr
    ((recorder_id,),) = folder.rows("SELECT recorder_id FROM recorders")
    assert adopted.stdout == f"{folder.database} continues as recorder {recorder_id}.\n"
    with folder.run() as process:
        process.wait_for("reconciled")
        assert process.stop()[0] == 0
    assert folder.rows("SELECT recorder_id FROM recorders") == [(recorder_id,)]
    # What was recorded after the backup is gone: it is a gap like after a crash, and closed like one.
    assert folder.rows("SELECT state, ends_ns IS NOT NULL FROM gaps WHERE reason = 'crashed'") == [("reconciled", 1)]
    assert folder.command("verify", "--quick").returncode == 0


def test_a_retired_recorder_s_gap_is_no_longer_reported(folder: Folder, sqlite_template: Path) -> None:
    teller = Teller(folder.database, sqlite_template, 1)
    teller.write([Told(1, 1)], [Heard(0, 2)])
    teller.engine.dispose()
    ((recorder_id,),) = folder.rows("SELECT recorder_id FROM recorders")
    assert "(one has not ended)" in folder.command("status").stdout
    unknown = folder.command("db", "retire", "5", "--why", "sold")
    assert (unknown.returncode, f"there are: {recorder_id}." in unknown.stderr) == (2, True)
    retired = folder.command("db", "retire", str(recorder_id), "--who", "me", "--why", "sold")
    assert retired.stdout == f"Recorder {recorder_id} is retired.\n", retired.stderr
    assert folder.rows("SELECT recorder_id, who, why FROM retirements") == [(recorder_id, "me", "sold")]
    assert "(one has not ended)" not in folder.command("status").stdout
    assert folder.command("gaps", "--format", "json").stdout.count("\n") == 1, "before the record began"
    assert folder.command("verify").returncode == 0
