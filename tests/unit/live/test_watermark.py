"""The high-watermark and the file that tells it."""

import json
import threading
from pathlib import Path

import pytest

from recorder.errors import ConfigurationError
from recorder.live.watermark import SESSIONS_MAX, AckFile, Mark, Watermark
from recorder.model import REST, SNAPSHOT
from tests.made import NOON_NS, received

NOTHING = Watermark(0, 0, {})


def test_the_mark_of_an_account_is_its_last_frame() -> None:
    frames = [received(seq, account_id=account, session_id=5).frame for seq in range(3) for account in (1, 2)]
    after = NOTHING.after(1, frames[:-1])
    marks = {1: Mark(5, 2, NOON_NS + 2), 2: Mark(5, 1, NOON_NS + 1)}
    assert after == Watermark(1, 5, marks, {(account, 5): mark for account, mark in marks.items()})


def test_each_of_the_sessions_that_wrote_last_has_a_mark() -> None:
    two = NOTHING.after(1, [received(0, session_id=5).frame, received(0, session_id=6).frame])
    assert two.sessions == {(7, 5): Mark(5, 0, NOON_NS), (7, 6): Mark(6, 0, NOON_NS)}
    many = two.after(2, [received(1, session_id=number).frame for number in range(6, 6 + SESSIONS_MAX)])
    assert len(many.sessions) == SESSIONS_MAX and (7, 5) not in many.sessions


@pytest.mark.parametrize("source", [REST, SNAPSHOT])
def test_an_answer_moves_no_mark(source: str) -> None:
    one = NOTHING.after(1, [received(0, session_id=5).frame])
    answer = received(9, session_id=6).frame._replace(source=source)
    assert one.after(2, [answer]) == one._replace(batch=2, frames=2)


def test_it_moves_on_by_account_and_counts_frames() -> None:
    one = NOTHING.after(1, [received(4, account_id=1).frame])
    two = one.after(2, [received(0, account_id=2).frame, received(1, account_id=2).frame])
    assert (two.batch, two.frames) == (2, 3)
    assert two.marks == {**one.marks, 2: Mark(70, 1, NOON_NS + 1)}
    assert one.marks.keys() == {1}, "a watermark that has been told does not change any more"
    assert two.after(3, []) == two._replace(batch=3)


def test_the_file_tells_each_account_by_name(tmp_path: Path) -> None:
    path = tmp_path / "ack.json"
    file = AckFile(path, {7: "main", 8: "other"}, tmp_path / "recorder.db")
    assert not path.exists(), "a run that is refused must not put back what another one has told"
    file.begin()
    assert json.loads(path.read_text()) == {"batch": 0, "frames": 0, "accounts": {}}
    file.write(NOTHING.after(3, [received(9).frame]))
    assert json.loads(path.read_text()) == {
        "batch": 3,
        "frames": 1,
        "accounts": {
            "main": {
                "session_id": 70,
                "seq": 9,
                "received_ns": NOON_NS + 9,
                "received_utc": "2020-02-04 07:40:53.662",
            }
        },
    }
    assert [file.name for file in tmp_path.iterdir()] == ["ack.json"]


def test_a_file_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"The ack file .* cannot be written: .*; name a file in a folder that"
    ):
        AckFile(tmp_path / "nowhere" / "ack.json", {}, tmp_path / "recorder.db")


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    file = AckFile(tmp_path / "ack.json", {}, tmp_path / "recorder.db")
    (tmp_path / "ack.json").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        file.begin()
    assert [left.name for left in tmp_path.iterdir()] == ["ack.json"]


@pytest.mark.parametrize("name", ["recorder.db", "recorder.db-wal", "recorder.db-shm", "recorder.db.lock", "link"])
def test_the_database_is_never_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "recorder.db")
    with pytest.raises(ConfigurationError, match="is the database's own"):
        AckFile(tmp_path / name, {}, tmp_path / "recorder.db")


@pytest.mark.parametrize("content", [b"SQLite format 3\0", b"my notes", b"[]", b'{"batch": 1}', b"\xff", b"[" * 50_000])
def test_what_is_no_ack_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="holds something else"):
        AckFile(path, {}, tmp_path / "recorder.db")
    assert path.read_bytes() == content


@pytest.mark.parametrize("path", [Path("/dev/null"), Path()])
def test_what_is_no_file_is_never_replaced(tmp_path: Path, path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds something else"):
        AckFile(path, {}, tmp_path / "recorder.db")


def test_an_earlier_ack_or_an_empty_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "ack.json"
    path.touch()
    file = AckFile(path, {7: "main"}, tmp_path / "recorder.db")
    file.write(NOTHING.after(3, [received(9).frame]))
    assert json.loads(path.read_text())["batch"] == 3
    AckFile(path, {}, tmp_path / "recorder.db").begin()
    assert json.loads(path.read_text())["batch"] == 0


def test_a_reader_finds_it_whole_at_every_instant_and_never_going_back(tmp_path: Path) -> None:
    path = tmp_path / "ack.json"
    names = {number: f"account-{number}" for number in range(50)}
    file = AckFile(path, names, tmp_path / "recorder.db")
    file.begin()
    over = threading.Event()
    told: list[int] = []
    faults: list[Exception] = []

    def read() -> None:
        try:
            while not over.is_set():
                seen = json.loads(path.read_text())
                # What it says belongs together.
                assert {mark["seq"] for mark in seen["accounts"].values()} <= {seen["batch"]}
                told.append(seen["batch"])
        except (AssertionError, OSError, ValueError) as fault:
            faults.append(fault)

    reader = threading.Thread(target=read)
    reader.start()
    watermark = NOTHING
    batch = 0
    # As long as it takes for the reader to have met enough of them.
    while (batch < 300 or len(set(told)) < 20) and not faults and batch < 20_000:
        batch += 1
        watermark = watermark.after(batch, [received(batch, account_id=key).frame for key in names])
        file.write(watermark)
    over.set()
    reader.join()
    assert faults == []
    assert told == sorted(told)
    assert len(set(told)) >= 20
