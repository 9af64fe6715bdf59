"""Seals: the format, computed again by hand; it may never change, for what has been sealed must be checkable always."""

from collections.abc import Sequence
from hashlib import sha256
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from recorder.model import CONTROL, DECODED, PUSH, REST, SENT, SNAPSHOT, UNDECODED, Frame
from recorder.store import entries
from recorder.store.entries import CheckpointMade, RunEnded, RunStarted
from recorder.store.journal import OPENING, Batch, last_seal
from recorder.store.schema import batches
from recorder.store.schema import seals as seals_table
from recorder.store.seals import BEGINNING, ROW, entries_root, entry_leaf, frame_digests, frames_root, rows_of, seal_of
from tests.made import ACCOUNT, NOON_NS, RECORDER, RUN, SESSION, new_database, received

INT64 = st.integers(-(2**63), 2**63 - 1)
HASH = st.binary(min_size=32, max_size=32)
#: Words that could be taken apart elsewhere, if their lengths did not stand before them.
TOPIC = st.none() | st.text(alphabet="ab/?", max_size=4) | st.text(max_size=20)
FRAMES = st.builds(
    Frame,
    account_id=INT64,
    session_id=INT64,
    seq=INT64,
    received_ns=INT64,
    source=st.sampled_from([PUSH, SENT, REST, SNAPSHOT]),
    topic=TOPIC,
    status=st.sampled_from([DECODED, CONTROL, UNDECODED]),
    error=st.none() | st.text(max_size=5),
    payload=st.binary(max_size=40),
)

#: Known answers, of `test_known_answers`.
DIGESTS = [
    "210ea10bcbae69f683f29fd6797f0f43fc30e38b41c607be1cbf2b6424310354",
    "2da2d16b548cae3f4ceabd363f89362f6d43c5114497bfcb5ebe60f37b625de9",
    "ec092d2d1d5e1c58def83eab07ab21eada6a30a5386e8c229bfb091e2f850eb5",
    "9ce55736dde311ba91ca2ef7cac2ad3d67dbf2e8b9b1ff99ed8c1228fdb4bd5e",
]
FRAMES_ROOT = "26c17fd62a5659200febbba330854defa796e55c82d22db3220ed2815b58543b"
ENTRIES_ROOT = "5da99a209b775647cc79f5761d28646e6ba29535fa837724ec119a8f601137c1"
FIRST = "918f93cfff4ccf11542ff3ae8ade90d0242aebaf8f2f79ff1fbe98d82cac966e"
SECOND = "b2997647a1885ef0d3c9e85825eca73336b63dd2515c1b39fdd145950c185a23"


def eight(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)


def told(text: str) -> bytes:
    return eight(len(text.encode())) + text.encode()


def frame_text(run_id: int, frame: Frame) -> bytes:
    """What the digest of a frame is over."""
    asked = frame.topic if frame.source in {REST, SNAPSHOT} and frame.topic is not None else ""
    return (
        b"frame of recorder 1\n"
        + eight(run_id)
        + eight(frame.account_id)
        + eight(frame.session_id)
        + told(frame.source)
        + told(asked)
        + eight(frame.seq)
        + eight(frame.received_ns)
        + eight(len(frame.payload))
        + frame.payload
    )


class Said(NamedTuple):
    """What a digest is over, read back."""

    numbers: tuple[int, ...]
    source: str
    asked: str
    payload: bytes


def read_back(text: bytes) -> Said:
    """The one frame that such a text is of: whatever can be read back, no two frames share."""
    title, _, rest = text.partition(b"\n")
    assert title == b"frame of recorder 1"
    numbers = [int.from_bytes(rest[at : at + 8], "big", signed=True) for at in range(0, 24, 8)]
    rest = rest[24:]
    words = []
    for _ in range(2):
        length = int.from_bytes(rest[:8], "big")
        words.append(rest[8 : 8 + length].decode())
        rest = rest[8 + length :]
    numbers += [int.from_bytes(rest[at : at + 8], "big", signed=True) for at in range(0, 24, 8)]
    rest = rest[24:]
    assert len(rest) == numbers[5]
    return Said(tuple(numbers[:5]), words[0], words[1], rest)


