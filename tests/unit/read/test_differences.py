"""What lasts is told from what is on its way, and from the frame on in which it began."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recorder.clock import NS_PER_S
from recorder.read.books.differences import (
    APART_NS,
    BALANCE,
    BEGIN_NS,
    CUT,
    FOUND_MAX,
    POSITION,
    RETURNS,
    WAITING_MAX,
    BalanceWatch,
    BooksPoint,
    UpdateKey,
)

D = Decimal
MS = 1_000_000
#: A frame: its kind, and by how much what it tells has changed.
Frame = tuple[str, Decimal]


def a(change: int | str) -> Frame:
    """The account's balance has changed."""
    return BALANCE, D(change)


def p(change: int | str) -> Frame:
    """A position has realized something."""
    return POSITION, D(change)


class Stream:
    """Frames on their way to a scale, a millisecond apart unless told."""

    def __init__(self) -> None:
        self.scale = BalanceWatch()
        self._seqs = count(1)
        self._at_ns = 0
        self._balance, self._net = D(100), D(0)
        self.take([(BALANCE, D(0))])
        self.wait(BEGIN_NS)

    def wait(self, passed_ns: int) -> None:
        """Time passes."""
        self._at_ns += passed_ns

    def take(self, frames: Sequence[Frame], session_id: int = 1) -> None:
        """Frames come."""
        for kind, change in frames:
            self._at_ns += MS
            if kind == BALANCE:
                self._balance += change
            else:
                self._net += change
            moment = UpdateKey(self._at_ns, session_id, next(self._seqs), 0)
            self.scale.weigh(kind, BooksPoint(moment, self._balance, self._net, D(0), 0))

    def end(self, passed_ns: int = 0) -> tuple[list[tuple[int, Decimal]], Decimal]:
        """The books end: the frames that made a difference, each with its amount, and what is unsettled."""
        self.wait(passed_ns)
        self.scale.conclude(self._at_ns)
        return [(one.key.seq, one.amount) for one in self.scale.lasting], self.scale.unsettled


@pytest.fixture
def stream() -> Stream:
    """Frame 1 has told the balance; the next is 2."""
    return Stream()


IN_ORDER = [p(3), a(3), p(-1), a(-1)]
ACCOUNT_FIRST = [a(3), p(3), a(-1), p(-1)]
BURSTS = [p(3), p(-1), p(2), a(3), a(-1), a(2)]
LATE_BY_ONE = [a(3), a(-1), p(3), a(2), p(-1), p(2)]
ONE_FOR_TWO = [p(3), p(-1), a(2)]


@pytest.mark.parametrize("frames", [IN_ORDER, ACCOUNT_FIRST, BURSTS, LATE_BY_ONE, ONE_FOR_TWO])
@pytest.mark.parametrize("pause_ns", [0, NS_PER_S, 2 * APART_NS])
def test_what_belongs_together_leaves_nothing(stream: Stream, frames: list[Frame], pause_ns: int) -> None:
    for _ in range(50):
        stream.take(frames)
        stream.wait(pause_ns)
    assert stream.end() == ([], D(0))
    assert stream.scale.point is not None
    assert stream.scale.point.net == 50 * sum(change for kind, change in frames if kind == POSITION)


@pytest.mark.parametrize("frames", [IN_ORDER, ACCOUNT_FIRST, BURSTS, LATE_BY_ONE, ONE_FOR_TWO])
def test_a_deposit_is_found_in_the_midst_of_it(stream: Stream, frames: list[Frame]) -> None:
    for _ in range(20):
        stream.take(frames)
    stream.take([a(5)])
    for _ in range(20):
        stream.take(frames)
    assert stream.end() == ([(20 * len(frames) + 2, D(5))], D(0))


@pytest.mark.parametrize("frames", [IN_ORDER, ACCOUNT_FIRST])
@pytest.mark.parametrize("wrong", ["-1E-18", "1", "-2", "1000"])
def test_a_fill_that_costs_too_much_is_named(stream: Stream, frames: list[Frame], wrong: str) -> None:
    stream.take(frames * 20)
    guilty = [(kind, change + D(wrong) if kind == BALANCE and change == 3 else change) for kind, change in frames]
    stream.take(guilty)
    stream.take(frames * 20)
    seq = 20 * len(frames) + 2 + [kind for kind, _ in frames].index(BALANCE)
    assert stream.end() == ([(seq, D(wrong))], D(0))


def test_a_fee_taken_twice_is_named_also_where_all_fills_are_alike(stream: Stream) -> None:
    # The position that comes next seems to bring the books back: it is as large as what is missing.
    stream.take([p(-1), a(-1)] * 20 + [p(-1), a(-2)] + [p(-1), a(-1)] * 20)
    assert stream.end() == ([(43, D(-1))], D(0))


def test_each_of_several_is_named(stream: Stream) -> None:
    stream.take(IN_ORDER * 10)
    stream.take([a(5), a(2), p(3), a("2.9"), a(-6)])
    stream.take(IN_ORDER * 10)
    assert stream.end() == ([(42, D(5)), (43, D(2)), (45, D("-0.1")), (46, D(-6))], D(0))


@pytest.mark.parametrize("realized", [7, 3])
def test_a_position_without_a_balance_is_named(stream: Stream, realized: int) -> None:
    # Also where others are as large: each balance belongs to the last of them.
    stream.take([*IN_ORDER * 10, p(realized), *IN_ORDER * 10])
    assert stream.end() == ([(42, D(-realized))], D(0))


