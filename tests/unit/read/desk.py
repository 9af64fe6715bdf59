"""A record that a test writes as a recorder does, batch by batch."""

from itertools import count
from pathlib import Path
from typing import Any

import recorder
from recorder.live.channel import Recorded
from recorder.read.record import Record
from recorder.store.entries import LogEntry, RunStarted
from recorder.store.journal import Batch
from recorder.store.schema import gaps
from recorder.store.seals import BEGINNING
from tests.made import ACCOUNT, NOON_NS, RECORDER, RUN, new_database, received

OTHER = 8


class Desk:
    """The record at this path, with these accounts (key, name)."""

    def __init__(self, place: str | Path, *accounts: tuple[int, str]) -> None:
        self.url, self.engine = new_database(place, *(accounts or ((ACCOUNT, "main"), (OTHER, "other"))))
        self._batches = count(1)
        self._seqs = count()
        self._seal = BEGINNING
        self.write(entries=[RunStarted(RUN, RECORDER, NOON_NS, "here", 1, "0")])

    def write(self, *recorded: Recorded, entries: list[LogEntry] | None = None) -> None:
        """Commit a batch."""
        batch = Batch(RECORDER, RUN, next(self._batches), self._seal)
        batch.entries += entries or []
        for one in recorded:
            batch.add(*one)
        with self.engine.begin() as connection:
            batch.write(connection, NOON_NS)
        self._seal = batch.seal

    def gap(self, row: dict[str, Any]) -> None:
        """Note a gap."""
        with self.engine.begin() as connection:
            given = {"recorder_id": RECORDER, "stream": "", "reason": "lost", "state": "open"} | row
            connection.execute(gaps.insert().values(given))

    def push(self, at: int, told: str, **key: int) -> None:
        """Commit a push, received so many nanoseconds after noon; numbered in the order of writing."""
        self.write(received(next(self._seqs), told.encode(), at_ns=NOON_NS + at, **key))

    def order(self, at: int, order_id: int = 1, *, symbol: str = "BTCUSD_P", unfilled: int = 10, **key: int) -> None:
        """Commit an order update."""
        self.push(
            at,
            f'{{"type":"order.{symbol.lower()}","ts":{at},"order":{{"id":{order_id},"symbol":"{symbol}",'
            f'"quantity":10,"unfilled_quantity":{unfilled},"fill_price":{9000 + at},"fee":0.{at:03d}}}}}',
            **key,
        )

    def position(self, at: int, symbol: str = "BTCUSD_P", quantity: int = 1, **key: int) -> None:
        """Commit a position update."""
        self.push(at, f'{{"type":"p","ts":{at},"position":{{"symbol":"{symbol}","quantity":{quantity}}}}}', **key)

    def balance(self, at: int, currency: str = "BTC", available: str = "1", **key: int) -> None:
        """Commit an account update."""
        amounts = f'"currency":"{currency}","available":{available},"frozen":0,"position":0'
        self.push(at, f'{{"type":"account","ts":{at},"account":{{{amounts}}}}}', **key)

    def open(self) -> Record:
        """Open it for reading."""
        return recorder.open(self.url)
