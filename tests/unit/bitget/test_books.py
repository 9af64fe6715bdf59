"""Books by records that are listed by product line: the lists of one balance are asked for one after another."""

from decimal import Decimal
from pathlib import Path

from recorder.clock import NS_PER_MS
from recorder.model import Transaction, Update
from recorder.read.books.differences import APART_NS
from tests.unit.read.ledger_writer import Writer
from tests.unit.read.recordings import Recording

D = Decimal


def test_what_happened_between_the_lists_of_a_round_is_not_missing(tmp_path: Path) -> None:
    """Spot is asked first: its later records are missing, though the balances of later ones contain their amounts."""
    recording = Recording("bitget", 3, pushes=1_000)
    listed = [one for _, decoded in recording.answered for one in decoded.updates if isinstance(one, Transaction)]
    times = sorted(one.occurred_ms or 0 for one in listed if one.market == "spot")
    asked_ms = times[len(times) * 3 // 4]
    assert asked_ms < max(one.occurred_ms or 0 for one in listed)

    def is_listed(update: Update) -> bool:
        is_spot = isinstance(update, Transaction) and update.market == "spot"
        return not (is_spot and (update.occurred_ms or 0) > asked_ms)  # type: ignore[union-attr]

    recording.answered = [
        (payload, decoded._replace(updates=tuple(filter(is_listed, decoded.updates))))
        for payload, decoded in recording.answered
    ]
    writer = Writer(tmp_path / "record.db")
    books = writer.books(writer.write_recording(recording, asked_ms * NS_PER_MS))
    assert [change for book in books for change in book.changes] == []
    assert {book.unexplained for book in books} == {D(0)}
    assert any(book.fills for book in books)
    # A record that is missing before is named.
    lost = next(one for one in recording.liquidated if one.occurred_ms < asked_ms - APART_NS // NS_PER_MS)
    recording.forget(lost)
    books = writer.books(writer.write_recording(recording, asked_ms * NS_PER_MS))
    (change,) = [one for book in books for one in book.changes]
    assert (change.currency, change.amount) == (lost.currency, lost.amount)
