"""`kill -9` at a write or a sync of the database, swept over a run: `make faults`, not a part of `make test`.

strace counts the system calls of each thread and delivers SIGKILL at the one that is asked for, before it happens. The
oracle: what was acknowledged is there; what is there was sent, once and in order; the next run starts by itself, closes
what was left open, and a gap begins at the last durable frame.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from os import environ
from pathlib import Path
from random import Random

import pytest

from recorder.model import REST, Frame
from recorder.simulator import Simulator, SimulatorOptions
from recorder.store.journal import typed_row
from recorder.store.schema import TYPED
from recorder.venues import venue_named
from recorder.venues.base import read_answer, read_frame
from tests.integration.process import PATIENCE_S, Folder

#: Enough for some ten commits; the last points lie beyond the end of the run, and it then ends by itself.
PUSHES = 2_000
POINTS = 100
SEED = 20200204

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed on this machine")


def points(last: int) -> list[int]:
    """Calls to die at: each of the first, where the schema is made, then at random."""
    return sorted({*range(1, 11), *Random(SEED).sample(range(11, last), POINTS - 10)})


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def exchange() -> Iterator[Simulator]:
    with Simulator(SimulatorOptions(pushes=PUSHES, rate_per_s=4_000)) as simulator:
        yield simulator


def run_until_killed(folder: Folder, call: str, number: int) -> int:
    """Run the recorder and kill it at a system call; returns its exit code, as the shell would."""
    killing = ["strace", "-f", "-qq", "-o", str(folder.path / "strace.log"), "-e", f"trace={call}"]
    killing += ["-e", f"inject={call}:signal=SIGKILL:when={number}"]
    recorder = [sys.executable, "-m", "recorder", "run", "--stop-when-idle", "1s", "--ack-file", str(folder.ack_file)]
    ended = subprocess.run(
        [*killing, *recorder],
        cwd=folder.path,
        env=environ | folder.env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 2,
        check=False,
    )
    assert ended.returncode in {0, -9, 137}, ended.stderr
    return ended.returncode


def assert_oracle(folder: Folder, exchange: Simulator) -> None:
    """What is there was sent, once and in order, and the typed rows are those of the frames."""
    sent: dict[int, list[bytes]] = {}
    for one in exchange.sent:
        sent.setdefault(one.connection, []).append(one.payload)
    stored: dict[int, list[bytes]] = {}
    for session_id, payload in folder.rows(
        "SELECT session_id, payload FROM frames WHERE source = 'push' ORDER BY session_id, seq"
    ):
        stored.setdefault(session_id, []).append(payload)
    connections = list(sent.values())
    for payloads in stored.values():
        assert any(payloads == whole[: len(payloads)] for whole in connections)
    assert_typed_rows(folder)


def assert_typed_rows(folder: Folder) -> None:
    """The typed tables are what the frames say, row for row."""
    fmex = venue_named("fmex")
    expected: dict[str, list[tuple[object, ...]]] = {table.name: [] for table in TYPED.values()}
    columns = ", ".join(Frame._fields)
    for row in folder.rows(f"SELECT {columns} FROM frames WHERE source != 'sent' ORDER BY account_id, session_id, seq"):
        frame = Frame(*row)
        is_answer = frame.source == REST
        decoded = read_answer(fmex, frame.topic or "", frame.payload) if is_answer else read_frame(fmex, frame.payload)
        for item, update in enumerate(decoded.updates):
            expected[TYPED[type(update)].name].append(typed_row(frame, item, update))
    for name, rows in expected.items():
        assert folder.rows(f"SELECT * FROM {name} ORDER BY account_id, session_id, seq, item") == rows


@pytest.mark.parametrize(("call", "last"), [("pwrite64", 900), ("fdatasync", 160)])
@pytest.mark.parametrize("point", range(POINTS))
def test_killed_at_a_write_or_a_sync(folder: Folder, exchange: Simulator, call: str, last: int, point: int) -> None:
    folder.configure(exchange, limits={"batch_frames_max": 100})
    code = run_until_killed(folder, call, points(last)[point])
    acknowledged = folder.acknowledged()["accounts"].get("main") if folder.ack_file.exists() else None
    if acknowledged is not None:
        sql = "SELECT count(*) FROM frames WHERE session_id = ? AND seq <= ?"
        assert folder.rows(sql, acknowledged["session_id"], acknowledged["seq"]) == [(acknowledged["seq"] + 1,)]
    if code == 0:
        assert folder.rows("SELECT end_reason FROM runs") == [("idle",)]
        return
    # The next run needs no help.
    with folder.run("--stop-when-idle", "0.5s") as process:
        assert process.wait() == 0, process.errors
    assert_oracle(folder, exchange)
    assert folder.rows("SELECT count(*) FROM sessions WHERE ended_ns IS NULL") == [(0,)]
    crashed = folder.rows("SELECT session_id, covered_ns IS NOT NULL FROM sessions WHERE end_reason = 'crashed'")
    for session_id, covered in crashed:
        last_frame = folder.rows("SELECT max(seq) FROM frames WHERE session_id = ? AND source = 'push'", session_id)
        gap = folder.rows("SELECT begin_seq FROM gaps WHERE begin_session_id = ? AND topic IS NULL", session_id)
        assert gap == (last_frame if covered else [])
