"""The folder of an export is complete, or does not exist."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from recorder.errors import ExportError
from recorder.export.folder import LOCK, HashedFile, new_folder


def write(folder: Path, name: str = "a/b.txt", data: bytes = b"data") -> HashedFile:
    file = HashedFile(folder / name)
    file.write(data)
    file.close()
    return file


def test_a_complete_folder_is_renamed_to_its_target(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out") as folder:
        file = write(folder)
        assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b.txt", "out"]
    assert (file.bytes, file.sha256[:8]) == (4, "3a6eb079")


def test_everything_is_flushed_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, rename = os.fsync, Path.rename

    def note_sync(handle: int) -> None:
        done.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        sync(handle)

    def note_rename(path: Path, target: Any) -> Path:
        done.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "rename", note_rename)
    with new_folder(tmp_path / "out") as folder:
        write(folder)
    assert done == ["b.txt", ".out.partial", "a", "rename", "out", tmp_path.name]


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), ExportError("x")])
def test_a_failed_export_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), new_folder(tmp_path / "out") as folder:
        write(folder)
        raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "There is no room for .*out"), (errno.EFBIG, "no room"), (errno.EACCES, "cannot be written")],
)
def test_system_errors_are_explained(tmp_path: Path, number: int, words: str) -> None:
    with (
        pytest.raises(ExportError, match=rf"{words}.*nothing of the export is left\.$"),
        new_folder(tmp_path / "out") as folder,
    ):
        write(folder)
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "make",
    [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")],
    ids=["folder", "file", "link to nowhere"],
)
def test_an_existing_target_is_kept(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "out")
    with pytest.raises(ExportError, match="out exists; name another folder"), new_folder(tmp_path / "out"):
        pytest.fail("not to be reached")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_missing_parent_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"The folder .*/none does not exist"), new_folder(tmp_path / "none" / "out"):
        pytest.fail("not to be reached")


def test_what_a_killed_export_left_is_deleted(tmp_path: Path) -> None:
    (tmp_path / ".out.partial" / "old").mkdir(parents=True)
    (tmp_path / ".out.partial" / LOCK).touch()
    with new_folder(tmp_path / "out") as folder:
        write(folder)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["out", "out/a", "out/a/b.txt"]


def test_an_export_in_progress_is_left_alone(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out") as folder:
        write(folder)
        with pytest.raises(ExportError, match="Another export is writing to"), new_folder(tmp_path / "out"):
            pytest.fail("not to be reached")
        assert (folder / "a/b.txt").exists()
    with FileLock(tmp_path / "lock").acquire(timeout=0):
        assert (tmp_path / "out/a/b.txt").exists()


def test_an_abandoned_file_ignores_writes(tmp_path: Path) -> None:
    file = HashedFile(tmp_path / "a")
    file.write(b"12")
    file.abandon()
    assert file.closed
    assert file.write(b"3") == 1
    file.close()
    assert (tmp_path / "a").read_bytes() == b"12"
