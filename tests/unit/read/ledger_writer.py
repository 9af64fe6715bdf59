"""Writes what was recorded or invented of accounts with a ledger, and keeps their books."""

import json
from collections.abc import Sequence
from decimal import Decimal
from itertools import count
from pathlib import Path

from recorder.clock import NS_PER_MS, NS_PER_S
from recorder.live.channel import Recorded
from recorder.model import (
    DECODED,
    PUSH,
    REST,
    AccountUpdate,
    Frame,
    Update,
)
from recorder.read.books.books import NamedTransfers
from recorder.read.projector import project_all
from recorder.read.records import Book, Filter
from recorder.store.entries import (
    AccountAdded,
    Covered,
    LogEntry,
    ReconciliationBegan,
    ReconciliationEnded,
    SessionOpened,
)
from recorder.venues import venue_named
from recorder.venues.reading import read_frame
from tests.made import NOON_NS, RUN
from tests.unit.read.desk import Desk
from tests.unit.read.recordings import Recording
from tests.unit.read.stories import Story, nothing

_accounts = count(1_000)


class Writer:
    """Writes stories and recordings into one database, each as an account of its own."""

    def __init__(self, path: Path) -> None:
        self.desk = Desk(path)

    def _account(self, venue: str, at_ns: int = NOON_NS - NS_PER_S) -> tuple[str, int, list[LogEntry]]:
        """A new account and its session: its name, its key, and how the event log begins."""
        account_id = next(_accounts)
        entries: list[LogEntry] = [
            AccountAdded(account_id, venue, f"a{account_id}", at_ns),
            SessionOpened(account_id, account_id, RUN, "wss://x", ("all",), at_ns),
            Covered(account_id, account_id, 0, at_ns, ("all",), {}),
        ]
        return f"a{account_id}", account_id, entries

    def write_recording(self, recording: Recording, asked_ns: int | None = None) -> str:
        """Write what was recorded of a simulated account, its answers as a round that began then; returns its name."""
        name, account_id, entries = self._account(recording.venue.name, recording.pushed[0][0] - NS_PER_S)
        frames = [
            Recorded(Frame(account_id, account_id, seq, at_ns, PUSH, one.topic, DECODED, None, payload), one.updates)
            for seq, (at_ns, payload, one) in enumerate(recording.pushed)
        ]
        last_ns = recording.pushed[-1][0] + NS_PER_S
        frames += [
            self._frame(account_id, account_id + 10**6, seq, last_ns, payload, *one.updates)
            for seq, (payload, one) in enumerate(recording.answered)
        ]
        if asked_ns is not None:
            round_id = account_id + 10**6
            entries += [
                ReconciliationBegan(account_id, round_id, RUN, asked_ns, "regular"),
                ReconciliationEnded(account_id, round_id, account_id, last_ns, "answered", ""),
            ]
        self.desk.write(*frames, entries=entries)
        return name

    def write(self, story: Story) -> str:
        """Write a story; returns the account's name."""
        name, account_id, entries = self._account(story.venue)
        session_id, at_ns = account_id, NOON_NS - NS_PER_S
        seqs = count(1)
        frames = [self._frame(account_id, session_id, 0, at_ns, b"{}")]
        pushed: list[tuple[int, bytes, Update]] = []
        for at_ms, wallet, currency, balance in story.states:
            payload = _state(wallet, balance) if story.venue == "hyperliquid" else b"{}"
            shown = str(balance) if story.venue == "bybit" else repr(float(balance))
            update = nothing(AccountUpdate)._replace(
                is_partial=0, wallet=wallet, currency=currency, balance=shown, updated_ms=at_ms
            )
            pushed.append((at_ms, payload, update))
        pushed += [(fill.executed_ms or 0, b"{}", fill) for fill in story.fills]
        for at_ms, payload, update in sorted(pushed, key=lambda one: one[0]):
            key = account_id, session_id, next(seqs), (at_ms + 30) * NS_PER_MS
            frames.append(self._frame(*key, payload, update))
        # Asked for twice, newest first: each transaction counts once all the same.
        asked_ns = (story.at_ms + 40_000) * NS_PER_MS
        rows = tuple(reversed(story.transactions))
        frames += [self._frame(account_id, session_id + 10**6, seq, asked_ns, b"[]", *rows) for seq in range(2)]
        frames.append(self._frame(account_id, session_id, next(seqs), asked_ns, b"{}"))
        self.desk.write(*frames, entries=entries)
        return name

    def write_pushes(self, venue: str, pushes: Sequence[tuple[int, object]]) -> str:
        """Write frames, each with its time of receipt in milliseconds, as they are decoded; returns the name."""
        name, account_id, entries = self._account(venue)
        frames = []
        for seq, (at_ms, frame) in enumerate(pushes):
            payload = json.dumps(frame).encode()
            one = read_frame(venue_named(venue), payload)
            assert one.error is None
            of = account_id, account_id, seq, at_ms * NS_PER_MS
            frames.append(Recorded(Frame(*of, PUSH, one.topic, DECODED, None, payload), one.rows))
        self.desk.write(*frames, entries=entries)
        return name

    def _frame(self, account_id: int, session_id: int, seq: int, at_ns: int, payload: bytes, *rows: Update) -> Recorded:
        source = REST if session_id >= 10**6 else PUSH
        return Recorded(Frame(account_id, session_id, seq, at_ns, source, "all", DECODED, None, payload), rows)

    def books(
        self, name: str, named: NamedTransfers | None = None, since_ns: int | None = None, until_ns: int | None = None
    ) -> list[Book]:
        """Keep the books of an account."""
        with self.desk.engine.connect() as connection:
            list(project_all(connection))
        with self.desk.open() as record:
            return list(record.books(Filter(name, None, since_ns, until_ns), named))


def _state(wallet: str, raw: Decimal) -> bytes:
    """The state of a perpetual exchange; numbers are printed from binary ones."""
    state = {"marginSummary": {"totalRawUsd": repr(float(raw))}}
    return json.dumps({"channel": "clearinghouseState", "data": {"dex": wallet, "clearinghouseState": state}}).encode()
