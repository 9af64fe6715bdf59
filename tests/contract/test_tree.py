"""The tree of a recorder's seals, read from a record of either kind, and what is taken on trust."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, select, text

from recorder.audit.evidence import tree as tree_module
from recorder.audit.evidence.checkpoint import checkpoint_of, sign_checkpoint
from recorder.audit.evidence.keys import new_key
from recorder.audit.evidence.tree import SealPlace, Tree, newest_checkpoint, place_of, sizes, subtrees_text
from recorder.errors import DatabaseError, NotProven
from recorder.store.entries import CheckpointMade, RunEnded, RunStarted, encode
from recorder.store.journal import Batch
from recorder.store.merkle import Frontier, root_of
from recorder.store.mover import Mover
from recorder.store.opening import open_run
from recorder.store.schema import runs, seals
from tests.made import NOON_NS, quick_engine, received, unguard

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_each_recorder_has_its_own_tree[postgresql-3]",
    "test_it_goes_on_where_a_checkpoint_ends",
)

KEY = new_key("audit")


class Pen:
    """A recorder that writes batches, and checkpoints where it is told to.

    Args:
        path: its file, not there yet.
        template: a file with the current schema.
        number: which; its runs are numbered by it.
    """

    def __init__(self, path: Path, template: Path, number: int) -> None:
        shutil.copy(template, path)
        self.url = f"sqlite:///{path}"
        self.engine = quick_engine(self.url)
        self.recorder_id = 0
        self._run_id = number  # of two recorders in turns
        self._number = 0
        self._seal = b""
        self._seals: list[bytes] = []

    def begin(self) -> None:
        """A run begins."""
        self._run_id += 10
        started = RunStarted(self._run_id, 0, NOON_NS, "here", 1, "0")
        with self.engine.begin() as connection:
            run, self._seal, _ = open_run(connection, self.url, started, ())
        self.recorder_id, self._run_id, self._number = run.recorder_id, run.run_id, 0
        self._seals.append(self._seal)

    def write(self, *entries: CheckpointMade | RunEnded) -> None:
        """Commit a batch with a frame."""
        self._number += 1
        batch = Batch(self.recorder_id, self._run_id, self._number, self._seal)
        batch.add(*received(self._number, session_id=self._run_id))
        batch.entries += entries
        with self.engine.begin() as connection:
            batch.write(connection, NOON_NS)
        self._seal = batch.seal
        self._seals.append(self._seal)

    def end(self) -> None:
        """The run ends."""
        self.write(RunEnded(self._run_id, NOON_NS, "stopped"))

    @property
    def seals(self) -> list[bytes]:
        """All of them, as they were written."""
        return list(self._seals)

    def checkpoint(self) -> CheckpointMade:
        """Sign what is there, and note it."""
        frontier = Frontier()
        for seal in self._seals:
            frontier.add(seal)
        note = sign_checkpoint(checkpoint_of(self.recorder_id, frontier.size, frontier.root()), KEY)
        made = CheckpointMade(self.recorder_id, frontier.size, NOON_NS, note, None, subtrees_text(frontier))
        self.write(made)
        return made


@pytest.fixture
def pens(tmp_path: Path, sqlite_template: Path) -> Iterator[tuple[Pen, Pen]]:
    """Two recorders: three runs of 1, 5 and 9 seals with a checkpoint in the last, and one of 3."""
    one, other = (Pen(tmp_path / f"{number}.db", sqlite_template, number) for number in (1, 2))
    for count in (0, 4, 5):
        one.begin()
        for _ in range(count):
            one.write()
    one.checkpoint()
    for _ in range(2):
        one.write()
    one.end()
    other.begin()
    other.write()
    other.end()
    yield one, other
    one.engine.dispose()
    other.engine.dispose()


@pytest.fixture
def merged(engine: Engine, pens: tuple[Pen, Pen]) -> Engine:
    """What both have written, in one database."""
    for pen in pens:
        mover = Mover(pen.engine, engine)
        while mover.step() is not None:
            pass
        mover.close()
    return engine


def whole(connection: Connection, recorder_id: int, *, anew: bool = True, upto: SealPlace | None = None) -> Tree:
    """The tree, read to its end."""
    tree = Tree(recorder_id, KEY.verifier)
    tree.begin(connection, anew=anew)
    while tree.read(connection, upto):
        pass
    return tree


def change(engine: Engine, sql: str) -> None:
    with engine.begin() as connection:
        unguard(connection)
        connection.execute(text(sql.replace(":", r"\:")))  # none of them is a parameter


@pytest.mark.parametrize("chunk", [1, 2, 3, 1_000])
def test_each_recorder_has_its_own_tree(
    merged: Engine, pens: tuple[Pen, Pen], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_module, "CHUNK", chunk)
    with merged.connect() as connection:
        for pen in pens:
            tree = whole(connection, pen.recorder_id)
            assert tree.frontier.size == len(pen.seals)
            assert tree.frontier.root() == root_of(pen.seals)
            assert tree.last == pen.seals[-1]
        assert sizes(connection) == {pen.recorder_id: len(pen.seals) for pen in pens}
        assert whole(connection, 5).frontier.size == 0


def test_up_to_a_batch(merged: Engine, pens: tuple[Pen, Pen]) -> None:
    pen, _ = pens
    with merged.connect() as connection:
        for size in range(1, len(pen.seals) + 1):
            place = place_of(connection, pen.recorder_id, size)
            assert place is not None
            tree = whole(connection, pen.recorder_id, upto=place)
            assert (tree.frontier.size, tree.place, tree.last) == (size, place, pen.seals[size - 1])
        for size in (0, -1, len(pen.seals) + 1):
            assert place_of(connection, pen.recorder_id, size) is None


def test_it_goes_on_where_a_checkpoint_ends(merged: Engine, pens: tuple[Pen, Pen]) -> None:
    """Seals before it are not read: here they are not even there, but for how many they are."""
    pen, _ = pens
    with merged.connect() as connection:
        made = newest_checkpoint(connection, pen.recorder_id)
    assert made is not None
    assert made.size == 12
    with merged.connect() as connection:
        tree = Tree(pen.recorder_id, KEY.verifier)
        tree.begin(connection)
        assert tree.frontier.size == 12
        assert tree.place == place_of(connection, pen.recorder_id, 12)
    change(merged, f"UPDATE seals SET seal = frames_root WHERE run_id < (SELECT max(run_id) FROM runs "
                   f"WHERE recorder_id = {pen.recorder_id})")  # fmt: skip
    with merged.connect() as connection:
        assert whole(connection, pen.recorder_id, anew=False).frontier.root() == root_of(pen.seals)


@pytest.mark.parametrize(
    "sql",
    [
        # Another key's, somebody else's tree, none, text that is nothing, an entry that is none.
        "UPDATE event_log SET body = replace(body, 'audit', 'Audit')",
        "UPDATE event_log SET body = replace(body, 'recorder/', 'recorder/1')",
        'UPDATE event_log SET body = replace(body, \'"subtrees":"\', \'"subtrees":"A\')',
        'UPDATE event_log SET body = replace(body, \'"subtrees":"\', \'"subtrees":"","x":"\')',
        "UPDATE event_log SET body = '{\"kind\":\"CheckpointMade\"' WHERE body LIKE '%CheckpointMade%'",
        "UPDATE event_log SET body = '{}' WHERE body LIKE '%CheckpointMade%'",
    ],
)
def test_what_cannot_be_trusted_is_not(merged: Engine, pens: tuple[Pen, Pen], sql: str) -> None:
    pen, _ = pens
    change(merged, sql)
    with merged.connect() as connection:
        tree = Tree(pen.recorder_id, KEY.verifier)
        tree.begin(connection)
        assert tree.frontier.size == 0, "it begins at the first seal"
        assert whole(connection, pen.recorder_id, anew=False).frontier.root() == root_of(pen.seals)


def test_subtrees_of_another_tree_are_not_taken(merged: Engine, pens: tuple[Pen, Pen]) -> None:
    """Well formed, of the right size, but not what was signed."""
    pen, _ = pens
    frontier, right = Frontier(), Frontier()
    for number, seal in enumerate(pen.seals[:12]):
        frontier.add(seal if number else bytes(32))
        right.add(seal)
    change(merged, f"UPDATE event_log SET body = replace(body, '{subtrees_text(right)}', '{subtrees_text(frontier)}')")
    with merged.connect() as connection:
        made = newest_checkpoint(connection, pen.recorder_id)
        assert made is not None
        assert made.subtrees == subtrees_text(frontier)
        tree = Tree(pen.recorder_id, KEY.verifier)
        tree.begin(connection)
        assert tree.frontier.size == 0


def test_another_recorders_checkpoint_is_not_taken(merged: Engine, pens: tuple[Pen, Pen]) -> None:
    """Signed by the same key, whole and true; but of another tree."""
    pen, other = pens
    theirs = other.checkpoint()
    body = encode(theirs).decode()
    change(merged, f"UPDATE event_log SET body = '{body}' WHERE body LIKE '%CheckpointMade%'")
    change(merged, f"UPDATE checkpoints SET note = '{theirs.note}', size = {theirs.size}")
    for anew in (True, False):
        with merged.connect() as connection:
            tree = Tree(pen.recorder_id, KEY.verifier)
            tree.begin(connection, anew=anew)
            assert tree.frontier.size == 0
            assert whole(connection, pen.recorder_id, anew=anew).frontier.root() == root_of(pen.seals)


@pytest.mark.parametrize("size", [1, 5, 12])
def test_a_record_that_is_not_what_was_signed(merged: Engine, pens: tuple[Pen, Pen], size: int) -> None:
    pen, _ = pens
    with merged.connect() as connection:
        place = place_of(connection, pen.recorder_id, size)
        assert place is not None
    change(merged, f"UPDATE seals SET seal = frames_root WHERE run_id = {place.run_id} AND batch = {place.batch}")
    with merged.connect() as connection, pytest.raises(NotProven) as raised:
        whole(connection, pen.recorder_id)
    assert str(raised.value) == (
        f"The first 12 seals of recorder {pen.recorder_id} are not those that were signed at 2020-02-04 07:40:53.662: "
        "the record was changed; `recorder verify` says where."
    )
    with merged.connect() as connection:
        assert Tree(pen.recorder_id, new_key("audit").verifier).read(connection), "another key has signed nothing of it"


def test_what_came_after_is_nobodys_yet(merged: Engine, pens: tuple[Pen, Pen]) -> None:
    pen, _ = pens
    with merged.connect() as connection:
        place = place_of(connection, pen.recorder_id, 13)
        assert place is not None
    change(merged, f"UPDATE seals SET seal = frames_root WHERE run_id = {place.run_id} AND batch = {place.batch}")
    with merged.connect() as connection:
        assert whole(connection, pen.recorder_id).frontier.root() != root_of(pen.seals)


def test_a_seal_that_is_missing(merged: Engine, pens: tuple[Pen, Pen]) -> None:
    pen, _ = pens
    with merged.connect() as connection:
        run_id = connection.scalar(
            select(runs.c.run_id).where(runs.c.recorder_id == pen.recorder_id).limit(1).offset(1)
        )
        assert connection.scalar(select(seals.c.batch).where(seals.c.run_id == run_id, seals.c.batch == 2)) == 2
    change(merged, f"DELETE FROM seals WHERE run_id = {run_id} AND batch = 2")
    with merged.connect() as connection, pytest.raises(DatabaseError) as raised:
        whole(connection, pen.recorder_id)
    assert str(raised.value) == f"Run {run_id} lacks the seal of batch 2: type `recorder verify`."


def test_the_newest_of_several_checkpoints(pens: tuple[Pen, Pen]) -> None:
    pen, other = pens
    pen.begin()
    first, second = pen.checkpoint(), pen.checkpoint()
    assert first.size < second.size
    with pen.engine.connect() as connection:
        assert newest_checkpoint(connection, pen.recorder_id) == second
    with other.engine.connect() as connection:
        assert newest_checkpoint(connection, other.recorder_id) is None
