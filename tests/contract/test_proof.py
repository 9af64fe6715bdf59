"""A proof of one frame: small, checked without the record, and worth nothing once one byte of it is another."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text

from recorder.audit.evidence.checkpoint import checkpoint_of, read_checkpoint, sign_checkpoint
from recorder.audit.evidence.keys import new_key
from recorder.audit.evidence.proof import Proved, check, encode, make_proof
from recorder.audit.reading import RecordReader
from recorder.errors import DatabaseError, NotProven
from recorder.model import Frame
from recorder.store.schema import frames
from tests.contract.chronicle import FIRST, LAST, LONG, REDACTED, ROUND, Chronicle
from tests.contract.test_mover import move
from tests.made import quick_engine, unguard

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = ("test_every_frame_has_a_proof",)

FRAMES, PER_BATCH = 200, 40


@pytest.fixture
def reader(written: Chronicle, engine: Engine, url: str) -> Iterator[RecordReader]:
    """A reader of a chronicle, moved into a database of this engine."""
    move(quick_engine(written.url), engine)
    with closing(RecordReader(url)) as reader, reader.snapshot():
        yield reader


@pytest.fixture(scope="module")
def one(written: Chronicle) -> bytes:
    """A proof of some frame."""
    with closing(RecordReader(written.url)) as reader, reader.snapshot():
        return encode(make_proof(reader, LONG, 25))


def checked(data: bytes, chronicle: Chronicle) -> Proved:
    return check(data, chronicle.key.verifier)


def test_every_frame_has_a_proof(written: Chronicle, reader: RecordReader, engine: Engine) -> None:
    """Of every source, at every place of its batch: the first, the last, in a row of its own."""
    with engine.connect() as connection:
        there = [Frame(*row) for row in connection.execute(select(frames).where(frames.c.session_id < LAST))]
    emptied = range(REDACTED.first_seq, REDACTED.last_seq + 1)
    proved = 0
    for frame in there:
        if (frame.session_id, frame.seq) in {(FIRST, seq) for seq in emptied}:
            continue
        data = encode(make_proof(reader, frame.session_id, frame.seq))
        assert len(data) < 4_000 + 2 * len(frame.payload)
        told = checked(data, written).proof.frame
        assert told.payload == bytes(frame.payload)
        assert (told.session_id, told.seq, told.received_ns) == frame[1:4]
        assert (told.venue, told.source) == ("fmex", frame.source)
        proved += 1
    assert proved > FRAMES


def test_an_answer_is_proved_with_its_question(written: Chronicle, reader: RecordReader) -> None:
    told = checked(encode(make_proof(reader, ROUND, 3)), written).proof.frame
    assert told.asked == "/v3/contracts/orders/849758102002/matches"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_byte_that_is_another(written: Chronicle, one: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(one) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != one[place]))
    with pytest.raises(NotProven):
        checked(one[:place] + bytes([value]) + one[place + 1 :], written)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_bytes_more_or_less(written: Chronicle, one: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(one)))
    less = data.draw(st.integers(0, 3))
    more = data.draw(st.binary(max_size=3))
    changed = one[:place] + more + one[place + less :]
    if changed == one:
        return
    with pytest.raises(NotProven):
        checked(changed, written)


NUMBERS = ("session_id", "seq", "received_ns", "row", "place", "run_id", "batch", "written_ns", "frames", "entries")


@pytest.mark.parametrize("field", [*NUMBERS, "index"])
@given(st.integers(-(2**70), 2**70) | st.integers(-3, 100))
@example(2**63)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_number_that_is_another(written: Chronicle, one: bytes, field: str, value: int) -> None:
    """Also where it stays a proof in form: it must be refused in order, never with a fault of ours."""
    name = f'"{field}": '.encode()
    before, _, rest = one.partition(name)
    was, comma, after = rest.partition(b",")
    if str(value).encode() == was:
        return
    with pytest.raises(NotProven):
        checked(before + name + str(value).encode() + comma + after, written)


def test_another_key_and_another_checkpoint(written: Chronicle, one: bytes) -> None:
    with pytest.raises(NotProven, match="has not signed this"):
        check(one, new_key("test/other").verifier)
    key = written.key.verifier
    mine = read_checkpoint(written.note, key)
    assert check(one, key, [mine]).checkpoint == mine
    with pytest.raises(NotProven, match="ask for a proof that is made with yours"):
        check(one, key, [mine._replace(size=mine.size + 1)])


def test_a_note_that_others_have_signed_too(written: Chronicle, reader: RecordReader) -> None:
    """A witness's signature is nobody's business: it is left out, or it could be changed unseen."""
    witness = sign_checkpoint(read_checkpoint(written.note, written.key.verifier), new_key("test/witness"))
    both = written.note + witness.rpartition("\n\n")[2]
    with pytest.raises(NotProven, match="signed by several"):
        make_proof(reader, LONG, 25, [both])
    made = make_proof(reader, LONG, 25, [both], written.key.verifier)
    assert made.checkpoint == written.note
    crammed = encode(made).replace(b'\\n"', b'\\n\xe2\x80\x94 x eHg=\\n"')
    with pytest.raises(NotProven, match="another signature"):
        checked(crammed, written)


def test_the_smallest_checkpoint_that_reaches_the_frame(written: Chronicle, reader: RecordReader) -> None:
    small = sign_checkpoint(checkpoint_of(written.recorder_id, 1, bytes(32)), written.key)
    assert make_proof(reader, LONG, 25, [small, written.note]).checkpoint == written.note
    with pytest.raises(DatabaseError, match="No checkpoint covers that frame yet"):
        make_proof(reader, LONG, 25, [small])
    with pytest.raises(DatabaseError, match="No checkpoint covers that frame yet"):
        make_proof(reader, LAST, 2)


def test_what_cannot_be_proved(reader: RecordReader) -> None:
    with pytest.raises(DatabaseError, match="There is no frame 25"):
        make_proof(reader, 4711, 25)
    with pytest.raises(DatabaseError, match="was redacted"):
        make_proof(reader, FIRST, REDACTED.first_seq)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE frames SET received_ns = received_ns + 1 WHERE seq = 25",
        "DELETE FROM frames WHERE seq = 25",
        "UPDATE batches SET written_ns = written_ns + 1",
        "DELETE FROM seals WHERE batch = 1",
    ],
)
def test_what_was_changed_gets_no_proof(written: Chronicle, engine: Engine, url: str, edit: str) -> None:
    move(quick_engine(written.url), engine)
    with engine.begin() as connection:
        unguard(connection)
        connection.execute(text(edit))
    with closing(RecordReader(url)) as reader, reader.snapshot(), pytest.raises(NotProven, match="recorder verify"):
        make_proof(reader, LONG, 25)
