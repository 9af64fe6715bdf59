"""The gaps that were known at an instant, and whether it was covered."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import recorder
from recorder.read.coverage import AFTER, BEFORE, COVERED, IN_GAP, InstantCoverage
from recorder.read.record import Filter
from recorder.read.records import Gap
from tests.contract.conftest import NewUrl
from tests.contract.story import Heard, S, Teller
from tests.contract.test_mover import TOLD, heard, move, sessions
from tests.contract.test_several_recorders import Two
from tests.depth import examples
from tests.made import NOON_NS, quick_engine

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = ("test_gaps_as_of_an_instant_are_those_of_a_record_that_ends_there",)


def lag_ns(number: int) -> int:
    """A recorder's clock against the story's."""
    return number * 7_000_000


def known(number: int, its: Sequence[Heard], at_ns: int) -> list[Heard]:
    """The sessions that had begun, one that went on without its end; nothing where an end was there to be noticed."""
    found = []
    for one, after in zip_longest(its, its[1:]):
        from_ns, until_ns = (edge_s * S + lag_ns(number) for edge_s in (one.from_s, one.until_s))
        if at_ns < from_ns:
            break
        pushed = [push.at_s * S + lag_ns(number) for push in TOLD if one.from_s <= push.at_s < one.until_s]
        last_ns = max([from_ns, *pushed])
        if one.end == "crashed":
            until_ns = after.from_s * S + lag_ns(number) if after else 2**62
        if at_ns < until_ns:
            # What had begun by then but was noticed later is told by one and not by the other.
            assume(at_ns < last_ns or until_ns == 2**62)
            found.append(one._replace(end="crashed"))
            break
        found.append(one)
    return found


@settings(
    max_examples=examples(10), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much]
)
@given(drawn=st.lists(heard, min_size=1, max_size=2), at_ms=st.integers(0, 45_000))
def test_gaps_as_of_an_instant_are_those_of_a_record_that_ends_there(
    new_url: NewUrl,
    tmp_path_factory: pytest.TempPathFactory,
    sqlite_template: Path,
    drawn: list[list[tuple[int, int, str]]],
    at_ms: int,
) -> None:
    at_ns = at_ms * 1_000_000
    stories = [sessions(one) for one in drawn]
    ends = [known(number, its, at_ns) for number, its in enumerate(stories)]
    told: list[list[Gap]] = []
    for whole, its in ((True, stories), (False, ends)):
        folder, url = tmp_path_factory.mktemp("gaps"), new_url()
        target = quick_engine(url)
        for number, its_sessions in enumerate(its):
            if not its_sessions:
                continue
            teller = Teller(folder / f"{number}.db", sqlite_template, number)
            heard_by_then = [push for push in TOLD if whole or push.at_s * S + lag_ns(number) <= at_ns]
            teller.write(heard_by_then, its_sessions)
            move(teller.engine, target)
            teller.engine.dispose()
        target.dispose()
        with recorder.open(url) as record:
            told.append(list(record.as_of(NOON_NS + at_ns).gaps() if whole else record.gaps()))
    assert told[0] == told[1]


@pytest.fixture
def two(tmp_path: Path, sqlite_template: Path, url: str) -> Iterator[Two]:
    two = Two(tmp_path, sqlite_template, url)
    yield two
    two.close()


def moment_at(url: str, at_s: float) -> InstantCoverage:
    with recorder.open(url) as record:
        (moment,) = record.as_of(NOON_NS + int(at_s * S)).coverage(Filter(account="main"))
        assert record.as_of(0).coverage(Filter(account="nobody")) == []
    return moment


def test_whether_an_instant_was_covered(two: Two) -> None:
    two.tellers[0].write(TOLD, [Heard(5, 10), Heard(20, 30, "stopped")])
    move(two.tellers[0].engine, two.engine)
    lag = lag_ns(1) / S
    expected = [
        (0, BEFORE),
        (5, BEFORE),
        (5 + lag, COVERED),
        (9 + lag, COVERED),
        (9.5, IN_GAP),
        (20, IN_GAP),
        (20 + lag, COVERED),
        (29 + lag, COVERED),
        (29.5, AFTER),
        (10**9, AFTER),
    ]
    assert [(at_s, moment_at(two.url, at_s).state) for at_s, _ in expected] == expected
    in_gap = moment_at(two.url, 12).gap
    assert in_gap is not None
    # What came of it is told as it is known now.
    assert (in_gap.reason, in_gap.state, in_gap.resolution) == ("lost", "reconciled", "a snapshot")
    after = moment_at(two.url, 40)
    assert after.gap is not None
    assert (after.gap.reason, after.last_frame_ns) == ("stopped", NOON_NS + 29 * S + lag_ns(1))
    with recorder.open(two.url) as record:
        (_, then) = record.as_of(NOON_NS + 12 * S).gaps()
    assert (then.ends_ns, then.state, then.resolution) == (None, "open", None)


def test_an_instant_is_covered_by_either_of_two_recorders(two: Two) -> None:
    two.tellers[0].write(TOLD, [Heard(1, 10), Heard(20, 30, "crashed")])
    two.tellers[1].write(TOLD, [Heard(5, 15), Heard(18, 25), Heard(35, 40, "crashed")])
    two.merge()
    expected = [(3, COVERED), (12, COVERED), (16, IN_GAP), (19, COVERED), (28, COVERED), (32, COVERED), (37, COVERED)]
    # The first one's session has not ended: nobody knows yet what it covers after its last frame.
    expected[5] = (32, IN_GAP)
    assert [(at_s, moment_at(two.url, at_s).state) for at_s, _ in expected] == expected
    assert moment_at(two.url, 50).state == AFTER
    assert moment_at(two.url, 50).gap is None
