"""`recorder verify`, `verify-proof` and `rebuild` as people type them: beside recorders that write, after kill -9."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from tests.depth import ALL
from tests.integration.process import Folder, Process

LIVE = SimulatorOptions(live_clock=True, rate_per_s=300)


@pytest.fixture(scope="module")
def recorded_once(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("recorded"))
    with Simulator(SimulatorOptions(pushes=200)) as exchange:
        folder.configure(exchange)
        folder.record(exchange)
    for command in ("keys make audit.key", "checkpoint --key audit.key --out kept.txt"):
        ended = folder.command(*command.split())
        assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture
def recorded(recorded_once: Folder, tmp_path: Path) -> Folder:
    """A folder with a record of 200 pushes, a key, and a checkpoint over it."""
    return recorded_once.copied_to(tmp_path)


def edit(folder: Folder, *statements: str) -> None:
    """Change the record, guards or not."""
    with closing(sqlite3.connect(folder.database)) as database:
        guards = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in guards:
            database.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            database.execute(statement)
        database.commit()


def clean(folder: Folder, *arguments: str) -> str:
    """What is printed where nothing is found."""
    ended = folder.command("verify", *arguments)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout + ended.stderr
    assert "nothing found." in ended.stdout
    return ended.stdout


def killed(process: Process) -> None:
    process.send(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


WITNESS = "--checkpoint", "kept.txt", "--public-key", "audit.key.pub"


def test_a_record_that_nobody_touched(recorded: Folder) -> None:
    told = clean(recorded, *WITNESS)
    ((frames,),) = recorded.rows("SELECT count(*) FROM frames")
    assert told.startswith(f"{frames} frames in ")
    assert " 1 checkpoint," in told
    assert "Not verified" not in told


def test_where_the_locale_knows_no_dash(recorded: Folder) -> None:
    """Checkpoints are UTF-8, also where text files are something else."""
    plain = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    def run(*arguments: str) -> bytes:
        command = [sys.executable, "-m", "recorder", *arguments]
        ended = subprocess.run(command, cwd=recorded.path, env=plain, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    assert b"1 checkpoint," in run("verify", *WITNESS)
    printed = run("checkpoint", "--key", "audit.key").decode()
    assert "\N{EM DASH} audit " in printed


def test_a_changed_frame_is_named(recorded: Folder) -> None:
    ((session_id,),) = recorded.rows("SELECT session_id FROM sessions")
    edit(recorded, "UPDATE frames SET payload = x'00' WHERE seq = 50")
    ended = recorded.command("verify", *WITNESS)
    assert (ended.returncode, ended.stderr) == (1, "")
    head, row, summary = ended.stdout.splitlines()
    assert head.split() == ["finding", "table", "session", "frame", "batch", "detail"]
    assert row.startswith("frame changed") and f" {session_id} " in row and " 50 " in row
    assert summary.endswith(": 1 finding.")
    told = recorded.command("verify", "--format", "json")
    (found,) = map(json.loads, told.stdout.splitlines())
    assert (found["kind"], found["account"], found["seq"], found["last_seq"]) == ("frame changed", "main", 50, 50)
    assert told.stderr.endswith(": 1 finding.\n")
    told = recorded.command("verify", "--format", "csv")
    assert told.stdout.splitlines()[0].startswith("kind,table,detail,account,session_id,seq,last_seq,")
    assert len(told.stdout.splitlines()) == 2


def test_a_cut_end_is_told_by_the_checkpoint_alone(recorded: Folder) -> None:
    ((run_id, batch),) = recorded.rows("SELECT run_id, max(batch) FROM batches")
    where = f"WHERE run_id = {run_id} AND batch = {batch}"
    undone = "UPDATE runs SET ended_ns = NULL, end_reason = NULL"
    edit(recorded, *(f"DELETE FROM {table} {where}" for table in ("seals", "batches", "event_log")), undone)
    # What else the last batch said, such as the end of a round that the stop interrupted.
    assert recorded.command("rebuild").returncode == 0
    clean(recorded)
    ended = recorded.command("verify", *WITNESS)
    assert ended.returncode == 1
    assert ended.stdout.startswith("finding")
    assert "tail truncated" in ended.stdout and f"{batch - 1} of run {run_id} is gone" in ended.stdout


def test_beside_a_recorder_that_writes(folder: Folder) -> None:
    with Simulator(LIVE) as exchange:
        folder.configure(exchange, limits={"batch_ms": 5})
        with folder.run("--ack-file", str(folder.ack_file)) as process:
            for frames in (50, 300, 600):
                folder.wait_acknowledged(frames, process)
                clean(folder)
            clean(folder, "--since", "1h", "--jobs", "2")


def test_after_kill_9_again_and_again(folder: Folder) -> None:
    with Simulator(LIVE) as exchange:
        folder.configure(exchange, limits={"reconnect_first_s": 0.05})
        for frames in (30, 100, 200)[: 3 if ALL else 2]:
            with folder.run("--ack-file", str(folder.ack_file)) as process:
                process.wait_for("covered")
                folder.wait_acknowledged(frames, process)
                killed(process)
            clean(folder)
        ended = folder.command("run", "--for", "1s")
        assert ended.returncode == 0, ended.stderr
    clean(folder)
    ((gaps,),) = folder.rows("SELECT count(*) FROM gaps WHERE reason = 'crashed'")
    assert gaps == (3 if ALL else 2)


def test_a_redaction_is_told_of(recorded: Folder) -> None:
    ended = recorded.command("redact", "--account", "main", "--before", "0s", "--why", "x", "--yes")
    assert ended.returncode in {0}, ended.stderr
    told = clean(recorded, *WITNESS)
    assert "frames were redacted, as sealed entries prove; table `redactions` says by whom and why." in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--checkpoint", "kept.txt"], "--checkpoint needs --public-key"),
        (["--public-key", "nothing.pub"], "The key nothing.pub cannot be read"),
        (["--checkpoint", "nothing.txt", "--public-key", "audit.key.pub"], "nothing.txt cannot be read"),
        (["--checkpoint", "recorder.toml", "--public-key", "audit.key.pub"], "no checkpoint"),
        (["--checkpoint", "recorder.db", "--public-key", "audit.key.pub"], "it is not text"),
        (["--account", "nobody"], "there is: main"),
        (["--database", "sqlite:///nothing.db"], "There is no database at nothing.db"),
        (["--jobs", "0"], "Invalid value for '--jobs'"),
        (["--proof", "1", "2"], "give both, or neither"),
        (["--out", "x"], "give both, or neither"),
        (["--proof", "1", "2", "--out", "x"], "There is no frame 2 of session 1"),
    ],
)
def test_what_cannot_be_looked_at(recorded: Folder, arguments: list[str], told: str) -> None:
    ended = recorded.command("verify", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert told in ended.stderr


def test_a_proof_for_somebody_else(recorded: Folder, tmp_path_factory: pytest.TempPathFactory) -> None:
    ((session_id,),) = recorded.rows("SELECT session_id FROM sessions")
    ((payload,),) = recorded.rows("SELECT payload FROM frames WHERE seq = 50 AND session_id = ?", session_id)
    making = "verify", "--proof", str(session_id), "50", "--out", "frame.proof", *WITNESS
    ended = recorded.command(*making)
    assert ended.returncode == 0, ended.stderr
    assert "is in frame.proof" in ended.stdout
    assert "File exists" in recorded.command(*making).stderr
    elsewhere = Folder(tmp_path_factory.mktemp("elsewhere"))
    for name in ("frame.proof", "audit.key.pub", "kept.txt"):
        (elsewhere.path / name).write_bytes((recorded.path / name).read_bytes())
    checking = "verify-proof", "frame.proof", "--public-key", "audit.key.pub"
    ended = elsewhere.command(*checking)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Valid: recorder ")
    assert payload.decode() in ended.stdout
    assert f"frame 50 of session {session_id}" in ended.stdout
    assert "by audit" in ended.stdout and "the checkpoint in the proof" in ended.stdout
    ended = elsewhere.command(*checking, "--checkpoint", "kept.txt")
    assert (ended.returncode, "(your own checkpoint)" in ended.stdout) == (0, True)
    assert elsewhere.command(*checking, "--payload").stdout == payload.decode()
    spoil(elsewhere.path / "frame.proof")
    ended = elsewhere.command(*checking)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "frame.proof proves nothing: " in ended.stderr
    ended = elsewhere.command("verify-proof", "nothing", "--public-key", "audit.key.pub")
    assert (ended.returncode, "nothing cannot be read" in ended.stderr) == (2, True)


def spoil(proof: Path) -> None:
    proof.write_bytes(proof.read_bytes().replace(b'"seq": 50', b'"seq": 51'))


def typed(folder: Folder) -> list[list[tuple[object, ...]]]:
    """All typed rows."""
    tables = "account_updates", "order_updates", "position_updates", "fills", "heartbeats"
    return [folder.rows(f"SELECT * FROM {table} ORDER BY account_id, session_id, seq, item") for table in tables]


def test_typed_rows_are_made_again(recorded: Folder) -> None:
    before = typed(recorded)
    edit(recorded, "DELETE FROM order_updates", "UPDATE account_updates SET available = '0' WHERE seq % 2 = 0")
    assert recorded.command("verify").returncode == 1
    ended = recorded.command("rebuild")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Rebuilt ")
    assert typed(recorded) == before
    clean(recorded, *WITNESS)
    ended = recorded.command("rebuild", "--account", "main")
    assert ended.stdout == "All typed rows agree with their frames; nothing was changed.\n"


def test_where_the_journal_is_damaged_nothing_is_made_again(recorded: Folder) -> None:
    edit(recorded, "UPDATE frames SET payload = x'7b7d' WHERE seq = 20", "DELETE FROM order_updates WHERE seq > 100")
    before = typed(recorded)
    ended = recorded.command("rebuild")
    assert ended.returncode == 1
    assert "Frames or seals were changed (1 finding), so nothing was rebuilt" in ended.stderr
    assert "frame changed" in ended.stdout
    assert typed(recorded) == before


def test_what_follows_from_no_frame_is_left_and_told(recorded: Folder) -> None:
    edit(recorded, "UPDATE sessions SET end_reason = 'another'")
    ended = recorded.command("rebuild")
    assert ended.returncode == 1
    assert "Left, because rebuilding does not repair it: 1 finding. recorder verify lists them." in ended.stderr


def test_typed_rows_are_made_again_beside_a_recorder_that_writes(folder: Folder) -> None:
    with Simulator(LIVE) as exchange:
        folder.configure(exchange, limits={"batch_ms": 5})
        with folder.run("--ack-file", str(folder.ack_file)) as process:
            for frames in (200, 500):
                folder.wait_acknowledged(frames, process)
                with closing(sqlite3.connect(folder.database, timeout=10)) as database:
                    database.execute("DELETE FROM order_updates WHERE seq < 150")
                    database.commit()
                ended = folder.command("rebuild")
                assert (ended.returncode, ended.stderr) == (0, "")
                clean(folder)
            assert process.stop()[0] == 0, process.errors


def test_a_rebuilding_that_is_killed_is_finished_by_the_next(recorded: Folder) -> None:
    before = typed(recorded)
    edit(recorded, "DELETE FROM order_updates")
    with Process(recorded, "rebuild", show=True) as process:
        while not recorded.rows("SELECT 1 FROM order_updates LIMIT 1") and process.running:
            pass
        process.send(signal.SIGKILL)
        process.wait()
    assert recorded.command("rebuild").returncode == 0
    assert typed(recorded) == before
    clean(recorded)