def tree(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162, section 2.1.1."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + tree(leaves[:split]) + tree(leaves[split:])).digest()


def leaf(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def seal_by_hand(
    batch: int, frames: Sequence[Frame], bodies: Sequence[bytes], before: bytes, written_ns: int = NOON_NS
) -> bytes:
    digests = [sha256(frame_text(RUN, frame)).digest() for frame in frames]
    rows = [b"".join(digests[start : start + 32]) for start in range(0, len(digests), 32)]
    return leaf(
        b"seal of recorder 1\n"
        + eight(RUN)
        + eight(batch)
        + eight(written_ns)
        + eight(len(frames))
        + eight(len(bodies))
        + tree([leaf(row) for row in rows])
        + tree([leaf(b"entry of recorder 1\n" + body) for body in bodies])
        + before
    )


def pushes(count: int, session_id: int = SESSION, account_id: int = ACCOUNT) -> list[Frame]:
    return [received(seq, session_id=session_id, account_id=account_id).frame for seq in range(count)]


@given(INT64, st.lists(FRAMES, max_size=5))
def test_the_digest_of_a_frame(run_id: int, frames: list[Frame]) -> None:
    frames.sort(key=lambda one: one[:3])  # the order in which they are sealed
    assert frame_digests(run_id, frames) == b"".join(sha256(frame_text(run_id, one)).digest() for one in frames)


@given(INT64, FRAMES)
def test_two_frames_never_make_the_same_text(run_id: int, frame: Frame) -> None:
    asked = (frame.topic or "") if frame.source in {REST, SNAPSHOT} else ""
    numbers = run_id, frame.account_id, frame.session_id, frame.seq, frame.received_ns
    assert read_back(frame_text(run_id, frame)) == Said(numbers, frame.source, asked, frame.payload)


def test_what_could_be_taken_apart_elsewhere_is_not() -> None:
    """The same bytes one after the other, but their boundaries elsewhere."""
    base = Frame(1, 2, 3, 4, REST, "ab", DECODED, None, b"cd")
    shifted = [
        base,
        base._replace(topic="abc", payload=b"d"),
        base._replace(topic="a", payload=b"bcd"),
        base._replace(topic="", payload=b"abcd"),
        base._replace(topic="abcd", payload=b""),
        base._replace(account_id=2, session_id=1),
        base._replace(seq=4, received_ns=3),
        base._replace(source=SNAPSHOT),
    ]
    assert len({frame_digests(9, [frame]) for frame in shifted}) == len(shifted)
    assert frame_digests(8, [base]) != frame_digests(9, [base])


@pytest.mark.parametrize("field", ["account_id", "session_id", "seq", "received_ns", "source", "topic", "payload"])
def test_each_field_that_is_evidence_counts(field: str) -> None:
    frame = Frame(1, 2, 3, 4, REST, "/v2/orders", DECODED, None, b"payload")
    other = {"source": SNAPSHOT, "topic": "/v2/other", "payload": b"pAyload"}.get(field, 99)
    assert frame_digests(RUN, [frame]) != frame_digests(RUN, [Frame(**frame._asdict() | {field: other})])


@pytest.mark.parametrize("field", ["topic", "status", "error"])
def test_how_a_push_was_read_does_not_count(field: str) -> None:
    """A later version may read better; a rebuild must not break a seal."""
    frame = Frame(1, 2, 3, 4, PUSH, "account", DECODED, None, b"payload")
    assert frame_digests(RUN, [frame]) == frame_digests(RUN, [Frame(**frame._asdict() | {field: "other"})])


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 63, 64, 65, 96, 257])
def test_rows_of_thirty_two(count: int) -> None:
    digests = [leaf(b"%d" % number) for number in range(count)]
    rows = rows_of(b"".join(digests))
    assert ROW == 32
    assert [len(row) // 32 for row in rows] == [32] * (count // 32) + [count % 32] * bool(count % 32)
    assert b"".join(rows) == b"".join(digests)
    assert frames_root(b"".join(digests)) == tree([leaf(row) for row in rows])


def test_the_number_of_frames_is_sealed_beside_their_root() -> None:
    """Nobody need ask whether two splittings of the same digests could share a root."""
    roots = {frames_root(b"".join(leaf(b"%d" % number) for number in range(count))) for count in range(70)}
    assert len(roots) == 70
    counts = {
        seal_of(1, 2, 3, frames, entries, BEGINNING, BEGINNING, BEGINNING) for frames, entries in [(1, 2), (2, 1)]
    }
    assert len(counts) == 2


@given(st.lists(st.binary(max_size=30), max_size=40))
def test_the_root_of_the_entries(bodies: list[bytes]) -> None:
    assert entries_root(bodies) == tree([leaf(b"entry of recorder 1\n" + body) for body in bodies])
    assert [entry_leaf(body) for body in bodies] == [leaf(b"entry of recorder 1\n" + body) for body in bodies]


@given(st.tuples(INT64, INT64, INT64, INT64, INT64), st.tuples(HASH, HASH, HASH))
def test_the_seal(numbers: tuple[int, int, int, int, int], hashes: tuple[bytes, bytes, bytes]) -> None:
    by_hand = leaf(b"seal of recorder 1\n" + b"".join(map(eight, numbers)) + b"".join(hashes))
    assert seal_of(*numbers, *hashes) == by_hand


def test_each_part_of_a_seal_counts() -> None:
    parts: list[Any] = [1, 2, 3, 4, 5, *(bytes([number]) * 32 for number in range(3))]
    made = {seal_of(*parts)}
    for place, part in enumerate(parts):
        other = part + 1 if isinstance(part, int) else bytes(32)[:-1] + b"\xff"
        changed = [*parts[:place], other, *parts[place + 1 :]]
        made.add(seal_of(*changed))
    for one, other in permutations(range(5), 2):
        swapped = [*parts]
        swapped[one], swapped[other] = swapped[other], swapped[one]
        made.add(seal_of(*swapped))
    assert len(made) == 1 + len(parts) + 10


def test_known_answers() -> None:
    """Never to be changed: a record that was sealed with another format would look forged."""
    frames = [
        Frame(7, 70, 0, NOON_NS, SENT, None, CONTROL, None, b'{"cmd":"ping"}'),
        Frame(7, 70, 1, NOON_NS + 1, PUSH, "account", DECODED, None, b'{"type":"account"}'),
        Frame(7, 71, 0, NOON_NS + 2, REST, "/v2/orders?a=b", DECODED, None, b"\xff\x00"),
        Frame(-8, 2**63 - 1, 2, -1, SNAPSHOT, "/v2/p\u00f6", UNDECODED, "why", b""),
    ]
    digests = frame_digests(700, frames)
    assert [digests[start : start + 32].hex() for start in range(0, 128, 32)] == DIGESTS
    assert frames_root(digests).hex() == FRAMES_ROOT
    bodies = [b'{"kind":"RunEnded","run_id":700,"ended_ns":1,"reason":"stopped"}', b"{}"]
    assert entries_root(bodies).hex() == ENTRIES_ROOT
    assert entries_root([]) == frames_root(b"") == sha256(b"").digest()
    assert bytes(32) == BEGINNING
    first = seal_of(700, 0, NOON_NS, 4, 2, frames_root(digests), entries_root(bodies), BEGINNING)
    assert first.hex() == FIRST
    assert seal_of(700, 1, NOON_NS + 5, 0, 0, frames_root(b""), entries_root([]), first).hex() == SECOND


def test_an_entry_is_kept_as_the_bytes_it_always_was() -> None:
    """They are what is sealed; a reader of another language finds them in `event_log`."""
    assert (
        entries.encode(RunEnded(1, 2, "st\u00f6p\n"))
        == '{"kind":"RunEnded","run_id":1,"ended_ns":2,"reason":"stöp\\n"}'.encode()
    )
    assert entries.decode(entries.encode(RunEnded(1, 2, "x"))) == RunEnded(1, 2, "x")


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 65])
def test_the_seal_of_a_batch(tmp_path: Path, count: int) -> None:
    """As it is written: of its frames, its entries as they are kept, and the seal before."""
    frames = pushes(count)
    _, engine = new_database(tmp_path / "recorder.db")
    before = leaf(b"before")
    batch = Batch(RECORDER, RUN, OPENING, before)
    batch.entries.append(RunStarted(RUN, RECORDER, NOON_NS, "here", 1, "0"))
    for frame in frames:
        batch.add(frame, ())
    with engine.begin() as connection:
        batch.write(connection, NOON_NS)
    bodies = [entries.encode(entry) for entry in batch.entries]
    assert batch.seal == seal_by_hand(OPENING, frames, bodies, before)
    with engine.connect() as connection:
        row = connection.execute(select(seals_table)).one()
        assert last_seal(connection, RECORDER) == batch.seal
        assert last_seal(connection, RECORDER + 1) == BEGINNING
    assert (row.run_id, row.batch, row.seal) == (RUN, OPENING, batch.seal)
    assert row.digests == b"".join(sha256(frame_text(RUN, frame)).digest() for frame in frames)
    assert (row.frames_root, row.entries_root) == (frames_root(row.digests), entries_root(bodies))
    engine.dispose()


