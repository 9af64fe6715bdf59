"""What a question as of an instant costs does not grow with the record: counted in steps of SQLite, on any machine."""

from collections.abc import Iterator
from random import Random
from statistics import fmean

import pytest
from sqlalchemy import event

import recorder
from recorder.store.snapshots import Snapshots
from tests.bench.as_of import READS, STEP_NS, fill
from tests.depth import size
from tests.made import NOON_NS

SHORT, LONG = size(8_000), size(80_000)
INSTANTS = 12
#: A snapshot for so many frames: a twentieth of the shorter record, as 4,096 are of 100 thousand.
EVERY = size(400)
#: As small as those of a quiet account, so that there are many.
BATCH = 20
#: SQLite tells of every so many steps.
STEPS = 20


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """A short record, and one ten times as long."""
    folder = tmp_path_factory.mktemp("cost")
    made = {updates: f"sqlite:///{folder / f'{updates}.db'}" for updates in (SHORT, LONG)}
    for updates, url in made.items():
        fill(url, updates, Snapshots(EVERY, 0), BATCH)
    return made


def steps(url: str, updates: int, read: str) -> Iterator[int]:
    """The steps of one read at instants all over a record, and at its end."""
    dice, ticks = Random(updates), [0]

    def tick() -> int:
        ticks[0] += 1
        return 0

    with recorder.open(url) as record:
        listen = lambda connection, _: connection.set_progress_handler(tick, STEPS)  # noqa: E731
        event.listen(record._engine, "connect", listen)
        for at in [*(dice.uniform(0.3, 1) for _ in range(INSTANTS)), 2]:
            ticks[0] = 0
            assert list(getattr(record.as_of(NOON_NS + int(updates * STEP_NS * at)), read)())
            yield ticks[0]


@pytest.mark.parametrize("read", READS)
def test_it_costs_at_most_twice_as_much_in_a_record_ten_times_as_long(urls: dict[int, str], read: str) -> None:
    short, long = (list(steps(urls[updates], updates, read)) for updates in (SHORT, LONG))
    assert fmean(long) <= 2 * fmean(short)
    assert max(long) <= 2 * max(short)
    assert fmean(short) > 50, "the steps are counted"


def test_a_look_at_the_beginning_of_a_long_record_does_not_read_the_rest(urls: dict[int, str]) -> None:
    at_ns = NOON_NS + SHORT // 2 * STEP_NS
    for read in ("orders", "order_history", "fills"):
        counts = []
        for url in urls.values():
            ticks = [0]

            def tick(ticks: list[int] = ticks) -> int:
                ticks[0] += 1
                return 0

            with recorder.open(url) as record:
                event.listen(record._engine, "connect", lambda one, _, tick=tick: one.set_progress_handler(tick, STEPS))
                assert list(getattr(record.as_of(at_ns), read)())
            counts.append(ticks[0])
        assert counts[1] <= 2 * counts[0], read
