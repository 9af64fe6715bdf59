"""The first login of a run is refused: the last session of the runs before proves only what was pushed on it.

Its key may have been revoked while the connection stayed open, its heartbeats answered.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from recorder.live.account_sessions import AccountSessions, of_record
from recorder.live.proof import DISCREPANCY, KEY_REFUSED, TOKEN
from recorder.model import REPEATED, SENT
from recorder.store import entries
from recorder.store.dialects import insert_rows
from recorder.store.engine import open_engine
from recorder.store.entries import Agreed, FramesRedacted, ReconciliationEnded, SessionEnded
from recorder.store.opening import add_entries
from recorder.store.schema import event_log
from tests.contract.book import Book, Gap, Session
from tests.contract.conftest import NewUrl
from tests.contract.story import COVERED, Heard, S, Teller, Told, contents
from tests.contract.test_forged_ends import kinds
from tests.contract.test_mover import move
from tests.made import ACCOUNT, NOON_NS, quick_engine

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_the_gap_begins_at_the_last_proof_whatever_happened",
    "test_answers_to_heartbeats_prove_nothing_any_more",
    "test_the_earlier_end_is_sealed_and_sent_on",
)

OTHER = 8


@pytest.fixture(scope="module")
def engine(new_url: NewUrl) -> Engine:
    """A database whose every transaction is rolled back."""
    return open_engine(new_url())


@pytest.fixture
def book(engine: Engine) -> Iterator[Book]:
    with engine.connect() as connection, connection.begin() as transaction:
        book = Book(connection)
        book.add()
        yield book
        transaction.rollback()


def a_session(book: Book, account_id: int = ACCOUNT, stream: str = "") -> Session:
    """A session that is covered."""
    session = book.open(account_id=account_id, stream=stream)
    session.cover()
    return session


def restart(book: Book) -> None:
    """The run ends in order, and the next one begins."""
    book.end_run()
    assert book.crash() == []


@pytest.mark.parametrize("is_killed", [False, True])
def test_answers_to_heartbeats_prove_nothing_any_more(book: Book, is_killed: bool) -> None:
    session = a_session(book)
    pushed, push = session.frame(), session.seq
    session.frame(SENT)
    session.answer()
    last = session.control()
    if is_killed:
        book.crash()
    else:
        session.end("stopped")
        restart(book)
    why = "crashed: the recorder did not end it" if is_killed else "stopped: its detail"
    assert book.gaps()[1:] == [Gap(None, last, None, why.partition(":")[0])]
    (entry,) = book.refuse()
    assert (entry.reason, entry.detail) == (KEY_REFUSED, f"the exchange refuses the key; {why}")
    assert (entry.last_seq, entry.last_received_ns) == (push, NOON_NS + pushed)
    assert book.gaps()[1:] == [Gap(None, pushed, None, KEY_REFUSED)]
    (row,) = book.rows("gaps")[1:]
    assert (row.begin_session_id, row.begin_seq) == (session.session_id, push)
    (of_session,) = book.rows("sessions")
    assert (of_session.ended_ns, of_session.end_reason) == (entry.ended_ns, KEY_REFUSED)
    # It counts once, and the next coverage ends the gap.
    assert book.refuse() == []
    restart(book)
    assert book.refuse() == []
    covered = book.open().cover()
    assert book.gaps()[1:] == [Gap(None, pushed, covered, KEY_REFUSED)]


def test_without_a_push_it_is_the_beginning_of_coverage(book: Book) -> None:
    session = book.open()
    session.frame()
    covered = session.cover()
    session.answer()
    session.end("stopped")
    restart(book)
    book.refuse()
    assert book.gaps()[1:] == [Gap(None, covered, None, KEY_REFUSED)]


def test_a_push_at_the_very_end_proves_everything(book: Book) -> None:
    session = a_session(book)
    session.answer()
    last = session.frame(REPEATED)
    session.last = session.seq, last
    session.end("stopped")
    restart(book)
    assert book.refuse() == []
    assert book.gaps()[1:] == [Gap(None, last, None, "stopped")]


def test_a_push_that_was_redacted_is_no_proof(book: Book) -> None:
    """Nobody can tell any more whether it was one."""
    session = a_session(book)
    pushed = session.frame()
    session.frame()
    erased = session.seq
    session.answer()
    session.end("stopped")
    book.apply(FramesRedacted(ACCOUNT, session.session_id, erased, erased, NOON_NS + book.tick(), "me", "mine"))
    restart(book)
    book.refuse()
    assert book.gaps()[1:] == [Gap(None, pushed, None, KEY_REFUSED)]


@pytest.mark.parametrize("reason", ["stopped", TOKEN, DISCREPANCY])
def test_a_comparison_that_agreed_is_a_proof_unless_something_was_known_to_be_missing(book: Book, reason: str) -> None:
    session = a_session(book)
    pushed = session.frame()
    session.answer()
    session.agree()
    agreed = session.agree()
    session.answer()
    session.end(reason)
    restart(book)
    book.refuse()
    begins = agreed if reason == "stopped" else pushed
    assert book.gaps()[1:] == [Gap(None, begins, None, KEY_REFUSED)]


def test_a_comparison_of_another_session_is_no_proof_of_this_one(book: Book) -> None:
    before = a_session(book)
    before.agree()
    before.end()
    session = a_session(book)
    before.agree()
    pushed = session.frame()
    session.answer()
    session.end("stopped")
    restart(book)
    book.refuse()
    assert book.gaps()[-1] == Gap(None, pushed, None, KEY_REFUSED)


def test_sessions_since_that_were_never_covered_change_nothing(book: Book) -> None:
    session = a_session(book)
    pushed = session.frame()
    session.answer()
    session.end("stopped")
    for _ in range(3):
        restart(book)
        book.open().end("lost")
    book.refuse()
    assert book.gaps()[1:] == [Gap(None, pushed, None, KEY_REFUSED)]


def test_each_stream_is_doubted_by_its_own_pushes(book: Book) -> None:
    book.add(OTHER, "other", ("a", "b"))
    one, other = (a_session(book, OTHER, stream) for stream in ("a", "b"))
    mine = a_session(book)
    pushed = {"a": one.frame(), "b": other.frame()}
    agreed = one.agree(other)
    pushed["b"] = other.frame()
    for session in (one, other, mine):
        session.answer()
        session.end("stopped")
    restart(book)
    told = book.refuse(OTHER, ("a", "b"))
    assert [entry.session_id for entry in told] == [one.session_id, other.session_id]
    begun = [gap for gap in book.gaps(OTHER) if gap.begins is not None]
    assert begun == [
        Gap(None, agreed, None, KEY_REFUSED, "a"),
        Gap(None, pushed["b"], None, KEY_REFUSED, "b"),
    ]
    assert book.gaps()[-1].reason == "stopped", "of another account"


def test_of_two_that_overlapped_it_is_the_one_that_ended_last(book: Book) -> None:
    old = a_session(book)
    new = a_session(book)
    new.frame()
    new.end()
    pushed = old.frame()
    old.answer()
    old.end("stopped")
    restart(book)
    book.refuse()
    assert book.gaps()[1:] == [Gap(None, pushed, None, KEY_REFUSED)]


def test_an_account_that_was_never_recorded_has_nothing_to_doubt(book: Book) -> None:
    a_session(book).end("stopped")
    restart(book)
    assert book.refuse(OTHER) == []
    book.add(OTHER, "other")
    assert book.refuse(OTHER) == []


@pytest.mark.parametrize(
    "forged",
    [
        "UPDATE sessions SET covered_ns = NULL",
        "UPDATE sessions SET stream = 'x', ended_ns = opened_ns",
        "UPDATE gaps SET begin_session_id = 1 WHERE begin_session_id IS NOT NULL",
    ],
)
def test_rows_that_were_changed_hide_nothing(book: Book, forged: str) -> None:
    session = a_session(book)
    pushed, push = session.frame(), session.seq
    session.answer()
    session.end("stopped")
    restart(book)
    book.connection.execute(text(forged))
    (entry,) = book.refuse()
    assert (entry.session_id, entry.last_seq, entry.last_received_ns) == (session.session_id, push, NOON_NS + pushed)


def test_an_entry_that_was_not_sealed_hides_nothing(book: Book) -> None:
    session = a_session(book)
    pushed = session.frame()
    session.answer()
    session.end("stopped")
    restart(book)
    never = Agreed(session.session_id, session.seq, NOON_NS + book.tick())
    ended = ReconciliationEnded(ACCOUNT, 1, session.session_id, NOON_NS + 1, "compared", "the same", agreed=(never,))
    insert_rows(book.connection, event_log, [(book.run_id, 1_000_000, 0, entries.encode(ended).decode())])
    book.refuse()
    assert book.gaps()[1:] == [Gap(None, pushed, None, KEY_REFUSED)]


class Answer(NamedTuple):
    """The exchange says something that is no push, at a second after noon."""

    at_s: int

    def payload(self, _stamp: int = 0) -> bytes:
        """The frame."""
        return COVERED


def find(connection: Connection, recorder_id: int) -> list[SessionEnded]:
    return AccountSessions(recorded={"": partial(of_record, connection, recorder_id, ACCOUNT, "")}).refused()


@pytest.mark.parametrize("end", ["stopped", "crashed"])
def test_the_earlier_end_is_sealed_and_sent_on(
    new_url: NewUrl, tmp_path: Path, sqlite_template: Path, end: str
) -> None:
    """As a run writes it that is refused before it begins: once, and nothing the next time."""
    teller = Teller(tmp_path / "recorder.db", sqlite_template, 1)
    teller.write([Told(2, 9), Answer(4)], [Heard(1, 5, end)])
    for number in range(2):
        add_entries(teller.engine, teller.url, find, NOON_NS + (10 + number) * S, "failed")
    url = new_url()
    target = quick_engine(url)
    move(teller.engine, target)
    written = contents(teller.engine)
    assert contents(target) == written
    assert [run.end_reason for run in written["runs"]] == [end, "failed"]
    assert [(gap.reason, gap.begin_seq) for gap in written["gaps"]] == [("beginning", None), (KEY_REFUSED, 1)]
    assert kinds(teller.url) == kinds(url) == []
    for engine in (teller.engine, target):
        engine.dispose()


INSIDE = st.lists(st.sampled_from(["frame", "answer", "control", "pong", "sent", "agree"]), max_size=8)
BETWEEN = st.lists(st.sampled_from(["refuse", "refuse", "restart", "crash"]), max_size=3)
ENDS = st.sampled_from(["end", "token", "crash", "restart"])
COVERS = st.sampled_from([["cover"], ["cover"], []])
HISTORIES = st.lists(st.tuples(INSIDE, COVERS, INSIDE, ENDS, BETWEEN), max_size=5)


@given(HISTORIES)
def test_the_gap_begins_at_the_last_proof_whatever_happened(
    engine: Engine, sessions: list[tuple[list[str], list[str], list[str], str, list[str]]]
) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        play = Play(Book(connection))
        for before, covers, inside, end, between in sessions:
            play.all(["open", *before, *covers, *inside, end, *between])
        transaction.rollback()


class Play:
    """A history, and what is to be believed of it.

    Args:
        book: takes it.
    """

    def __init__(self, book: Book) -> None:
        self.book = book
        self.book.add()
        self.now: Session | None = None
        #: Of the session now: the last push or the beginning of coverage, and the last comparison: when, and the frame.
        self.pushed = self.agreed = (-1, -1)
        #: Of the last covered session that has ended: where its gap begins, and where it would if the key is refused.
        self.begins: tuple[int, int] | None = None
        self.doubted: tuple[int, int] | None = None

    def all(self, history: list[str]) -> None:
        """Do what can be done of a history."""
        for what in history:
            if what == "refuse" and self.now is None:
                self.refuse()
            elif what in {"crash", "restart"}:
                self.over(what)
            elif what == "open" and self.now is None:
                self.now = self.book.open()
            elif self.now is not None:
                self.on_connection(what, self.now)
            self.check()

    def on_connection(self, what: str, now: Session) -> None:
        """Something happens while there is a connection."""
        if what == "cover" and now.covered is None:
            self.pushed, self.agreed = (now.cover(), now.seq), (-1, -1)
            self.begins = None
        elif what == "agree" and now.covered is not None:
            # Of frames, only those received count.
            self.agreed = now.agree(), now.last[0]
        elif what in {"end", "token"}:
            self.over(what)
        elif what == "frame":
            at = now.frame()
            self.pushed = at, now.seq
        elif what == "sent":
            now.frame(SENT)
        elif what in {"answer", "control", "pong"}:
            getattr(now, what)()

    def over(self, what: str) -> None:
        """The connection ends, or the run."""
        now, self.now = self.now, None
        if what == "crash":
            told = {entry.session_id: entry for entry in self.book.crash()}
            if now is not None:
                self.note(now, told[now.session_id].last_received_ns - NOON_NS, told[now.session_id].last_seq, "")
            return
        if now is not None:
            seq, at = now.last
            now.end({"token": TOKEN, "end": "lost"}.get(what, "stopped"))
            self.note(now, at, seq, what)
        if what == "restart":
            restart(self.book)

    def note(self, session: Session, at: int, seq: int, why: str) -> None:
        """A session has ended."""
        if session.covered is not None:
            self.begins = at, seq
            proved = self.pushed if why == "token" else max(self.pushed, self.agreed)
            self.doubted = min(self.begins, proved)

    def refuse(self) -> None:
        """A login is refused."""
        told: list[SessionEnded] = self.book.refuse()
        assert [(entry.last_received_ns - NOON_NS, entry.last_seq) for entry in told] == [
            place for place in [self.doubted] if self.begins is not None and place is not None and place < self.begins
        ]
        self.begins = self.doubted if self.begins is not None else None

    def check(self) -> None:
        """There is one ongoing gap unless a session is covered, and it begins where it must."""
        ongoing = [
            (row.begins_ns, row.begin_seq) for row in self.book.rows("gaps") if row.ends_ns is None and not row.topic
        ]
        if self.now is not None and self.now.covered is not None:
            assert ongoing == []
        elif self.begins is None:
            assert ongoing == [(None, None)]
        else:
            assert ongoing == [(NOON_NS + self.begins[0], self.begins[1])]