def test_the_order_of_adding_does_not_matter_between_sessions(tmp_path: Path) -> None:
    """A session's frames come in its order; several accounts' and their answers of REST come as they come."""
    groups = [pushes(3), pushes(2, SESSION + 1), pushes(2, SESSION - 1), pushes(2, account_id=ACCOUNT - 1)]
    _, engine = new_database(tmp_path / "recorder.db", (ACCOUNT, "main"), (ACCOUNT - 1, "other"))
    in_order = sorted((frame for group in groups for frame in group), key=lambda frame: frame[:3])
    made = set()
    for order in permutations(groups):
        batch = Batch(RECORDER, RUN, 1, BEGINNING)
        for frame in (one for group in order for one in group):
            batch.add(frame, ())
        made.add(written(batch, engine))
    # And taken in turns.
    batch = Batch(RECORDER, RUN, 1, BEGINNING)
    for seq in range(3):
        for group in groups:
            for frame in group[seq : seq + 1]:
                batch.add(frame, ())
    made.add(written(batch, engine))
    assert made == {seal_by_hand(1, in_order, [], BEGINNING)}
    engine.dispose()


def written(batch: Batch, engine: Engine) -> bytes:
    """The seal of a batch that was written, and then was not."""
    with engine.connect() as connection:
        transaction = connection.begin()
        connection.exec_driver_sql("INSERT INTO runs VALUES (700, 7000, 1, 'here', 1, '0', NULL, NULL)")
        batch.write(connection, NOON_NS)
        transaction.rollback()
    return batch.seal


def test_written_again_it_is_the_same_seal_with_the_time_of_the_first_attempt(tmp_path: Path) -> None:
    """Nobody knows whether the first attempt was committed: the next batch is chained to this seal in either case."""
    _, engine = new_database(tmp_path / "recorder.db")
    batch = Batch(RECORDER, RUN, OPENING, BEGINNING)
    batch.entries.append(RunStarted(RUN, RECORDER, NOON_NS, "here", 1, "0"))
    batch.entries.append(CheckpointMade(RECORDER, 1, NOON_NS, "note", None))
    batch.add(received(0).frame, ())
    with engine.connect() as connection:
        transaction = connection.begin()
        batch.write(connection, NOON_NS)
        transaction.rollback()
    first = batch.seal
    with engine.begin() as connection:
        batch.write(connection, NOON_NS + 5)
    assert batch.seal == first
    with engine.connect() as connection:
        assert connection.scalar(select(seals_table.c.seal)) == first
        assert connection.scalar(select(batches.c.written_ns)) == NOON_NS
    engine.dispose()
