"""The command `recorder export`: output, errors, and what it leaves when stopped."""

import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from recorder.cli.export import _stoppable
from recorder.errors import ExportError
from recorder.simulator import Simulator, SimulatorOptions
from recorder.store.entries import SessionOpened
from tests.contract import exported
from tests.contract.test_export_seals import checked
from tests.integration.process import PATIENCE_S, Folder
from tests.made import ACCOUNT, NOON_NS, RUN, SESSION, received
from tests.memory import PROGRAM, peak_bytes
from tests.unit.read.desk import Desk

#: Frames of the record that takes a while to export.
LONG = 8_000


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record with a bit of everything."""
    path = tmp_path_factory.mktemp("small") / "recorder.db"
    desk = Desk(path)
    exported.fill(desk)
    desk.engine.dispose()
    return path


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record that takes some seconds to export."""
    path = tmp_path_factory.mktemp("long") / "recorder.db"
    desk = Desk(path)
    opened = SessionOpened(ACCOUNT, SESSION, RUN, "wss://x", ("account",), NOON_NS)
    desk.write(*[received(seq) for seq in range(LONG)], entries=[opened])
    desk.engine.dispose()
    return path


@pytest.fixture
def recorded(folder: Folder, small: Path) -> Folder:
    """A folder with the small record."""
    shutil.copy(small, folder.database)
    return folder


def left(folder: Folder) -> list[str]:
    """The files in a folder, without the record."""
    return sorted(path.name for path in folder.path.iterdir() if not path.name.startswith("recorder."))


def test_an_export(recorded: Folder) -> None:
    ended = recorded.command("export", "out")
    assert (ended.returncode, ended.stderr) == (0, "")
    manifest = recorded.path / "out/manifest.json"
    assert ended.stdout.splitlines()[-1].endswith(f": {sha256(manifest.read_bytes()).hexdigest()}")
    result = json.loads(manifest.read_text())
    for name, table in result["tables"].items():
        assert re.search(rf"^ +{table['rows']}  {name}$", ended.stdout, re.MULTILINE)
    assert re.search(r"^\d+ files, \d+\.\d MiB in out\.$", ended.stdout, re.MULTILINE)
    assert left(recorded) == ["out"]


def test_columns_of_one_table_as_csv(recorded: Folder) -> None:
    asked = ("--format", "csv", "--table", "fills", "--columns", "event_utc, order_id,quantity,fee")
    assert recorded.command("export", "sheet", *asked).returncode == 0
    lines = (recorded.path / "sheet/fills.csv").read_text().splitlines()
    assert lines[0] == "event_utc,order_id,quantity,fee"
    assert lines[-1] == "1970-01-02T00:00:00.021000Z,3,1,0E-18" or len(lines) > 5


REFUSED = [
    (("--table", "trades"), "There is no table 'trades' to export; there are: frames,"),
    (("--table", "fills", "--columns", "price,prise"), "fills has no column 'prise'"),
    (("--columns", "price"), "--columns is for a single table"),
    (("--table", "frames", "--topic", "order.x"), "There is no topic 'order.x'"),
    (("--topic", "account"), "--topic is for frames only"),
    (("--account", "mian"), "There is no account 'mian' in this record; there are: main, other."),
    (("--symbol", "xyz"), "There is no symbol 'xyz' in this record"),
    (("--since", "2021-01-01"), "The record lasts from 2020-02-04 07:40:53.662 to 2020-02-05"),
    (("--until", "2020-01-01"), "nothing in the requested period"),
    (("--since", "2020-02-05", "--until", "2020-02-04"), "--since must be earlier than --until"),
    (("--format", "csv", "--decimals", "decimal128"), "Decimals are written to csv as string or float"),
    (("--scale", "39"), "A scale is from 0 to 38"),
    (("--table", "account_updates", "--scale", "17"), "does not fit a decimal128 of 38 digits, 17 of them"),
    (("--database", "sqlite:///none.db"), "There is no database at none.db"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED)
def test_errors_are_one_sentence(recorded: Folder, arguments: Sequence[str], words: str) -> None:
    ended = recorded.command("export", "out", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("recorder: ") and words in line
    assert left(recorded) == []


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("there", "there exists; name another"),
        ("none/out", "The folder "),
        ("recorder.toml", "recorder.toml exists"),
    ],
)
def test_unusable_targets_are_refused(recorded: Folder, target: str, words: str) -> None:
    (recorded.path / "there").mkdir()
    recorded.write("")
    ended = recorded.command("export", target, "--database", "sqlite:///recorder.db")
    assert ended.returncode == 2
    assert words in ended.stderr and "Traceback" not in ended.stderr
    assert left(recorded) == ["there"] and list((recorded.path / "there").iterdir()) == []
    assert (recorded.path / "recorder.toml").read_text() == ""


def test_require_complete_lists_the_gaps(recorded: Folder) -> None:
    asked = ("--require-complete", "--account", "main", "--since", "2020-02-04")
    ended = recorded.command("export", "out", *asked)
    assert ended.returncode == 1
    assert "before the record" in ended.stdout and "2020-02-04 07:40:53.662" in ended.stdout
    assert ended.stderr.startswith("recorder: Nothing was exported: the requested period has gaps (1).")
    assert left(recorded) == []
    assert recorded.command("export", "out", *asked[:-2]).returncode == 0


