"""The command `recorder report`: the file it writes, its errors, and its memory."""

import os
import pty
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from recorder.store.engine import database_path, open_engine
from tests.integration.process import PATIENCE_S, Folder
from tests.made import unguard
from tests.memory import PROGRAM, peak_bytes
from tests.report.days import Days, Spell

#: The program, with files limited to 40,000 bytes.
LITTLE_ROOM = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
from recorder.cli import main
main()
"""


@pytest.fixture
def folder(tmp_path: Path, days: Days) -> Folder:
    """A folder in which the record of three days is recorder.db."""
    (tmp_path / "recorder.toml").write_text(f'[database]\nurl = "{days.url}"\n')
    return Folder(tmp_path)


def report(folder: Folder, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return folder.command("report", *arguments)


def _url(folder: Folder) -> str:
    return (folder.path / "recorder.toml").read_text().split('"')[1]


def test_it_writes_one_file_and_says_so(folder: Folder) -> None:
    ended = report(folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Report written to report.html, ")
    page = (folder.path / "report.html").read_text()
    assert page.startswith("<!doctype html>") and page.endswith("</html>")
    assert sorted(path.name for path in folder.path.iterdir()) == ["recorder.toml", "report.html"]
    # A report of a part is shorter, and says which part.
    period = "--since", "2020-02-05T12:00:00Z", "--until", "2020-02-06"
    ended = report(folder, *period, "--account", "main", "--out", "b.html")
    assert ended.returncode == 0, ended.stderr
    part = (folder.path / "b.html").read_text()
    assert "2020-02-05 12:00:00 to 2020-02-06 00:00:00 UTC, 12\N{NO-BREAK SPACE}h" in part
    assert "as requested" in part and len(part) < len(page)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--account", "nobody"), "no account 'nobody' in this record; there is: main."),
        (("--since", "2021-01-01", "--until", "2022-01-01"), "nothing in the requested period"),
        (("--until", "2019-01-01"), "lasts from 2020-02-04 09:24:"),
        (("--out", "no/such/report.html"), "does not exist; create it, or name another --out."),
        (("--out", "."), "is a folder; name a file in it with --out."),
        (("--out", "/proc/report.html"), "The report cannot be written to /proc/report.html:"),
        (("--database", "sqlite:///nothing.db"), "There is no database at nothing.db"),
    ],
)
def test_errors_are_one_sentence(folder: Folder, arguments: tuple[str, ...], words: str) -> None:
    ended = report(folder, *arguments)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("recorder: ") and words in line
    assert [path.name for path in folder.path.iterdir()] == ["recorder.toml"]


@pytest.fixture
def tampered(folder: Folder, days: Days) -> str:
    """The address of a copy in which a frame was changed."""
    path = folder.path / "tampered.db"
    with closing(sqlite3.connect(database_path(days.url))) as source, closing(sqlite3.connect(path)) as copy:
        source.backup(copy)
    engine = open_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        unguard(connection)
        first = "WHERE (account_id, session_id, seq) = (SELECT account_id, session_id, seq FROM frames LIMIT 1)"
        connection.exec_driver_sql(f"UPDATE frames SET payload = CAST(payload || ' ' AS BLOB) {first}")
    engine.dispose()
    return f"sqlite:///{path}"


def test_the_record_is_verified_on_request(folder: Folder, tampered: str) -> None:
    ended = report(folder, "--verify", "--out", "whole.html")
    assert ended.returncode == 0, ended.stderr
    whole = (folder.path / "whole.html").read_text()
    assert "and the rows derived from them: nothing has changed since it was written." in whole
    assert "No checkpoint kept elsewhere was given." in whole
    ended = report(folder, "--verify", "--database", tampered, "--out", "broken.html")
    assert (ended.returncode, ended.stderr) == (1, "")
    broken = (folder.path / "broken.html").read_text()
    assert "Findings of the verification" in broken and "changed" in broken and "1 finding" in broken


def test_the_record_is_compared_with_checkpoints(folder: Folder) -> None:
    for command in (("keys", "make", "audit.key"), ("checkpoint", "--key", "audit.key", "--out", "kept.txt")):
        ended = folder.command(*command)
        assert ended.returncode == 0, (command, ended.stderr)
    ended = report(folder, "--verify", "--checkpoint", "kept.txt", "--public-key", "audit.key.pub")
    assert ended.returncode == 0, ended.stderr
    page = (folder.path / "report.html").read_text()
    assert "They agree with 1 checkpoint kept elsewhere" in page


def test_known_transfers_are_read_from_a_file(folder: Folder) -> None:
    (folder.path / "transfers.csv").write_text("account,currency,time,amount\nmain,BTC,2020-02-04,0.5\n")
    assert report(folder, "--transfers", "transfers.csv").returncode == 0
    (folder.path / "transfers.csv").write_text("main,BTC,whenever,0.5\n")
    ended = report(folder, "--transfers", "transfers.csv", "--out", "b.html")
    assert ended.returncode == 2 and "transfers.csv, line 1" in ended.stderr


def test_since_must_be_earlier_than_until(folder: Folder) -> None:
    ended = report(folder, "--since", "2020-02-05", "--until", "2020-02-04")
    assert ended.returncode == 2 and "--since must be earlier than --until" in ended.stderr


def test_an_existing_file_is_kept_without_force(folder: Folder) -> None:
    out = folder.path / "report.html"
    out.write_text("mine")
    ended = report(folder)
    assert ended.returncode == 2
    assert "report.html exists; name another --out, or replace it with --force." in ended.stderr
    assert out.read_text() == "mine"
    assert report(folder, "--force").returncode == 0
    assert out.read_text().startswith("<!doctype html>")


def test_a_full_disk_leaves_the_old_file(folder: Folder) -> None:
    out = folder.path / "report.html"
    out.write_text("mine")
    ended = subprocess.run(
        [sys.executable, "-c", LITTLE_ROOM, "report", "--database", _url(folder), "--force"],
        cwd=folder.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert "recorder: The report cannot be written to report.html: File too large;" in ended.stderr
    assert out.read_text() == "mine"
    assert sorted(path.name for path in folder.path.iterdir()) == ["recorder.toml", "report.html"]


def test_a_terminal_shows_progress(folder: Folder) -> None:
    main_end, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "recorder", "report", "--database", _url(folder)],
        cwd=folder.path,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    try:
        while result := os.read(main_end, 65_536):
            shown += result
    except OSError:
        pass  # Linux: nobody has the terminal open any more
    os.close(main_end)
    assert process.wait(PATIENCE_S) == 0, shown
    assert b"reading " in shown and b" rows" in shown


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_memory_does_not_grow_with_the_record(tmp_path: Path) -> None:
    """Twice the record costs no more: SQLite's and our own buffers are full at the smaller size.

    Measured in MiB: 71.3 for a database of 26 MiB, 76.7 for 77, 77.6 for 129.
    """
    peaks = []
    for number, moments_per_s in enumerate((0.6, 1.0)):
        days = Days(tmp_path / f"{number}.db", moments_per_s=moments_per_s)
        days.write([Spell(8, 20, "stopped")])
        days.engine.dispose()
        peaks.append(peak_bytes(PROGRAM, "report", "--database", days.url, "--force", folder=tmp_path))
    assert peaks[1] - peaks[0] < 4 * 2**20, [peak / 2**20 for peak in peaks]