def test_what_several_recorders_tell_is_only_as_well_in_order_as_their_clocks_agree(stream: Stream) -> None:
    ahead = [a(50), *IN_ORDER * 10]
    stream.take(IN_ORDER * 10)
    # The second one is ahead: it tells a balance whose positions the first one tells later.
    stream.take(ahead, session_id=2)
    stream.take([p(20), p(30)])
    stream.take(IN_ORDER * 10, session_id=2)
    assert stream.end() == ([], D(0))
    alone = Stream()
    alone.take([*IN_ORDER * 10, *ahead])
    assert alone.end() == ([(42, D(50))], D(0))


def test_what_comes_and_goes_is_two_changes(stream: Stream) -> None:
    stream.take([a(5)])
    stream.wait(APART_NS)
    stream.take([a(-5)])
    assert stream.end(APART_NS) == ([(2, D(5)), (3, D(-5))], D(0))


def test_what_comes_and_goes_at_once_is_none(stream: Stream) -> None:
    stream.take([a(5), a(-5)])
    assert stream.end(APART_NS) == ([], D(0))


@pytest.mark.parametrize("tail", [[p(3)], [a(3)], [p(3), p(4), p(5)], [p(3), p(4), a(3)], [a(3), a(4), p(3)]])
def test_what_the_end_cuts_in_two_is_unsettled(stream: Stream, tail: list[Frame]) -> None:
    stream.take(IN_ORDER * 10 + tail)
    found, unsettled = stream.end()
    assert found == []
    assert unsettled == sum(change if kind == BALANCE else -change for kind, change in tail)
    assert stream.scale.point is not None
    assert stream.scale.point.balance == 100 + 10 * 2


def test_what_the_end_leaves_for_long_is_not(stream: Stream) -> None:
    stream.take([*IN_ORDER * 10, a(3)])
    assert stream.end(APART_NS) == ([(42, D(3))], D(0))


def test_a_lasting_loss_at_the_end_is_named_frame_by_frame(stream: Stream) -> None:
    stream.take(IN_ORDER * 10)
    stream.take([frame for _ in range(CUT) for frame in (p(3), a("2.5"))])
    found, unsettled = stream.end()
    assert found == [(43 + 2 * number, D("-0.5")) for number in range(CUT)]
    assert unsettled == 0


def test_a_loss_that_never_ends_takes_no_more_memory(stream: Stream) -> None:
    count_of = 2 * WAITING_MAX
    stream.take(IN_ORDER * 10)
    for _ in range(count_of):
        stream.take([p(3), a("2.5")])
        assert len(stream.scale._waiting.moves) <= WAITING_MAX
    found, unsettled = stream.end()
    assert len(found) == FOUND_MAX
    assert found[0] == (43, D("-0.5"))
    assert stream.scale.count == count_of
    assert unsettled == 0
    assert stream.scale.point is not None
    assert stream.scale.point.balance - stream.scale.point.net == 100 - count_of * D("0.5")


def test_the_beginning_is_where_the_books_come_back_to() -> None:
    stream = Stream()
    # An answer and the pushes have overtaken each other: the first level is none.
    stream.scale = BalanceWatch()
    stream.take([p(2), *IN_ORDER * RETURNS])
    assert stream.end() == ([], D(0))
    assert stream.scale.begin is not None
    assert stream.scale.begin.key.seq == 2


def test_books_that_are_cut_begin_where_the_others_end(stream: Stream) -> None:
    stream.take([*IN_ORDER * 10, a(5), *IN_ORDER * 10, p(3)])
    stream.scale.conclude(0)
    end = stream.scale.point
    stream.scale.cut()
    assert (stream.scale.begin, stream.scale.lasting, stream.scale.count) == (end, [], 0)
    stream.take([a(3), *IN_ORDER * 10, a(7), *IN_ORDER * 10])
    assert stream.end() == ([(125, D(7))], D(0))


alike = st.lists(st.integers(-5, 5), min_size=1, max_size=60)
#: No sum of some of them is a sum of others: otherwise an amount can belong to more than one.
unlike = st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=60).map(
    lambda signs: [sign * 2**number for number, sign in enumerate(signs)]
)


@st.composite
def shuffled(draw: st.DrawFn, amounts: st.SearchStrategy[list[int]]) -> list[Frame]:
    """Fills whose two frames come in any order, not too far apart; all of them come."""
    fills = [D(amount).scaleb(-18) for amount in draw(amounts)]
    skew = draw(st.integers(0, 6))
    placed = [
        (2 * number + draw(st.integers(0, skew)), (kind, step))
        for number, step in enumerate(fills)
        for kind in (POSITION, BALANCE)
    ]
    return [frame for _, frame in sorted(placed, key=lambda one: one[0])]


@given(frames=shuffled(alike) | shuffled(unlike))
def test_whatever_the_order_nothing_lasts(frames: list[Frame]) -> None:
    stream = Stream()
    stream.take([p(1000), a(1000)] * 3)
    stream.take(frames)
    found, unsettled = stream.end(APART_NS)
    assert sum((amount for _, amount in found), D(0)) == 0
    assert unsettled == 0


@given(frames=shuffled(unlike), at=st.integers(0, 200), wrong=st.sampled_from([D(7), D("-1E-19"), D("100.5")]))
@example(frames=[p(1), a(1)], at=1, wrong=D(7))
def test_whatever_the_order_what_is_wrong_is_found(frames: list[Frame], at: int, wrong: Decimal) -> None:
    stream = Stream()
    at %= len(frames) + 1
    frames = [*frames[:at], (BALANCE, wrong), *frames[at:]]
    stream.take([p(1000), a(1000)] * 3)
    stream.take(frames)
    found, unsettled = stream.end(APART_NS)
    assert sum((amount for _, amount in found), D(0)) == wrong
    assert unsettled == 0
    assert (8 + at, wrong) in found