def export_of(database: Path, folder: Folder, *arguments: str) -> "subprocess.Popen[str]":
    """An export in progress."""
    return subprocess.Popen(
        [sys.executable, "-m", "recorder", "export", "out", "--database", f"sqlite:///{database}", *arguments],
        cwd=folder.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until_it_writes(process: "subprocess.Popen[str]", folder: Folder) -> None:
    """Wait until the first rows are in a file."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not any((folder.path / ".out.partial").rglob("part-*")):
        assert process.poll() is None and time.monotonic() < deadline_s
        time.sleep(0.002)  # a file system tells nobody


def test_a_library_that_hides_the_interrupt_does_not_make_a_stop_a_bug(tmp_path: Path) -> None:
    with (
        pytest.raises(ExportError, match=r"Stopped \(SIGTERM\); nothing of the export is left"),
        _stoppable(tmp_path / "out"),
    ):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ValueError("I/O operation on closed file") from None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_export_leaves_nothing(folder: Folder, long: Path, number: signal.Signals) -> None:
    with export_of(long, folder) as process:
        wait_until_it_writes(process, folder)
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert errors == f"recorder: Stopped ({number.name}); nothing of the export is left.\n"
    assert left(folder) == []


def test_the_next_export_deletes_what_a_killed_one_left(folder: Folder, long: Path) -> None:
    with export_of(long, folder) as process:
        wait_until_it_writes(process, folder)
        process.send_signal(signal.SIGSTOP)
        second = folder.command("export", "out", "--database", f"sqlite:///{long}")
        assert second.returncode == 2 and "Another export is writing to" in second.stderr
        process.kill()
    assert left(folder) == [".out.partial"]
    assert folder.command("export", "out", "--database", f"sqlite:///{long}", "--table", "gaps").returncode == 0
    assert left(folder) == ["out"]


def limited(size: int) -> Callable[[], None]:
    """Limits the size of files, like a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_no_room_for_a_file(folder: Folder, long: Path, form: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "recorder", "export", "out", "--format", form, "--database", f"sqlite:///{long}"],
        cwd=folder.path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        preexec_fn=limited(40_000),  # SQLite's readers need 32 KiB for their shared memory
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("recorder: There is no room for out (File too large); free some space,")
    assert len(ended.stderr.splitlines()) == 1
    assert left(folder) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can make a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_a_full_disk(recorded: Folder, long: Path, tiny_disk: Path, form: str) -> None:
    ended = recorded.command("export", f"{tiny_disk}/out", "--format", form, "--database", f"sqlite:///{long}")
    assert ended.returncode == 2
    assert f"There is no room for {tiny_disk}/out (No space left on device); free some space," in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert list(tiny_disk.iterdir()) == []


def test_while_a_recorder_writes(folder: Folder) -> None:
    with Simulator(SimulatorOptions(rate_per_s=500)) as exchange:
        folder.configure(exchange)
        with folder.run("--ack-file", "ack.json") as process:
            folder.wait_acknowledged(500, process)
            ended = folder.command("export", "out")
            assert process.stop()[0] == 0
    assert ended.returncode == 0, ended.stderr
    result = json.loads((folder.path / "out/manifest.json").read_text())
    assert 0 < result["tables"]["frames"]["rows"] < folder.rows("SELECT count(*) FROM frames")[0][0]
    assert all(seal.whole for seal in checked(folder.path / "out"))


def test_a_terminal_shows_progress(folder: Folder, long: Path) -> None:
    main_end, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "recorder", "export", "out", "--database", f"sqlite:///{long}"],
        cwd=folder.path,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    while select.select([main_end], [], [], PATIENCE_S)[0]:
        try:
            shown += os.read(main_end, 65_536)
        except OSError:  # Linux: nobody has the terminal open any more
            break
    os.close(main_end)
    assert process.wait(PATIENCE_S) == 0
    assert b"exporting frames" in shown and b"8,000 of 8,000" in shown
    assert b"exporting order_updates" in shown


@pytest.mark.long
@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_memory_does_not_grow_with_the_record(tmp_path: Path, form: str) -> None:
    peaks = []
    for frames in (500, 2_000):
        desk = Desk(tmp_path / f"{frames}.db")
        for first in range(0, frames, 100):
            pushes = [received(seq, b"[" + b"%d," % seq * 20_000 + b"0]") for seq in range(first, first + 100)]
            desk.write(*pushes)
        desk.engine.dispose()
        of_frames = "--table", "frames", "--format", form, "--database", f"sqlite:///{frames}.db"
        peaks.append(peak_bytes(PROGRAM, "export", f"{frames}", *of_frames, folder=tmp_path))
    # More than the chunk that is held, and four times as much: 130 MB more.
    assert peaks[1] - peaks[0] < 40 * 2**20, peaks


def test_without_pyarrow_text_is_exported_and_parquet_says_what_to_install(recorded: Folder) -> None:
    without = "import sys; sys.modules['pyarrow'] = None; from recorder.cli import main; main()"
    for form, code in (("csv", 0), ("jsonl", 0), ("parquet", 2)):
        ended = subprocess.run(
            [sys.executable, "-c", without, "export", form, "--format", form],
            cwd=recorded.path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert ended.returncode == code, ended.stderr
    assert ended.stderr.endswith("pyarrow; type: pip install 'exchange-recorder[parquet]'\n")
    assert left(recorded) == ["csv", "jsonl"]
