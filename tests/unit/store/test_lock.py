"""One recorder a database."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recorder.errors import DatabaseBusy, DatabaseError
from recorder.store.engine import sole_writer

HOLD = """
import sys
from recorder.store.engine import sole_writer
with sole_writer(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_at_a_time_and_afterwards_the_next(url: str) -> None:
    with sole_writer(url):
        with (
            pytest.raises(DatabaseBusy, match=r"Another recorder is writing to .*; stop it, or name another"),
            sole_writer(url),
        ):
            pass
        with sole_writer(url.replace("recorder.db", "other.db")):
            pass
    with sole_writer(url):
        pass


def test_it_is_given_back_when_its_holder_fails(url: str) -> None:
    with pytest.raises(ZeroDivisionError), sole_writer(url):
        raise ZeroDivisionError
    with sole_writer(url):
        pass


def test_it_is_given_back_when_its_holder_dies(url: str) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DatabaseBusy), sole_writer(url):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with sole_writer(url):
            pass


def test_a_folder_with_a_typing_error_is_not_made(tmp_path: Path) -> None:
    with (
        pytest.raises(DatabaseError, match=r"The folder .* does not exist"),
        sole_writer(f"sqlite:///{tmp_path}/no/x.db"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_cannot_be_made(url: str, tmp_path: Path) -> None:
    (tmp_path / "recorder.db.lock").mkdir()
    with pytest.raises(DatabaseError, match=r"recorder\.db\.lock cannot be made"), sole_writer(url):
        pass


def test_a_link_leads_to_the_same_lock(url: str, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "recorder.db")
    with sole_writer(url), pytest.raises(DatabaseBusy), sole_writer(f"sqlite:///{tmp_path / 'link.db'}"):
        pass
