"""Taking payloads away: from the file, from every copy it is moved into, and with the seals as they were."""

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from recorder.errors import DatabaseBusy
from recorder.store import redactions
from recorder.store.journal import FrameRange
from recorder.store.mover import Mover, require_same
from recorder.store.redactions import redact, redactable, sweep
from tests.contract.story import Heard, Teller, Told, contents
from tests.made import ACCOUNT, NOON_NS

TOLD = [Told(at, at) for at in range(1, 30)]


@pytest.fixture
def teller(tmp_path: Path, sqlite_template: Path) -> Iterator[Teller]:
    """A recorder with two sessions."""
    teller = Teller(tmp_path / "one.db", sqlite_template, 1)
    teller.write(TOLD, [Heard(1, 10, "stopped"), Heard(12, 20, "stopped")])
    yield teller
    teller.engine.dispose()


def move(source: Engine, target: Engine) -> None:
    mover = Mover(source, target)
    while mover.step() is not None:
        pass
    mover.close()


def chosen(teller: Teller, before_s: int) -> list[FrameRange]:
    with teller.engine.connect() as connection:
        return list(redactable(connection, ACCOUNT, before_ns=NOON_NS + before_s * 10**9))


def take(teller: Teller, before_s: int) -> list[int]:
    return list(redact(teller.engine, teller.url, chosen(teller, before_s), "who", "why"))


def test_the_payloads_go_and_all_else_stays(teller: Teller) -> None:
    before = contents(teller.engine)
    assert sum(take(teller, 15)) == 10 + 4
    after = contents(teller.engine)
    gone = [row for row in after["frames"] if row.status == "redacted"]
    assert len(gone) == 14
    assert {bytes(row.payload) for row in gone} == {b""}
    assert [row[:6] for row in after["frames"]] == [row[:6] for row in before["frames"]]
    assert after["seals"][: len(before["seals"])] == before["seals"], "their digests stay"
    assert [row.who for row in after["redactions"]] == ["who", "who"]
    assert not {(row.session_id, row.seq) for row in after["order_updates"]} & {
        (row.session_id, row.seq) for row in gone
    }
    assert after["runs"][-1].end_reason == "redacted"
    assert take(teller, 15) == [], "nothing is left to be taken"


@pytest.mark.parametrize("moved_before", [False, True])
def test_it_travels(teller: Teller, engine: Engine, moved_before: bool) -> None:
    if moved_before:
        move(teller.engine, engine)
    take(teller, 15)
    with teller.engine.connect() as one, engine.connect() as other:
        require_same(one, other)  # a copy that has not heard of it yet is no contradiction
    move(teller.engine, engine)
    assert contents(engine) == contents(teller.engine)


def test_the_bytes_are_in_no_file_any_more(teller: Teller) -> None:
    for _ in take(teller, 100):
        pass
    sweep(teller.engine, teller.url)
    folder = Path(teller.url.removeprefix("sqlite:///")).parent
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name: content.count(b'"unfilled_quantity":') for name, content in files.items()} == dict.fromkeys(files, 0)


def test_somebody_who_reads_the_file_as_it_was_is_told_of(teller: Teller) -> None:
    with closing(teller.engine.connect()) as reader:
        reader.exec_driver_sql("COMMIT")  # of the write transaction that an engine for writing begins
        reader.exec_driver_sql("BEGIN")
        reader.execute(text("SELECT * FROM frames")).all()
        take(teller, 15)
        with pytest.raises(DatabaseBusy, match="its log still holds them: close it there"):
            sweep(teller.engine, teller.url)
    sweep(teller.engine, teller.url)


def test_no_transaction_takes_too_many(teller: Teller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redactions, "FRAMES_MAX", 4)
    took = take(teller, 100)
    assert sum(took) == 10 + 9
    assert max(took) <= 4
    assert len(contents(teller.engine)["redactions"]) == 3 + 3


@given(st.sets(st.integers(0, 60)))
def test_stretches_are_all_that_is_meant_and_no_more(seqs: set[int]) -> None:
    class Connection:
        def execute(self, _query: object) -> list[tuple[int, int]]:
            return [(1, seq) for seq in sorted(seqs)]

    found = list(redactable(Connection(), ACCOUNT))  # type: ignore[arg-type]
    assert [seq for one in found for seq in range(one.first_seq, one.last_seq + 1)] == sorted(seqs)
    assert all(one.last_seq + 1 < other.first_seq for one, other in pairwise(found))
