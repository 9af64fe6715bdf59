"""What a question as of an instant costs in a long record: `python -m tests.bench.as_of 100000 10000000`.

A record of so many updates is made for each number, as a recorder would have written it: orders that come and go, a few
that stay open from the first day on, balances, positions, a new connection every so often. Then instants all over it
are asked for, and what one answer took is printed; its size does not depend on the record's.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import cast

import recorder
from recorder.model import DECODED, PUSH, AccountUpdate, Frame, OrderUpdate, PositionUpdate, Update
from recorder.read.projector import project_all
from recorder.store import migrate
from recorder.store.entries import AccountAdded, RunStarted, SessionOpened
from recorder.store.journal import Batch
from recorder.store.opening import open_run
from recorder.store.snapshots import Snapshots, make_all
from tests.made import ACCOUNT, NOON_NS, quick_engine
from tests.samples import FMEX, sample

BATCH = 4_000
#: A connection lasts for so many frames.
SESSION = 50_000
#: So many orders are open at a time; the first ones for ever.
OPEN, STAYS = 30, 5
#: From one push to the next, ns.
STEP_NS = 10_000_000
INSTANTS = 40
READS = ("positions", "balances", "open_orders")

_PAYLOAD = b"{" + b" " * 100 + b"}"
_ORDER = cast("OrderUpdate", FMEX.decode(sample("order")).updates[0])
_POSITION = cast("PositionUpdate", FMEX.decode(sample("position")).updates[0])
_BALANCE = cast("AccountUpdate", FMEX.decode(sample("account")).updates[0])


def fill(url: str, updates: int, making: Snapshots | None = None, batch_frames: int = BATCH) -> None:
    """Write a record, and make its snapshots and projections."""
    engine = quick_engine(url)
    migrate.require_usable(engine)
    told = _told()
    with engine.begin() as connection:
        wanted = [AccountAdded(ACCOUNT, "fmex", "main", NOON_NS)]
        run, seal, _ = open_run(connection, url, RunStarted(1, 0, NOON_NS, "bench", 1, "bench"), wanted)
    with engine.connect() as connection:
        for number, start in enumerate(range(0, updates, batch_frames), 1):
            batch = Batch(run.recorder_id, run.run_id, number, seal)
            for at in range(start, min(start + batch_frames, updates)):
                session_id, seq = divmod(at, SESSION)
                at_ns = NOON_NS + at * STEP_NS
                if seq == 0:
                    topics = ("account",)
                    batch.entries.append(SessionOpened(ACCOUNT, session_id, run.run_id, "wss://x", topics, at_ns))
                frame = Frame(ACCOUNT, session_id, seq, at_ns, PUSH, "topic", DECODED, None, _PAYLOAD)
                batch.add(frame, (next(told),))
            with connection.begin():
                batch.write(connection, at_ns)
            seal = batch.seal
        list(make_all(connection, making))
        list(project_all(connection))
    engine.dispose()


def _told() -> Iterator[Update]:
    """Pushes without an end."""
    dice, order_id = Random(7), 0
    waiting: list[int] = []
    while True:
        for _ in range(10):
            order_id += 1
            yield _ORDER._replace(order_id=str(order_id), status="new", filled_quantity="0")
            if order_id > STAYS:
                waiting.append(order_id)
            if len(waiting) > OPEN:
                ended = waiting.pop(dice.randrange(len(waiting)))
                yield _ORDER._replace(order_id=str(ended), status="filled", filled_quantity=_ORDER.quantity)
            for currency in ("BTC", "USD"):
                yield _BALANCE._replace(currency=currency, balance=str(order_id), updated_ms=order_id)
        yield _POSITION._replace(symbol=dice.choice(("BTCUSD_P", "ETHUSD_P")), quantity=str(order_id))


def asked_s(url: str, updates: int, instants: int = INSTANTS) -> float:
    """What positions, balances and open orders take together, the median of instants all over a record, seconds."""
    dice = Random(updates)
    took = []
    with recorder.open(url) as record:
        for _ in range(instants):
            # Not from the first snapshots' time: there is less to ask about.
            as_of = record.as_of(NOON_NS + int(updates * STEP_NS * dice.uniform(0.2, 1)))
            began_s = time.perf_counter()
            for read in READS:
                assert list(getattr(as_of, read)())
            took.append(time.perf_counter() - began_s)
    return statistics.median(took)


def main() -> None:
    """Print what was asked for."""
    for updates in [int(argument) for argument in sys.argv[1:]] or [100_000, 1_000_000]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "record.db"
            url = f"sqlite:///{path}"
            began_s = time.perf_counter()
            fill(url, updates)
            made_s = time.perf_counter() - began_s
            size = path.stat().st_size / 2**20
            took = asked_s(url, updates) * 1000
            print(f"{updates:>12,} updates, {size:,.0f} MiB, made in {made_s:,.0f} s: {took:.2f} ms", flush=True)


if __name__ == "__main__":
    main()
