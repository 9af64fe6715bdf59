"""What was known at an instant: what is told of a record that ends there, with any snapshots and with none."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

import recorder
from recorder.read.as_of import AsOf
from recorder.read.record import Record
from recorder.store.mover import Mover
from recorder.store.schema import TYPED, frames
from recorder.store.snapshots import make_all
from tests.contract.conftest import NewUrl
from tests.contract.scribe import Line, Scribe, lines
from tests.made import quick_engine
from tests.samples import FMEX

READS: dict[str, tuple[Callable[[AsOf], Iterator[Any]], Callable[[Record], Iterator[Any]]]] = {
    "orders": (AsOf.orders, Record.orders),
    "order_history": (AsOf.order_history, Record.order_history),
    "fills": (AsOf.fills, Record.fills),
    "positions": (AsOf.positions, Record.positions),
    "balances": (AsOf.balances, Record.balances),
    "open orders": (AsOf.open_orders, lambda record: (one for one in record.orders() if is_open(one.status))),
}


def is_open(status: str | None) -> bool:
    return status not in FMEX.final_statuses


def merge(source: Engine, target: Engine, frames_max: int, every: int) -> None:
    """Move everything, and make snapshots after each step, one for so many frames; 0: none."""
    mover = Mover(source, target, frames_max)
    while mover.step() is not None:
        if every:
            with target.connect() as connection:
                list(make_all(connection, every))
    mover.close()


def end_at(engine: Engine, at_ns: int) -> None:
    """Take away what was received later."""
    with engine.begin() as connection:
        for table in (frames, *TYPED.values()):
            connection.execute(text(f"DELETE FROM {table.name} WHERE received_ns > {at_ns}"))


def told_at(record: Record, at_ns: int) -> dict[str, list[Any]]:
    as_of = record.as_of(at_ns)
    return {name: list(read(as_of)) for name, (read, _) in READS.items()}


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    told=st.lists(lines, min_size=1, max_size=3),
    order=st.permutations(range(3)),
    frames_max=st.sampled_from([1, 3, 100]),
    every=st.sampled_from([0, 1, 2, 5]),
)
def test_as_of_an_instant_a_record_tells_what_it_tells_where_it_ends_there(
    new_url: NewUrl,
    tmp_path_factory: Any,
    sqlite_template: Path,
    told: list[list[Line]],
    order: list[int],
    frames_max: int,
    every: int,
) -> None:
    folder = tmp_path_factory.mktemp("as_of")
    scribes = [Scribe(folder / f"{number}.db", sqlite_template, number) for number in range(len(told))]
    full, ended = new_url(), new_url()
    for scribe, its in zip(scribes, told, strict=True):
        scribe.write(its)
    for url, one_every in ((full, every), (ended, 0)):
        target = quick_engine(url)
        for number in order:
            if number < len(scribes):
                merge(scribes[number].engine, target, frames_max, one_every)
        target.dispose()
    instants = sorted(
        {at_ns + more for scribe in scribes for at_ns in scribe.instants for more in (-1, 0)}, reverse=True
    )
    engine = quick_engine(ended)
    with recorder.open(full) as record, recorder.open(ended) as ending:
        for at_ns in instants[:: max(len(instants) // 5, 1)]:
            end_at(engine, at_ns)
            expected = {name: list(read(ending)) for name, (_, read) in READS.items()}
            assert told_at(record, at_ns) == expected
    for used in (engine, *(scribe.engine for scribe in scribes)):
        used.dispose()
